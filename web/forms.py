"""Form bodies: multipart and URL-encoded, as names and values.

Every part counts by its bytes: a photo without a file name is still a photo. Each value is a `str` where the form sends
text, else `bytes`. Source: RFC 7578 (multipart/form-data), and RFC 2046 §5.1 for the lines between the parts.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, pairwise

from werkzeug.http import parse_options_header

from web import bad_uploads
from web.file_signatures import is_picture
from web.picture_texts import percent_decoded

MAX_PARTS = 100
HEADER_BYTES = 8 * 1024  # of one part
FIRST_LINES = re.compile(rb"(?:\r?\n){0,4}--([!-~]{1,200})[ \t]*\r?\nContent-[DTL]", re.IGNORECASE)
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
LAST = re.compile(rb"--|\s*\Z")  # what follows the last boundary, or all that does where its "--" was forgotten
FOLD = re.compile(rb"\r?\n[ \t]+")
TEXT_TYPES = ("", "text/plain")
TRANSFER_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {  # as mail programs, Delphi and Python's email write parts
    "base64": binascii.a2b_base64,
    "quoted-printable": binascii.a2b_qp,
}

Value = str | bytes


def find_boundary(body: bytes, announced: str) -> bytes | None:
    """Return the boundary between the parts of a body: the announced one, else that of its first line; None if it has none.

    A type that a program wrote by hand names none, or another one than the library that wrote the body.
    """
    boundary = announced.encode("latin-1", "replace")
    if boundary and next(_line_starts(body, b"--" + boundary), None) is not None:
        return boundary
    first = FIRST_LINES.match(body)
    return first[1] if first else None


def multipart_fields(body: bytes, boundary: bytes) -> list[tuple[str, Value]]:
    """Return name and value of every part; a part without a name has an empty one. A missing last boundary is forgiven.

    Raises:
        BadUpload: ``missing_image`` for a part that is none, ``too_large`` for too many parts or a long header.
    """
    marker = b"--" + boundary
    starts = list(islice(_line_starts(body, marker), MAX_PARTS + 2))
    if len(starts) > MAX_PARTS + 1:
        raise bad_uploads.oversized_form(f"it has more than {MAX_PARTS} parts")
    sections = [(start + len(marker), end) for start, end in pairwise([*starts, len(body)])]
    return [_part(body, start, end) for start, end in sections if not LAST.match(body, start, end)]


def urlencoded_fields(body: bytes) -> list[tuple[str, Value]]:
    """Return name and value of every field.

    Raises:
        BadUpload: ``too_large`` for too many fields.
    """
    pairs = body.split(b"&", MAX_PARTS)
    if len(pairs) > MAX_PARTS:
        raise bad_uploads.oversized_form(f"it has more than {MAX_PARTS} fields")
    split = (pair.replace(b"+", b" ").partition(b"=") for pair in pairs)
    return [(_to_text(percent_decoded(name)), _value(percent_decoded(value), is_text=True)) for name, _, value in split]


def _line_starts(body: bytes, marker: bytes) -> Iterator[int]:
    """Yield where the marker begins a line."""
    if body.startswith(marker):
        yield 0
    at = body.find(b"\n" + marker)
    while at >= 0:
        yield at + 1
        at = body.find(b"\n" + marker, at + 1)


def _part(body: bytes, start: int, end: int) -> tuple[str, Value]:
    """Return name and value of the part between the end of a boundary and the begin of the next one."""
    blank = BLANK_LINE.search(body, start, min(end, start + HEADER_BYTES))
    if blank is None and end - start > HEADER_BYTES:
        raise bad_uploads.oversized_form(f"a part has no content, or headers of more than {HEADER_BYTES // 1024} KiB")
    if blank is None:
        hint = "Let a library write the form, or put a blank line between the headers of a part and its content."
        raise bad_uploads.broken_form("a part has headers but no content", hint)
    headers = _headers(body[start : blank.start()])
    options = parse_options_header(headers.get("content-disposition"))[1]
    media_type = parse_options_header(headers.get("content-type"))[0]
    content = body[blank.end() : max(blank.end(), _line_end(body, end))]
    content = _transfer_decoded(content, headers.get("content-transfer-encoding", "").lower())
    return options.get("name", ""), _value(content, is_text="filename" not in options and media_type in TEXT_TYPES)


def _line_end(body: bytes, end: int) -> int:
    """Return `end` less the line break before it, which belongs to the boundary."""
    if body[end - 1 : end] != b"\n":
        return end
    return end - 2 if body[end - 2 : end - 1] == b"\r" else end - 1


def _headers(block: bytes) -> dict[str, str]:
    lines = FOLD.sub(b" ", block).splitlines()
    split = (line.partition(b":") for line in lines)
    return {_to_text(name).strip().lower(): _to_text(value).strip() for name, _, value in split}


def _transfer_decoded(content: bytes, encoding: str) -> bytes:
    decode = TRANSFER_DECODERS.get(encoding)
    if decode is None or is_picture(content):
        return content
    try:
        return decode(content)
    except binascii.Error:
        return content


def _value(content: bytes, *, is_text: bool) -> Value:
    return _to_text(content) if is_text and not is_picture(content) else content


def _to_text(data: bytes) -> str:
    """Return the text of UTF-8, else of Latin-1, in which any bytes are a text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
