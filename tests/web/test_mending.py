"""The last line of defence: whatever fails in an answer is left out of it, logged without data, counted, and never 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from pydantic import ValidationError

from analyzer.values import Demographics, ModelState
from analyzer.vocabulary import CheckCode, Severity
from tests.analyzer.predictions import LOADED, graded, prediction
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.page_reads import read_faces, read_report
from tests.web.records import ANALYZE, DETECT
from tests.web.schema_checks import check_answer, check_described, mended
from web import answers, faces, findings, numbers, opinion, pictures, shapes, wire, words
from web.fields import INCLUDABLE

PICTURE = records.encoded(records.picture())
VOLATILE = ("request_id", "timestamp", "processing_time_seconds", "processing_time_ms", "api_metadata")
SECRET = "a word out of a picture"


def fail(*values: Any, **named: Any) -> Any:
    raise KeyError(SECRET)


def send(client: FlaskClient, path: str) -> Any:
    answer = client.post(path, json={"image": PICTURE, "include": list(INCLUDABLE)}, headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 200
    check_described(answer, path)
    return {name: part for name, part in answer.json.items() if name not in VOLATILE}


def changed(before: Any, after: Any, path: str = "") -> set[str]:
    """Paths of the leaves that differ, or are in one of the two alone; of lists, the list."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = before.keys() | after.keys()
        return {
            leaf
            for name in names - set(VOLATILE)
            for leaf in changed(before.get(name), after.get(name), f"{path}.{name}" if path else name)
        }
    return set() if before == after else {path}


DETECTION_PARTS: dict[str, tuple[ModuleType, str, set[str]]] = {
    "quality_metrics": (faces, "quality_metrics", {"quality_metrics"}),
    "quality_checks": (faces, "check_entry", {"quality_checks"}),
    "timings_ms": (numbers, "timings", {"timings_ms"}),
    "faces.cropped_face_image": (pictures, "face_crop", {"faces"}),
    "faces.eyes": (faces, "_eyes", {"faces"}),
    "faces.landmarks": (faces, "_landmarks", {"faces"}),
}
REPORT_PARTS: dict[str, tuple[ModuleType, str, set[str]]] = {
    "face_detection.quality_metrics": (faces, "quality_metrics", {"face_detection.quality_metrics"}),
    "face_detection": (faces, "analysed_face", {"face_detection"}),
    "quality_checks": (faces, "check_entry", {"quality_checks"}),
    "skin_tone": (wire, "_skin_tone", {"skin_tone"}),
    "timings_ms": (numbers, "timings", {"timings_ms"}),
    "regions": (findings, "region_scores", {"regions"}),
    "skin_analysis": (findings, "skin_analysis", {"skin_analysis"}),
    "skin_analysis.conditions_detected": (findings, "_located_entry", {"skin_analysis.conditions_detected"}),
    "recommendations": (wire, "_recommendations", {"recommendations"}),
    "ensemble": (opinion, "block", {"ensemble"}),
    "detected_conditions": (
        opinion,
        "listed",
        {"detected_conditions", "result.detected_conditions", "all_predictions", "top_3_predictions"},
    ),
    "explanation": (opinion, "explain", set()),  # there is none to begin with: the record has no Roi
    "overlays": (pictures, "annotated", {"overlays"}),
    "region_outlines": (pictures, "region_outlines", {"region_outlines"}),
    "lesions": (findings, "lesion_entry", {"lesions"}),
    "result.demographics": (wire, "_echo", {"result.age_group", "result.gender"}),
}


def usual_report() -> Any:
    saw = prediction({"redness": 0.9, "healthy": 0.1})
    person = Demographics(age=34, gender="woman")
    return replace(records.report(records.findings(acne=Severity.MODERATE), person, saw), model=LOADED)


