"""GIF files: blocks and header. Source: GIF89a."""

from __future__ import annotations

import struct

from analyzer.image.header import MAX_PARTS, Header
from analyzer.image.refusals import bad_photo, truncated_photo


def read(data: bytes) -> Header:
    """Read the header of a GIF: the size of the canvas, grown to hold the first frame.

    All blocks must be whole; a missing trailer is forgiven.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _colour_table_size(flags), 0
    for _ in range(MAX_PARTS):
        kind = data[at : at + 1]
        if kind == b"," and not frames:
            left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, at + 1)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
        if kind not in (b",", b"!"):
            break
        frames += kind == b","
        at = _after_blocks(data, at + 2 if kind == b"!" else at + 11 + _colour_table_size(data[at + 9]))
    if not frames:
        raise truncated_photo() if at >= len(data) else bad_photo()
    return Header("image/gif", (width, height), min(at + 1, len(data)))


def _colour_table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return the offset behind a chain of length-prefixed blocks and its closing zero."""
    for _ in range(MAX_PARTS):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise bad_photo()
