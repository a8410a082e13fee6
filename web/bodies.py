"""Names and values in the body of a request, whichever way it is encoded.

The first bytes of a body tell what it is, because programs often name a wrong type. The type decides where they do not.
"""

from __future__ import annotations

import re

from flask import Request

from web import bad_uploads, forms, json_texts
from web.file_signatures import is_picture
from web.picture_fields import Fields, read_picture

URLENCODED = "application/x-www-form-urlencoded"  # the type of whatever curl and wget send
MULTIPART = "multipart/"
TEXT_TYPES = ("application/json", "text/plain", URLENCODED, MULTIPART)  # and none: of bodies that may be text
GZIP = b"\x1f\x8b"
COMPRESSIONS = ("gzip", "x-gzip", "deflate", "compress", "br", "zstd")
FORM_START = re.compile(rb"[\w.%\[\]-]{1,64}=")  # base64 has its equals signs further behind
BINARY = re.compile(rb"[\0-\x08\x0e-\x1f\x7f-\xff]")
START_BYTES = 64
JSON_START = re.compile(rb'\s*[{\["]')


def read_fields(request: Request) -> Fields:
    """Return names and values of a request; a body that is the picture itself is the field `image`.

    Raises:
        BadUpload: ``bad_json``, ``missing_image``, ``unsupported_type``, ``too_large`` (a form with too many parts), or
            ``bad_image`` for a file that curl damaged.
        werkzeug.exceptions.RequestEntityTooLarge: the body is larger than MAX_CONTENT_LENGTH.
        werkzeug.exceptions.ClientDisconnected: the body ended early or paused for too long.
    """
    body, media_type = _read_body(request), (request.mimetype or "").lower()
    if media_type == URLENCODED:
        _refuse_stripped(body)
    if is_picture(body):
        return [("image", body)]
    announced = request.mimetype_params.get("boundary", "")
    if boundary := forms.find_boundary(body, announced):
        return forms.multipart_fields(body, boundary)
    if body.startswith(GZIP) or request.headers.get("Content-Encoding", "").strip().lower() in COMPRESSIONS:
        raise bad_uploads.CompressedBody
    return _fields_by_type(body, media_type, announced)


def _read_body(request: Request) -> bytes:
    """Return the whole body; reading one byte more refuses a longer one of unknown length, which would be cut at the limit."""
    data = request.get_data(cache=False)
    request.stream.read(1)
    return data


def _refuse_stripped(body: bytes) -> None:
    """Raise the refusal of a file from which `curl -d` removed line breaks and zero bytes; every picture has these."""
    starts = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8")
    if (body.startswith(starts) or b"ftyp" in body[:8]) and not re.search(rb"[\0\r\n]", body):
        raise bad_uploads.stripped_by_curl()


def _fields_by_type(body: bytes, media_type: str, announced: str) -> Fields:
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        return [("image", body)]
    text = json_texts.to_utf8(body)
    if JSON_START.match(text):
        return _json_fields(text)
    if media_type and not media_type.startswith(TEXT_TYPES) and not media_type.endswith("+json"):
        raise bad_uploads.unsupported_type(media_type)
    if FORM_START.match(body):
        return forms.urlencoded_fields(body)
    if BINARY.search(body, 0, START_BYTES):
        return [("image", body)]  # no picture, or `is_picture` would know; the analyzer names what it is
    if (picture := read_picture(body)) is not None:
        return [("image", picture)]
    raise _refusal(body, media_type, announced)


def _json_fields(text: bytes) -> Fields:
    value = json_texts.parse(text)
    if isinstance(value, str) and JSON_START.match(value.encode()):  # JSON that was turned into JSON once more
        value = json_texts.parse(value.encode())
    return list(value.items()) if isinstance(value, dict) else [("image", value)]


def _refusal(body: bytes, media_type: str, announced: str) -> bad_uploads.BadUpload:
    if not body.strip():
        return bad_uploads.missing_image()
    if not media_type.startswith(MULTIPART):
        return bad_uploads.bad_json("The body is neither a picture, nor JSON, nor a form.")
    cause = "the boundary that its type names is not in it" if announced else "its type names no boundary"
    hint = "Leave the header Content-Type to the browser or library, which adds the boundary."
    return bad_uploads.broken_form(cause, hint)
