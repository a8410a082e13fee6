"""The bounds of what a file may cost, and damaged files: every one is decoded or refused."""

from __future__ import annotations

import errno
import re
import struct
import time
import tracemalloc
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from analyzer import photo
from analyzer.errors import BadPhoto, TooManyPixels
from analyzer.image import jpeg
from benchmarks.damaged_pictures import damaged, whole
from tests.analyzer.picture_files import encode, encoded, png, scene

# --- bounds --------------------------------------------------------------------------------------------------------


def gif_canvas(width: int, height: int, frame_width: int, frame_height: int) -> bytes:
    return (
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
        + b"," + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0) + b"\x02\x02\x44\x01\x00;"
    )  # fmt: skip


def webp_canvas(width: int, height: int) -> bytes:
    inner = encode(scene(16, 16), "WEBP")[12:]
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(scene(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


BOMBS = {
    "PNG": png(30_000, 30_000, [(b"IDAT", zlib.compress(bytes(10_000_000), 9))]),
    "largest PNG": png(2**31 - 1, 2**31 - 1, [(b"IDAT", zlib.compress(b""))]),
    "GIF canvas": gif_canvas(65_535, 65_535, 1, 1),
    "GIF frame beyond its canvas": gif_canvas(1, 1, 65_535, 65_535),
    "WebP canvas": webp_canvas(1 << 24, 1 << 24),
    "JPEG": jpeg_claiming(65_500, 65_500),
}


@pytest.mark.parametrize("name", BOMBS)
def test_the_pixel_limit_is_checked_before_decoding(name: str) -> None:
    started = time.perf_counter()
    tracemalloc.start()
    with pytest.raises(TooManyPixels, match=r"\d megapixels; up to"):
        photo.decode(BOMBS[name])
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert time.perf_counter() - started < 1


def test_the_limit_is_the_callers() -> None:
    data = encoded("JPEG")
    photo.decode(data, max_pixels=320 * 240)
    with pytest.raises(TooManyPixels):
        photo.decode(data, max_pixels=320 * 240 - 1)


def test_more_image_data_than_the_header_announces_is_left_alone() -> None:
    data = png(10, 10, [(b"IDAT", zlib.compress(bytes(100_000_000), 9))])
    started = time.perf_counter()
    assert photo.decode(data).rgb.shape == (10, 10, 3)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_png_that_was_closed_again_is_still_truncated(share: float) -> None:
    rows = np.random.default_rng(3).integers(0, 256, (200, 601), np.uint8)
    rows[:, 0] = 0
    packed = zlib.compress(rows.tobytes())
    with pytest.raises(BadPhoto) as caught:
        photo.decode(png(200, 200, [(b"IDAT", packed[: int(len(packed) * share)])]))
    assert caught.value.code == "truncated_image"


def test_text_bombs_are_never_unpacked() -> None:
    text = b"k\0\0" + zlib.compress(bytes(100 << 20), 9)
    data = png(10, 1, [(b"zTXt", text)] * 60 + [(b"IDAT", zlib.compress(bytes(31)))])
    started = time.perf_counter()
    assert photo.decode(data).rgb.shape == (1, 10, 3)
    assert time.perf_counter() - started < 1


def test_jpeg_scan_bombs_are_refused() -> None:
    data = encode(scene(), "JPEG", progressive=True)
    *_, scan, last = (match.start() for match in re.finditer(b"\xff\xda", data))
    with pytest.raises(BadPhoto):
        photo.decode(data[:last] + data[scan:last] * jpeg.MAX_SCANS + data[last:])


def test_scans_behind_a_complete_picture_are_not_decoded() -> None:
    data = encode(scene(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert np.array_equal(photo.decode(data[:-2] + scan * 200 + data[-2:]).rgb, photo.decode(data).rgb)


@pytest.mark.parametrize(
    "data",
    [
        encode(scene(16, 16), "PNG")[:33] + (bytes(4) + b"tEXt" + bytes(4)) * 1_500_000,
        b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b"!\xff" + b"\x01\x00" * 1_000 + b"\x01\x61" * 8_000_000,
        b"\xff\xd8\xff\xe0\0\x02" + b"\xff\xe1\0\x02" * 4_000_000,
        b"RIFF" + struct.pack("<I", 16_000_004) + b"WEBP" + b"JUNK\0\0\0\0" * 2_000_000,
    ],
    ids=["PNG chunks", "GIF blocks", "JPEG segments", "WebP chunks"],
)
def test_endless_small_parts_are_given_up_soon(data: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(BadPhoto):
        photo.decode(data)
    assert time.perf_counter() - started < 1.5


def test_a_header_costs_a_few_milliseconds() -> None:
    data = encode(scene(4000, 3000), "JPEG", quality=90)
    photo.read_header(data)
    started = time.perf_counter()
    photo.read_header(data)
    assert time.perf_counter() - started < 0.05


# --- damaged files -------------------------------------------------------------------------------------------------


OUTCOMES = {"decoded", "bad_image", "truncated_image", "unsupported_type", "too_many_pixels"}
NUMBERS = 500  # of the 20,000 that `python -m benchmarks.fuzz` tries


def outcome(data: bytes) -> str:
    """``"decoded"`` or the code of the refusal; anything else that is raised fails the test."""
    try:
        picture = photo.decode(data, min_short_side=16, max_pixels=1_000_000)
    except BadPhoto as refusal:
        return refusal.code if refusal.message and refusal.hint else "silent"
    return "decoded" if picture.rgb.ndim == 3 and picture.rgb.dtype == np.uint8 else "misshapen"


@pytest.mark.parametrize("first", range(0, NUMBERS, 100))
def test_damaged_files_of_every_type_are_decoded_or_refused(first: int) -> None:
    outcomes = Counter(outcome(damaged(number)[1]) for number in range(first, first + 100))
    assert set(outcomes) <= OUTCOMES
    assert min(outcomes["decoded"], outcomes["bad_image"], outcomes["truncated_image"]) > 5, outcomes


@pytest.mark.parametrize("kind", sorted(set(whole()) - {"TIFF", "BMP"}))
def test_what_is_damaged_was_whole(kind: str) -> None:
    assert outcome(whole()[kind]) == "decoded"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", *(data[:16] for data in whole().values())]), st.binary(max_size=600))
def test_random_bytes_are_refused_not_raised(start: bytes, rest: bytes) -> None:
    assert outcome(start + rest) in OUTCOMES


def test_a_palette_without_its_colours_is_a_bad_image() -> None:
    """Pillow fails in an assertion on it."""
    data = encode(scene(20, 20).convert("P"), "PNG")
    assert outcome(data.replace(b"PLTE", b"jLTE")) == "bad_image"


@pytest.mark.parametrize(
    "fault",
    [
        AssertionError(),
        KeyError("x"),
        SystemError("x"),
        RecursionError(),
        ZeroDivisionError(),
        OSError("x"),
        Exception(),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_whatever_a_decoder_raises_is_the_fault_of_the_picture(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded("PNG")
    fail_with(fault, monkeypatch)
    with pytest.raises(BadPhoto) as caught:
        photo.decode(data)
    assert (caught.value.code, caught.value.__cause__) == ("bad_image", fault)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (MemoryError(), MemoryError),
        (OSError("out of memory error when reading image file"), MemoryError),
        (ValueError("Memory allocation failure"), MemoryError),
        (OSError(errno.EMFILE, "Too many open files"), OSError),
    ],
)
def test_what_the_machine_lacks_is_not(
    fault: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(fault, monkeypatch)
    with pytest.raises(expected):
        photo.decode(encoded("PNG"))


def fail_with(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(Image, "open", fail)


def test_a_decoder_that_sees_another_size_than_the_header_is_not_asked_for_pixels() -> None:
    """A second IHDR, which Pillow would follow."""
    data = encode(scene(20, 20), "PNG")
    header = data[8:33]
    larger = png(4000, 4000, [])[8:33]
    assert outcome(data[:8] + header + larger + data[33:]) == "bad_image"
