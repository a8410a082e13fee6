"""Failures -> status and JSON, in one table. No answer holds a stack trace or what the caller sent."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping

import cv2
from flask import Flask, Response, current_app, g, request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from analyzer.errors import Abandoned, AnalyzerError
from analyzer.vocabulary import ErrorCode
from web import tracing, uploads, wire
from web.answers import json_answer
from web.bad_uploads import CompressedBody
from web.gates import Busy
from web.guard import TooMany
from web.mending import is_memory_short
from web.service import service
from web.words import FAULT, NOT_UNDERSTOOD

log = logging.getLogger("web.errors")

STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.BAD_JSON: 400,
    ErrorCode.MISSING_IMAGE: 400,
    ErrorCode.BAD_BASE64: 400,
    ErrorCode.BAD_IMAGE: 400,
    ErrorCode.TRUNCATED_IMAGE: 400,
    ErrorCode.INCOMPLETE_UPLOAD: 400,
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.TOO_MANY_PIXELS: 413,
    ErrorCode.UNSUPPORTED_TYPE: 415,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.BUSY: 503,
}
MIB = 1024 * 1024
CLIENT_LEFT = "499 Client Closed Request"  # as nginx calls it in its log
HTTP_ERRORS = {
    404: (ErrorCode.NOT_FOUND, "There is nothing at this address.", "See /docs for the routes."),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "This address does not take this method.", "See /docs for the routes."),
}


class Forbidden(AnalyzerError):
    """The caller may not see this."""

    code = ErrorCode.FORBIDDEN


def register(app: Flask) -> None:
    """Translate every failure of the app once, at its border."""
    app.register_error_handler(AnalyzerError, _analyzer_error)
    app.register_error_handler(Abandoned, _abandoned)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(ClientDisconnected, _incomplete)
    app.register_error_handler(ParseException, _unreadable)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(MemoryError, _no_memory)
    app.register_error_handler(cv2.error, _picture_library)
    app.register_error_handler(Exception, _fault)


def _analyzer_error(error: AnalyzerError) -> Response:
    if not isinstance(error.code, ErrorCode):
        return _fault(error)
    response = _refused(error.code, error.message, error.hint)
    if isinstance(error, Busy | TooMany):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.code == ErrorCode.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, CompressedBody):
        response.headers["Accept-Encoding"] = "identity"
    return response


def _abandoned(error: Abandoned) -> Response:
    """Nobody reads this answer: its status is for the log and the counters."""
    g.abandoned_before = error.stage
    service().metrics.abandonment(error.stage)
    return Response(status=CLIENT_LEFT, headers={"Connection": "close"})


def _too_large(error: RequestEntityTooLarge) -> Response:
    limit = (current_app.config["MAX_CONTENT_LENGTH"] or 0) // MIB
    return _refused(
        ErrorCode.TOO_LARGE, f"The request is larger than {limit} MiB.", "Send a smaller copy of the photo."
    )


def _incomplete(error: ClientDisconnected) -> Response:
    return _broken(ErrorCode.INCOMPLETE_UPLOAD, "The upload broke off.")


def _unreadable(error: ParseException) -> Response:
    """The server met something in the body that is no HTTP, such as a chunk without a size."""
    return _broken(*NOT_UNDERSTOOD[:2])


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:  # a redirect is an answer, not a failure
        return current_app.make_response(error.get_response())
    response = _refused(*HTTP_ERRORS.get(status, NOT_UNDERSTOOD))
    if status == 405:
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    return response


def _no_memory(error: Exception) -> Response:
    """What one picture could not get is given back by the time the next one asks."""
    log.error("no_memory", exc_info=error, extra={"fields": {"request_id": tracing.request_id()}})
    return _analyzer_error(Busy())


def _picture_library(error: cv2.error) -> Response:
    return _no_memory(error) if is_memory_short(error) else _fault(error)


def _fault(error: Exception) -> Response:
    log.error("fault", exc_info=error, extra={"fields": {"request_id": tracing.request_id()}})
    return _answer(*FAULT)


def _refused(code: ErrorCode, message: str, hint: str) -> Response:
    """The body, of which perhaps nothing was read yet, is read to its end: browsers drop an answer that comes before."""
    with contextlib.suppress(ParseException):  # whoever sends no HTTP gets the answer if it can
        uploads.drain(request, service().settings.read_timeout_s)
    return _answer(code, message, hint)


def _broken(code: ErrorCode, message: str) -> Response:
    """Nobody knows where a broken body ends, so that nothing can follow it."""
    response = _answer(code, message, "Please send the photo again.")
    response.headers["Connection"] = "close"
    return response


def _answer(code: ErrorCode, message: str, hint: str) -> Response:
    g.error_code = code
    return json_answer(_body(code, message, hint), STATUS[code])


def _body(code: ErrorCode, message: str, hint: str) -> BaseModel:
    """The shape of the route that was asked, so that pages find the fields that they read."""
    shared = service()
    kind = shared.kinds.get(request.path)
    if kind == "detect_faces":
        return wire.failed_detection(code, message, hint, tracing.call())
    if kind == "analyze":
        return wire.failed_analysis(code, message, hint, tracing.call(), shared.ensemble.state())
    return wire.failure(code, message, hint, tracing.request_id())
