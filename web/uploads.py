"""The picture of a request and the optional fields beside it. Everything stays in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from flask import Request

from analyzer.values import Demographics
from web.bodies import read_fields
from web.fields import read_demographics, read_include
from web.picture_fields import Fields, find_picture
from web.vocabulary import DemographicName

DRAINED_BYTES = 64 * 1024 * 1024  # at most, of a body that nobody wants
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Upload:
    """What a request carries."""

    data: bytes
    demographics: Demographics
    demographics_ignored: tuple[DemographicName, ...]  # names of values that cannot be used
    include: frozenset[str]


def read(request: Request, read_timeout_s: float) -> Upload:
    """Return the picture and the fields of a request, whose body may pause for `read_timeout_s` seconds at most.

    Raises:
        BadUpload: ``bad_json``, ``missing_image``, ``bad_base64``, ``bad_image``, ``too_large`` or ``unsupported_type``.
        werkzeug.exceptions.RequestEntityTooLarge: the body is larger than MAX_CONTENT_LENGTH.
        werkzeug.exceptions.ClientDisconnected: the body ended early or paused for too long.
    """
    limit_pauses(request, read_timeout_s)
    fields = read_fields(request)
    demographics, ignored = read_demographics(_option(fields, "demographics"))
    return Upload(
        data=find_picture(fields),
        demographics=demographics,
        demographics_ignored=ignored,
        include=read_include(_option(fields, "include")),
    )


def _option(fields: Fields, name: str) -> Any:
    """Return the value of an optional field; the values of one that a form sends several times as one list."""
    values = [value for field, value in fields if field in (name, f"{name}[]")]
    values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    return values if len(values) > 1 else next(iter(values), None)


def limit_pauses(request: Request, seconds: float) -> None:
    """Bound the silence within a body: the server waits for as long as the client likes, and a thread is too dear for that."""
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
