"""Published formulas: score, severity, interval and confidence, and that bad numbers stop the start."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyzer import calibration
from analyzer.calibration import Formula
from analyzer.conditions import CONDITIONS
from analyzer.errors import BadSetting
from analyzer.values import Box, Lesion
from analyzer.vocabulary import Severity

FORMULA = Formula(
    name="test-1",
    condition="acne",
    anchors=((2.0, 0.1), (4.0, 0.3), (8.0, 0.9)),
    severity_limits=(0.2, 0.4, 0.6, 0.8),
    repeatability=((0.0, 0.02), (1.0, 0.10)),
)
PUBLISHED = json.loads(calibration.PATH.read_text(encoding="utf-8"))


@pytest.fixture
def rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Calls with a changed document: the published numbers are replaced for one test."""

    def write(text: str) -> None:
        path = tmp_path / "calibration.json"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(calibration, "PATH", path)
        forget()

    yield write
    monkeypatch.undo()
    forget()


def read_all() -> None:
    calibration.formulas()
    calibration.health_weights()


def forget() -> None:
    calibration.formulas.cache_clear()
    calibration.health_weights.cache_clear()
    calibration.document.cache_clear()


@pytest.mark.parametrize(
    ("raw", "score"),
    [(-100.0, 0.1), (2.0, 0.1), (3.0, 0.2), (4.0, 0.3), (6.0, 0.6), (8.0, 0.9), (1e9, 0.9)],
)
def test_the_score_runs_straight_between_anchors_and_stops_at_the_ends(raw: float, score: float) -> None:
    assert FORMULA.score(raw) == pytest.approx(score)


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (0.0, Severity.NONE),
        (0.1999, Severity.NONE),
        (0.2, Severity.MINIMAL),
        (0.3999, Severity.MINIMAL),
        (0.4, Severity.LOW),
        (0.6, Severity.MODERATE),
        (0.7999, Severity.MODERATE),
        (0.8, Severity.HIGH),
        (1.0, Severity.HIGH),
    ],
)
def test_a_severity_begins_at_its_limit(score: float, severity: Severity) -> None:
    assert FORMULA.severity(score) is severity


@pytest.mark.parametrize("score", np.linspace(0, 1, 41))
def test_the_interval_holds_the_score_and_stays_inside_0_and_1(score: float) -> None:
    low, high = FORMULA.interval(score)
    assert 0.0 <= low <= score <= high <= 1.0


def test_the_interval_is_1_96_deviations_wide_each_way() -> None:
    low, high = FORMULA.interval(0.5)
    assert FORMULA.deviation(0.5) == pytest.approx(0.06)
    assert (0.5 - low, high - 0.5) == pytest.approx((1.96 * 0.06, 1.96 * 0.06))


@pytest.mark.parametrize("score", np.linspace(0, 1, 21))
def test_the_confidence_is_the_share_of_repeated_scores_of_the_same_severity(score: float) -> None:
    repeated = np.random.default_rng(0).normal(score, FORMULA.deviation(score), 40_000)
    same = np.mean([FORMULA.severity(value) is FORMULA.severity(score) for value in repeated])
    assert FORMULA.confidence(score) == pytest.approx(same, abs=0.01)
    below_low = np.mean(repeated < FORMULA.severity_limits[1])
    assert FORMULA.probability_below_low(score) == pytest.approx(below_low, abs=0.01)


@pytest.mark.parametrize("limit", FORMULA.severity_limits)
def test_the_confidence_falls_towards_a_limit_to_about_a_half(limit: float) -> None:
    towards = [FORMULA.confidence(limit + step) for step in (0.1, 0.06, 0.03, 0.0)]
    assert all(before > after for before, after in pairwise(towards))
    assert 0.4 < towards[-1] <= 0.5


def test_perfect_repeatability_still_gives_a_defined_confidence() -> None:
    exact = Formula("test-1", "acne", FORMULA.anchors, FORMULA.severity_limits, ((0.0, 0.0), (1.0, 0.0)))
    assert exact.confidence(0.5) == pytest.approx(1.0)
    assert exact.confidence(0.4) == pytest.approx(0.5, abs=0.01)
    assert math.isfinite(exact.probability_below_low(0.4))


def test_every_condition_has_a_formula_of_its_own_and_nothing_else_has() -> None:
    formulas = calibration.formulas()
    assert set(formulas) == set(CONDITIONS)
    assert len({formula.name for formula in formulas.values()}) == len(CONDITIONS)
    for name, formula in formulas.items():
        assert formula.condition == name
        assert formula.name.rpartition("-")[0] == name
        assert formula.name.rpartition("-")[2].isdigit()


@pytest.mark.parametrize("name", CONDITIONS)
def test_published_numbers_are_whole(name: str) -> None:
    formula, entry = calibration.formulas()[name], PUBLISHED["conditions"][name]
    assert {formula.score(-1e9), formula.score(1e9)} == {0.0, 1.0}
    assert formula.severity_limits[0] > 0.0
    assert formula.severity_limits[-1] < 1.0
    assert all(0.0 <= score <= 1.0 and 0.0 < sd < 0.5 for score, sd in formula.repeatability)
    assert entry["unit"].strip()
    assert entry["source"].strip()
    assert entry["repeatability"]["source"].strip()


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_higher_raw_value_never_scores_lower_and_every_severity_can_be_reached(name: str) -> None:
    formula = calibration.formulas()[name]
    low, high = formula.anchors[0][0], formula.anchors[-1][0]
    scores = [formula.score(raw) for raw in np.linspace(low, high, 500)]
    assert all(before < after for before, after in pairwise(scores))
    assert {formula.severity(score) for score in scores} == set(Severity)


