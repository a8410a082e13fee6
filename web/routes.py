"""One thin function per route; the aliases stand in one table."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from flask import Flask, Response, request

from analyzer import face, pipeline
from web import disconnects, docs_page, model_status, openapi, tracing, uploads, wire
from web.access import is_operator
from web.answers import json_answer
from web.docs_page import PAGES
from web.errors import Forbidden
from web.metrics import CONTENT_TYPE
from web.service import Route, service
from web.shapes import Health, Ready
from web.vocabulary import ReadyState
from web.words import SERVICE

STATIC = Path(__file__).with_name("static")


def detect_faces() -> Response:
    """Find the faces of a picture that an analysis would accept."""
    shared, is_wanted = service(), disconnects.client(request).is_waiting
    with shared.admission.body(request.content_length, is_wanted) as body_s:
        upload = uploads.read(request, shared.settings.read_timeout_s)
        with shared.admission.analysis(upload.data, body_s, is_wanted) as waited_s:
            found = pipeline.detect_faces(upload.data, max_pixels=shared.settings.max_pixels, is_wanted=is_wanted)
            answer = wire.detection(found, upload.include, tracing.call())
    tracing.outcome(answer.error_code, {**answer.timings_ms, "queue": 1000 * waited_s}, shared.metrics)
    return json_answer(answer)


def analyze() -> Response:
    """Report on the skin of the primary face."""
    shared, is_wanted = service(), disconnects.client(request).is_waiting
    with shared.admission.body(request.content_length, is_wanted) as body_s:
        upload = uploads.read(request, shared.settings.read_timeout_s)
        with shared.admission.analysis(upload.data, body_s, is_wanted) as waited_s:
            report = pipeline.analyze_photo(
                upload.data,
                shared.ensemble,
                demographics=upload.demographics,
                max_pixels=shared.settings.max_pixels,
                is_wanted=is_wanted,
            )
            answer = wire.analysis(report, upload.include, tracing.call(), upload.demographics_ignored)
    tracing.outcome(answer.error_code, {**answer.timings_ms, "queue": 1000 * waited_s}, shared.metrics)
    return json_answer(answer)


def status() -> Response:
    """What the ensemble's place holds, and what finds the faces; never loads anything."""
    shared = service()
    operator = is_operator(request, shared.settings)
    return json_answer(model_status.describe(shared.ensemble.state(), face.stage(), shared.settings, operator))


def health() -> Response:
    """The process lives; touches nothing."""
    return Response("OK", mimetype="text/plain")


def system_health() -> Response:
    """The process lives, as JSON."""
    loaded = service().ensemble.state().available
    message = "Service is running." if loaded else "Service is running on classical measurements alone."
    return json_answer(Health(service=SERVICE, message=message, models_loaded=loaded, timestamp=wire.timestamp()))


def ready() -> Response:
    """200 as soon as one picture went through the whole analysis in this process, 503 before."""
    readiness = service().readiness
    readiness.start()
    state = readiness.state
    answer = Ready(ready=state == ReadyState.READY, state=state, timestamp=wire.timestamp())
    return json_answer(answer, 200 if answer.ready else 503)


def metrics() -> Response:
    """Prometheus text, for operators."""
    shared = service()
    if not is_operator(request, shared.settings):
        raise Forbidden("Metrics are for operators.", "Call from this machine or send the operator token.")
    return Response(shared.metrics.text(), content_type=CONTENT_TYPE)


def describe() -> Response:
    """The OpenAPI description."""
    return Response(openapi.document(ROUTES), mimetype="application/json")


def docs() -> Response:
    """A page to read the description and to try the routes."""
    return _page(docs_page.page(), "text/html")


def home() -> Response:
    """The page for people."""
    return _file(STATIC / "index.html")


def asset() -> Response:
    """A file of the page for people or of the docs page."""
    name = request.path.removeprefix("/static").lstrip("/")
    return _file(STATIC / name if (STATIC / name).is_file() else PAGES / name)


ROUTES = (
    Route(
        analyze,
        "POST",
        (
            "/api/v6/skin/analyze-hare-run",
            "/api/v6/skin/analyze-advanced",
            "/api/v6/skin/analyze-production-model",
            "/api/v4/skin/analyze-enhanced",
            "/api/v5/skin/analyze-fixed",
        ),
    ),
    Route(detect_faces, "POST", ("/api/v4/face/detect", "/api/v1/face/detect", "/api/v3/face/detect")),
    Route(status, "GET", ("/api/v5/skin/model-status",)),
    Route(health, "GET", ("/health",)),
    Route(system_health, "GET", ("/api/health", "/api/v3/system/health")),
    Route(ready, "GET", ("/ready",)),
    Route(metrics, "GET", ("/metrics",)),
    Route(describe, "GET", ("/openapi.json",)),
    Route(docs, "GET", ("/docs",)),
    Route(home, "GET", ("/",)),
    Route(asset, "GET", ()),
)


def register(app: Flask) -> None:
    """Put every path of the table on the app, and the files of the pages under / and /static/."""
    for route in ROUTES:
        for path in route.paths or _asset_paths():
            app.add_url_rule(path, route.view.__name__, route.view, methods=[route.method], strict_slashes=False)


def kinds() -> dict[str, str]:
    """Path → name of its route."""
    return {path: route.view.__name__ for route in ROUTES for path in route.paths}


def _file(path: Path) -> Response:
    return _page(path.read_bytes(), mimetypes.guess_type(path.name)[0])


def _page(content: bytes, media_type: str | None) -> Response:
    """Return a small file with an entity tag, so that browsers ask again and are told when nothing changed."""
    response = Response(content, mimetype=media_type)
    response.add_etag()
    response.make_conditional(request)
    return response


def _asset_paths() -> tuple[str, ...]:
    files = [file for folder in (PAGES, STATIC) for file in sorted(folder.rglob("*")) if file.is_file()]
    names = [file.relative_to(STATIC if STATIC in file.parents else PAGES).as_posix() for file in files]
    return tuple(f"{root}/{name}" for name in dict.fromkeys(names) for root in ("", "/static"))
