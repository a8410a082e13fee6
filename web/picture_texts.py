"""Pictures written as text: base64 or hexadecimal digits, within a data URL, percent-encoding, quotes or escapes.

Every layer is taken off in turn until the signature of a picture appears; each costs time linear in the length.

Sources: RFC 2397 (data URLs), RFC 3986 §2.1 (percent-encoding).
"""

from __future__ import annotations

import binascii
import re

import orjson

from web import bad_uploads
from web.bad_uploads import BadUpload
from web.base64_texts import LINE_BREAKS, WHITESPACE, from_base64
from web.file_signatures import is_picture

MAX_LAYERS = 8  # of one text, base64 within base64 included
HEADER_BYTES = 8 * 1024  # longest data URL header; a file name of 255 signs, percent-encoded, has up to 3 KiB
NAME_BYTES = 4 * 1024  # longest text that may be a path or an address
QUOTES = (b'"', b"'", b"`", b"b'", b'b"')  # the last two as Python prints bytes
DATA_URL = re.compile(rb'data:(?:[^",]|"(?:[^"\\]|\\.)*+")*+,', re.IGNORECASE | re.DOTALL)
BASE64_MARK = re.compile(rb".*base64[,:]", re.IGNORECASE | re.DOTALL)  # the last one; a colon as Laravel writes it
ARMOUR = re.compile(rb"-----BEGIN [^-]{1,64}-----(.*)-----END [^-]{1,64}-----", re.DOTALL)  # by certutil -encode
NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
HEXADECIMAL = re.compile(
    rb"(?:0x|\\x)?(?:ff\s?d8\s?ff|89\s?50\s?4e\s?47|47\s?49\s?46\s?38|52\s?49\s?46\s?46|0000....66747970)",
    re.IGNORECASE,
)
HEXADECIMAL_PREFIX = re.compile(rb"\A(?:0x|\\x)")
PLACEHOLDER = re.compile(rb"undefined|null|none|nan|true|false|\[object \w+\]", re.IGNORECASE)
ADDRESS = re.compile(
    rb"@|(?:file|content|ph|assets-library|blob|https?|capacitor|cid):|[a-z]:\\|.*\.(?:jpe?g|png|webp|gif|hei[cf])\Z",
    re.IGNORECASE | re.DOTALL,
)
MARKUP = b"<"  # SVG, XML or HTML, which `analyzer.containers` names
BYTE_ORDER_MARK = "\ufeff"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


def decode_picture(text: str) -> bytes:
    """Return the bytes that a text encodes, whether they are a picture or not.

    Raises:
        BadUpload: ``missing_image``, ``bad_base64``, or ``bad_image`` for a photo that was read as text.
    """
    return _decoded(_to_bytes(text), MAX_LAYERS)


def _decoded(data: bytes, layers: int) -> bytes:
    """Return the data without its layers, of which `layers` may be taken off."""
    if is_picture(data):
        return data
    data = data.strip(WHITESPACE)
    _refuse_stand_ins(data)
    inner = _without_layer(data) if layers else None
    if inner is not None:
        return _decoded(inner, layers - 1)
    if data.startswith(MARKUP):
        return data
    decoded = from_base64(data)
    return _decoded_again(decoded, layers - 1) if layers else decoded


def refuse_text_damage(data: bytes) -> None:
    """Raise ``bad_image`` for data whose first byte was replaced when it was decoded as UTF-8.

    Raises:
        BadUpload: ``bad_image``.
    """
    if data.startswith(REPLACEMENT):
        raise bad_uploads.read_as_text()


def percent_decoded(data: bytes) -> bytes:
    """Return the data with each ``%XX`` as its byte; unchanged where a percent sign is no such escape.

    Quoted-printable differs in its sign alone, and its decoder is written in C; `urllib.parse.unquote_to_bytes` makes
    an object of each escape: 4 s for a body of 24 MB.
    """
    if b"%" not in data or NO_ESCAPE.search(data):
        return data
    return binascii.a2b_qp(data.replace(b"=", b"=3D").replace(b"%", b"="))


def _to_bytes(text: str) -> bytes:
    """Return the bytes of a text; of a "binary string", whose characters stand for one byte each, these bytes."""
    if is_picture(text[:16].encode("latin-1", "replace")):
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise bad_uploads.read_as_text() from None
    return text.removeprefix(BYTE_ORDER_MARK).encode("utf-8", "replace")


def _refuse_stand_ins(data: bytes) -> None:
    """Raise the refusal of what stands in the place of a photo."""
    if not data:
        raise bad_uploads.missing_image()
    refuse_text_damage(data)
    if len(data) <= NAME_BYTES and PLACEHOLDER.fullmatch(data):
        raise bad_uploads.placeholder()
    if len(data) <= NAME_BYTES and ADDRESS.match(data):
        raise bad_uploads.address()


def _without_layer(data: bytes) -> bytes | None:
    """Return the data without its outermost layer; None when it has none but base64."""
    for quote in QUOTES:
        if data.startswith(quote) and data.endswith(quote[-1:]) and len(data) > len(quote):
            return data[len(quote) : -1]
    if (armour := ARMOUR.fullmatch(data)) is not None:
        return armour[1]
    if b"\\" in data and (text := _unescaped(data)) is not None:
        return text
    if (payload := _data_url_payload(data)) is not None:
        return payload
    if (decoded := percent_decoded(data)) is not data:
        return decoded
    return _from_hexadecimal(data) if HEXADECIMAL.match(data) else None


def _unescaped(data: bytes) -> bytes | None:
    """Return the data without the escapes that a JSON string has for slash and plus; None if it is no JSON string."""
    try:
        return str(orjson.loads(b'"' + data.translate(None, LINE_BREAKS) + b'"')).encode()
    except orjson.JSONDecodeError:
        return None


def _data_url_payload(data: bytes) -> bytes | None:
    """Return what follows the header of a data URL, or the last header where there are several.

    No encoding of a picture as text has a comma; a header has as many as it likes, in parameters such as ``name=``.
    """
    header = data[:HEADER_BYTES]
    match = BASE64_MARK.match(header) or DATA_URL.match(header)
    return data[match.end() :] if match else None


def _from_hexadecimal(data: bytes) -> bytes | None:
    digits = HEXADECIMAL_PREFIX.sub(b"", data, count=1).translate(None, WHITESPACE)
    try:
        return binascii.unhexlify(digits)
    except binascii.Error:
        return None


def _decoded_again(decoded: bytes, layers: int) -> bytes:
    """Return the picture in a text that was encoded as base64; other data as it is."""
    if not decoded.isascii():
        return decoded
    try:
        inner = _decoded(decoded, layers)
    except BadUpload:
        return decoded
    return inner if is_picture(inner) else decoded
