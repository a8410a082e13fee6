"""JSON texts of requests: bodies, fields of forms, and JSON within a string of JSON."""

from __future__ import annotations

import codecs
import json
from typing import Any

import orjson

from web import bad_uploads

CONTROL = b"\t\r\n"  # never part of a valid string; white space everywhere else


def parse(text: bytes) -> Any:
    """Return the value of a JSON text in UTF-8, whose strings may hold raw line breaks.

    Raises:
        BadUpload: ``bad_json``.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        at = error.pos + 1
    try:
        return orjson.loads(text.translate(None, CONTROL))
    except orjson.JSONDecodeError:
        raise bad_uploads.bad_json(f"The body is not valid JSON: it goes wrong at character {at}.") from None


def parse_option(value: Any) -> Any:
    """Return the value of a JSON object or list that comes as text; other texts and values as they are."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return parse(value.encode())
    except bad_uploads.BadUpload:
        return value


def to_utf8(body: bytes) -> bytes:
    """Return a JSON body in UTF-8 without a byte order mark, whichever UTF it is in (RFC 4627 §3); others unchanged."""
    encoding = json.detect_encoding(body[:4])
    if encoding == "utf-8":
        return body
    try:
        return body.decode(encoding).encode()
    except UnicodeError:
        return body.removeprefix(codecs.BOM_UTF8)
