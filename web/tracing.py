"""One id per request, its duration, one log line and its counters."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping

from flask import Flask, Response, g, request

from web.metrics import METHODS, Metrics
from web.wire import Call

log = logging.getLogger("web.requests")

SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
QUIET = ("health", "ready", "metrics")  # asked every few seconds: written at the debug level only


def register(app: Flask, metrics: Metrics) -> None:
    """Begin and end the trace of every request."""

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        request_id()

    @app.after_request
    def end(response: Response) -> Response:
        elapsed_s = call().elapsed_s
        route = request.endpoint or "none"
        response.headers["X-Request-ID"] = request_id()
        metrics.request(route, request.method, response.status_code, elapsed_s)
        if code := g.get("error_code"):
            metrics.refusal(code)
        if g.get("mended"):
            metrics.answer_mended()
        log.log(
            logging.DEBUG if route in QUIET else logging.INFO,
            "request",
            extra={
                "fields": {
                    "request_id": request_id(),
                    "method": request.method if request.method in METHODS else "other",
                    "route": route,
                    "path": request.url_rule.rule if request.url_rule else None,
                    "status": response.status_code,
                    "error_code": g.get("error_code"),
                    "abandoned_before": g.get("abandoned_before"),
                    "mended": g.get("mended"),
                    "ms": round(1000 * elapsed_s, 1),
                    "bytes_in": request.content_length,
                    "timings_ms": g.get("timings_ms"),
                }
            },
        )
        return response


def request_id() -> str:
    """The caller's `X-Request-ID` when it is sane, else a fresh one; the same throughout the request."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if SANE_ID.fullmatch(given) else uuid.uuid4().hex
    return str(g.request_id)


def call() -> Call:
    """What the answer says about the request so far."""
    started: float = g.get("started") or time.perf_counter()
    return Call(request_id(), request.path, time.perf_counter() - started)


def outcome(error_code: str | None, timings_ms: Mapping[str, float], metrics: Metrics) -> None:
    """Note what the domain said, for the log line and the counters."""
    g.error_code = error_code
    g.timings_ms = {stage: round(value, 1) for stage, value in timings_ms.items()}
    metrics.stages(timings_ms)
