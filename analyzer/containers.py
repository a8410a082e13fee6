"""What a picture file says about itself, read without decoding a pixel: type, size, orientation, profile, wholeness.

The type comes from the signature, never from a file name. Every walk over the file's parts has a bound on its steps, so
that no file can hold a worker for longer than its size warrants.

Sources: JPEG ITU-T T.81; PNG 3rd edition (W3C 2025); RFC 9649 (WebP); GIF89a; ISO/IEC 23008-12 (HEIF); Exif 2.32.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from analyzer.errors import BadPhoto, TooManyPixels, UnsupportedType
from analyzer.vocabulary import ErrorCode

MAX_PIXELS = 50_000_000  # pixels; limit of the wire contract
MAX_PROFILE_BYTES = 4 << 20  # the largest press profiles in use have about 2.5 MB; a phone's has 0.5 kB
MAX_PARTS = 200_000  # parts in one file; 24 MB in GIF blocks of 255 bytes, the smallest in use, are 99 000
MAX_JPEG_SEGMENTS = 2_000  # 24 MB in segments of 64 kB are 370
MAX_JPEG_SCANS = 40  # encoders write up to about 15; each further scan costs a pass over the picture, for a few bytes
MAX_EXIF_ENTRIES = 512  # entries in the first directory; cameras write about 20

TRUNCATED = ErrorCode.TRUNCATED_IMAGE

# The next marker other than a restart (D0-D7), a stuffed zero, TEM, a second SOI (D8) or a fill byte.
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_EOI, _JPEG_SOS, _JPEG_APP1, _JPEG_APP2 = 0xD9, 0xDA, 0xE1, 0xE2

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_HEIC_BOXES = frozenset({b"ftyp", b"meta", b"mdat", b"idat", b"moov", b"free", b"skip", b"wide", b"uuid", b"mpvd"})
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_REFUSED = (
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+|IIRO|IIU\0"), "TIFF or camera raw"),
    (re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "icon"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf"), "archive"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|svg|!--|!doctype svg)", re.IGNORECASE), "SVG or XML"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", re.IGNORECASE), "HTML"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp|\x1a\x45\xdf\xa3", re.DOTALL), "video"),
)
_TAKEN = "JPEG, PNG, WebP, GIF or HEIC"


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before decoding.

    Attributes:
        media_type: e.g. ``"image/jpeg"``.
        width, height: pixels of the upright picture.
        orientation: Exif orientation 1..8 that is still to be applied to the decoded array.
        icc_profile: the embedded profile, unchecked; None when there is none or it exceeds MAX_PROFILE_BYTES.
        components: colour channels of a JPEG (1, 3 or 4); 0 for the other types, whose decoder tells.
        end: offset behind the picture's last byte; what follows (a phone's video, a gain map) is not part of it.
    """

    media_type: str
    width: int
    height: int
    orientation: int
    icc_profile: bytes | None = field(repr=False)
    components: int
    end: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def bad_photo() -> BadPhoto:
    """The refusal of a picture whose parts contradict the standard of its type."""
    return BadPhoto("This picture is damaged and cannot be read.", f"Send the original {_TAKEN} photo.")


def truncated_photo() -> BadPhoto:
    """The refusal of a picture that ends too early."""
    return BadPhoto("This picture is incomplete: its end is missing.", "Send the photo again.", code=TRUNCATED)


def sniff(data: bytes) -> str:
    """The media type by the first bytes.

    Raises:
        UnsupportedType: another known type of file.
        BadPhoto: no bytes, too few to tell (``truncated_image``), or no type that is known.
    """
    if not data:
        raise BadPhoto("There are no bytes in this picture.", f"Send a {_TAKEN} photo.")
    if data.startswith(_STARTS[0]):
        return "image/jpeg"
    if data.startswith(_STARTS[1]):
        return "image/png"
    if data.startswith(_STARTS[2:]):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and _is_heic(data):
        return "image/heic"
    raise _refusal(data)


def _is_heic(data: bytes) -> bool:
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[i : i + 4] for i in range(16, size, 4))}
    return bool(brands & _HEIC_BRANDS) and not brands & {b"avif", b"avis"}


def _refusal(data: bytes) -> BadPhoto:
    if _ends_inside_signature(data):
        return truncated_photo()
    for pattern, name in _REFUSED:
        if pattern.match(data):
            return UnsupportedType(f"Files of this kind ({name}) are not taken.", f"Send a {_TAKEN} photo.")
    return BadPhoto("This file is not a picture of a known type.", f"Send a {_TAKEN} photo.")


def _ends_inside_signature(data: bytes) -> bool:
    if any(start.startswith(data) for start in (*_STARTS, b"RIFF")):
        return True
    heic_begins = data[:2] == b"\0\0" and b"ftyp".startswith(data[4:8])
    return len(data) < 12 and (data[:4] == b"RIFF" or heic_begins)


