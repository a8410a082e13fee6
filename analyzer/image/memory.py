"""Memory that decoding a picture takes at the most, from its header alone.

The figures are peaks of `photo.decode` at full size in bytes for each pixel, rounded up by 6 to 16 %: `python -m benchmarks.decode_memory`
measures them for each kind of file, and tests/benchmarks/test_decode_memory.py fails where one is too small. A JPEG counts in full
although a reduced copy is decoded first: a small face has it decoded again (`analyzer.pipeline`).
"""

from __future__ import annotations

from analyzer.image.header import Header

PLAIN = {"image/jpeg": 10, "image/png": 17, "image/webp": 24, "image/gif": 12, "image/heic": 12, "image/avif": 21}
CONVERTED = {"image/jpeg": 15, "image/png": 19, "image/webp": 27, "image/gif": 12, "image/heic": 19, "image/avif": 25}
MOST = max(CONVERTED.values())  # for a type without figures of its own
CMYK = 4  # components of a JPEG whose colours are always converted


def peak_bytes(header: Header) -> int:
    """Return the bytes that decoding takes beside those of the file; more where colours are converted."""
    is_converted = bool(header.icc_profile or header.colour_space or header.components == CMYK)
    return header.pixels * (CONVERTED if is_converted else PLAIN).get(header.media_type, MOST)
