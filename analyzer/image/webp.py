"""WebP files: chunks and header. Source: RFC 9649."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from analyzer.image import exif
from analyzer.image.header import MAX_PARTS, Header, bounded_profile
from analyzer.image.refusals import bad_photo, truncated_photo

_USEFUL = (b"VP8X", b"VP8 ", b"VP8L", b"EXIF", b"ICCP")


def read(data: bytes) -> Header:
    """Read the header of a WebP and make sure that the file is whole."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated_photo()
    first: dict[bytes, bytes] = {}
    for kind, start, stop in _chunks(data, end):
        if kind in _USEFUL and kind not in first:
            first[kind] = data[start : min(stop, start + 10) if kind.startswith(b"VP8") else stop]
    orientation = exif.read(first.get(b"EXIF", b"")).orientation
    return Header("image/webp", _size(first), end, orientation, bounded_profile(first.get(b"ICCP")))


def _chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise truncated_photo()
        yield kind, at + 8, at + 8 + length
        at += 8 + length + length % 2
    raise bad_photo()


def _size(first: Mapping[bytes, bytes]) -> tuple[int, int]:
    """Return the canvas of an extended file, else the picture's own size (14 bits each)."""
    if canvas := first.get(b"VP8X"):
        return 1 + int.from_bytes(canvas[4:7], "little"), 1 + int.from_bytes(canvas[7:10], "little")
    if lossless := first.get(b"VP8L"):
        bits = int.from_bytes(lossless[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", first.get(b"VP8 ", b""), 6)
    return width & 0x3FFF, height & 0x3FFF
