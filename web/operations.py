"""The tables of the OpenAPI description: its operations, and the kinds of answers that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from web import shapes
from web.failure_codes import codes_of

TAGS = {
    "photos": "Send a photo; get its faces or a skin report.",
    "service": "The state of the service, for clients and operators.",
    "pages": "Pages for people, and this description.",
    "aliases": "Older addresses of the operations above. New clients use the main ones.",
}
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A kind of answer.

    Attributes:
        model: shape of the JSON; None for text, and for JSON of no fixed shape.
        examples: names of the files in `web/examples`.
        headers: names of the headers that always come with it.
    """

    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON
    examples: tuple[str, ...] = ()
    headers: tuple[str, ...] = ("X-Request-ID",)


@dataclass(frozen=True)
class Operation:
    """The description of a route beside its address.

    Attributes:
        answers: status → name of a kind of answer.
        key: name of the security scheme that may be needed.
    """

    id: str
    tag: str
    summary: str
    answers: Mapping[int, str]
    takes_photo: bool = False
    key: str | None = None


def _failure(status: int, example: str, *headers: str) -> Answer:
    return Answer(codes_of(status), shapes.Failure, examples=(example,), headers=("X-Request-ID", *headers))


ANSWERS: Mapping[str, Answer] = {
    "SkinReport": Answer(
        "A skin report, or a refused photo: then success is false and error_code says why.",
        shapes.AnalysisAnswer,
        examples=("report", "report_refused"),
    ),
    "Faces": Answer(
        "The faces that an analysis would accept; none: success is false and error_code says why.",
        shapes.FaceAnswer,
        examples=("faces", "faces_refused"),
    ),
    "ModelStatus": Answer("The state of the learned ensemble", shapes.ModelStatus, examples=("model_status",)),
    "Health": Answer("The process lives", shapes.Health, examples=("health",)),
    "Ready": Answer("Warmed up", shapes.Ready),
    "NotReady": Answer("Still warming up", shapes.Ready),
    "Text": Answer("Text", media_type="text/plain"),
    "Page": Answer("Page", media_type="text/html"),
    "Description": Answer("OpenAPI 3.1"),
    "BadRequest": _failure(400, "bad_base64"),
    "Unauthorized": _failure(401, "unauthorized", "WWW-Authenticate"),
    "Forbidden": _failure(403, "forbidden"),
    "TooLarge": _failure(413, "too_large"),
    "UnsupportedType": _failure(415, "unsupported_type"),
    "RateLimited": _failure(429, "rate_limited", "Retry-After"),
    "InternalError": _failure(500, "internal_error"),
    "Busy": _failure(503, "busy", "Retry-After"),
}
FAULT: Mapping[int, str] = {500: "InternalError"}
PHOTO_FAILURES: Mapping[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    413: "TooLarge",
    415: "UnsupportedType",
    429: "RateLimited",
    503: "Busy",
    **FAULT,
}
OPERATIONS: Mapping[str, Operation] = {  # by the name of the route's function
    "detect_faces": Operation(
        "detectFaces", "photos", "Find faces", {200: "Faces", **PHOTO_FAILURES}, takes_photo=True, key="key"
    ),
    "analyze": Operation(
        "analyzeSkin", "photos", "Analyse the skin", {200: "SkinReport", **PHOTO_FAILURES}, takes_photo=True, key="key"
    ),
    "status": Operation("modelStatus", "service", "Model status", {200: "ModelStatus", **FAULT}),
    "health": Operation("liveness", "service", "Liveness as text", {200: "Text", **FAULT}),
    "system_health": Operation("serviceHealth", "service", "Liveness as JSON", {200: "Health", **FAULT}),
    "ready": Operation("readiness", "service", "Readiness", {200: "Ready", 503: "NotReady", **FAULT}),
    "metrics": Operation(
        "metrics", "service", "Metrics for operators", {200: "Text", 403: "Forbidden", **FAULT}, key="operator"
    ),
    "describe": Operation("openapiDescription", "pages", "This description", {200: "Description", **FAULT}),
    "docs": Operation("documentationPage", "pages", "Documentation page", {200: "Page", **FAULT}),
    "home": Operation("homePage", "pages", "Page for people", {200: "Page", **FAULT}),
}
