"""One face in every container and by every description of colour comes out the same."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO

import cv2
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage import data as samples

from analyzer import photo
from analyzer.errors import UnsupportedType
from analyzer.image import colour
from tests.analyzer.picture_files import (
    adobe_rgb_exif,
    encode,
    exif_block,
    exif_entry,
    mean_error,
    png,
    png_of,
    scene,
    with_exif,
    with_nclx,
)

Values = NDArray[np.float64]
Xy = tuple[tuple[float, float], ...]

MOST_ERROR = 3.0  # of 255, mean over the face
D65 = (0.3127, 0.3290)
SRGB_XY: Xy = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
P3_XY: Xy = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
BT2020_XY: Xy = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65)
ADOBE_XY: Xy = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
PRIMARIES = {1: SRGB_XY, 9: BT2020_XY, 12: P3_XY}
WHITE_NITS = 203.0  # ITU-R BT.2408
SKIN = (214, 160, 128)


# --- encoding, by the published formulas ------------------------------------------------------------------------------


@cache
def face() -> NDArray[np.uint8]:
    return cv2.resize(samples.astronaut()[:400, 100:400], (120, 160), interpolation=cv2.INTER_AREA)


@cache
def face_light() -> Values:
    """Linear sRGB of the face, 0..1."""
    values = face() / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def xyz_matrix(primaries: Xy) -> Values:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def in_primaries(light: Values, primaries: Xy) -> Values:
    """Linear sRGB as linear RGB of other primaries with the same white."""
    matrix = np.linalg.inv(xyz_matrix(primaries)) @ xyz_matrix(SRGB_XY)
    return (light @ matrix.T).clip(0, None)


def srgb(light: Values) -> Values:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def bt709(light: Values) -> Values:
    return np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)


def pq(light: Values) -> Values:
    power = (light * WHITE_NITS / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: Values, primaries: Xy = BT2020_XY) -> Values:
    """By the inverse OOTF of a display of 1000 cd/m² and system gamma 1.2, then the OETF of ITU-R BT.2100."""
    display = light * WHITE_NITS / 1000
    luminance = display @ xyz_matrix(primaries)[1]
    scene_light = display * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    logarithmic = 0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), logarithmic)


CURVES: dict[int, Callable[[Values], Values]] = {
    1: bt709,
    4: lambda light: light ** (1 / 2.2),
    8: lambda light: light,
    13: srgb,
    14: bt709,
    16: pq,
    18: hlg,
}


def signal(primaries: int, transfer: int) -> Values:
    """The face as code values 0..1."""
    light = in_primaries(face_light(), PRIMARIES[primaries])
    return hlg(light, PRIMARIES[primaries]) if transfer == 18 else CURVES[transfer](light)


def levels(values: Values, bits: int) -> NDArray[np.unsignedinteger]:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.round(values.clip(0, 1) * ((1 << bits) - 1)).astype(dtype)


def heic_of(values: Values, bits: int, **nclx: int) -> bytes:
    out = BytesIO()
    size = values.shape[1], values.shape[0]
    mode, pixels = ("RGB", levels(values, 8)) if bits == 8 else ("RGB;16", levels(values, 16))
    pillow_heif.from_bytes(mode, size, pixels.tobytes()).save(out, quality=95, chroma=444, **nclx)
    return out.getvalue()


def avif_of(values: Values, bits: int, primaries: int, transfer: int) -> bytes:
    options = [cv2.IMWRITE_AVIF_QUALITY, 97, cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_SPEED, 9]
    written, data = cv2.imencode(".avif", levels(values, bits)[..., ::-1], options)
    assert written
    return with_nclx(data.tobytes(), primaries, transfer)


def cicp(primaries: int, transfer: int, full: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes((primaries, transfer, 0, full))


def gama(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(100_000 / exponent))


def chrm(primaries: Xy) -> tuple[bytes, bytes]:
    red, green, blue, white = primaries
    return b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in (*white, *red, *green, *blue)))


# --- ICC profiles ----------------------------------------------------------------------------------------------------

D50 = (0.9642, 1.0, 0.8249)
P3_D50 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))  # red, green, blue


def srgb_curve() -> bytes:
    """IEC 61966-2-1 as a table of 1024 values."""
    values = np.linspace(0, 1, 1024)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *np.round(linear * 65535).astype(int))


def gamma_curve(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent)) + bytes(2)


def profile(model: bytes, tags: dict[bytes, bytes], padding: int = 0) -> bytes:
    """A version 2 ICC display profile."""
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    bodies = {b"desc": name, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(D50), **tags}
    table, payload, at = b"", b"", 128 + 4 + 12 * len(bodies)
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", at + len(payload), len(body))
        payload += body + bytes(-len(body) % 4)
    payload += os.urandom(padding)
    size = at + len(payload)
    head = struct.pack(">I4sI", size, b"lcms", 0x02400000) + b"mntr" + model + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(bodies)) + table + payload


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def p3_profile(padding: int = 0) -> bytes:
    colorants = {tag: xyz(value) for tag, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3_D50, strict=True)}
    return profile(b"RGB ", colorants | {tag: srgb_curve() for tag in (b"rTRC", b"gTRC", b"bTRC")}, padding)


DISPLAY_P3 = p3_profile()
GREY_18 = profile(b"GRAY", {b"kTRC": gamma_curve(1.8)})

P3_FACE = levels(signal(12, 13), 8)
ADOBE_FACE = levels(in_primaries(face_light(), ADOBE_XY) ** (256 / 563), 8)
LOSSLESS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 97, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIC": {"quality": 95, "chroma": 444},
}
FACES: dict[str, Callable[[], bytes]] = {
    **{
        f"{kind}, profile": lambda kind=kind: encode(
            Image.fromarray(P3_FACE), kind, icc_profile=DISPLAY_P3, **LOSSLESS.get(kind, {})
        )
        for kind in ("JPEG", "PNG", "WEBP", "HEIC", "AVIF")
    },
    "JPEG, Exif R03": lambda: with_exif("JPEG", Image.fromarray(ADOBE_FACE), adobe_rgb_exif("<")),
    "JPEG, Exif colour space 2": lambda: with_exif(
        "JPEG",
        Image.fromarray(ADOBE_FACE),
        exif_block(">", [exif_entry(">", 0x8769, 4, "I", 26)], [exif_entry(">", 0xA001, 3, "H", 2)]),
    ),
    **{
        f"{container}, {primaries}/{transfer}": lambda make=make, p=primaries, t=transfer: make(p, t)
        for container, make in {
            "PNG 8, cICP": lambda p, t: png_of(levels(signal(p, t), 8), cicp(p, t)),
            "PNG 16, cICP": lambda p, t: png_of(levels(signal(p, t), 16), cicp(p, t)),
            "HEIC 8": lambda p, t: heic_of(
                signal(p, t), 8, color_primaries=p, transfer_characteristics=t, matrix_coefficients=1
            ),
            "HEIC 10": lambda p, t: heic_of(
                signal(p, t), 10, color_primaries=p, transfer_characteristics=t, matrix_coefficients=9
            ),
            "HEIC 10, limited range": lambda p, t: heic_of(
                signal(p, t),
                10,
                color_primaries=p,
                transfer_characteristics=t,
                matrix_coefficients=9,
                full_range_flag=0,
            ),
            "AVIF 10": lambda p, t: avif_of(signal(p, t), 10, p, t),
        }.items()
        for primaries in PRIMARIES
        for transfer in (1, 13, 16, 18)
    },
    "AVIF 8, 12/13": lambda: avif_of(signal(12, 13), 8, 12, 13),
    "AVIF 12, 9/16": lambda: avif_of(signal(9, 16), 12, 9, 16),
    "PNG 16, cICP linear": lambda: png_of(levels(signal(9, 8), 16), cicp(9, 8)),
    "PNG 8, cICP gamma 2.2": lambda: png_of(levels(signal(12, 4), 8), cicp(12, 4)),
    "PNG, cICP narrow": lambda: png_of(np.round(16 + 219 * signal(9, 14)).astype(np.uint8), cicp(9, 14, full=0)),
    "PNG 16, cICP narrow": lambda: png_of(
        np.round(256 * (16 + 219 * signal(9, 16))).astype(np.uint16), cicp(9, 16, full=0)
    ),
    "PNG, gAMA 1/2.2": lambda: png_of(face(), gama(2.2)),
    "PNG, gAMA 1/1.8": lambda: png_of(levels(face_light() ** (1 / 1.8), 8), gama(1.8)),
    "PNG 16, gAMA 1": lambda: png_of(levels(face_light(), 16), gama(1.0)),
    "PNG, cHRM": lambda: png_of(P3_FACE, chrm(P3_XY)),
    "PNG, gAMA and cHRM": lambda: png_of(
        levels(in_primaries(face_light(), ADOBE_XY) ** (1 / 1.8), 8), gama(1.8), chrm(ADOBE_XY)
    ),
    "PNG, sRGB before gAMA": lambda: png_of(face(), (b"sRGB", b"\0"), gama(1.0), chrm(BT2020_XY)),
    "PNG, profile before gAMA": lambda: png_of(P3_FACE, (b"iCCP", b"p3\0\0" + zlib.compress(DISPLAY_P3)), gama(1.0)),
    "PNG, cICP before profile": lambda: png_of(
        levels(signal(9, 13), 8), cicp(9, 13), (b"iCCP", b"p3\0\0" + zlib.compress(DISPLAY_P3))
    ),
    "PNG 16, alpha": lambda: png_of(
        np.dstack([levels(signal(9, 16), 16), np.full(face().shape[:2], 65_535, np.uint16)]), cicp(9, 16)
    ),
}


@pytest.mark.parametrize("name", FACES)
def test_a_face_is_the_same_in_every_container_and_description(name: str) -> None:
    data = FACES[name]()
    rgb = photo.decode(data).rgb
    assert mean_error(rgb, face()) < MOST_ERROR
    assert np.abs((rgb.astype(int) - face()).mean(axis=(0, 1))).max() < MOST_ERROR / 2


@pytest.mark.parametrize("name", ["PNG 16, cICP, 9/16", "HEIC 10, 9/18", "AVIF 10, 12/13", "JPEG, Exif R03"])
def test_a_reduced_face_is_the_same_too(name: str) -> None:
    small = cv2.resize(face(), (60, 80), interpolation=cv2.INTER_AREA)
    assert mean_error(photo.decode(FACES[name](), min_short_side=60).rgb, small) < MOST_ERROR


@pytest.mark.parametrize("name", ["PNG 8, cICP, 9/16", "PNG 8, cICP, 12/1", "PNG, gAMA 1/1.8", "JPEG, Exif R03"])
def test_without_a_conversion_the_face_would_look_different(name: str) -> None:
    stored = np.asarray(Image.open(BytesIO(FACES[name]())).convert("RGB"))
    assert mean_error(stored, face()) > MOST_ERROR


# --- high dynamic range ----------------------------------------------------------------------------------------------


def test_light_above_white_is_compressed_and_what_is_dark_stays() -> None:
    light = np.linspace(0, 5, 512)[None, :, None].repeat(16, axis=0).repeat(3, axis=2)
    grey = photo.decode(png_of(levels(pq(light), 16), cicp(9, 16))).rgb[8, :, 0].astype(int)
    dark = light[0, :, 0] < 0.1
    assert np.abs(grey[dark] - 255 * srgb(light[0, dark, 0])).max() <= 1
    assert np.all(np.diff(grey) >= 0)
    assert grey[-1] >= 253
    assert grey[light[0, :, 0] > 1].min() < 250, "light above white keeps its gradation"


def test_compression_keeps_the_hue() -> None:
    light = np.ones((32, 32, 3)) * (0.8, 0.5, 0.4)
    light[:8] *= 5
    rgb = photo.decode(png_of(levels(pq(in_primaries(light, BT2020_XY)), 16), cicp(9, 16))).rgb
    bright, dark = (((rgb[row, 0] / 255 + 0.055) / 1.055) ** 2.4 for row in (0, -1))
    assert np.allclose(bright / bright[0], dark / dark[0], atol=0.02)


# --- code points -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [(1, 13), (2, 2), (0, 0), (200, 200), (6, 6), (5, 6)])
def test_srgb_by_any_name_costs_nothing(codes: tuple[int, int]) -> None:
    assert colour.by_code_points(*codes) is None


@pytest.mark.parametrize("transfer", [*range(1, 19), 255])
@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22])
def test_every_code_point_keeps_white_black_and_the_order_of_greys(primaries: int, transfer: int) -> None:
    space = colour.by_code_points(primaries, transfer) or colour.ColourSpace()
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(8, axis=0).repeat(3, axis=2)
    rgb = colour.to_srgb(ramp, 255, space)[0].astype(int)
    assert (rgb[0].max(), rgb[-1].min() >= 253) == (0, True)
    assert np.all(np.diff(rgb, axis=0) >= 0)
    assert np.ptp(rgb, axis=1).max() <= 1, "grey stays grey"


def test_colours_that_cannot_be_read_are_named() -> None:
    data = heic_of(signal(9, 16), 10, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9)
    at = data.index(b"nclx") + 8
    with pytest.raises(UnsupportedType, match="coding"):
        photo.decode(data[:at] + struct.pack(">H", 14) + data[at + 2 :])  # ICtCp


# --- profiles --------------------------------------------------------------------------------------------------------


def test_a_grey_profile_is_used_for_a_grey_picture() -> None:
    grey = levels(np.linspace(0, 1, 64)[None].repeat(64, axis=0), 8)
    rgb = photo.decode(encode(Image.fromarray(grey), "PNG", icc_profile=GREY_18)).rgb
    assert np.abs(rgb[8, :, 0] - 255 * srgb((grey[0] / 255) ** 1.8)).max() < 3


def test_a_grey_profile_is_ignored_for_a_coloured_picture() -> None:
    assert np.array_equal(photo.decode(encode(scene(), "PNG", icc_profile=GREY_18)).rgb, np.asarray(scene()))


@pytest.mark.parametrize(
    "broken",
    [b"nonsense", b"\0" * 200, DISPLAY_P3[:300], DISPLAY_P3[:16] + b"CMYK" + DISPLAY_P3[20:]],
    ids=["text", "zeros", "cut", "wrong model"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_broken_profile_is_ignored(kind: str, broken: bytes) -> None:
    data, plain = encode(scene(), kind, icc_profile=broken), encode(scene(), kind)
    assert np.array_equal(photo.decode(data).rgb, photo.decode(plain).rgb)


def test_behind_a_broken_profile_the_other_description_counts() -> None:
    data = png_of(P3_FACE, (b"iCCP", b"x\0\0" + zlib.compress(b"nonsense")), chrm(P3_XY))
    assert mean_error(photo.decode(data).rgb, face()) < MOST_ERROR


@pytest.mark.parametrize("value", [0, 1, 2**32 - 1])
def test_an_absurd_gamma_does_no_harm(value: int) -> None:
    photo.decode(png_of(face(), (b"gAMA", struct.pack(">I", value)), (b"cHRM", bytes(32))))


@pytest.mark.parametrize("primaries", [((0.3, 0.3),) * 4, ((0.64, 0), (0.3, 0.6), (0.15, 0.06), D65)])
def test_absurd_primaries_are_ignored(primaries: Xy) -> None:
    assert np.array_equal(photo.decode(png_of(face(), chrm(primaries))).rgb, face())


def test_a_profile_in_several_segments_is_joined() -> None:
    profile = p3_profile(padding=150_000)
    assert photo.read_header(encode(scene(), "JPEG", icc_profile=profile)).icc_profile == profile


def test_an_oversized_profile_is_dropped() -> None:
    packed = b"x\0\0" + zlib.compress(bytes(100 << 20), 9)
    data = png(10, 1, [(b"iCCP", packed), (b"IDAT", zlib.compress(bytes(31)))])
    tracemalloc.start()
    assert photo.read_header(data).icc_profile is None
    photo.decode(data)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_an_srgb_profile_costs_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data, plain = encode(scene(), "JPEG", icc_profile=profile), encode(scene(), "JPEG")
    assert np.array_equal(photo.decode(data).rgb, photo.decode(plain).rgb)
