"""Base64 in the ways in which programs write it, and in the ways in which it gets damaged on its way.

Source: RFC 4648.
"""

from __future__ import annotations

import binascii
import re

from web import bad_uploads
from web.bad_uploads import BadUpload
from web.file_signatures import is_picture

WHITESPACE = b" \t\r\n\f\v"
LINE_BREAKS = b"\t\r\n\f\v"  # white space that no plus sign turns into
URL_SAFE = bytes.maketrans(b"-_", b"+/")
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SPACE_IN_LINE = re.compile(rb"(?<=[A-Za-z0-9/]) [A-Za-z0-9/]")


def from_base64(data: bytes) -> bytes:
    """Return the bytes of base64: standard or URL-safe, padded or not, with white space, with lost plus signs.

    Raises:
        BadUpload: ``bad_base64``, or ``missing_image`` where nothing is encoded.
    """
    has_lost_pluses = _has_lost_pluses(data)
    if has_lost_pluses:
        restored = _strictly_decoded(_with_pluses(data))
        if restored is not None and is_picture(restored):
            return restored
    decoded = _strictly_decoded(data.translate(URL_SAFE, WHITESPACE))
    if decoded is None:
        raise _bad_base64(data, has_lost_pluses)
    if not decoded:
        raise bad_uploads.missing_image()
    return decoded


def _strictly_decoded(encoded: bytes) -> bytes | None:
    encoded = encoded.rstrip(b"=")
    try:
        return binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _has_lost_pluses(data: bytes) -> bool:
    """Return whether spaces stand where a form that was not escaped had plus signs.

    A photo has many plus signs, at random distances. Spaces beside them, at even distances, or at the ends of lines
    alone are white space.
    """
    if any(sign in data for sign in (b"+", b"-", b"_")) or not SPACE_IN_LINE.search(data):
        return False
    line = data.translate(None, LINE_BREAKS)
    period = line.find(b" ") + 1
    comb = line[period - 1 :: period]
    spaces = line.count(b" ")
    if spaces == 1:
        return len(line) % 4 == 0
    return not spaces == len(comb) == comb.count(b" ")


def _with_pluses(data: bytes) -> bytes:
    """Return the data with a plus for each space, and for those at its end, which were stripped as white space.

    Where it merely lacks its padding, that adds a byte or two behind the picture.
    """
    restored = data.translate(None, LINE_BREAKS).replace(b" ", b"+")
    return restored + b"+" * (-len(restored) % 4)


def _bad_base64(data: bytes, has_lost_pluses: bool) -> BadUpload:
    """Return the refusal that names the cause."""
    if has_lost_pluses:
        hint = "A form turns + into a space: escape the value (encodeURIComponent, --data-urlencode), or send JSON."
        return bad_uploads.bad_base64("it has spaces where plus signs belong", hint)
    encoded = data.translate(URL_SAFE, WHITESPACE).rstrip(b"=")
    if b"=" in encoded:
        hint = "Encode the file as a whole, not piece by piece."
        return bad_uploads.bad_base64("it goes on behind its padding, the sign =", hint)
    if encoded.translate(None, ALPHABET):
        return bad_uploads.bad_base64("it has characters that base64 does not use")
    return bad_uploads.bad_base64("its end is missing", "Send the whole text: a field or a variable may cut it.")
