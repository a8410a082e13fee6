"""The description is valid, whole, and true of what the service answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from analyzer.quality import REFUSALS
from analyzer.settings import Settings
from analyzer.vocabulary import CheckCode, ErrorCode
from application import create_app
from tests.test_documentation import outline
from tests.web import real_answers, records
from web import shapes
from web.errors import STATUS
from web.failure_codes import MEANINGS, failure_codes
from web.openapi import EXAMPLES, PHOTO_TYPES
from web.operations import OPERATIONS
from web.routes import ROUTES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
APP = create_app(Settings())
DESCRIPTION = schemathesis.openapi.from_wsgi("/openapi.json", APP)


@DESCRIPTION.exclude(path="/ready").parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_get_described_answers(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)


@pytest.fixture(scope="module")
def description() -> Any:
    return APP.test_client().get("/openapi.json").json


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return real_answers.answers()


def operations(description: Any) -> Iterator[tuple[str, str, Any]]:
    """Path, method and description of every operation."""
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def media_types(description: Any) -> Iterator[Any]:
    """Schema and examples of every answer."""
    for _, _, operation in operations(description):
        for answer in operation["responses"].values():
            yield from answer["content"].values()


def resolved(description: Any, schema: Any) -> Any:
    """A schema that finds its references."""
    return {**schema, "components": description["components"]}


def test_every_route_is_described(description: Any) -> None:
    described = {(path, method) for path, method, _ in operations(description)}
    assert described == {(path, route.method) for route in ROUTES for path in route.paths}
    assert {route.view.__name__ for route in ROUTES if route.paths} == set(OPERATIONS)


def test_document_is_valid_openapi(description: Any) -> None:
    assert description["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(description).validate()


def test_operation_ids_are_unique_names(description: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z][A-Za-z0-9]+", name) for name in ids)
    assert {"analyzeSkin", "detectFaces", "modelStatus"} <= set(ids)


def test_older_addresses_are_deprecated_and_point_to_the_main_one(description: Any) -> None:
    main = {path: route.paths[0] for route in ROUTES for path in route.paths}
    for path, _, operation in operations(description):
        if path == main[path]:
            assert "deprecated" not in operation
            assert operation["tags"] != ["aliases"]
        else:
            assert operation["deprecated"] is True
            assert (operation["tags"], operation["x-alias-of"]) == (["aliases"], main[path])


def test_tags_and_a_server_are_named(description: Any) -> None:
    used = {tag for _, _, operation in operations(description) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in description["tags"]}
    assert description["servers"][0]["url"] == "/"


def test_every_operation_describes_its_failures(description: Any) -> None:
    for path, method, operation in operations(description):
        failures = {status: answer for status, answer in operation["responses"].items() if status != "200"}
        expected = {"400", "401", "413", "415", "429", "500", "503"} if method == "POST" else {"500"}
        assert expected <= set(failures), path
        for status, answer in failures.items():
            shape = "Ready" if (path, status) == ("/ready", "503") else "Failure"
            assert answer["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{shape}"}
        if method == "POST":
            assert all(failures[status]["headers"]["Retry-After"] for status in ("429", "503"))


def test_request_is_an_object_whose_fields_are_optional(description: Any) -> None:
    request = description["components"]["schemas"]["ImageRequest"]
    assert request["type"] == "object"
    assert request["additionalProperties"] is True
    assert not {"anyOf", "oneOf", "allOf", "required"} & set(request)
    assert {"image", "image_data", "demographics", "include"} <= set(request["properties"])
    assert not [name for name, field in request["properties"].items() if "default" in field]


def test_a_client_of_today_takes_a_field_of_tomorrow(description: Any, real: dict[str, Any]) -> None:
    later = {**real["report"], "field_of_tomorrow": 1}
    later["result"] = {**later["result"], "field_of_tomorrow": 1}
    schema = {"$ref": "#/components/schemas/AnalysisAnswer"}
    Draft202012Validator(resolved(description, schema)).validate(later)


def test_all_fields_of_an_answer_are_required_unless_they_can_be_absent(description: Any) -> None:
    schema = description["components"]["schemas"]["AnalysisAnswer"]
    assert set(schema["properties"]) - set(schema["required"]) == {
        name for name, field in shapes.AnalysisAnswer.model_fields.items() if field.exclude_if
    }


def test_no_boolean_is_a_constant(description: Any) -> None:
    """openapi-generator compares it with the text "false"."""
    text = json.dumps(description["components"]["schemas"])
    assert '"const": false' not in text
    assert '"const": true' not in text


def test_examples_have_the_fields_of_real_answers(description: Any, real: dict[str, Any]) -> None:
    """A field that is newer than an example is no fault of it; `make examples` writes them anew."""
    examples = {name: value for media in media_types(description) for name, value in media.get("examples", {}).items()}
    assert set(examples) == set(real) == {path.stem for path in EXAMPLES.glob("*.json")}
    for name, example in examples.items():
        assert outline(example["value"]).items() <= outline(real[name]).items(), f"{name}: run make examples"


def test_real_answers_fit_the_description(description: Any, real: dict[str, Any]) -> None:
    for media in media_types(description):
        for name in media.get("examples", {}):
            Draft202012Validator(resolved(description, media["schema"])).validate(real[name])


def test_every_code_has_a_meaning_and_stands_in_the_document() -> None:
    codes = {failure.code for failure in failure_codes()}
    assert set(MEANINGS) == set(STATUS)
    assert codes == set(STATUS) | set(REFUSALS)
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    assert [code for code in codes if f"`{code}`" not in text] == []


@pytest.mark.parametrize("path", [records.DETECT, records.ANALYZE])
@pytest.mark.parametrize("media_type", PHOTO_TYPES.replace(" and", ",").split(", "))
def test_types_of_pictures_that_stand_in_words_are_taken(client: FlaskClient, path: str, media_type: str) -> None:
    assert client.post(path, data=records.picture(), content_type=media_type).status_code == 200


def test_a_choice_between_enums_is_one_list_of_words(description: Any) -> None:
    """openapi-generator wraps a choice in a class of its own, which equals no word."""
    words, null = description["components"]["schemas"]["AnalysisAnswer"]["properties"]["error_code"]["anyOf"]
    assert set(words["enum"]) == {*CheckCode, *ErrorCode}
    assert null == {"type": "null"}