def read_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Read type, size, orientation and profile, and make sure that the file is whole, without decoding.

    Raises:
        UnsupportedType: another type of file.
        TooManyPixels: more than `max_pixels` are announced.
        BadPhoto: damaged, or ``truncated_image``.
    """
    media_type = sniff(data)
    try:
        header = _READERS[media_type](data)
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


def _header(
    media_type: str, size: tuple[int, int], exif: bytes, icc: bytes | None, end: int, components: int = 0
) -> Header:
    orientation = exif_orientation(exif)
    width, height = size[::-1] if orientation >= 5 else size
    profile = icc if icc and len(icc) <= MAX_PROFILE_BYTES else None
    return Header(media_type, width, height, orientation, profile, components, end)


def exif_orientation(exif: bytes) -> int:
    """Orientation tag (0x0112) of the first directory of an Exif block, 1..8; 1 when absent or unreadable."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(min(count, MAX_EXIF_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * i)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker code, start and end of the body, of every segment up to and including EOI (whose body is empty).

    Entropy-coded data is skipped over: inside it every 0xFF is followed by a zero or is a restart marker.
    """
    at = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise truncated_photo()
        code, start = data[found.end() - 1], found.end()
        if code == _JPEG_EOI:
            yield code, start, start
            return
        at = start + int.from_bytes(data[start : start + 2], "big")
        if at > len(data):
            raise truncated_photo()
        yield code, start + 2, at
    raise bad_photo()


def _read_jpeg(data: bytes) -> Header:
    size, components, exif, end, scans = (0, 0), 0, b"", 0, 0
    profile: dict[int, bytes] = {}
    for code, start, end in jpeg_segments(data):
        if code in _JPEG_FRAMES and not components:
            height, width, components = struct.unpack_from(">HHB", data, start + 1)
            size = width, height
        elif code == _JPEG_APP1 and not exif and data.startswith(b"Exif\0\0", start):
            exif = data[start:end]
        elif code == _JPEG_APP2 and data.startswith(b"ICC_PROFILE\0", start):
            profile[data[start + 12]] = data[start + 14 : end]
        scans += code == _JPEG_SOS
    if not 1 <= scans <= MAX_JPEG_SCANS:
        raise bad_photo()
    icc = b"".join(profile[number] for number in sorted(profile))
    return _header("image/jpeg", size, exif, icc, end, components)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the body, of every chunk up to and including IEND."""
    at = 8
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        start, end = at + 8, at + 8 + length
        if end + 4 > len(data):
            raise truncated_photo()
        yield kind, start, end
        if kind == b"IEND":
            return
        at = end + 4
    raise bad_photo()


def _read_png(data: bytes) -> Header:
    first: dict[bytes, bytes] = {}
    end = 0
    for kind, start, end in png_chunks(data):
        if kind in (b"IHDR", b"eXIf", b"iCCP") and kind not in first:
            first[kind] = data[start:end]
    if len(first.get(b"IHDR", b"")) != 13:
        raise bad_photo()
    width, height = struct.unpack_from(">II", first[b"IHDR"])
    icc = _inflate_profile(first.get(b"iCCP", b""))
    return _header("image/png", (width, height), first.get(b"eXIf", b""), icc, end + 4)


def _inflate_profile(chunk: bytes) -> bytes | None:
    _, _, packed = chunk.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None


def _read_webp(data: bytes) -> Header:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated_photo()
    first: dict[bytes, bytes] = {}
    for kind, start, stop in _riff_chunks(data, end):
        if kind in (b"VP8X", b"VP8 ", b"VP8L", b"EXIF", b"ICCP") and kind not in first:
            first[kind] = data[start : min(stop, start + 10) if kind.startswith(b"VP8") else stop]
    return _header("image/webp", _webp_size(first), first.get(b"EXIF", b""), first.get(b"ICCP"), end)


def _riff_chunks(data: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
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


def _webp_size(first: dict[bytes, bytes]) -> tuple[int, int]:
    """Canvas of an extended file, else the picture's own size (14 bits each)."""
    if canvas := first.get(b"VP8X"):
        return 1 + int.from_bytes(canvas[4:7], "little"), 1 + int.from_bytes(canvas[7:10], "little")
    if lossless := first.get(b"VP8L"):
        bits = int.from_bytes(lossless[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", first.get(b"VP8 ", b""), 6)
    return width & 0x3FFF, height & 0x3FFF


def _read_gif(data: bytes) -> Header:
    """Size of the canvas, grown to hold the first frame; all blocks must be whole, a missing trailer is forgiven."""
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
    return _header("image/gif", (width, height), b"", None, min(at + 1, len(data)))


def _colour_table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Offset behind a chain of length-prefixed blocks and its closing zero."""
    for _ in range(MAX_PARTS):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise bad_photo()


def heic_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of every top-level box, header included; a foreign trailer, as phones add, ends the walk."""
    at = 0
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind not in _HEIC_BOXES:
            return
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        end = at + size if size else len(data)
        if end > len(data):
            raise truncated_photo()
        if end < at + 8:
            raise bad_photo()
        yield kind, at, end
        at = end
    raise bad_photo()


def open_heic(data: bytes) -> Any:
    """The primary picture of a HEIC file, not yet decoded (a `pillow_heif.HeifFile`).

    Imported on first use: the library costs 20 ms and 10 MB, and most servers meet few HEIC files.
    """
    import pillow_heif

    try:
        return pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=True)
    except (ValueError, RuntimeError, OSError, EOFError, SyntaxError, IndexError) as error:
        raise truncated_photo() if "end of file" in str(error).lower() else bad_photo() from error


def _read_heic(data: bytes) -> Header:
    """libheif applies the file's own rotation, which by the standard replaces Exif's: nothing is left to turn."""
    ends = {kind: end for kind, _, end in heic_boxes(data)}
    if b"meta" not in ends:
        raise truncated_photo()
    heif = open_heic(data)
    return _header("image/heic", heif.size, b"", heif.info.get("icc_profile"), max(ends.values()))


_READERS: dict[str, Callable[[bytes], Header]] = {
    "image/jpeg": _read_jpeg,
    "image/png": _read_png,
    "image/webp": _read_webp,
    "image/gif": _read_gif,
    "image/heic": _read_heic,
}
