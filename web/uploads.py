"""Request -> the bytes of one picture and the optional fields beside it. Everything stays in memory."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import orjson
from flask import Request
from werkzeug.datastructures import FileStorage

from analyzer.errors import AnalyzerError
from analyzer.values import Demographics
from analyzer.vocabulary import ErrorCode
from web.fields import read_demographics, read_include
from web.vocabulary import DemographicName

IMAGE_FIELDS = ("image", "image_data")
# Pages that leave the type out, or avoid a preflight, send JSON too.
JSON_TYPES = ("application/json", "text/plain", "")
CURL_TYPE = "application/x-www-form-urlencoded"  # what curl says unasked
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
JUNK_LIMIT = 64  # bytes in which the signature of a picture is searched when it is not at the start
SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftyp(?:heic|heix|heim|heis|hevc|hevx|mif1|msf1)",
    re.DOTALL,
)
DATA_URL = re.compile(r"\s*data:[^,]{0,128},", re.IGNORECASE)
DATA_URL_AS_BASE64 = re.compile(rb"dataimage/\w{3,5}base64")  # what a lenient decoder keeps of "data:image/png;base64,"
DRAINED_BYTES = 64 * 1024 * 1024  # at most, of a body that nobody wants
CHUNK_BYTES = 64 * 1024
WHITESPACE = b" \t\r\n\f\v"
URL_SAFE = bytes.maketrans(b"-_", b"+/")


class BadUpload(AnalyzerError):
    """The request does not hold a picture in a form that is taken."""

    code = ErrorCode.MISSING_IMAGE


class MemoryRequest(Request):
    """A request whose file parts stay in memory: the default would spool large ones to the disk."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()


@dataclass(frozen=True)
class Upload:
    """What a request carries."""

    data: bytes
    demographics: Demographics
    demographics_ignored: tuple[DemographicName, ...]  # names of what was said but cannot be used
    include: frozenset[str]


def read(request: Request, read_timeout_s: float) -> Upload:
    """The picture and the fields of a request, whose body may pause for `read_timeout_s` seconds at most.

    Raises:
        BadUpload: ``bad_json``, ``missing_image``, ``bad_base64`` or ``unsupported_type``.
        werkzeug.exceptions.RequestEntityTooLarge: the body is larger than MAX_CONTENT_LENGTH.
        werkzeug.exceptions.ClientDisconnected: the body ended early or paused for too long.
    """
    limit_pauses(request, read_timeout_s)
    fields = _fields(request)
    demographics, ignored = read_demographics(fields.get("demographics"))
    return Upload(
        data=_picture(fields),
        demographics=demographics,
        demographics_ignored=ignored,
        include=read_include(fields.get("include")),
    )


def _fields(request: Request) -> Mapping[str, Any]:
    media_type = (request.mimetype or "").lower()
    if media_type == "multipart/form-data":
        return _form_fields(request)
    is_json = media_type in JSON_TYPES or media_type.endswith("+json")
    is_image = media_type.startswith("image/") or media_type == "application/octet-stream"
    body = _body(request) if is_json or is_image or media_type == CURL_TYPE else b""
    if is_image or SIGNATURE.match(body):  # whatever the type says
        return {"image": body}
    if is_json:
        return _json_fields(body.removeprefix(BYTE_ORDER_MARK))
    raise BadUpload(
        f"Bodies of the type {media_type[:60]} are not taken.",
        "Send JSON, multipart/form-data or an image.",
        ErrorCode.UNSUPPORTED_TYPE,
    )


def limit_pauses(request: Request, seconds: float) -> None:
    """The server waits for a body for as long as the client likes; a thread is too dear for that."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(seconds)


def drain(request: Request, pause_s: float) -> None:
    """Read what is left of a body and drop it: a browser shows an answer only after it sent its whole request.

    Args:
        pause_s: after so many seconds of silence nobody waits for the rest.
    """
    limit_pauses(request, pause_s)
    stream, left = request.environ["wsgi.input"], DRAINED_BYTES
    with contextlib.suppress(OSError):  # the client went away or fell silent: nobody waits for the answer
        while left > 0 and (chunk := stream.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)


def _body(request: Request) -> bytes:
    """The whole body; a longer one of unknown length would only be cut at the limit, so one more byte is asked for."""
    data = request.get_data(cache=False)
    request.stream.read(1)
    return data


def _json_fields(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        raise _missing()
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise BadUpload("The body is not a JSON object.", 'Send {"image": "<base64>"}.', ErrorCode.BAD_JSON)
    return fields


def _form_fields(request: Request) -> Mapping[str, Any]:
    if not request.mimetype_params.get("boundary"):
        hint = "Leave the header Content-Type to the browser or library, which adds the boundary."
        raise BadUpload("The form cannot be read: its type names no boundary.", hint, ErrorCode.MISSING_IMAGE)
    fields: dict[str, Any] = dict(request.form.items())
    parts = (request.files.get(name) for name in IMAGE_FIELDS)
    part: FileStorage | None = next((part for part in parts if part is not None), None)
    if part is not None:
        fields["image"] = part.stream.read()
    for name in ("demographics", "include"):
        if fields.get(name, "").lstrip().startswith(("{", "[")):
            fields[name] = _json_part(fields[name])
    return fields


def _json_part(text: str) -> Any:
    """The value of a JSON text; one that is no JSON stays a text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _picture(fields: Mapping[str, Any]) -> bytes:
    value = next((fields[name] for name in IMAGE_FIELDS if fields.get(name)), None)
    if value is None:
        raise _missing()
    if not isinstance(value, str | bytes):
        raise BadUpload("The image must be a base64 string.", 'Send {"image": "<base64>"}.', ErrorCode.BAD_JSON)
    return without_junk(value if isinstance(value, bytes) else from_base64(value))


def from_base64(text: str) -> bytes:
    """Bytes of base64: standard or URL-safe, padded or not, with a data URL prefix and white space or not.

    Raises:
        BadUpload: ``bad_base64``, or ``missing_image`` when nothing is encoded.
    """
    prefix = DATA_URL.match(text)
    try:
        encoded = (text[prefix.end() :] if prefix else text).encode("ascii")
        encoded = encoded.translate(URL_SAFE, WHITESPACE).rstrip(b"=")
        data = binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadUpload(
            "The image is not valid base64.", "Encode the bytes of the file as base64.", ErrorCode.BAD_BASE64
        ) from None
    if not data:
        raise _missing()
    return data


def without_junk(data: bytes) -> bytes:
    """The picture in `data`, freed from a data URL prefix that was decoded as if it were base64 too.

    Where the prefix has a whole number of bytes, the picture follows intact and its signature is found; elsewhere its
    bits are shifted, and encoding again brings the original characters back.
    """
    if SIGNATURE.match(data):
        return data
    prefix = DATA_URL_AS_BASE64.match(base64.b64encode(data[:JUNK_LIMIT]))
    if prefix:
        return _decode_leniently(base64.b64encode(data)[prefix.end() :])
    found = SIGNATURE.search(data[:JUNK_LIMIT])
    return data[found.start() :] if found else data


def _decode_leniently(encoded: bytes) -> bytes:
    usable = encoded.rstrip(b"=")
    return base64.b64decode(usable[: len(usable) - (len(usable) % 4 == 1)] + b"==")


def _missing() -> BadUpload:
    return BadUpload(
        "No photo arrived.",
        'Choose a photo and send it again; a program sends it as the body or in the field "image".',
        ErrorCode.MISSING_IMAGE,
    )
