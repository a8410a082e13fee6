"""The first bytes of pictures: telling one from anything else, and finding one behind a few bytes of junk."""

from __future__ import annotations

import base64
import re

JUNK_LIMIT = 64  # bytes in which the signature of a picture is searched when it is not at the start
SIGNATURE = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|\0\0..ftyp", re.DOTALL)
DATA_URL_AS_BASE64 = re.compile(rb"dataimage/\w{3,5}base64")  # what a lenient decoder keeps of "data:image/png;base64,"


def is_picture(data: bytes) -> bool:
    """Return whether the data begins like a picture of a type that is taken, or like a relative of HEIC."""
    return SIGNATURE.match(data) is not None


def without_junk(data: bytes) -> bytes:
    """Return the picture in `data`, freed from a data URL prefix that was decoded as if it were base64 too.

    Where the prefix has a whole number of bytes, the picture follows intact and its signature is found; elsewhere its
    bits are shifted, and encoding again brings the original characters back.
    """
    if is_picture(data):
        return data
    prefix = DATA_URL_AS_BASE64.match(base64.b64encode(data[:JUNK_LIMIT]))
    if prefix:
        return _decode_leniently(base64.b64encode(data)[prefix.end() :])
    signature = SIGNATURE.search(data[:JUNK_LIMIT])
    return data[signature.start() :] if signature else data


def _decode_leniently(encoded: bytes) -> bytes:
    usable = encoded.rstrip(b"=")
    return base64.b64decode(usable[: len(usable) - (len(usable) % 4 == 1)] + b"==")
