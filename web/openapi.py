"""The OpenAPI 3.1 description, made from the route table and from the models that check the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from web.operations import ANSWERS, JSON, OPERATIONS, TAGS, Answer, Operation
from web.schemas import PIXEL, REFERENCE, ImageRequest, PhotoForm, component_schemas
from web.service import Route

VERSION = "6.0.0"
EXAMPLES = Path(__file__).with_name("examples")
PHOTO_TYPES = "image/jpeg, image/png, image/webp, image/gif, image/heic and image/avif"
HEADERS = {
    name: {"description": description, "required": True, "schema": {"type": kind}}
    for name, kind, description in (
        ("X-Request-ID", "string", "Id of the request in the log"),
        ("Retry-After", "integer", "Seconds until trying again makes sense"),
        ("WWW-Authenticate", "string", "Bearer"),
    )
}
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "Id for the log; made if absent.",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._\-]{1,64}$"},
}


@cache
def document(routes: tuple[Route, ...]) -> bytes:
    """Return the description of the routes as JSON."""
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Hare Run V6 skin service",
                "version": VERSION,
                "description": "A selfie in, a cosmetic skin report out. Not a medical diagnosis.",
            },
            "servers": [{"url": "/", "description": "The host that serves this description"}],
            "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
            "security": [{}, {"key": []}],
            "paths": _paths(routes),
            "components": {
                "schemas": component_schemas(answer.model for answer in ANSWERS.values() if answer.model),
                "securitySchemes": {name: {"type": "http", "scheme": "bearer"} for name in ("operator", "key")},
            },
        }
    )


def _paths(routes: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        for path in route.paths:
            paths[path] = {route.method.lower(): _described(route, path)}
    return paths


def _described(route: Route, path: str) -> dict[str, Any]:
    operation, main = OPERATIONS[route.view.__name__], route.paths[0]
    return _operation(operation, route.view.__doc__ or "") if path == main else _alias(operation, main, path)


def _operation(operation: Operation, description: str, *, with_examples: bool = True) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": description,
        "responses": {
            str(status): _response(ANSWERS[name], with_examples) for status, name in operation.answers.items()
        },
    }
    if operation.takes_photo:
        return described | {"parameters": [REQUEST_ID], "requestBody": _photo_body()}
    return described | {"security": [{}, {operation.key: []}] if operation.key else []}


def _alias(operation: Operation, main: str, path: str) -> dict[str, Any]:
    """Describe an older address; an id that is made of the path stays the same when others come or go."""
    words = re.split(r"[/-]", path.removeprefix("/api/"))
    return _operation(operation, f"The same as {main}.", with_examples=False) | {
        "operationId": operation.id + "".join(map(str.capitalize, words)),
        "tags": ["aliases"],
        "deprecated": True,
        "x-alias-of": main,
    }


def _response(answer: Answer, with_examples: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "object" if answer.media_type == JSON else "string"}}
    if answer.model:
        content["schema"] = _reference(answer.model)
    if answer.examples and with_examples:
        content["examples"] = {name: _example(name) for name in answer.examples}
    return {
        "description": answer.description,
        "headers": {name: HEADERS[name] for name in answer.headers},
        "content": {answer.media_type: content},
    }


def _photo_body() -> dict[str, Any]:
    """Describe the body; types of pictures stand in words, since generators know application/octet-stream alone."""
    request = {"image": PIXEL, "demographics": {"age": 34}, "include": ["lesions"]}
    form = {"schema": _reference(PhotoForm), "encoding": {"demographics": {"contentType": JSON}}}
    return {
        "required": True,
        "description": f"A JPEG, PNG, WebP, GIF, HEIC or AVIF photo. As bytes it may also come as {PHOTO_TYPES}.",
        "content": {
            JSON: {"schema": _reference(ImageRequest), "examples": {"pixel": {"value": request}}},
            "multipart/form-data": form,
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }


def _example(name: str) -> dict[str, Any]:
    return {"summary": name.replace("_", " "), "value": orjson.loads((EXAMPLES / f"{name}.json").read_bytes())}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}
