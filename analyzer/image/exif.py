"""Exif blocks: orientation and colour space.

Sources: CIPA DC-008-2023 (Exif 3.0), section 4.6; CIPA DC-010-2020 (DCF 2.0), section 3.3 for Adobe RGB; TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_ENTRIES = 512  # entries read of one directory; cameras write about 40

ORIENTATION, COLOUR_SPACE, INTEROPERABILITY_INDEX = 0x0112, 0xA001, 0x0001
EXIF_DIRECTORY, INTEROPERABILITY_DIRECTORY = 0x8769, 0xA005
ADOBE_RGB_INDEX = b"R03"  # DCF's "optional file"
ADOBE_RGB_VALUE = 2  # not in the standard, but written by cameras

_ORDERS = {b"II": "<", b"MM": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}  # BYTE, SHORT, LONG, their signed twins, IFD


@dataclass(frozen=True, slots=True)
class Exif:
    """Entries of an Exif block that change how its picture is shown.

    Attributes:
        orientation: 1..8; 1 when absent or unreadable.
        is_adobe_rgb: whether the colours are Adobe RGB (1998); an embedded profile goes first.
    """

    orientation: int = 1
    is_adobe_rgb: bool = False


def read(block: bytes) -> Exif:
    """Read an Exif block, with or without the six bytes that name it; what cannot be read counts as absent."""
    tiff = block[6:] if block.startswith(b"Exif\0") else block
    order = _ORDERS.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return Exif()
    main = _integers(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
    photo = _integers(tiff, order, main.get(EXIF_DIRECTORY, 0))
    interoperability = photo.get(INTEROPERABILITY_DIRECTORY, 0)
    is_adobe_rgb = photo.get(COLOUR_SPACE) == ADOBE_RGB_VALUE or _names_adobe_rgb(tiff, order, interoperability)
    orientation = main.get(ORIENTATION, 1)
    return Exif(orientation if 1 <= orientation <= 8 else 1, is_adobe_rgb)


def _integers(tiff: bytes, order: str, start: int) -> dict[int, int]:
    """Return the integers of a directory by tag, of a list the first; the first entry of a tag counts."""
    values: dict[int, int] = {}
    for tag, kind, count, at in _entries(tiff, order, start):
        value = _integer(tiff, order + _INTEGERS[kind], count, at) if kind in _INTEGERS and count else None
        if value is not None:
            values.setdefault(tag, value)
    return values


def _names_adobe_rgb(tiff: bytes, order: str, start: int) -> bool:
    entries = _entries(tiff, order, start)
    return any(tag == INTEROPERABILITY_INDEX and tiff.startswith(ADOBE_RGB_INDEX, at) for tag, _, _, at in entries)


def _entries(tiff: bytes, order: str, start: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, type, count and the offset of the value field, of every entry that lies within the block."""
    if not 8 <= start <= len(tiff) - 2:
        return
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    within = (len(tiff) - start - 2) // 12
    for number in range(min(entries, within, MAX_ENTRIES)):
        at = start + 2 + 12 * number
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, at)
        yield tag, kind, count, at + 8


def _integer(tiff: bytes, code: str, count: int, at: int) -> int | None:
    """Return the first of `count` integers, which lie in the value field of four bytes or, if they do not fit, elsewhere."""
    size = struct.calcsize(code)
    if size * count > 4:
        (at,) = struct.unpack_from(code[0] + "I", tiff, at)
    if at + size > len(tiff):
        return None
    value: int = struct.unpack_from(code, tiff, at)[0]
    return value
