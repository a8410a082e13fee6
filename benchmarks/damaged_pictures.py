"""Small pictures of every type, and damaged copies of them: each has a number, from which it can be made again."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pillow_heif
from PIL import Image

SEED = 20260101
SIDE_PX = 64
HEADER_BYTES = 200  # where most of the damage is done
GENTLE_SHARE = 0.5  # of the files: few changes, mostly behind the header, so that many reach the end of a decoder
CHECKED_SHARE = 0.8  # of the PNG files: their checksums are made valid again
EXTREMES = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x80\x00\x00\x00",
    b"\xff\xd9",
)
BT2020, PQ = 9, 16  # code points of ITU-T H.273
PQ_CHUNK = (b"cICP", bytes((BT2020, PQ, 0, 1)))


def damaged(number: int) -> tuple[str, bytes]:
    """Return kind and bytes of the damaged picture of a number: one to twelve changes of a whole one."""
    rng = random.Random(SEED + number)
    kind = rng.choice(sorted(whole()))
    data = bytearray(whole()[kind])
    is_gentle = rng.random() < GENTLE_SHARE
    for _ in range(rng.randint(1, 3) if is_gentle else rng.randint(2, 12)):
        _change(data, rng, is_gentle)
    is_checked = kind.startswith("PNG") and rng.random() < CHECKED_SHARE
    return kind, with_valid_checksums(bytes(data)) if is_checked else bytes(data)


def _change(data: bytearray, rng: random.Random, is_gentle: bool) -> None:
    """Change a bit or write an extreme number or, unless gently, leave out, put in, double or cut bytes."""
    is_early = rng.random() < (0.3 if is_gentle else 0.8)
    at = rng.randrange(min(len(data), HEADER_BYTES if is_early else len(data)) or 1)
    change = rng.randrange(2 if is_gentle else 6)
    if change == 0 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif change == 1:
        extreme = rng.choice(EXTREMES)
        data[at : at + len(extreme)] = extreme
    elif change == 2:
        del data[at : at + rng.randint(1, 16)]
    elif change == 3:
        data[at:at] = rng.randbytes(rng.randint(1, 32))
    elif change == 4 and rng.random() < 0.3:
        del data[rng.randrange(1, len(data) + 1) :]
    else:
        data[at:at] = data[max(0, at - 20) : at]


def with_valid_checksums(png: bytes) -> bytes:
    """Return a PNG whose chunks have the checksum of their contents, so that its damage reaches the decoder."""
    data, at = bytearray(png), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data[: max(at, len(png))])


@cache
def whole() -> dict[str, bytes]:
    """Return undamaged pictures by kind: of each type that is taken, in all its ways, and of two that are not."""
    rgb = np.random.default_rng(SEED).integers(0, 255, (SIDE_PX, SIDE_PX, 3), np.uint8)
    image = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    profile = _profile()
    pictures: dict[str, Callable[[], bytes]] = {
        "JPEG": lambda: saved(image, "JPEG", exif=exif, icc_profile=profile),
        "JPEG progressive": lambda: saved(image, "JPEG", progressive=True),
        "JPEG restarts": lambda: saved(image, "JPEG", restart_marker_rows=1),
        "JPEG grey": lambda: saved(image.convert("L"), "JPEG"),
        "JPEG CMYK": lambda: saved(image.convert("CMYK"), "JPEG"),
        "PNG": lambda: saved(image, "PNG", exif=exif, icc_profile=profile),
        "PNG alpha": lambda: saved(image.convert("RGBA"), "PNG"),
        "PNG palette": lambda: saved(image.convert("P"), "PNG", transparency=b"\x00\x80\xff"),
        "PNG animated": lambda: saved(image, "PNG", **frames),
        "PNG 16 bits": lambda: deep_png(rgb.astype(np.uint16) * 257, PQ_CHUNK),
        "WebP": lambda: saved(image, "WEBP", exif=exif, icc_profile=profile),
        "WebP lossless": lambda: saved(image.convert("RGBA"), "WEBP", lossless=True),
        "WebP animated": lambda: saved(image, "WEBP", **frames),
        "GIF": lambda: saved(image, "GIF", **frames),
        "HEIC": lambda: heic(image, exif=exif.tobytes()),
        "HEIC alpha": lambda: heic(image.convert("RGBA")),
        "HEIC 10 bits": lambda: deep_heic(rgb),
        "AVIF": lambda: saved(image, "AVIF", exif=exif),
        "AVIF alpha": lambda: saved(image.convert("RGBA"), "AVIF", icc_profile=profile),
        "AVIF 10 bits": lambda: deep_avif(rgb),
        "AVIF animated": lambda: saved(image, "AVIF", **frames),
        "TIFF": lambda: saved(image, "TIFF"),
        "BMP": lambda: saved(image, "BMP"),
    }
    return {kind: make() for kind, make in pictures.items()}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=50, **options)
    return file.getvalue()


def deep_heic(rgb: np.ndarray) -> bytes:
    file = BytesIO()
    deep = pillow_heif.from_bytes("RGB;16", rgb.shape[1::-1], (rgb.astype(np.uint16) * 257).tobytes())
    deep.save(file, quality=50, color_primaries=BT2020, transfer_characteristics=PQ, matrix_coefficients=BT2020)
    return file.getvalue()


def deep_avif(rgb: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 50, cv2.IMWRITE_AVIF_SPEED, 9]
    data = cv2.imencode(".avif", rgb.astype(np.uint16) * 4, options)[1].tobytes()
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", BT2020, PQ) + data[at + 4 :]


def deep_png(values: np.ndarray, chunk: tuple[bytes, bytes], level: int = -1) -> bytes:
    """Return a PNG of (H, W, 3) uint16 values with a further chunk in front of the pixels."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), chunk, (b"IDAT", zlib.compress(rows, level)), (b"IEND", b"")]
    bodies = (struct.pack(">I", len(body)) + kind + body + bytes(4) for kind, body in parts)
    return with_valid_checksums(b"\x89PNG\r\n\x1a\n" + b"".join(bodies))


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
