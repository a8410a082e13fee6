"""PNG files: chunks, header, and decoding.

Source: PNG 3rd edition (W3C Recommendation, 2025), of which section 4.3 orders the descriptions of colour: cICP, iCCP, sRGB,
then gAMA with cHRM.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analyzer.image import deep, exif
from analyzer.image.colour import BT709, Chromaticities, ColourSpace, by_code_points, rgb_to_xyz
from analyzer.image.header import MAX_PARTS, MAX_PROFILE_BYTES, Header, bounded_profile
from analyzer.image.refusals import bad_photo, truncated_photo
from analyzer.image.transfer import SRGB, power

_USEFUL = frozenset({b"IHDR", b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"})
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SRGB_GAMMA = 45_455  # in hundred thousandths; what writers of sRGB give for readers that know no better
_GAMMA_TOLERANCE = 0.05  # libpng's threshold (PNG_GAMMA_THRESHOLD), below which exponents count as the same
_ROUNDING = 2e-3  # of chromaticities


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the body, of every chunk up to and including IEND.

    Raises:
        BadPhoto: ``truncated_image`` when a chunk goes beyond the end of the data, ``bad_image`` for too many.
    """
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


def read(data: bytes) -> Header:
    """Read the header of a PNG and make sure that the file is whole."""
    first: dict[bytes, bytes] = {}
    end = 0
    for kind, start, end in chunks(data):
        if kind in _USEFUL and kind not in first:
            first[kind] = data[start:end]
    if len(first.get(b"IHDR", b"")) != 13:
        raise bad_photo()
    width, height, bits = struct.unpack_from(">IIB", first[b"IHDR"])
    profile, space = _colours(first)
    orientation = exif.read(first.get(b"eXIf", b"")).orientation
    return Header("image/png", (width, height), end + 4, orientation, profile, space, bits=bits)


def _colours(first: Mapping[bytes, bytes]) -> tuple[bytes | None, ColourSpace | None]:
    """Return the profile and the colour space that counts where the profile cannot be used."""
    if len(first.get(b"cICP", b"")) == 4:
        primaries, transfer, _, is_full = first[b"cICP"]
        return None, by_code_points(primaries, transfer, is_narrow=not is_full)
    profile = bounded_profile(_inflate_profile(first.get(b"iCCP", b"")))
    return profile, None if b"sRGB" in first else _measured_space(first)


def _measured_space(first: Mapping[bytes, bytes]) -> ColourSpace | None:
    """Return the colour space of gAMA and cHRM, with the part of sRGB for a missing or absurd one."""
    gamma = int.from_bytes(first.get(b"gAMA", b""), "big")
    is_srgb = not gamma or abs(gamma / _SRGB_GAMMA - 1) <= _GAMMA_TOLERANCE
    space = ColourSpace(_chromaticities(first.get(b"cHRM", b"")), SRGB if is_srgb else power(100_000 / gamma))
    return None if space == ColourSpace() else space


def _chromaticities(chunk: bytes) -> Chromaticities:
    if len(chunk) != 32:
        return BT709
    white, red, green, blue = ((x / 1e5, y / 1e5) for x, y in struct.iter_unpack(">II", chunk))
    primaries = (red, green, blue, white)
    is_rounded = np.allclose(primaries, BT709, atol=_ROUNDING)
    return BT709 if is_rounded or not _is_gamut(primaries) else primaries


def _is_gamut(primaries: Chromaticities) -> bool:
    """Return whether primaries span a triangle around their white."""
    if any(not (0 <= x <= 1 and 0 < y <= 1) for x, y in primaries):
        return False
    try:
        return bool(np.all(rgb_to_xyz(primaries)[1] > 0))
    except np.linalg.LinAlgError:
        return False


def _inflate_profile(chunk: bytes) -> bytes | None:
    _, _, packed = chunk.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None


def open_image(data: bytes) -> Image.Image:
    """Open the default image; Pillow sees only chunks that hold pixels: no text, Exif or animation can trip it."""
    return Image.open(BytesIO(_lean(data)), formats=["PNG"])


def _lean(data: bytes) -> bytes:
    kept = (data[start - 8 : end + 4] for kind, start, end in chunks(data) if kind in _PIXEL_CHUNKS)
    return data[:8] + b"".join(kept)


def decode_deep(data: bytes) -> tuple[NDArray[np.uint16], int]:
    """Decode 16 bits a channel to (H, W, 3) RGB or (H, W, 4) with alpha, and return the value of full scale, too."""
    return deep.decode(_lean(data), open_image), (1 << 16) - 1
