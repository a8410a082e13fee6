"""Files that are cut, closed again, not closed, followed by something, or damaged on their way."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analyzer import photo
from analyzer.errors import BadPhoto
from tests.analyzer.picture_files import MEDIA_TYPES, WHOLE_FILES, encode, encoded, scene

PHONE_ORIGINALS = Path(os.environ.get("SKIN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "phone_originals"
PHONE_PHOTOS = ["acne_4_front.jpg", "acne_6_front.jpg", "redness_20_front.jpg"]
JPEGS = [name for name in WHOLE_FILES if "JPEG" in name]
EOI = b"\xff\xd9"


def refusal(data: bytes, **options: int) -> BadPhoto:
    with pytest.raises(BadPhoto) as caught:
        photo.decode(data, **options)
    return caught.value


# --- cut -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_cut_at_any_percent_is_called_truncated(name: str) -> None:
    data = WHOLE_FILES[name]()
    photo.decode(data)
    codes = {percent: refusal(data[: len(data) * percent // 100]).code for percent in range(1, 100)}
    assert set(codes.values()) == {"truncated_image"}, codes


@pytest.mark.parametrize("name", sorted(set(WHOLE_FILES) - set(JPEGS)))
def test_the_header_alone_finds_the_cut(name: str) -> None:
    data = WHOLE_FILES[name]()
    with pytest.raises(BadPhoto) as caught:
        photo.read_header(data[: len(data) * 9 // 10])
    assert caught.value.code == "truncated_image"


@pytest.mark.parametrize("min_short_side", [1000, 60])
@pytest.mark.parametrize("name", JPEGS)
def test_a_cut_jpeg_that_was_closed_again_is_still_truncated(name: str, min_short_side: int) -> None:
    data = WHOLE_FILES[name]()
    first = data.index(b"\xff\xda") + 16
    for at in range(first, len(data) - 3, (len(data) - first) // 40):
        closed = data[:at].rstrip(b"\xff") + EOI
        assert refusal(closed, min_short_side=min_short_side).code == "truncated_image", f"{at} of {len(data)} bytes"


@pytest.mark.parametrize("name", ["progressive JPEG", "progressive grey JPEG"])
def test_a_progressive_jpeg_without_its_last_scans_is_truncated(name: str) -> None:
    data = WHOLE_FILES[name]()
    for scan in list(re.finditer(rb"\xff\xc4..[^\xff]*\xff\xda", data, re.DOTALL))[1:]:
        for end in (EOI, b""):
            assert refusal(data[: scan.start()] + end).code == "truncated_image"


def test_scans_of_zeros_may_be_left_out() -> None:
    """An encoder may leave out scans whose coefficients are all zero, such as the colour detail of a grey picture."""
    data = encode(scene().convert("L").convert("RGB"), "JPEG", progressive=True)
    colour_detail = rb"\xff\xda\0\x08\x01[\x02\x03].[^\0].*?(?=\xff[\xc4\xda\xd9])"
    shorter = re.sub(colour_detail, b"", data, flags=re.DOTALL)
    assert len(shorter) < len(data) - 40
    assert np.array_equal(photo.decode(shorter).rgb, photo.decode(data).rgb)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_jpeg_with_a_grey_edge_passes(progressive: bool) -> None:
    image = scene()
    image.paste((128, 128, 128), (0, 120, 320, 240))
    picture = photo.decode(encode(image, "JPEG", quality=95, progressive=progressive))
    assert np.all(picture.rgb[-1, -1] == 128)


def test_an_evenly_grey_jpeg_passes() -> None:
    assert np.all(photo.decode(encode(Image.new("RGB", (64, 64), (128,) * 3), "JPEG")).rgb == 128)


def test_a_thumbnail_inside_the_exif_does_not_hide_a_cut() -> None:
    thumbnail = encode(scene(64, 48), "JPEG")
    data = encode(scene(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0" + thumbnail)
    photo.decode(data)
    assert refusal(data[: len(data) * 3 // 4]).code == "truncated_image"


# --- not closed, or followed by something ----------------------------------------------------------------------------

TRAILERS = {
    "nothing": b"",
    "zeros": b"\0" * 5000,
    "video": b"MotionPhoto_Data" + bytes(range(256)) * 40,
    "gain map": encode(scene(64, 64), "JPEG"),
    "cut gain map": b"\xff\xd8\xff\xe1",
    "maker's trailer": np.random.default_rng(2).bytes(20_000) + b"SEFH" + bytes(40) + b"SEFT",
}


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_what_phones_append_does_not_matter(kind: str, trailer: str) -> None:
    data = encoded(kind)
    assert np.array_equal(photo.decode(data + TRAILERS[trailer]).rgb, photo.decode(data).rgb)


@pytest.mark.parametrize("trailer", ["nothing", "zeros", "maker's trailer"])
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_without_its_end_marker_is_decoded(name: str, trailer: str) -> None:
    data = WHOLE_FILES[name]()
    assert np.array_equal(photo.decode(data[:-2] + TRAILERS[trailer]).rgb, photo.decode(data).rgb)


def test_filling_before_the_end_marker_does_no_harm() -> None:
    data = encoded("JPEG")
    assert np.array_equal(photo.decode(data[:-2] + bytes(100) + EOI).rgb, photo.decode(data).rgb)


# --- damaged ---------------------------------------------------------------------------------------------------------


def test_a_jpeg_with_a_foreign_part_in_its_middle_is_damaged() -> None:
    data = encoded("JPEG")
    middle = len(data) // 2
    assert refusal(data[:middle] + bytes(2000) + data[middle + 2000 :]).code in ("bad_image", "truncated_image")


@cache
def large(kind: str) -> bytes:
    """A file in which every byte value occurs many times."""
    return encode(scene(640, 480), kind)


def seven_bits(data: bytes) -> bytes:
    return bytes(byte & 0x7F for byte in data)


DAMAGED_AS_TEXT: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "LF to CRLF": ("line ends", lambda data: data.replace(b"\n", b"\r\n")),
    "CR to CRLF": ("line ends", lambda data: data.replace(b"\r", b"\r\n")),
    "CR to LF": ("line ends", lambda data: data.replace(b"\r", b"\n")),
    "LF to CR": ("line ends", lambda data: data.replace(b"\n", b"\r")),
    "no CR": ("line ends", lambda data: data.replace(b"\r", b"")),
    "Latin-1 to UTF-8": ("UTF-8", lambda data: data.decode("latin-1").encode()),
    "Latin-1 to UTF-8 twice": ("UTF-8", lambda data: data.decode("latin-1").encode().decode("latin-1").encode()),
    "with a byte order mark": ("UTF-8", lambda data: b"\xef\xbb\xbf" + data.decode("latin-1").encode()),
    "Windows-1252 to UTF-8": ("UTF-8|replaced", lambda data: data.decode("cp1252", "replace").encode()),
    "U+FFFD": ("replaced", lambda data: data.decode("utf-8", "replace").encode()),
    "question marks": ("replaced", lambda data: data.decode("ascii", "replace").encode("ascii", "replace")),
    "seven bits": ("eighth bit", seven_bits),
    "UTF-16": ("UTF-16", lambda data: data.decode("latin-1").encode("utf-16")),
}


# In UTF-16 the other types cannot be recognised.
TEXT_CASES = [
    (kind, name) for kind in MEDIA_TYPES for name in DAMAGED_AS_TEXT if name != "UTF-16" or kind in ("JPEG", "PNG")
]


@pytest.mark.parametrize(("kind", "name"), TEXT_CASES)
def test_damage_by_treatment_as_text_is_named(kind: str, name: str) -> None:
    cause, damage = DAMAGED_AS_TEXT[name]
    error = refusal(damage(large(kind)))
    assert error.code == "bad_image"
    assert re.search(f"as text: .*({cause})", error.message), error.message
    assert "binary" in error.hint


def test_the_line_ends_of_a_png_are_in_its_signature() -> None:
    error = refusal(encoded("PNG").replace(b"\r\n", b"\n"))
    assert "line ends were converted" in error.message


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_cut_file_is_not_taken_for_one_damaged_as_text(kind: str) -> None:
    data = large(kind)
    for percent in range(2, 100, 7):
        assert refusal(data[: len(data) * percent // 100]).code == "truncated_image"


# --- phones ----------------------------------------------------------------------------------------------------------


def phone_original(name: str) -> bytes:
    path = PHONE_ORIGINALS / name
    if not path.exists():
        pytest.skip(f"no {name}: point SKIN_DATA to the folder that holds phone_originals")
    return path.read_bytes()


@pytest.mark.data
@pytest.mark.parametrize("name", PHONE_PHOTOS)
def test_a_phone_original_cut_at_any_percent_is_called_truncated(name: str) -> None:
    data = phone_original(name)
    for percent in range(1, 100, 7):
        for end in (b"", EOI):
            cut = data[: len(data) * percent // 100].rstrip(b"\xff") + end
            assert refusal(cut, min_short_side=250).code == "truncated_image"
