"""Headers of picture files: type by the first bytes, size, orientation, colours and completeness, without decoding.

The type comes from the signature, never from a file name. Every walk over the file's parts has a bound on its steps, so
that no file can hold a worker for longer than its size warrants.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

from analyzer.errors import BadPhoto, TooManyPixels
from analyzer.image import gif, heif, jpeg, png, webp
from analyzer.image.header import MAX_PIXELS, Header
from analyzer.image.refusals import TAKEN, bad_photo, refusing, truncated_photo, unsupported_type

__all__ = ["MAX_PIXELS", "Header", "read_header"]

_JPEG_START, _PNG_START, _GIF_STARTS = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
_NOT_TAKEN = (
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+|IIRO|IIU\0|....ftypcrx ", re.DOTALL), "TIFF or camera raw"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "icon"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf"), "archive"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|svg|!--|!doctype svg)", re.IGNORECASE), "SVG or XML"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", re.IGNORECASE), "HTML"),
    (re.compile(rb"....ftyp|\x1a\x45\xdf\xa3", re.DOTALL), "video"),
)


def read_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Read type, size, orientation and colours, and make sure that the parts of the file are there.

    Raises:
        UnsupportedType: another type of file.
        TooManyPixels: more than `max_pixels` are announced.
        BadPhoto: damaged, or ``truncated_image``.
    """
    with refusing(data):
        reader = _reader(data)
        try:
            header = reader(data)
        except (struct.error, IndexError) as error:
            raise truncated_photo() from error
        if header.width < 1 or header.height < 1:
            raise bad_photo()
    if header.pixels > max_pixels:
        raise TooManyPixels(
            f"This picture has {math.ceil(header.pixels / 1e5) / 10:g} megapixels; up to {max_pixels / 1e6:g} are taken.",
            "Send a smaller copy of the photo.",
        )
    return header


def _reader(data: bytes) -> Callable[[bytes], Header]:
    """Return the reader of the type that the first bytes name."""
    if data.startswith(_JPEG_START):
        return jpeg.read
    if data.startswith(_PNG_START):
        return png.read
    if data.startswith(_GIF_STARTS):
        return gif.read
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.read
    if heif.is_heif(data):
        return heif.read
    raise _refusal(data)


def _refusal(data: bytes) -> BadPhoto:
    if not data:
        return BadPhoto("There are no bytes in this picture.", f"Send a {TAKEN} photo.")
    if _ends_inside_signature(data):
        return truncated_photo()
    for pattern, kind in _NOT_TAKEN:
        if pattern.match(data):
            return unsupported_type(kind)
    return BadPhoto("This file is not a picture of a known type.", f"Send a {TAKEN} photo.")


def _ends_inside_signature(data: bytes) -> bool:
    if any(start.startswith(data) for start in (_JPEG_START, _PNG_START, *_GIF_STARTS, b"RIFF")):
        return True
    heif_begins = data[:2] == b"\0\0" and b"ftyp".startswith(data[4:8])
    return len(data) < 12 and (data[:4] == b"RIFF" or heif_begins)
