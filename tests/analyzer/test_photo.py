"""Decoding: every type taken, every fault named, colours and orientation right, cost bounded."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from analyzer import containers, photo
from analyzer.errors import BadPhoto, TooManyPixels, UnsupportedType

PHONE_ORIGINALS = Path(os.environ.get("SKIN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "phone_originals"
MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
}
EXIF_ORIENTATION = 0x0112


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """A scene without symmetry: a gradient, a red corner top left, a blue bar on the right, some grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rgb = np.stack([90 + 90 * x / width, 70 + 90 * y / height, 120 - 50 * x / width], axis=-1)
    rgb += np.random.default_rng(7).normal(0, 3, (height, width, 1))
    rgb[: height // 4, : width // 4] = (200, 40, 40)
    rgb[height // 2 :, -width // 5 :] = (40, 60, 190)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(out, format="HEIF", **{"quality": 90, **options})
    else:
        image.save(out, kind, **options)
    return out.getvalue()


@cache
def encoded(kind: str) -> bytes:
    options = {"JPEG": {"quality": 92}, "WEBP": {"quality": 92}}.get(kind, {})
    return encode(scene(), kind, **options)


def with_orientation(kind: str, image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    return encode(image, kind, exif=exif.tobytes(), **options)


def mean_error(rgb: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    return float(np.abs(rgb.astype(int) - expected).mean())


def png(width: int, height: int, chunks: list[tuple[bytes, bytes]], *, depth: int = 8, colour: int = 2) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [header, *chunks, (b"IEND", b"")]
    )


# --- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_each_type_is_decoded_to_upright_read_only_rgb(kind: str) -> None:
    picture = photo.decode(encoded(kind))
    assert picture.rgb.shape == (240, 320, 3)
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.flags.c_contiguous
    assert not picture.rgb.flags.writeable
    assert picture.original_size == (320, 240)
    assert picture.scale == 1.0
    assert picture.media_type == MEDIA_TYPES[kind]
    assert mean_error(picture.rgb, np.asarray(scene())) < (9 if kind == "GIF" else 5)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_header_tells_the_size_and_agrees_with_the_decoder(kind: str) -> None:
    header = photo.read_header(encoded(kind))
    assert (header.media_type, header.width, header.height) == (MEDIA_TYPES[kind], 320, 240)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"quality": 50, "exif": b"Exif\0\0"}])
def test_the_three_webp_layouts_tell_their_size(options: dict[str, object]) -> None:
    header = photo.read_header(encode(scene(301, 199), "WEBP", **options))
    assert (header.width, header.height) == (301, 199)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (encode(scene(), "TIFF"), "TIFF"),
        (encode(scene(), "BMP"), "BMP"),
        (encode(scene(), "PDF"), "PDF"),
        (encode(scene(), "AVIF"), "AVIF"),
        (encode(scene(), "JPEG2000"), "JPEG 2000"),
        (encode(scene(), "ICO"), "icon"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "video"),
        (b"PK\x03\x04" + bytes(40), "archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_types_are_refused_by_name(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedType, match=name) as caught:
        photo.decode(data)
    assert caught.value.code == "unsupported_type"
    assert "JPEG" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"hello, this is text", bytes(1000), b"RIFF\x10\0\0\0WAVEfmt "])
def test_what_is_no_picture_is_a_bad_image(data: bytes) -> None:
    with pytest.raises(BadPhoto) as caught:
        photo.decode(data)
    assert caught.value.code == "bad_image"


# --- truncation ----------------------------------------------------------------------------------------------------


