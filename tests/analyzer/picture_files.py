"""Generated picture files of every type, and the parts from which tests put together files that no encoder writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
    "AVIF": "image/avif",
}
ORIENTATION = 0x0112
EXIF_NAME = b"Exif\0\0"


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
        image.save(out, kind, **({"quality": 92, "speed": 9} if kind == "AVIF" else {}) | options)
    return out.getvalue()


@cache
def encoded(kind: str) -> bytes:
    options = {"JPEG": {"quality": 92}, "WEBP": {"quality": 92}}.get(kind, {})
    return encode(scene(), kind, **options)


def animation(kind: str) -> bytes:
    first, *others = (scene(160, 120).rotate(angle) for angle in (0, 90, 180))
    return encode(first, kind, save_all=True, append_images=others)


WHOLE_FILES: dict[str, Callable[[], bytes]] = {
    "baseline JPEG": lambda: encoded("JPEG"),
    "progressive JPEG": lambda: encode(scene(), "JPEG", quality=92, progressive=True),
    "JPEG with restart markers": lambda: encode(scene(), "JPEG", restart_marker_rows=1),
    "grey JPEG": lambda: encode(scene().convert("L"), "JPEG"),
    "progressive grey JPEG": lambda: encode(scene().convert("L"), "JPEG", progressive=True),
    "CMYK JPEG": lambda: encode(scene().convert("CMYK"), "JPEG"),
    "PNG": lambda: encoded("PNG"),
    "lossy WebP": lambda: encoded("WEBP"),
    "lossless WebP": lambda: encode(scene(), "WEBP", lossless=True),
    "GIF": lambda: encoded("GIF"),
    "animated GIF": lambda: animation("GIF"),
    "HEIC": lambda: encoded("HEIC"),
    "AVIF": lambda: encoded("AVIF"),
    "animated AVIF": lambda: animation("AVIF"),
}


def mean_error(rgb: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    return float(np.abs(rgb.astype(int) - expected).mean())


def png(width: int, height: int, chunks: list[tuple[bytes, bytes]], *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of some chunks between IHDR and IEND."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [header, *chunks, (b"IEND", b"")]
    )


def png_of(values: NDArray[np.unsignedinteger], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of (H, W, 3) or (H, W, 4) values in 8 or 16 bits, with further chunks in front of the pixels."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    pixels = (b"IDAT", zlib.compress(rows))
    return png(width, height, [*chunks, pixels], depth=8 * values.dtype.itemsize, colour={3: 2, 4: 6}[channels])


# --- Exif ------------------------------------------------------------------------------------------------------------


def exif_entry(order: str, tag: int, kind: int, code: str, *values: int) -> bytes:
    """A directory entry whose values fit into its value field."""
    field = struct.pack(f"{order}{len(values)}{code}", *values)
    return struct.pack(order + "HHI", tag, kind, len(values)) + field.ljust(4, b"\0")


def exif_block(order: str, *directories: list[bytes]) -> bytes:
    """An Exif block of directories one behind the other; the first begins at 8, each takes 6 bytes and 12 for an entry."""
    parts = (struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4) for entries in directories)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + b"".join(parts)


def adobe_rgb_exif(order: str) -> bytes:
    """The Exif of a camera set to Adobe RGB: uncalibrated, interoperability index R03, no profile."""
    index = struct.pack(order + "HHI", 1, 2, 4) + b"R03\0"
    photo = [exif_entry(order, 0xA001, 3, "H", 0xFFFF), exif_entry(order, 0xA005, 4, "I", 26 + 30)]
    return exif_block(order, [exif_entry(order, 0x8769, 4, "I", 26)], photo, [index])


def with_exif(kind: str, image: Image.Image, block: bytes) -> bytes:
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    return encode(image, kind, exif=block if kind == "PNG" else EXIF_NAME + block, **options)


def with_orientation(kind: str, image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"subsampling": "4:4:4"}}.get(kind, {})
    return encode(image, kind, exif=exif.tobytes(), **options)


# --- HEIF ------------------------------------------------------------------------------------------------------------


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heif_sequence(brand: bytes = b"msf1", *others: bytes) -> bytes:
    """The frame of a HEIF image sequence: its pictures lie in a track (moov), none in a meta box."""
    brands = box(b"ftyp", brand + bytes(4) + brand + b"".join(others))
    return brands + box(b"moov", box(b"mvhd", bytes(100))) + box(b"mdat", bytes(2000))


def heif_of(item_type: bytes) -> bytes:
    """The frame of a HEIF file whose only picture has a coding."""
    item = box(b"infe", b"\x02\0\0\0" + struct.pack(">HH", 1, 0) + item_type + b"\0")
    items = box(b"iinf", bytes(4) + struct.pack(">H", 1) + item)
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(4) + bytes(4) + b"pict" + bytes(13)) + items)
    return box(b"ftyp", b"mif1" + bytes(4) + b"mif1miaf") + meta + box(b"mdat", bytes(2000))


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """A HEIF file whose colour box names other primaries and another transfer function; its pixels stay."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]
