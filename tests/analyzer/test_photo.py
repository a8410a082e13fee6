"""Decoding: every type taken, others named, pictures upright, in RGB, of the scale asked for, and nothing else left."""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from analyzer import photo
from analyzer.errors import BadPhoto, UnsupportedType
from analyzer.image import exif
from tests.analyzer.picture_files import (
    MEDIA_TYPES,
    ORIENTATION,
    animation,
    encode,
    encoded,
    exif_block,
    exif_entry,
    heif_of,
    heif_sequence,
    mean_error,
    png,
    png_of,
    scene,
    with_exif,
    with_orientation,
)

PHONE_ORIGINALS = Path(os.environ.get("SKIN_DATA", Path(__file__).parents[3] / "shared" / "data")) / "phone_originals"
PHONE_PHOTOS = ["acne_4_front.jpg", "acne_6_front.jpg", "redness_20_front.jpg"]


def twelve_bits(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:at] + b"\x0c" + jpeg[at + 1 :]


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


@pytest.mark.parametrize("brands", [b"mif1avifmiaf", b"mif1miafMA1B", b"miafmif1"])
def test_avif_is_told_by_its_pictures_not_by_its_first_brand(brands: bytes) -> None:
    data = encoded("AVIF")
    end = int.from_bytes(data[:4], "big")
    renamed = data[:8] + brands[:4] + data[12:16] + brands.ljust(end - 16, b"\0")[: end - 16] + data[end:]
    assert photo.read_header(renamed).media_type == "image/avif"
    assert np.array_equal(photo.decode(renamed).rgb, photo.decode(data).rgb)


def test_the_first_picture_of_an_avif_sequence_is_taken() -> None:
    rgb = photo.decode(animation("AVIF")).rgb
    assert mean_error(rgb, np.asarray(scene(160, 120))) < 5


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
        (encode(scene(), "JPEG2000"), "JPEG 2000"),
        (encode(scene(), "ICO"), "icon"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40), "camera raw"),
        (heif_sequence(), "HEIF image sequence"),
        (heif_sequence(b"hevc", b"mif1"), "HEIF image sequence"),
        (heif_of(b"avc1"), "HEIF with H.264 pictures"),
        (heif_of(b"jpeg"), "HEIF with JPEG pictures"),
        (heif_of(b"unci"), "HEIF with uncompressed pictures"),
        (twelve_bits(encoded("JPEG")), "JPEG with 12 bits"),
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
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIC", "AVIF"])
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


INTEGERS = {
    "BYTE": (1, "B"),
    "SHORT": (3, "H"),
    "LONG": (4, "I"),
    "SBYTE": (6, "b"),
    "SSHORT": (8, "h"),
    "SLONG": (9, "i"),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("integer", INTEGERS)
def test_an_orientation_of_any_integer_type_is_read(integer: str, order: str, kind: str) -> None:
    entry = exif_entry(order, ORIENTATION, *INTEGERS[integer], 6)
    assert photo.read_header(with_exif(kind, scene(40, 30), exif_block(order, [entry]))).size == (30, 40)


def test_of_several_orientations_the_first_counts() -> None:
    twice = [exif_entry(">", ORIENTATION, 3, "H", 8, 1), exif_entry(">", ORIENTATION, 3, "H", 3)]
    assert exif.read(exif_block(">", twice)).orientation == 8


def test_a_list_of_integers_elsewhere_in_the_block_is_read() -> None:
    entry = struct.pack("<HHII", ORIENTATION, 4, 2, 26)
    assert exif.read(exif_block("<", [entry]) + struct.pack("<II", 5, 1)).orientation == 5


@pytest.mark.parametrize("value", [-1, 0, 9])
def test_an_orientation_that_does_not_exist_is_1(value: int) -> None:
    assert exif.read(exif_block("<", [exif_entry("<", ORIENTATION, 9, "i", value)])).orientation == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_orientation_of_any_bytes_is_between_1_and_8(block: bytes) -> None:
    assert 1 <= exif.read(b"II*\0\x08\0\0\0" + block).orientation <= 8
    assert 1 <= exif.read(block).orientation <= 8


def test_a_turned_heic_with_an_orientation_in_its_exif_is_turned_once() -> None:
    data = with_orientation("HEIC", scene(320, 200).transpose(Image.Transpose.ROTATE_90), 6)
    assert b"irot" in data
    at = data.rindex(b"Exif\0\0") + 6
    block = exif_block("<", [exif_entry("<", ORIENTATION, 3, "H", 6)])
    assert photo.read_header(data[:at] + block + data[at + len(block) :]).size == (320, 200)


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


# --- running -------------------------------------------------------------------------------------------------------


def test_threads_do_not_disturb_each_other() -> None:
    files = [encoded(kind) for kind in MEDIA_TYPES] + [
        png_of(np.full((20, 20, 3), 90, np.uint16), (b"cICP", bytes((9, 16, 0, 1))))
    ]
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