def animation() -> bytes:
    frames = [scene(160, 120).rotate(angle) for angle in (0, 90, 180)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


WHOLE_FILES: dict[str, Callable[[], bytes]] = {
    "baseline JPEG": lambda: encoded("JPEG"),
    "progressive JPEG": lambda: encode(scene(), "JPEG", quality=92, progressive=True),
    "JPEG with restart markers": lambda: encode(scene(), "JPEG", restart_marker_rows=1),
    "grey JPEG": lambda: encode(scene().convert("L"), "JPEG"),
    "CMYK JPEG": lambda: encode(scene().convert("CMYK"), "JPEG"),
    "PNG": lambda: encoded("PNG"),
    "lossy WebP": lambda: encoded("WEBP"),
    "lossless WebP": lambda: encode(scene(), "WEBP", lossless=True),
    "GIF": lambda: encoded("GIF"),
    "animated GIF": animation,
    "HEIC": lambda: encoded("HEIC"),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_file_cut_at_any_percent_is_called_truncated(name: str) -> None:
    data = WHOLE_FILES[name]()
    photo.decode(data)
    for percent in range(1, 100):
        with pytest.raises(BadPhoto) as caught:
            photo.decode(data[: len(data) * percent // 100])
        assert caught.value.code == "truncated_image", f"{percent} %: {caught.value}"


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_the_header_alone_finds_the_cut(name: str) -> None:
    data = WHOLE_FILES[name]()
    with pytest.raises(BadPhoto) as caught:
        photo.read_header(data[: len(data) * 9 // 10])
    assert caught.value.code == "truncated_image"


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["baseline JPEG", "grey JPEG", "JPEG with restart markers"])
def test_a_cut_jpeg_that_was_closed_again_is_still_truncated(name: str, cut: float) -> None:
    data = WHOLE_FILES[name]()
    closed = data[: int(len(data) * cut)].rstrip(b"\xff") + b"\xff\xd9"
    for min_short_side in (None, 60):
        with pytest.raises(BadPhoto) as caught:
            photo.decode(closed, min_short_side=min_short_side)
        assert caught.value.code == "truncated_image"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_jpeg_with_a_grey_edge_passes(progressive: bool) -> None:
    image = scene()
    image.paste((128, 128, 128), (0, 120, 320, 240))
    picture = photo.decode(encode(image, "JPEG", quality=95, progressive=progressive))
    assert np.all(picture.rgb[-1, -1] == 128)


def test_an_evenly_grey_jpeg_passes() -> None:
    assert np.all(photo.decode(encode(Image.new("RGB", (64, 64), (128,) * 3), "JPEG")).rgb == 128)


@pytest.mark.parametrize(
    "trailer",
    [b"\0" * 5000, b"MotionPhoto_Data" + bytes(range(256)) * 40, encode(scene(64, 64), "JPEG"), b"\xff\xd8\xff\xe1"],
    ids=["zeros", "video", "gain map", "cut gain map"],
)
@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_what_phones_append_does_not_matter(kind: str, trailer: bytes) -> None:
    data = encoded(kind)
    assert np.array_equal(photo.decode(data + trailer).rgb, photo.decode(data).rgb)


def test_a_thumbnail_inside_the_exif_does_not_hide_a_cut() -> None:
    thumbnail = encode(scene(64, 48), "JPEG")
    data = encode(scene(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0" + thumbnail)
    photo.decode(data)
    with pytest.raises(BadPhoto) as caught:
        photo.decode(data[: len(data) * 3 // 4])
    assert caught.value.code == "truncated_image"


# --- random bytes --------------------------------------------------------------------------------------------------

SMALL = {
    **{kind: encode(scene(48, 40), kind) for kind in MEDIA_TYPES},
    "progressive": encode(scene(48, 40), "JPEG", progressive=True),
    "animation": encode(scene(24, 20), "GIF", save_all=True, append_images=[scene(24, 20).rotate(90)]),
    "alpha": encode(scene(48, 40).convert("RGBA"), "WEBP", exif=b"Exif\0\0II*\0"),
}


def outcome(data: bytes) -> str:
    """``"decoded"`` or the code of the refusal; anything else that is raised fails the test."""
    try:
        picture = photo.decode(data, min_short_side=16, max_pixels=1_000_000)
    except BadPhoto as refusal:
        return refusal.code if refusal.message and refusal.hint else "silent"
    return "decoded" if picture.rgb.ndim == 3 and picture.rgb.dtype == np.uint8 else "misshapen"


OUTCOMES = {"decoded", "bad_image", "truncated_image", "unsupported_type", "too_many_pixels"}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", *(data[:16] for data in SMALL.values())]), st.binary(max_size=600))
def test_random_bytes_are_refused_not_raised(start: bytes, rest: bytes) -> None:
    assert outcome(start + rest) in OUTCOMES


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_damaged_pictures_are_decoded_or_refused(name: str, draw: st.DataObject) -> None:
    data = bytearray(SMALL[name])
    for _ in range(draw.draw(st.integers(1, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    assert outcome(bytes(data)) in OUTCOMES


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_orientation_of_any_bytes_is_between_1_and_8(exif: bytes) -> None:
    assert 1 <= containers.exif_orientation(b"II*\0\x08\0\0\0" + exif) <= 8
    assert 1 <= containers.exif_orientation(exif) <= 8


# --- orientation ---------------------------------------------------------------------------------------------------

# What has to be done to an upright picture so that this Exif orientation undoes it.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIC"])
def test_every_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    upright = scene(320, 200)
    how = STORED_AS[orientation]
    data = with_orientation(kind, upright if how is None else upright.transpose(how), orientation)
    header = photo.read_header(data)
    assert (header.width, header.height) == (320, 200)
    picture = photo.decode(data)
    assert picture.original_size == (320, 200)
    assert picture.rgb.flags.c_contiguous
    assert mean_error(picture.rgb, np.asarray(upright)) < 5


@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_a_reduced_picture_is_upright_too(orientation: int) -> None:
    upright = scene(640, 400)
    how = STORED_AS[orientation]
    data = with_orientation("JPEG", upright if how is None else upright.transpose(how), orientation)
    picture = photo.decode(data, min_short_side=100)
    assert picture.rgb.shape == (100, 160, 3)
    assert mean_error(picture.rgb, np.asarray(upright.reduce(4))) < 5


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int) -> None:
    data = with_orientation("JPEG", scene(), value)
    assert photo.decode(data).rgb.shape == (240, 320, 3)


def test_big_endian_exif_is_read() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", EXIF_ORIENTATION, 3, 1, 6, 0) + bytes(4)
    assert photo.read_header(encode(scene(), "JPEG", exif=exif)).orientation == 6


# --- colour --------------------------------------------------------------------------------------------------------

D50 = (0.9642, 1.0, 0.8249)
P3_D50 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))  # red, green, blue
P3_TO_SRGB = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]])  # both D65
SKIN = (214, 160, 128)


def srgb_curve() -> bytes:
    """IEC 61966-2-1 as a table of 1024 values."""
    encoded_values = np.linspace(0, 1, 1024)
    linear = np.where(encoded_values <= 0.04045, encoded_values / 12.92, ((encoded_values + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *np.round(linear * 65535).astype(int))


def matrix_profile(primaries: tuple[tuple[float, float, float], ...], padding: int = 0) -> bytes:
    """A version 2 ICC display profile with the given primaries (XYZ under D50) and the sRGB curve."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    bodies = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(D50)}
    bodies |= {tag: xyz(value) for tag, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    bodies |= {tag: srgb_curve() for tag in (b"rTRC", b"gTRC", b"bTRC")}
    table, payload, at = b"", b"", 128 + 4 + 12 * len(bodies)
    for tag, body in bodies.items():
        body += bytes(-len(body) % 4)
        table += tag + struct.pack(">II", at + len(payload), len(body))
        payload += body
    payload += os.urandom(padding)
    size = at + len(payload)
    head = struct.pack(">I4sI", size, b"lcms", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(bodies)) + table + payload


DISPLAY_P3 = matrix_profile(P3_D50)


def p3_to_srgb(rgb: tuple[int, int, int]) -> NDArray[np.float64]:
    """By the published matrices, independent of any colour library."""
    value = np.array(rgb) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    out = (P3_TO_SRGB @ linear).clip(0, 1)
    return 255 * np.where(out <= 0.0031308, out * 12.92, 1.055 * out ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("colour", [SKIN, (96, 62, 48), (180, 90, 90), (128, 128, 128)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIC"])
def test_display_p3_becomes_srgb(kind: str, colour: tuple[int, int, int]) -> None:
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}, "HEIC": {"quality": 98}}.get(kind, {})
    data = encode(Image.new("RGB", (64, 64), colour), kind, icc_profile=DISPLAY_P3, **options)
    seen = photo.decode(data).rgb.reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - p3_to_srgb(colour)).max() < 2.5


def test_the_conversion_moves_skin_visibly() -> None:
    assert np.abs(p3_to_srgb(SKIN) - SKIN).max() > 5


def test_colours_survive_reduction_and_conversion() -> None:
    data = encode(Image.new("RGB", (640, 640), SKIN), "JPEG", quality=98, icc_profile=DISPLAY_P3)
    seen = photo.decode(data, min_short_side=80).rgb.reshape(-1, 3).mean(axis=0)
    assert np.abs(seen - p3_to_srgb(SKIN)).max() < 2.5


@pytest.mark.parametrize(
    "profile",
    [b"nonsense", b"\0" * 200, DISPLAY_P3[:300], DISPLAY_P3[:16] + b"CMYK" + DISPLAY_P3[20:]],
    ids=["text", "zeros", "cut", "wrong model"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_profile_is_ignored(kind: str, profile: bytes) -> None:
    data, plain = encode(scene(), kind, icc_profile=profile), encode(scene(), kind)
    assert np.array_equal(photo.decode(data).rgb, photo.decode(plain).rgb)


def test_a_profile_in_several_segments_is_joined() -> None:
    profile = matrix_profile(P3_D50, padding=150_000)
    data = encode(scene(), "JPEG", icc_profile=profile)
    assert photo.read_header(data).icc_profile == profile


def test_an_oversized_profile_is_dropped() -> None:
    packed = b"x\0\0" + zlib.compress(bytes(100 << 20), 9)
    body = zlib.compress(bytes(31))
    data = png(10, 1, [(b"iCCP", packed), (b"IDAT", body)])
    tracemalloc.start()
    assert photo.read_header(data).icc_profile is None
    photo.decode(data)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_an_srgb_profile_costs_nothing() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data, plain = encode(scene(), "JPEG", icc_profile=profile), encode(scene(), "JPEG")
    assert np.array_equal(photo.decode(data).rgb, photo.decode(plain).rgb)


# --- odd pictures --------------------------------------------------------------------------------------------------


def test_cmyk_jpeg() -> None:
    data = encode(Image.new("CMYK", (40, 30), (0, 100, 100, 20)), "JPEG", quality=98)
    expected = np.asarray(Image.new("CMYK", (1, 1), (0, 100, 100, 20)).convert("RGB"))[0, 0]
    assert np.abs(photo.decode(data).rgb.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("colour", [0, 2])
def test_sixteen_bit_png_keeps_the_high_byte(colour: int) -> None:
    row = b"\0" + struct.pack(">H", 0xC8FF) * (2 if colour == 0 else 6)
    rgb = photo.decode(png(2, 1, [(b"IDAT", zlib.compress(row))], depth=16, colour=colour)).rgb
    assert rgb.shape == (1, 2, 3)
    assert np.abs(rgb.astype(int) - 0xC8).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode)
    assert np.all(photo.decode(encode(image, "PNG")).rgb == 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIC"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    image = Image.new("RGBA", (64, 32), (200, 40, 40, 255))
    image.paste((0, 0, 0, 0), (32, 0, 64, 32))
    options = {"lossless": True} if kind == "WEBP" else {}
    rgb = photo.decode(encode(image, kind, **options)).rgb
    assert np.abs(rgb[16, 8].astype(int) - (200, 40, 40)).max() <= 8
    assert np.abs(rgb[16, 56].astype(int) - 255).max() <= 8


def test_half_transparency_is_mixed_and_reduces_cleanly() -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 128))
    for min_short_side in (None, 16):
        assert (
            np.abs(photo.decode(encode(image, "PNG"), min_short_side=min_short_side).rgb.astype(int) - 127).max() <= 1
        )


def test_transparent_palette() -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    data = encode(image, "PNG", transparency=b"\xff\x00")
    assert np.all(photo.decode(data).rgb == 255)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (60, 40), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    rgb = photo.decode(data).rgb
    assert rgb.shape == (40, 60, 3)
    assert np.abs(rgb.astype(int) - (250, 0, 0)).max() <= 6


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_one_pixel(kind: str) -> None:
    rgb = photo.decode(encode(Image.new("RGB", (1, 1), (255, 255, 255)), kind), min_short_side=400).rgb
    assert rgb.shape == (1, 1, 3)
    assert rgb.min() > 250


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_long_strip(kind: str) -> None:
    data = encode(Image.new("RGB", (20_000, 20), (90, 120, 150)), kind)
    assert photo.decode(data, min_short_side=20).rgb.shape == (20, 20_000, 3)
    assert photo.decode(data, min_short_side=5).rgb.shape == (5, 5_000, 3)


def test_nothing_but_pixels_leaves() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)
    picture = photo.decode(encode(scene(), "JPEG", exif=exif.tobytes(), comment=b"at home"))
    assert set(vars(picture)) == {"rgb", "original_size", "scale", "media_type"}


# --- reduced scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("min_short_side", "reduction"), [(None, 1), (121, 1), (120, 2), (61, 2), (60, 4), (30, 8), (1, 8)]
)
@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_short_side_keeps_its_pixels(kind: str, min_short_side: int | None, reduction: int) -> None:
    picture = photo.decode(encoded(kind), min_short_side=min_short_side)
    assert picture.scale == 1 / reduction
    assert picture.rgb.shape == (240 // reduction, 320 // reduction, 3)
    assert picture.original_size == (320, 240)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_reduced_picture_is_the_full_one_averaged(kind: str) -> None:
    data = encode(scene(801, 601), kind)
    full = photo.decode(data).rgb
    for factor in (2, 4, 8):
        reduced = photo.decode(data, min_short_side=601 // factor)
        assert reduced.scale == 1 / factor
        assert reduced.rgb.shape == (-(-601 // factor), -(-801 // factor), 3)
        height, width = 601 // factor, 801 // factor  # whole blocks only
        averaged = cv2.resize(full[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)
        assert mean_error(reduced.rgb[:height, :width], averaged) < 1.5


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
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(BadPhoto):
        photo.decode(data[:-2] + last_scan * containers.MAX_JPEG_SCANS + b"\xff\xd9")


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


# --- running ---------------------------------------------------------------------------------------------------------


def test_threads_do_not_disturb_each_other() -> None:
    files = [encoded(kind) for kind in MEDIA_TYPES] + [encode(scene(), "JPEG", icc_profile=DISPLAY_P3)]
    expected = [photo.decode(data).rgb for data in files]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(4):
            for i, data in enumerate(files):
                if not np.array_equal(photo.decode(data).rgb, expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_opened_while_decoding() -> None:
    opened: list[object] = []
    watching = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("open", "os.open", "tempfile.mkstemp"):
            opened.append(arguments[0])

    files = [encoded(kind) for kind in MEDIA_TYPES]
    for data in files:  # first uses may import modules
        photo.decode(data)
    sys.addaudithook(watch)
    for data in files:
        photo.decode(data)
    watching.clear()
    assert opened == []


def phone_original(name: str) -> bytes:
    path = PHONE_ORIGINALS / name
    if not path.exists():
        pytest.skip(f"no {name}: point SKIN_DATA to the folder that holds phone_originals")
    return path.read_bytes()


PHONE_PHOTOS = ["acne_4_front.jpg", "acne_6_front.jpg", "redness_20_front.jpg"]


@pytest.mark.data
@pytest.mark.parametrize("name", PHONE_PHOTOS)
def test_a_phone_original_cut_at_any_percent_is_called_truncated(name: str) -> None:
    data = phone_original(name)
    for percent in range(1, 100):
        with pytest.raises(BadPhoto) as caught:
            photo.read_header(data[: len(data) * percent // 100])
        assert caught.value.code == "truncated_image"


@pytest.mark.data
@pytest.mark.parametrize("name", PHONE_PHOTOS)
def test_phone_originals_come_out_upright(name: str) -> None:
    picture = photo.decode(phone_original(name), min_short_side=400)
    height, width = picture.rgb.shape[:2]
    assert height > width
    assert picture.original_size[1] > picture.original_size[0]
    finder = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    faces = finder.detectMultiScale(cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY), 1.1, 4, minSize=(width // 4,) * 2)
    assert len(faces) == 1
