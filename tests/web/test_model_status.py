"""The model status: everything that the card and the store know, honest about what failed, paths for operators alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analyzer.settings import Settings
from analyzer.values import ModelState
from application import create_app
from tests.analyzer.predictions import CLASSES, LOADED, Answering, prediction
from tests.web import records

STATUS = "/api/v5/skin/model-status"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}
FAILED = "S3 bucket shine-skincare-models answered 403."
NOTHING = ModelState(False, "No ensemble artefact is installed.")


def status(state: ModelState, **environment: str) -> Any:
    client = create_app(Settings(), Answering(prediction(), state)).test_client()  # type: ignore[arg-type]
    answer = client.get(STATUS, environ_overrides=environment)
    assert answer.status_code == 200
    records.check_schema("model_status", answer.json)
    return answer.json


def test_a_loaded_model_tells_all_that_is_known_of_it() -> None:
    answer = status(LOADED)
    assert (answer["status"], answer["model_loaded"], answer["classes"]) == ("healthy", True, list(CLASSES))
    assert answer["model_status"]["fallback_reason"] is None
    facial = answer["model_status"]["model_details"]["facial"]
    known = {name: LOADED.details[name] for name in facial if name not in ("available", "metrics")}
    assert facial == {
        **known,
        "available": True,
        "metrics": {"accuracy": {"value": 0.8, "interval": [0.77, 0.83], "count": 900}},
    }
    assert answer["hare_run_v6"] == {
        "available": True,
        "version": "6.1",
        "accuracy": LOADED.details["accuracy"],
        "classes": list(CLASSES),
    }


@pytest.mark.parametrize(
    ("state", "operators_read", "others_read"),
    [
        (LOADED, None, None),
        (replace(LOADED, fallback_reason=FAILED), FAILED, "A preferred source of the model failed"),
        (NOTHING, NOTHING.reason, NOTHING.reason),
        (replace(NOTHING, fallback_reason=FAILED), FAILED, NOTHING.reason),
    ],
)
def test_what_failed_degrades_the_status_and_its_cause_is_for_operators(
    state: ModelState, operators_read: str | None, others_read: str | None
) -> None:
    seen, hidden = status(state), status(state, **ELSEWHERE)
    assert seen["status"] == hidden["status"] == ("healthy" if operators_read is None else "degraded")
    assert seen["model_loaded"] is hidden["model_loaded"] is state.available
    assert seen["model_status"]["fallback_reason"] == operators_read
    assert (hidden["model_status"]["fallback_reason"] or "").startswith(others_read or "")
    assert "403" not in str(hidden)


def test_places_are_for_operators() -> None:
    facial = status(LOADED, **ELSEWHERE)["model_status"]["model_details"]["facial"]
    places = ("path", "s3_location", "s3_version_id")
    assert [facial[name] for name in places] == [None, None, None]
    assert (facial["source"], facial["sha256"], facial["precision"]) == ("local", "ab" * 32, "f32")
