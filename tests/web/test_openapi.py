"""The description is valid, whole, and true of what the service answers."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from web.routes import ROUTES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schemathesis.serializer.alias("image/heic", "image/png")
APP = create_app(Settings())
DESCRIPTION = schemathesis.openapi.from_wsgi("/openapi.json", APP)


@DESCRIPTION.exclude(path="/ready").parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_get_described_answers(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)


def test_every_route_is_described(app: Flask, client: FlaskClient) -> None:
    description = client.get("/openapi.json").json
    described = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}
    assert description["openapi"].startswith("3.1")
    assert described == {(path, route.method) for route in ROUTES for path in route.paths}


def test_all_schemas_are_valid_and_all_references_lead_somewhere(client: FlaskClient) -> None:
    description = client.get("/openapi.json").json
    schemas = description["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    references = set(_references(description))
    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(schemas)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


@pytest.mark.parametrize("path", [records.DETECT, records.ANALYZE])
def test_a_real_answer_fits_the_description(client: FlaskClient, portrait_jpeg: bytes, path: str) -> None:
    description = client.get("/openapi.json").json
    answer = client.post(path, data=portrait_jpeg, content_type="image/jpeg").json
    schema = description["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": description["components"]}).validate(answer)
