"""The OpenAPI 3.1 description, made from the models that check the answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from web import shapes
from web.fields import INCLUDABLE, DemographicsField
from web.service import Route

VERSION = "6.0.0"
REF = "#/components/schemas/{model}"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNomPIAAAOEAhuKt5a1AAAAAElFTkSuQmCC"


class ImageRequest(BaseModel):
    """A picture as base64, with or without a data URL prefix. Unknown fields are ignored."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["image"]}, {"required": ["image_data"]}]})

    image: Annotated[str, Field(examples=[PIXEL])] = ""
    image_data: Annotated[str, Field(description="The same under another name.")] = ""
    demographics: DemographicsField | None = None
    include: Annotated[
        list[str] | None, Field(description=f"Parts out of {', '.join(INCLUDABLE)}; others are ignored.")
    ] = None


RESPONSE_SCHEMAS: Mapping[str, tuple[Mapping[int, type[BaseModel]], str]] = {
    "detect_faces": ({200: shapes.FaceAnswer}, "Find faces"),
    "analyze": ({200: shapes.AnalysisAnswer}, "Analyse the skin"),
    "status": ({200: shapes.ModelStatus}, "Model status"),
    "system_health": ({200: shapes.Health}, "Health as JSON"),
    "ready": ({200: shapes.Ready, 503: shapes.Ready}, "Readiness"),
}
TEXTS = {
    "health": ("Liveness", "text/plain"),
    "metrics": ("Prometheus metrics, for operators", "text/plain"),
    "describe": ("This description", "application/json"),
    "docs": ("Documentation page", "text/html"),
    "home": ("Page for people", "text/html"),
}
UPLOAD_STATUSES = {
    400: "bad_json, missing_image, bad_base64, bad_image, truncated_image or incomplete_upload",
    401: "unauthorized, where keys are set",
    413: "too_large or too_many_pixels",
    415: "unsupported_type",
    429: "rate_limited, where a limit is set",
    500: "internal_error",
    503: "busy",
}


@cache
def document(routes: tuple[Route, ...]) -> bytes:
    """The description of the routes as JSON."""
    models = {model for answers, _ in RESPONSE_SCHEMAS.values() for model in answers.values()} | {shapes.Failure}
    names, schemas = models_json_schema(
        [(ImageRequest, "validation"), *((model, "serialization") for model in sorted(models, key=_name))],
        ref_template=REF,
    )
    references = {model.__name__: reference for (model, _), reference in names.items()}
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Hare Run V6 skin service",
                "version": VERSION,
                "description": "A selfie in, a cosmetic skin report out. Not a medical diagnosis.",
            },
            "paths": _paths(routes, references),
            "components": {
                "schemas": schemas["$defs"],
                "securitySchemes": {name: {"type": "http", "scheme": "bearer"} for name in ("operator", "key")},
            },
        }
    )


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _paths(routes: tuple[Route, ...], references: Mapping[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        for index, path in enumerate(route.paths):
            paths[path] = {route.method.lower(): _operation(route, index, references)}
    return paths


def _operation(route: Route, index: int, references: Mapping[str, Any]) -> dict[str, Any]:
    name = route.view.__name__
    operation: dict[str, Any] = {
        "operationId": name if index == 0 else f"{name}_{index}",
        "summary": RESPONSE_SCHEMAS[name][1] if name in RESPONSE_SCHEMAS else TEXTS[name][0],
        "description": (route.view.__doc__ or "") + (f" Alias of {route.paths[0]}." if index else ""),
        "responses": _responses(name, references),
    }
    if route.method == "POST":
        operation["requestBody"] = _body(references)
        operation["security"] = [{}, {"key": []}]
    if name == "metrics":
        operation["security"] = [{}, {"operator": []}]
    return operation


def _responses(name: str, references: Mapping[str, Any]) -> dict[str, Any]:
    if name in TEXTS:
        answers = {"200": {"description": TEXTS[name][0], "content": {TEXTS[name][1]: {}}}}
        if name == "metrics":
            answers["403"] = _answer("forbidden", references["Failure"])
        return answers
    models = RESPONSE_SCHEMAS[name][0]
    answers = {
        str(code): _answer(RESPONSE_SCHEMAS[name][1], references[model.__name__]) for code, model in models.items()
    }
    if name in ("detect_faces", "analyze"):
        shape = references[models[200].__name__]
        answers |= {str(code): _answer(text, shape) for code, text in UPLOAD_STATUSES.items()}
        for status in ("429", "503"):
            answers[status]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return answers


def _answer(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(references: Mapping[str, Any]) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    texts = {"demographics": {"type": "string"}, "include": {"type": "string"}}
    form = {"type": "object", "properties": {"image": binary, **texts}, "required": ["image"]}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": references["ImageRequest"]},
            "multipart/form-data": {"schema": form},
            "image/jpeg": {"schema": binary},
            "image/png": {"schema": binary},
            "image/webp": {"schema": binary},
            "image/gif": {"schema": binary},
            "image/heic": {"schema": binary},
            "application/octet-stream": {"schema": binary},
        },
    }