@pytest.mark.parametrize("part", DETECTION_PARTS)
def test_a_part_of_a_detection_that_fails_is_left_out_alone(
    app: Flask, client: FlaskClient, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    module, name, touched = DETECTION_PARTS[part]
    fake.detection = records.detection_with_landmarks()
    whole = send(client, DETECT)
    monkeypatch.setattr(module, name, fail)
    answer = send(client, DETECT)
    assert {path.split(".")[0] for path in changed(whole, answer)} == touched
    assert read_faces(answer)
    assert mended(app) == 1


@pytest.mark.parametrize("part", REPORT_PARTS)
def test_a_part_of_a_report_that_fails_is_left_out_alone(
    app: Flask, client: FlaskClient, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    module, name, touched = REPORT_PARTS[part]
    fake.report = usual_report()
    whole = send(client, ANALYZE)
    monkeypatch.setattr(module, name, fail)
    answer = send(client, ANALYZE)
    differing = changed(whole, answer)
    assert {prefix for prefix in touched if any(path.startswith(prefix) for path in differing)} == touched
    assert [path for path in differing if not path.startswith(tuple(touched))] == []
    assert answer["success"] is True
    read_report(answer, 0)
    assert mended(app) == 1


def test_a_condition_that_cannot_be_shown_is_not_measured_and_the_others_stay(
    app: Flask, client: FlaskClient, fake: FakePipeline
) -> None:
    broken = tuple(
        replace(finding, severity="mild") if finding.name == "redness" else finding  # type: ignore[arg-type]
        for finding in records.findings(acne=Severity.MODERATE)
    )
    fake.report = records.report(broken)
    result = send(client, ANALYZE)["result"]
    assert result["unmeasured_conditions"] == ["redness"]
    assert result["conditions"]["redness"]["reason_code"] == "undefined"
    assert result["conditions"]["acne"]["severity"] == "moderate"
    assert mended(app) == 1


def test_a_check_that_the_wire_does_not_know_is_left_out_alone(
    app: Flask, client: FlaskClient, fake: FakePipeline
) -> None:
    unheard_of = replace(records.checks()[0], code="covered", passed=False)  # type: ignore[arg-type]
    fake.detection = replace(records.detection(), checks=(*records.checks(), unheard_of))
    fake.report = replace(records.report(), checks=(*records.checks(), unheard_of))
    for path in (DETECT, ANALYZE):
        assert [check["code"] for check in send(client, path)["quality_checks"]] == list(CheckCode)
    assert mended(app) == 2


def test_a_refusal_that_the_wire_does_not_know_keeps_its_guidance(
    app: Flask, client: FlaskClient, fake: FakePipeline
) -> None:
    fake.detection = replace(records.detection("blur"), error_code="covered")  # type: ignore[arg-type]
    fake.report = replace(records.refusal("blur"), error_code="covered")  # type: ignore[arg-type]
    for path in (DETECT, ANALYZE):
        answer = send(client, path)
        assert (answer["error_code"], answer["message"]) == ("internal_error", "Refused: blur.")
    assert mended(app) == 2


@pytest.mark.parametrize("path", [DETECT, ANALYZE])
def test_at_worst_a_minimal_answer_goes_out(
    app: Flask, client: FlaskClient, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for module in (faces, findings, numbers, opinion, pictures):
        for name in [name for name, held in vars(module).items() if isinstance(held, FunctionType)]:
            monkeypatch.setattr(module, name, fail)
    answer = check_answer(client.post(path, json={"image": PICTURE}), path)
    assert (answer["success"], answer["error_code"]) == (False, "internal_error")
    assert mended(app) == 1


@pytest.mark.parametrize("shape", [shapes.FaceAnswer, shapes.AnalysisAnswer])
def test_any_field_of_an_answer_may_be_wrong(shape: type[shapes.Answer]) -> None:
    needed = {"request_id": "a", "timestamp": "b"}
    for name, field in shape.model_fields.items():
        if name not in needed:
            answer = shape(**needed, **{name: object()})
            assert getattr(answer, name) == field.get_default()
    assert shape(**needed, unheard_of=1) == shape(**needed)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        shape(request_id="a")  # type: ignore[call-arg]


UNWRITABLE = {
    "numpy": ({"value": np.float32(0.5), "count": np.int64(3)}, {"value": 0.5, "count": 3}),
    "surrogates": ({"text": "\ud800 is no character"}, {"text": "? is no character"}),
    "huge": ({"count": 10**30}, {"count": None}),
    "object": ({"held": object(), "list": (1, {2})}, {"held": None, "list": [1, None]}),
    "keys": ({1: {"\udfff": None}}, {"1": {"?": None}}),
}


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_what_json_cannot_hold_is_null_and_the_rest_goes_out(app: Flask, kind: str) -> None:
    metrics, written = UNWRITABLE[kind]
    details = shapes.ModelDetails.model_construct(metrics=metrics, version="6.1", available=True)
    with app.test_request_context():
        body = json.loads(answers.json_answer(details).data)
        noted = g.get("mended")
    assert (body["metrics"], body["version"], body["available"]) == (written, "6.1", True)
    assert noted == ["json"]


def test_texts_that_utf_8_cannot_hold_are_made_readable_unnoticed(
    app: Flask, client: FlaskClient, fake: FakePipeline
) -> None:
    fake.report = replace(records.report(), summary="half a \ud83d pair", model=ModelState(False, "\udfff"))
    answer = send(client, ANALYZE)
    assert (answer["summary"], answer["degraded_reason"]) == ("half a ? pair", "?")
    assert mended(app) == 0


def test_the_model_status_is_told_whatever_the_card_says(app: Flask, client: FlaskClient) -> None:
    odd = ModelState(True, None, {**LOADED.details, "size": "large", "metrics": {"accuracy": np.float32(0.5)}})
    app.extensions["service"].ensemble.state = lambda: odd
    answer = client.get("/api/v5/skin/model-status")
    assert answer.status_code == 200
    assert answer.json["model_status"]["model_details"]["facial"]["available"] is True
    assert mended(app) == 1


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("no memory")])
def test_want_of_memory_is_still_busy(
    app: Flask, client: FlaskClient, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    if isinstance(error, cv2.error):
        error.code = cv2.Error.StsNoMem

    def no_room(*values: Any) -> Any:
        raise error

    monkeypatch.setattr(pictures, "annotated", no_room)
    answer = client.post(ANALYZE, json={"image": PICTURE, "include": ["overlays"]})
    assert (answer.status_code, answer.json["error_code"]) == (503, "busy")
    assert mended(app) == 0


@pytest.fixture
def lines(app: Flask, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[Any]]:
    """The lines of the log since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_the_log_names_request_and_part_but_no_data(
    client: FlaskClient,
    fake: FakePipeline,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[Any]],
) -> None:
    monkeypatch.setattr(words, "LIGHTING", words.Words({}, SECRET, SECRET))  # type: ignore[type-var]
    monkeypatch.setattr(wire, "_recommendations", fail)
    send(client, ANALYZE)
    logged = lines()
    noted = [line for line in logged if line["event"] == "answer_mended"]
    assert {(line["request_id"], line["level"]) for line in noted} == {("abc-1", "error")}
    assert [line["part"] for line in noted] == ["face_detection.quality_metrics", "recommendations"]
    assert noted[0]["refused"] == ["lighting: enum"]
    assert noted[1]["fault"]["type"] == "builtins.KeyError"
    assert [line["mended"] for line in logged if line["event"] == "request"] == [[line["part"] for line in noted]]
    assert SECRET not in json.dumps(logged)


def test_an_answer_counts_once_however_many_parts_failed(
    app: Flask, client: FlaskClient, fake: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.report = records.report(prediction=graded({"acne": (0.9, 2)}))
    for module, name in ((wire, "_recommendations"), (opinion, "block"), (findings, "region_scores")):
        monkeypatch.setattr(module, name, fail)
    send(client, ANALYZE)
    assert mended(app) == 1
    monkeypatch.undo()
    send(client, ANALYZE)
    assert mended(app) == 1
