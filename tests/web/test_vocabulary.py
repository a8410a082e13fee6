"""Everything that the analyzer can think goes through the wire: every code, word, reason, outcome and refusal, on every route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum

import pytest
from flask import Flask
from flask.testing import FlaskClient

from analyzer import model_sources, wording
from analyzer.calibration import not_measured
from analyzer.conditions import CONDITIONS
from analyzer.errors import AnalyzerError
from analyzer.quality import REFUSALS
from analyzer.values import Finding, ModelState, Prediction
from analyzer.vocabulary import (
    Abstention,
    Agreement,
    CheckCode,
    ConditionName,
    EnsembleKind,
    ErrorCode,
    Fitzpatrick,
    ItaGroup,
    ModelSource,
    ReasonCode,
    Region,
    Severity,
    Source,
    Verdict,
)
from tests.analyzer.predictions import CLASSES, LOADED, graded, prediction, probable, weak
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.schema_checks import ANALYZE_PATHS, DETECT_PATHS, check_answer, mended
from web import errors, findings, vocabulary, words
from web.vocabulary import Level, Lighting, Positioning, Sharpness, TextureWord, ToneWord, WireName

BODY = {"image": records.encoded(records.picture())}
SEEN: Mapping[str, tuple[float, int]] = {
    "acne": (0.7, 1),
    "redness": (0.6, 2),
    "pore_size": (0.9, 3),
    "aging": (0.1, 0),
}
PREDICTIONS: tuple[Prediction, ...] = (
    *(prediction(probable(name)) for name in CLASSES),
    *(prediction(probable(name, classes=(*ConditionName, "healthy"))) for name in ConditionName),
    weak(),
    prediction(distance=99.0),
    prediction(threshold=0.99),
    prediction(distance=None, distance_limit=None),
    graded(SEEN),
    graded(SEEN, distance=99.0),
    graded(dict.fromkeys(ConditionName, (0.0, 0))),
    prediction({"acne": 0.9, "healthy": 0.2}, independent=True),
)
REGIONS = [
    region for region in Region if region is not Region.WHOLE
]  # that is of a close-up, which is no photo of a face


@pytest.fixture(autouse=True)
def _nothing_is_mended(app: Flask) -> Iterator[None]:
    yield
    assert mended(app) == 0


@pytest.mark.parametrize("path", DETECT_PATHS)
def test_every_check_goes_through_the_detection(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    for code in CheckCode:
        fake.detection = replace(records.detection(), checks=records.checks(code))
        if code in REFUSALS:
            fake.detection = records.detection(code)
        answer = client.post(path, json=BODY)
        body = check_answer(answer, path)
        assert (answer.status_code, body.get("error_code")) == (200, code if code in REFUSALS else None)
        assert {check["code"]: check["passed"] for check in body["quality_checks"]} == {
            other: other != code for other in CheckCode
        }


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_check_goes_through_the_analysis(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    for code in CheckCode:
        fake.report = replace(records.report(), checks=records.checks(code))
        if code in REFUSALS:
            fake.report = records.refusal(code)
        answer = client.post(path, json=BODY)
        body = check_answer(answer, path)
        assert (answer.status_code, body.get("error_code")) == (200, code if code in REFUSALS else None)
        quality = "poor" if code in REFUSALS else "fair"
        assert code == CheckCode.NO_FACE or body["face_detection"]["quality_metrics"]["overall_quality"] == quality


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_condition_goes_through_with_every_reason(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    reasons = list(ReasonCode)
    for shift in range(len(reasons)):
        turned = [*reasons[shift:], *reasons[:shift]]
        reasons_of = dict(zip(ConditionName, turned, strict=True))
        unmeasured = tuple(not_measured(name, code, "It could not be seen.") for name, code in reasons_of.items())
        fake.report = replace(records.report(unmeasured), primary_condition=Verdict.UNKNOWN)
        body = check_answer(client.post(path, json=BODY), path)
        assert {name: entry["reason_code"] for name, entry in body["result"]["conditions"].items()} == reasons_of
        assert body["result"]["unmeasured_conditions"] == list(ConditionName)
        assert body["result"]["conditions"]["acne"]["reason"] == f"{turned[0]}: It could not be seen."


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_condition_goes_through_with_every_severity_and_region(
    client: FlaskClient, fake: FakePipeline, path: str
) -> None:
    severities = list(Severity)
    for shift, region in enumerate(REGIONS):
        levels = {name: severities[(shift + place) % len(severities)] for place, name in enumerate(ConditionName)}
        fake.report = records.report(
            tuple(replace(finding, regions={region: 0.5}) for finding in records.findings(**levels))
        )
        body = check_answer(client.post(path, json=BODY), path)
        assert {name: entry["severity"] for name, entry in body["result"]["conditions"].items()} == levels
        assert body["result"]["severity_levels"] == {name: words.LEVELS[word] for name, word in levels.items()}
        assert body["regions"] == {region: dict.fromkeys(map(findings.wire_name, ConditionName), 0.5)}


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_outcome_of_an_ensemble_goes_through(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    blocks: list[tuple[str, ...]] = []
    for answered in PREDICTIONS:
        fake.report = replace(records.report(records.findings(acne=Severity.HIGH), prediction=answered), model=LOADED)
        block = check_answer(client.post(path, json=BODY), path)["ensemble"]
        blocks.append((block["kind"], block["agreement"], block["abstention_code"] or "", block["top"]["outcome"]))
    kinds, agreements, abstentions, outcomes = map(set, zip(*blocks, strict=True))
    assert (kinds, agreements, abstentions - {""}) == (set(EnsembleKind), set(Agreement), set(Abstention))
    assert outcomes == set(WireName) - {WireName.UNKNOWN}


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_tone_and_every_source_of_a_model_goes_through(
    client: FlaskClient, fake: FakePipeline, path: str
) -> None:
    report = records.report()
    assert report.skin_tone is not None
    for group, type_ in zip(ItaGroup, Fitzpatrick, strict=True):
        tone = replace(report.skin_tone, ita_group=group, fitzpatrick_estimate=type_)
        for source in ModelSource:
            model = ModelState(True, None, {**LOADED.details, "source": source})
            fake.report = replace(report, skin_tone=tone, model=model)
            body = check_answer(client.post(path, json=BODY), path)
            assert body["skin_tone"]["ita_group"] == group
            assert body["model_info"]["source"] == source


@pytest.mark.parametrize("path", [*DETECT_PATHS, *ANALYZE_PATHS])
def test_every_failure_keeps_the_shape_of_its_route(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    for code in ErrorCode:
        fake.detection = fake.report = AnalyzerError("It failed.", "Send another one.", code)
        answer = client.post(path, json=BODY)
        assert answer.status_code == errors.STATUS[code]
        assert check_answer(answer, path)["error_code"] == code


TABLES: Mapping[str, tuple[Mapping[StrEnum, object], type[StrEnum]]] = {
    "titles": (wording.TITLES, ConditionName),
    "advice": (wording.ADVICE, ConditionName),
    "measured": (CONDITIONS, ConditionName),
    "places": (wording.PLACES, Region),
    "degrees": (wording.DEGREES, Severity),
    "abstentions": (wording.ABSTENTIONS, Abstention),
    "levels": (words.LEVELS, Severity),
    "textures": (words.TEXTURE, Severity),
    "tones": (words.TONE, Severity),
    "status": (errors.STATUS, ErrorCode),
    "places of a model": (model_sources.PLACES, ModelSource),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_of_words_is_whole(name: str) -> None:
    table, words_of = TABLES[name]
    assert list(table) == list(words_of)


def test_every_name_has_one_on_the_wire_and_every_word_of_the_wire_is_said() -> None:
    assert set(words.NAMES) == {*ConditionName, *Verdict}
    assert sorted(words.NAMES.values()) == sorted(WireName)
    assert set(words.LEVELS.values()) == set(Level)
    assert {*words.TEXTURE.values(), TextureWord.UNKNOWN} == set(TextureWord)
    assert {*words.TONE.values(), ToneWord.UNKNOWN} == set(ToneWord)
    for question, vocabulary_of in (
        (words.LIGHTING, Lighting),
        (words.SHARPNESS, Sharpness),
        (words.POSITIONING, Positioning),
    ):
        vocabulary_words = {*question.failed.values(), question.passed, question.unknown}
        assert set(vocabulary_of) - vocabulary_words <= {Positioning.OFF_CENTER}


def test_the_description_shows_the_same_words(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    shown = {name: schema["enum"] for name, schema in schemas.items() if "enum" in schema}
    shared = (
        Abstention, Agreement, CheckCode, EnsembleKind, ErrorCode, Fitzpatrick, ItaGroup, ReasonCode, Severity, Source,
        Level, Lighting, Positioning, Sharpness, TextureWord, ToneWord, WireName,
        vocabulary.DemographicName, vocabulary.OverallQuality, vocabulary.ReadyState, vocabulary.Status,
    )  # fmt: skip
    for words_of in shared:
        assert shown[words_of.__name__] == list(words_of), words_of.__name__


def test_a_finding_names_its_reason_as_code_and_as_sentence() -> None:
    finding: Finding = not_measured(ConditionName.PORES, ReasonCode.TOO_SMALL, "It is too small.")
    assert (finding.reason_code, finding.reason) == ("too_small", "too_small: It is too small.")
