"""Whether an answer has the shape of the contract and of /openapi.json, and whether it went out whole."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from tests.web import records
from web import openapi
from web.routes import ROUTES, kinds

DETECT_PATHS, ANALYZE_PATHS = (
    next(route.paths for route in ROUTES if route.view.__name__ == name) for name in ("detect_faces", "analyze")
)
HAND_WRITTEN = {"detect_faces": ("face_refusal", "face"), "analyze": ("analysis_refusal", "analysis")}


def check_answer(answer: TestResponse, path: str) -> Any:
    """Hold an answer of a picture route against both schemas.

    Returns:
        Its JSON.
    """
    body = check_described(answer, path)
    records.check_schema(HAND_WRITTEN[kinds()[path]][body["success"]], body)
    return body


def check_described(answer: TestResponse, path: str) -> Any:
    """Hold an answer of a picture route against the description alone; its JSON."""
    body = json.loads(answer.data.decode("utf-8"))
    errors = [f"{error.json_path}: {error.message[:200]}" for error in _described(path).iter_errors(body)]
    assert not errors, errors
    return body


@cache
def _described(path: str) -> Draft202012Validator:
    description = json.loads(openapi.document(ROUTES))
    schema = description["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": description["components"]})


def mended(app: Flask) -> int:
    """How many answers of this app went out without a part."""
    text = app.extensions["service"].metrics.text().decode()
    (count,) = re.findall(r"^skin_answers_mended_total (\S+)$", text, re.MULTILINE)
    return int(float(count))
