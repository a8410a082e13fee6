"""JPEG files: segments, header and completeness, and decoding that notices missing data (decision 0014).

Sources: ITU-T T.81 (markers, scans, progressive coding); ICC.1:2022, annex B.4 (profiles in APP2).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from analyzer.image import exif, text_damage
from analyzer.image.colour import ADOBE_RGB
from analyzer.image.header import Header, bounded_profile
from analyzer.image.refusals import bad_photo, truncated_photo, unsupported_type

MAX_SEGMENTS = 2_000  # 24 MB in segments of 64 kB are 370
MAX_SCANS = 40  # encoders write up to about 15; each further scan costs a pass over the picture, for a few bytes

# The next marker other than a restart (D0-D7), a stuffed zero, TEM, a second SOI (D8) or a fill byte.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_EOI, _SOS, _APP1, _APP2 = 0xD9, 0xDA, 0xE1, 0xE2
_CLOSED = b"\xff\xd9"

_NOT_SENT = 255  # in place of the bits that a coefficient still lacks

# libjpeg's complaints: those of missing data, and those of a picture that is there in full.
_PREMATURE = re.compile("premature end|found marker 0xd9 instead of RST", re.IGNORECASE)
_HARMLESS = re.compile(
    "extraneous bytes before marker|unknown JFIF revision|unknown Adobe color transform|bad ICC marker"
    "|Invalid SOS parameters|Inconsistent progression",
    re.IGNORECASE,
)


@dataclass
class _Coverage:
    """The part of a picture that the scans so far have brought.

    Attributes:
        progressive: whether a scan brings some coefficients or bits of them only.
        lacking: component → for each of its 64 coefficients the low bits still to come, or _NOT_SENT.
        scans: number of scans.
    """

    progressive: bool
    lacking: dict[int, list[int]]
    scans: int = 0

    def add(self, scan: bytes) -> None:
        """Count in a scan by the body of its SOS segment."""
        self.scans += 1
        count = scan[0]
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in self.lacking:
                span = range(first, min(last, 63) + 1) if self.progressive else range(64)
                for coefficient in span:
                    self.lacking[component][coefficient] = bits & 15 if self.progressive else 0

    @property
    def is_complete(self) -> bool:
        return not any(map(any, self.lacking.values()))

    @property
    def is_enough(self) -> bool:
        """True when nothing of the first component lacks, which carries the detail, and of the others there is something.

        The standard lets an encoder leave out scans of which all coefficients are zero.
        """
        first, *others = self.lacking.values()
        return not any(first) and all(lacking[0] != _NOT_SENT for lacking in others)


@dataclass
class _Parts:
    """Segments of interest, as far as they were met; later frames, Exif blocks and doubled pieces of a profile do not count."""

    size: tuple[int, int] = (0, 0)
    components: int = 0
    coverage: _Coverage | None = None
    exif: bytes = b""
    profile: dict[int, bytes] = field(default_factory=dict)

    def add(self, code: int, body: bytes) -> None:
        if code in _FRAMES and self.coverage is None:
            self._add_frame(code, body)
        elif code == _SOS and self.coverage:
            self.coverage.add(body)
        elif code == _APP1 and not self.exif and body.startswith(b"Exif\0"):
            self.exif = body
        elif code == _APP2 and body.startswith(b"ICC_PROFILE\0"):
            self.profile.setdefault(body[12], body[14:])

    def _add_frame(self, code: int, body: bytes) -> None:
        bits, height, width, self.components = struct.unpack_from(">BHHB", body)
        if bits != 8:
            raise unsupported_type(f"JPEG with {bits} bits")
        self.size = width, height
        names = body[6 : 6 + 3 * self.components : 3]
        self.coverage = _Coverage(code in _PROGRESSIVE_FRAMES, {name: [_NOT_SENT] * 64 for name in names})


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker code, start and end of the body of every segment up to EOI (whose body is empty) or the last marker.

    Entropy-coded data is skipped over: inside it every 0xFF is followed by a zero or is a restart marker.

    Raises:
        BadPhoto: ``truncated_image`` when a segment goes beyond the end of the data, ``bad_image`` for too many.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.search(data, at)
        if match is None:
            return
        code, start = data[match.end() - 1], match.end()
        if code == _EOI:
            yield code, start, start
            return
        at = start + int.from_bytes(data[start : start + 2], "big")
        if at > len(data):
            raise truncated_photo()
        yield code, start + 2, at
    raise bad_photo()


def read(data: bytes) -> Header:
    """Read the header of a JPEG and make sure that its scans are there; whether the last is whole, only decoding shows.

    Raises:
        BadPhoto: ``truncated_image`` or ``bad_image``.
        UnsupportedType: more than 8 bits.
    """
    parts, end = _walk(data)
    coverage = parts.coverage
    if coverage is None or not coverage.scans:
        raise bad_photo() if data[end - 2 : end] == _CLOSED else truncated_photo()
    if not coverage.is_enough:
        raise truncated_photo()
    if coverage.scans > MAX_SCANS:
        raise bad_photo()
    tags = exif.read(parts.exif)
    return Header(
        "image/jpeg",
        parts.size,
        end,
        orientation=tags.orientation,
        icc_profile=bounded_profile(b"".join(parts.profile[number] for number in sorted(parts.profile))),
        colour_space=ADOBE_RGB if tags.is_adobe_rgb and parts.components == 3 else None,
        components=parts.components,
    )


def _walk(data: bytes) -> tuple[_Parts, int]:
    """Return the parts, and the offset behind the picture: behind EOI or, where that is missing, before what follows the scans."""
    parts, code, end = _Parts(), 0, len(data)
    for code, start, end in segments(data):
        parts.add(code, data[start:end])
        if parts.coverage and parts.coverage.is_complete:
            return parts, _end_of_scan(data, end)
    return parts, end if code == _EOI else len(data)


def _end_of_scan(data: bytes, start: int) -> int:
    match = _MARKER.search(data, start)
    if match is None:
        return len(data)
    return match.end() if data[match.end() - 1] == _EOI else match.start()


def decode(data: bytes, header: Header, reduction: int) -> NDArray[np.uint8]:
    """Decode to (H, W, 3) RGB or, with four components, (H, W, 4) ink 0..255.

    Args:
        data: the file.
        header: what `read` returned for it.
        reduction: divisor of the side: 1, 2, 4 or 8.

    Raises:
        BadPhoto: ``truncated_image`` when coded data is missing, ``bad_image`` when it is damaged.
    """
    picture: bytes | memoryview = memoryview(data)[: header.end]
    if picture[-2:] != _CLOSED:
        picture = data[: header.end] + _CLOSED
    width, height = header.stored_size
    if simplejpeg.decode_jpeg_header(picture, strict=False)[:2] != (height, width):
        raise bad_photo()
    least = (0, 0) if reduction == 1 else (-(-height // reduction), -(-width // reduction))
    pixels = _decode(picture, "CMYK" if header.components == 4 else "RGB", least)
    return 255 - pixels if header.components == 4 else pixels  # Adobe's convention, which all writers of CMYK follow


def _decode(picture: bytes | memoryview, channels: str, least: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode at the smallest scale that has `least` rows and columns (0: at full size)."""
    options = {"colorspace": channels, "min_height": least[0], "min_width": least[1]}
    try:
        return simplejpeg.decode_jpeg(picture, strict=True, **options)
    except ValueError as error:
        complaint = str(error)
    if _PREMATURE.search(complaint):
        raise truncated_photo()
    if not _HARMLESS.search(complaint) or text_damage.refusal(bytes(picture)):
        raise bad_photo()
    return simplejpeg.decode_jpeg(picture, strict=False, **options)
