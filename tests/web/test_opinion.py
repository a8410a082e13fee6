"""The ensemble in an answer: its block, what it may list, what it never changes, its explanation, and no disease's name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient

from analyzer.errors import ModelUnavailable
from analyzer.settings import Settings
from analyzer.values import Demographics, Prediction
from analyzer.vocabulary import Severity
from application import create_app
from tests.analyzer.predictions import (
    CLASSES,
    DISEASES,
    LOADED,
    REFERRAL,
    UNSTATED,
    Answering,
    prediction,
    probable,
    weak,
)
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE

BODY = {"image": records.encoded(records.picture())}
OF_THIS_REQUEST = ("request_id", "timestamp", "processing_time_seconds", "timings_ms", "api_metadata")
OF_THE_MODEL = ("ensemble", "enhanced_ml", "degraded", "degraded_reason", "model_version", "accuracy", "model_info")
SILENT = {
    "weak": weak,
    "unfamiliar": lambda shares: prediction(shares, distance=99.0),
    "undecided": lambda shares: prediction(shares, threshold=0.99),
}


@pytest.fixture(scope="module")
def ensemble() -> Answering:
    """A double whose answer a test exchanges."""
    return Answering(prediction())


@pytest.fixture(scope="module")
def real(ensemble: Answering) -> Iterator[FlaskClient]:
    """The whole service with the real pipeline; only the ensemble is a double."""
    with create_app(Settings(max_analyses=2), ensemble).test_client() as client:  # type: ignore[arg-type]
        yield client


def body(client: FlaskClient, portrait: bytes, include: str = "", **more: Any) -> Any:
    answer = client.post(ANALYZE, json={"image": records.encoded(portrait), "include": include.split(), **more})
    assert answer.status_code == 200
    records.check_schema("analysis", answer.json)
    return answer


def without(answer: Any, *names: str) -> Any:
    kept = {name: value for name, value in answer.items() if name not in names}
    inner = {name: value for name, value in kept["result"].items() if name not in names}
    return {**kept, "result": inner}


def block(client: FlaskClient, fake: FakePipeline, answer: Prediction, **severities: Severity) -> Any:
    """The `ensemble` block beside findings of these severities."""
    fake.report = records.report(records.findings(**severities), prediction=answer)
    whole = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", whole)
    return whole["ensemble"]


@pytest.mark.parametrize("kind", SILENT)
def test_a_silent_model_changes_its_block_and_nothing_else(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes, kind: str
) -> None:
    ensemble.answer = ModelUnavailable("None.", "Install one.")
    plain = body(real, portrait_jpeg).json
    assert (plain["ensemble"], plain["degraded"], plain["degraded_reason"]) == (None, True, "None.")
    for top in CLASSES:
        ensemble.answer = SILENT[kind](probable(top, 0.9))
        answer = body(real, portrait_jpeg).json
        assert answer["ensemble"]["top"]["probability"] >= 0.9
        changed = (*OF_THIS_REQUEST, *OF_THE_MODEL)
        assert without(answer, *changed) == without(plain, *changed)


@pytest.mark.parametrize("top", CLASSES)
def test_a_model_that_speaks_changes_words_and_lists_but_no_measured_figure(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes, top: str
) -> None:
    ensemble.answer = weak(probable(top))
    plain = body(real, portrait_jpeg).json
    ensemble.answer = prediction(probable(top))
    answer = body(real, portrait_jpeg).json
    words = ("summary", "analysis_summary", "message", "recommendations")
    lists = ("detected_conditions", "all_predictions", "top_3_predictions")
    changed = (*OF_THIS_REQUEST, "ensemble", *words, *lists)
    assert without(answer, *changed) == without(plain, *changed)
    assert answer["detected_conditions"][: len(plain["detected_conditions"])] == plain["detected_conditions"]
    added = answer["detected_conditions"][len(plain["detected_conditions"]) :]
    assert [(entry["name"], entry["source"]) for entry in added] == ([("acne", "ensemble")] if top == "acne" else [])
    assert answer["result"]["detected_conditions"] == answer["detected_conditions"]
    assert answer["summary"] == f"{plain['summary']} {answer['ensemble']['agreement_text']}"
    refers = top in UNSTATED
    assert (REFERRAL in answer["recommendations"]["professional_advice"]) is refers
    assert answer["recommendations"]["professional_consultation"] is (
        refers or plain["recommendations"]["professional_consultation"]
    )


@pytest.mark.parametrize("kind", ["speaking", *SILENT])
@pytest.mark.parametrize("top", CLASSES)
def test_no_disease_is_named_anywhere(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes, top: str, kind: str
) -> None:
    wordings = {name: f"It may be {name}, {name.replace('_', ' ')}." for name in CLASSES}  # the worst card
    for answer in (SILENT.get(kind, prediction)(probable(top, 0.9)), prediction(probable(top), wordings=wordings)):
        ensemble.answer = answer
        text = body(real, portrait_jpeg, "explanation lesions regions").text.lower()
        text = text.replace(json.loads(text)["explanation"]["image"], "")
        assert [word for word in DISEASES if word in text] == []


def test_without_include_the_body_is_small_and_holds_no_picture(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes
) -> None:
    ensemble.answer = prediction()
    answer = body(real, portrait_jpeg)
    assert len(answer.data) < 64 * 1024
    assert b"iVBOR" not in answer.data
    assert answer.json["explanation"] is None
    assert "explanation_reason" not in answer.json


def test_demographics_go_to_the_ensemble(real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes) -> None:
    ensemble.answer = prediction()
    body(real, portrait_jpeg, demographics={"age": 34, "fitzpatrick": "v", "gender": 7})
    body(real, portrait_jpeg)
    assert ensemble.told[-2:] == [Demographics(age=34, fitzpatrick="V"), Demographics()]


def test_fields_of_the_model_come_from_its_card(real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes) -> None:
    ensemble.answer = prediction()
    answer = body(real, portrait_jpeg).json
    details = LOADED.details
    assert (answer["enhanced_ml"], answer["degraded"], answer["degraded_reason"]) == (True, False, None)
    assert (answer["model_version"], answer["accuracy"]) == (details["version"], details["accuracy"])
    assert answer["model_info"] == answer["result"]["model_info"]
    assert answer["model_info"] == {name: details[name] for name in answer["model_info"]}


def test_the_block_holds_the_whole_rule(client: FlaskClient, fake: FakePipeline) -> None:
    shares = {"acne": 0.6, "healthy": 0.1, **dict(zip(UNSTATED, (0.1, 0.1, 0.05, 0.05), strict=True))}
    assert block(client, fake, prediction(shares), acne=Severity.MODERATE) == {
        "version": "6.1",
        "kind": "one_class",
        "experimental": False,
        "experimental_reason": None,
        "abstained": False,
        "abstention_code": None,
        "abstention_reason": None,
        "probabilities": {"acne": 0.6, "see_a_professional": 0.3, "healthy": 0.1},
        "top": {"outcome": "acne", "probability": 0.6, "wording": "Blemishes may be visible."},
        "certainty": 0.6,
        "threshold": 0.5,
        "distance": 10.0,
        "distance_limit": 20.0,
        "agreement": "agree",
        "agreement_text": "The trained model and the measurements both see blemishes.",
        "conditions": {},
    }


def test_a_model_of_classes_that_are_each_there_or_not_says_so(client: FlaskClient, fake: FakePipeline) -> None:
    shares = dict.fromkeys(UNSTATED, 0.5) | {"acne": 0.9, "healthy": 0.2}
    told = block(client, fake, prediction(shares, independent=True))
    assert (told["kind"], told["top"]["outcome"]) == ("multilabel", "see_a_professional")
    assert told["probabilities"] == {"see_a_professional": 0.9375, "acne": 0.9, "healthy": 0.2}


def test_a_weak_model_says_why_it_is_an_experiment(client: FlaskClient, fake: FakePipeline) -> None:
    said = block(client, fake, weak())
    assert (said["experimental"], said["experimental_reason"]) == (True, "It is not clearly better than a baseline.")
    unexplained = block(client, fake, prediction(speaks=False, silence_reason=None))
    assert unexplained["experimental_reason"]


@pytest.mark.parametrize(("kind", "code"), [("unfamiliar", "unfamiliar"), ("undecided", "undecided")])
def test_an_abstaining_model_says_why_and_states_nothing(
    client: FlaskClient, fake: FakePipeline, kind: str, code: str
) -> None:
    said = block(client, fake, SILENT[kind](probable("acne")))
    assert (said["abstained"], said["abstention_code"], said["top"]["wording"]) == (True, code, None)
    assert said["abstention_reason"] == said["agreement_text"]
    assert said["agreement"] == "not_comparable"


def test_clear_skin_keeps_its_single_entry_and_the_disagreement_is_told(
    client: FlaskClient, fake: FakePipeline
) -> None:
    fake.report = records.report(records.findings(), prediction=prediction())
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    assert (answer["primary_condition"], answer["severity"]) == ("healthy", 0.01)
    assert [entry["name"] for entry in answer["detected_conditions"]] == ["healthy"]
    assert (answer["ensemble"]["agreement"], answer["ensemble"]["top"]["outcome"]) == ("disagree", "acne")


def test_what_only_the_model_sees_is_listed_last_without_a_severity(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = records.report(records.findings(pores=Severity.LOW), prediction=prediction())
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    assert (answer["primary_condition"], answer["primary_concerns"]) == ("pores", ["pores"])
    measured, seen = answer["detected_conditions"]
    assert (measured["name"], measured["source"]) == ("pores", "classical")
    assert (seen["name"], seen["source"], seen["severity"], seen["confidence"]) == ("acne", "ensemble", "none", 0.8)
    assert "model's own view" in seen["description"]
    assert answer["all_predictions"] == {"pores": 0.81, "acne": 0.8}
    assert answer["result"]["conditions"]["acne"]["detected"] is False
    assert answer["ensemble"]["agreement"] == "disagree"


def test_what_both_see_is_listed_by_each_and_predicted_once(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = records.report(records.findings(acne=Severity.MODERATE), prediction=prediction())
    answer = client.post(ANALYZE, json=BODY).json
    assert [(one["name"], one["source"]) for one in answer["detected_conditions"]] == [
        ("acne", "classical"),
        ("acne", "ensemble"),
    ]
    assert answer["all_predictions"] == {"acne": 0.81}, "the measured confidence, not an average"
    assert [one["condition"] for one in answer["top_3_predictions"]] == ["acne"]


def test_names_are_those_of_the_wire(client: FlaskClient, fake: FakePipeline) -> None:
    shares = {"pigmentation": 0.9, "healthy": 0.1}
    fake.report = records.report(records.findings(acne=Severity.LOW), prediction=prediction(shares))
    answer = client.post(ANALYZE, json=BODY).json
    assert answer["ensemble"]["probabilities"] == {"hyperpigmentation": 0.9, "healthy": 0.1}
    assert answer["ensemble"]["top"]["outcome"] == "hyperpigmentation"
    assert answer["detected_conditions"][-1]["name"] == "hyperpigmentation"


@pytest.mark.parametrize("kind", ["speaking", *SILENT])
def test_an_explanation_is_a_picture_of_the_aligned_face(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes, kind: str
) -> None:
    ensemble.answer = SILENT.get(kind, prediction)(probable("acne", 0.9))
    told = body(real, portrait_jpeg, "explanation").json["explanation"]
    bgr = cv2.imdecode(np.frombuffer(base64.b64decode(told["image"], validate=True), np.uint8), cv2.IMREAD_COLOR)
    assert bgr.shape == (told["height"], told["width"], 3)
    assert (told["outcome"], told["method"]) == ("acne", "grad-cam")
    assert told["experimental"] is (kind in SILENT)
    assert ("experiment" in told["note"]) is told["experimental"]
    tint = bgr[..., 0].astype(int) - bgr[..., 2]  # blue less red: skin is negative
    assert tint[60:100, 60:100].mean() > tint[250:300, 150:210].mean() + 50, "the evidence lies at the top left"


def test_an_explanation_shows_the_class_that_stands_for_the_outcome(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes
) -> None:
    asked: list[str] = []

    def noted(name: str) -> Any:
        asked.append(name)
        return np.zeros((7, 7), np.float32)

    ensemble.answer = prediction(probable("eczema"), activation=noted)
    told = body(real, portrait_jpeg, "explanation").json["explanation"]
    assert asked == ["eczema"]
    assert told["outcome"] == "see_a_professional"
    assert "No single place" in told["note"]
    body(real, portrait_jpeg)
    assert asked == ["eczema"], "nothing is computed that was not asked for"


def test_without_an_ensemble_the_explanation_has_a_reason(
    real: FlaskClient, ensemble: Answering, portrait_jpeg: bytes
) -> None:
    ensemble.answer = ModelUnavailable("It is not here.", "Install one.")
    answer = body(real, portrait_jpeg, "explanation").json
    assert (answer["explanation"], answer["explanation_reason"]) == (None, "It is not here.")