def test_weights_cover_all_conditions_and_stay_below_1() -> None:
    weights = PUBLISHED["health"]["weights"]
    assert set(weights) == set(CONDITIONS)
    assert all(0.0 < weight < 1.0 for weight in weights.values())
    assert PUBLISHED["health"]["formula"]
    assert PUBLISHED["health"]["source"].strip()


def changed(**entries: Any) -> str:
    """The published document with the acne block changed."""
    document = copy.deepcopy(PUBLISHED)
    document["conditions"]["acne"] |= entries
    return json.dumps(document)


def without(name: str) -> str:
    document = copy.deepcopy(PUBLISHED)
    del document["conditions"]["acne"][name]
    return json.dumps(document)


def with_weights(**weights: float) -> str:
    document = copy.deepcopy(PUBLISHED)
    document["health"]["weights"] |= weights
    return json.dumps(document)


BAD = {
    "anchors fall": changed(anchors=[[1.0, 0.0], [0.5, 1.0]]),
    "scores fall": changed(anchors=[[0.0, 0.9], [1.0, 0.1]]),
    "a score above 1": changed(anchors=[[0.0, 0.0], [1.0, 1.2]]),
    "one anchor": changed(anchors=[[0.0, 0.0]]),
    "an anchor that is no pair": changed(anchors=[[0.0], [1.0]]),
    "an anchor that is no number": changed(anchors=[["a", 0.0], ["b", 1.0]]),
    "an anchor that is NaN": changed(anchors=[[0.0, 0.0], [math.nan, 0.5], [1.0, 1.0]]),
    "an anchor that is infinite": changed(anchors=[[0.0, 0.0], [math.inf, 1.0]]),
    "limits fall": changed(severity_limits=[0.1, 0.5, 0.4, 0.7]),
    "three limits": changed(severity_limits=[0.1, 0.4, 0.7]),
    "a limit at 0": changed(severity_limits=[0.0, 0.2, 0.4, 0.7]),
    "a limit above 1": changed(severity_limits=[0.1, 0.2, 0.4, 1.7]),
    "no deviations": changed(repeatability={"sd": [], "source": ""}),
    "a negative deviation": changed(repeatability={"sd": [[0.0, -0.1], [1.0, 0.1]], "source": ""}),
    "scores of deviations fall": changed(repeatability={"sd": [[1.0, 0.1], [0.0, 0.1]], "source": ""}),
    "no formula": without("formula"),
    "no anchors": without("anchors"),
    "no repeatability": without("repeatability"),
    "a weight of 1": with_weights(acne=1.0),
    "a negative weight": with_weights(acne=-0.1),
    "a weight too many": with_weights(warts=0.1),
    "no JSON": "{",
    "a list": "[]",
    "no weights": json.dumps({"conditions": PUBLISHED["conditions"]}),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_numbers_are_refused_by_name(text: str, rewritten: Any) -> None:
    rewritten(text)
    with pytest.raises(BadSetting, match=r"calibration\.json"):
        read_all()


def test_a_missing_file_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rewritten: Any) -> None:
    rewritten("{}")
    monkeypatch.setattr(calibration, "PATH", tmp_path / "gone.json")
    with pytest.raises(BadSetting, match=r"gone\.json"):
        calibration.document()


def test_a_measured_finding_carries_the_formula_and_what_was_seen() -> None:
    lesions = [Lesion(Box(0, 0, 1, 1), 2.0), Lesion(Box(5, 5, 1, 1), 7.0)]
    raw = calibration.formulas()["acne"].anchors[2][0]
    finding = calibration.measured(
        "acne", raw, regions={"nose": raw, "chin": None}, lesions=lesions, evidence={"spots": 2.0}, area_fraction=0.1
    )
    formula = calibration.formulas()["acne"]
    assert finding.score == formula.score(raw)
    assert finding.severity is formula.severity(formula.score(raw))
    assert finding.interval == formula.interval(formula.score(raw))
    assert finding.regions == {"nose": finding.score, "chin": None}
    assert [lesion.contrast for lesion in finding.lesions] == [7.0, 2.0]
    assert finding.evidence == {"raw": raw, "spots": 2.0}
    assert (finding.source, finding.formula, finding.reason) == ("classical", formula.name, None)


def test_what_was_not_measured_has_no_number_but_a_reason() -> None:
    finding = calibration.not_measured("pores", "too_blurred", "The photo is blurred.")
    assert (finding.score, finding.interval, finding.area_fraction) == (None, None, None)
    assert (finding.severity, finding.confidence, finding.detected) == (Severity.NONE, 0.0, False)
    assert finding.reason == "too_blurred: The photo is blurred."


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_a_raw_value_that_is_no_number_is_not_measured(raw: float) -> None:
    finding = calibration.measured("acne", raw)
    assert finding.score is None
    assert finding.reason is not None
    assert calibration.measured("acne", 1.0, regions={"nose": raw}).regions == {"nose": None}
