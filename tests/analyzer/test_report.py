"""The sum of a report: health score, primary condition, confidence, wording, recommendations."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import calibration, report, wording
from analyzer.conditions import CONDITIONS
from analyzer.values import Demographics, Finding, Guidance, ModelState, Photo, Prediction, Recommendations
from analyzer.vocabulary import Severity
from tests.analyzer.predictions import CLASSES, REFERRAL, UNSTATED, prediction, probable, weak

NAMES = tuple(CONDITIONS)
SEVERITIES = tuple(Severity)
SCORES = st.floats(0.0, 1.0)
NOBODY = Demographics()
DIAGNOSES = (
    *("diagnos", "disease", "disorder", "cancer", "melanoma", "carcinoma", "keratos", "rosacea", "eczema", "psoria"),
    *("dermatitis", "melasma", "vitiligo", "infection", "patholog", "malign", "benign", "syndrome", "patient", "cure"),
    *("prescri", "acne vulgaris", "folliculitis", "you have", "you suffer"),
)


def scored(name: str, score: float | None) -> Finding:
    """A finding with this score, by the published formula."""
    if score is None:
        return calibration.not_measured(name, "too_blurred", "The photo is blurred.")
    formula = calibration.formulas()[name]
    severity, interval = formula.severity(score), formula.interval(score)
    return Finding(name, score, interval, severity, formula.confidence(score), formula.name)


def found(default: float | None = 0.0, **scores: float | None) -> tuple[Finding, ...]:
    return tuple(scored(name, scores.get(name, default)) for name in NAMES)


def of_severity(name: str, severity: Severity) -> Finding:
    """A finding in the middle of a severity class."""
    edges = (0.0, *calibration.formulas()[name].severity_limits, 1.0)
    level = SEVERITIES.index(severity)
    return scored(name, (edges[level] + edges[level + 1]) / 2)


def compose(
    findings: tuple[Finding, ...], demographics: Demographics = NOBODY, prediction: Prediction | None = None
) -> report.Report:
    return report.compose(
        photo=Photo(np.zeros((1, 1, 3), np.uint8), (1, 1), 1.0, "image/png"),
        face=None,  # type: ignore[arg-type]
        checks=(),
        guidance=Guidance("fine"),
        findings=findings,
        skin_tone=None,
        model=ModelState(False, "none"),
        demographics=demographics,
        timings_ms={},
        roi=None,
        prediction=prediction,
    )


def sentences(advice: Recommendations) -> tuple[str, ...]:
    return (*advice.immediate_actions, *advice.lifestyle_changes, *advice.professional_advice, *advice.products)


def test_clear_skin_has_100_points() -> None:
    assert report.health_score(found(0.0)) == 100.0


def test_nothing_measured_has_no_points_rather_than_a_number() -> None:
    assert report.health_score(found(None)) is None
    assert report.health_score(()) is None


def test_the_worst_skin_stays_above_0() -> None:
    assert 0.0 < (report.health_score(found(1.0)) or 0.0) < 30.0


@given(st.fixed_dictionaries({name: st.none() | SCORES for name in NAMES}))
def test_the_health_score_is_bounded(scores: Mapping[str, float | None]) -> None:
    health = report.health_score(found(**scores))
    assert (health is None) == all(score is None for score in scores.values())
    assert health is None or 0.0 < health <= 100.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rest", [0.0, 0.5, 1.0, None])
def test_the_health_score_falls_strictly_in_every_score(name: str, rest: float | None) -> None:
    health = [report.health_score(found(rest, **{name: score})) for score in np.linspace(0, 1, 30)]
    assert all(before > after for before, after in pairwise(health))  # type: ignore[operator]


def test_the_health_score_is_the_published_product() -> None:
    weights = calibration.health_weights()
    expected = 100 * (1 - weights["acne"] * 0.5) * (1 - weights["pores"] * 0.2)
    assert report.health_score(found(0.0, acne=0.5, pores=0.2)) == pytest.approx(expected)
    assert report.health_score(found(None, acne=0.5, pores=0.2)) == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_one_condition_alone_takes_no_more_than_its_weight(name: str) -> None:
    lost = 100.0 - (report.health_score(found(0.0, **{name: 1.0})) or 0.0)
    assert lost == pytest.approx(100 * calibration.health_weights()[name])
    assert lost <= 40.0 + 1e-9


def test_the_primary_condition_is_the_worst_by_severity_then_score() -> None:
    mild, strong = of_severity("acne", Severity.LOW), of_severity("pores", Severity.HIGH)
    assert report.primary_condition((mild, strong)) == "pores"
    limits = calibration.formulas()["redness"].severity_limits
    close = [
        scored("redness", limits[2] + 0.01),
        scored("wrinkles", calibration.formulas()["wrinkles"].severity_limits[2] + 0.05),
    ]
    assert report.primary_condition(close) == max(close, key=lambda finding: finding.score or 0.0).name
    worse_word = replace(close[0], severity=Severity.HIGH)
    assert report.primary_condition((worse_word, close[1])) == "redness"


def test_concerns_are_the_detected_conditions_worst_first() -> None:
    findings = (
        of_severity("acne", Severity.LOW),
        of_severity("redness", Severity.MINIMAL),
        of_severity("pores", Severity.MODERATE),
        of_severity("wrinkles", Severity.NONE),
        scored("texture", None),
    )
    composed = compose(findings)
    assert composed.primary_concerns == ("pores", "acne")
    assert composed.primary_condition == "pores"
    assert composed.findings == findings
    assert composed.confidence == findings[2].confidence


def test_clear_skin_is_healthy_and_nothing_measured_is_unknown() -> None:
    assert report.primary_condition(found(0.0)) == "healthy"
    minimal = tuple(of_severity(name, Severity.MINIMAL) for name in NAMES)
    assert report.primary_condition(minimal) == "healthy"
    assert compose(minimal).primary_concerns == ()
    assert report.primary_condition(found(None)) == "unknown"
    assert report.primary_condition(found(None, pores=0.0)) == "healthy"
    assert report.confidence(found(None)) == 0.0


def test_healthy_is_as_sure_as_all_conditions_together() -> None:
    clear = found(0.0)
    each = [calibration.formulas()[name].probability_below_low(0.0) for name in NAMES]
    assert report.confidence(clear) == pytest.approx(math.prod(each))
    edge = calibration.formulas()["acne"].severity_limits[1] - 1e-6
    assert report.confidence(found(0.0, acne=edge)) == pytest.approx(0.5 * report.confidence(clear), rel=0.02)


def test_healthy_is_less_sure_the_less_could_be_measured() -> None:
    half = found(0.0, **dict.fromkeys(NAMES[::2]))
    each = [calibration.formulas()[name].probability_below_low(0.0) for name in NAMES[1::2]]
    assert report.confidence(half) == pytest.approx(math.prod(each) * len(each) / len(NAMES))


@given(st.fixed_dictionaries({name: st.none() | SCORES for name in NAMES}))
def test_confidence_is_a_probability(scores: Mapping[str, float | None]) -> None:
    assert 0.0 <= report.confidence(found(**scores)) <= 1.0


def test_a_refusal_has_no_findings_and_no_numbers() -> None:
    refused = report.refuse(
        photo=Photo(np.zeros((1, 1, 3), np.uint8), (1, 1), 1.0, "image/png"),
        face=None,
        checks=(),
        error_code="no_face",
        guidance=Guidance("No face was found."),
        model=ModelState(False, "none"),
        demographics=NOBODY,
        timings_ms={},
    )
    assert (refused.error_code, refused.primary_condition, refused.findings) == ("no_face", "unknown", ())
    assert (refused.health_score, refused.confidence, refused.skin_tone) == (None, 0.0, None)
    assert refused.summary == "No face was found."
    assert refused.recommendations == Recommendations()


def test_the_summary_names_what_is_seen_and_what_could_not_be_measured() -> None:
    text = report.summarise(
        found(0.0, acne=None, pores=None, wrinkles=0.99, redness=0.99, texture=0.99, under_eye=0.99)
    )
    assert "2 of 8" in text
    named = [wording.TITLES[name].lower() for name in ("wrinkles", "redness", "texture", "under_eye")]
    assert sum(title in text for title in named) == 3
    assert " and " in text
    assert "measured" in report.summarise(found(None))
    assert "2 of 8" not in report.summarise(found(0.0))


@pytest.mark.parametrize("name", NAMES)
def test_advice_grows_with_severity(name: str) -> None:
    advice = {severity: compose((of_severity(name, severity),)).recommendations for severity in SEVERITIES}
    for severity in (Severity.NONE, Severity.MINIMAL):
        assert not set(wording.ADVICE[name].actions) & set(advice[severity].immediate_actions)
        assert not advice[severity].products
        assert advice[severity].immediate_actions
    for severity in (Severity.LOW, Severity.MODERATE, Severity.HIGH):
        assert set(wording.ADVICE[name].actions) <= set(advice[severity].immediate_actions)
        assert set(wording.ADVICE[name].habits) <= set(advice[severity].lifestyle_changes)
        assert set(wording.ADVICE[name].products) <= set(advice[severity].products)
    consult = [advice[severity].professional_consultation for severity in SEVERITIES]
    assert consult == sorted(consult)
    assert consult[-1]
    assert not consult[0]
    first = SEVERITIES[consult.index(True)]
    assert first is wording.ADVICE[name].professional_from
    for severity in SEVERITIES:
        asked = wording.ADVICE[name].professional in advice[severity].professional_advice
        assert asked is advice[severity].professional_consultation


def test_everybody_is_told_when_to_see_a_doctor() -> None:
    for findings in (found(0.0), found(1.0), found(None)):
        assert wording.WATCH in compose(findings).recommendations.professional_advice


def test_no_sentence_comes_twice() -> None:
    advice = compose(found(1.0)).recommendations
    for part in (advice.immediate_actions, advice.lifestyle_changes, advice.professional_advice, advice.products):
        assert len(set(part)) == len(part)


@pytest.mark.parametrize(
    ("demographics", "note"),
    [
        (Demographics(fitzpatrick="VI"), wording.DEEP_TONE_NOTE),
        (Demographics(fitzpatrick="I"), wording.FAIR_TONE_NOTE),
        (Demographics(age=55), wording.AGE_NOTE),
    ],
    ids=["deep tone", "fair tone", "age"],
)
def test_what_people_say_of_themselves_changes_only_the_wording(demographics: Demographics, note: str) -> None:
    findings = found(0.6)
    plain, told = compose(findings), compose(findings, demographics)
    assert note not in sentences(plain.recommendations)
    assert note in told.recommendations.lifestyle_changes
    assert set(sentences(plain.recommendations)) < set(sentences(told.recommendations))
    changed = {"demographics", "recommendations", "photo"}
    for field in set(report.Report.__dataclass_fields__) - changed:
        assert getattr(told, field) == getattr(plain, field), field


def test_notes_keep_to_what_was_found() -> None:
    clear = compose(found(0.0), Demographics(age=70, fitzpatrick="V")).recommendations
    assert wording.AGE_NOTE not in clear.lifestyle_changes
    assert wording.DEEP_TONE_NOTE not in clear.lifestyle_changes
    assert wording.AGE_NOTE not in compose(found(0.9), Demographics(age=25)).recommendations.lifestyle_changes


def differences(one: report.Report, other: report.Report) -> set[str]:
    """Names of the fields that differ, pictures and the prediction itself aside."""
    fields = set(report.Report.__dataclass_fields__) - {"photo", "prediction"}
    return {field for field in fields if getattr(one, field) != getattr(other, field)}


CASES = {"clear": found(0.0), "blemished": found(0.0, acne=0.9), "not measured": found(None), "worst": found(1.0)}


@pytest.mark.parametrize("findings", CASES.values(), ids=CASES)
@pytest.mark.parametrize("top", CLASSES)
def test_a_weak_or_abstaining_model_changes_nothing(findings: tuple[Finding, ...], top: str) -> None:
    plain = compose(findings)
    for silent in (
        weak(probable(top, 0.999)),
        prediction(probable(top, 0.999), distance=99.0),
        prediction(probable(top, 0.4)),
    ):
        assert differences(compose(findings, prediction=silent), plain) == set()


@pytest.mark.parametrize("findings", CASES.values(), ids=CASES)
@pytest.mark.parametrize("top", CLASSES)
def test_a_model_that_speaks_changes_words_and_no_number(findings: tuple[Finding, ...], top: str) -> None:
    plain, told = compose(findings), compose(findings, prediction=prediction(probable(top)))
    assert differences(told, plain) <= {"summary", "recommendations"}
    assert told.summary.startswith(plain.summary)
    assert told.summary != plain.summary
    assert (told.recommendations == plain.recommendations) is (top in ("acne", "healthy"))


@pytest.mark.parametrize("top", UNSTATED)
def test_a_disease_class_on_top_sends_to_a_professional_and_nothing_else(top: str) -> None:
    plain, told = (compose(found(0.0), prediction=asked).recommendations for asked in (None, prediction(probable(top))))
    assert not plain.professional_consultation
    assert told == replace(
        plain, professional_advice=(REFERRAL, *plain.professional_advice), professional_consultation=True
    )


def test_a_disagreement_is_told_in_the_summary_with_both_views() -> None:
    only_model = compose(found(0.0), prediction=prediction(probable("acne")))
    assert "sees blemishes and the measurements do not" in only_model.summary
    assert (only_model.primary_condition, only_model.primary_concerns) == ("healthy", ())
    only_measured = compose(found(0.0, acne=0.9), prediction=prediction(probable("healthy")))
    assert "find blemishes and the trained model does not" in only_measured.summary
    assert only_measured.primary_condition == "acne"


def every_sentence() -> list[str]:
    """All that a report can say about a person's skin."""
    composed = [compose(tuple(of_severity(name, severity) for name in NAMES)) for severity in SEVERITIES]
    said = [text for one in composed for text in (one.summary, *sentences(one.recommendations))]
    said += [wording.describe(name, severity) for name in NAMES for severity in SEVERITIES]
    said += [
        compose(findings, prediction=prediction(probable(top))).summary
        for findings in CASES.values()
        for top in CLASSES
    ]
    said += [*wording.ABSTENTIONS.values(), wording.UNPROVEN, wording.SEE_A_PROFESSIONAL, wording.MODEL_SEES_NOTHING]
    said += [say for name in NAMES for say in (wording.model_lists(name, 0.81), wording.model_sees([name]))]
    said += [
        wording.DEEP_TONE_NOTE,
        wording.FAIR_TONE_NOTE,
        wording.AGE_NOTE,
        *wording.GENERAL_CARE,
        report.summarise(found(None)),
    ]
    return list(dict.fromkeys(said))


def test_nothing_that_is_said_sounds_like_a_diagnosis() -> None:
    said = every_sentence()
    assert len(said) > 60
    assert [text for text in said for word in DIAGNOSES if word in text.lower()] == []
    assert not any(
        re.search(r"\bacne\b", wording.describe(name, severity).lower()) for name in NAMES for severity in SEVERITIES
    )


def test_everything_that_is_said_is_a_sentence() -> None:
    assert [text for text in every_sentence() if not re.fullmatch(r"[A-Z].*[.]", text)] == []


def test_every_condition_has_its_words() -> None:
    assert set(wording.TITLES) == set(wording.ADVICE) == set(NAMES)
    assert set(wording.DEGREES) == set(SEVERITIES)
    for advice in wording.ADVICE.values():
        assert advice.actions
        assert advice.habits
        assert advice.products
        assert advice.professional
        assert SEVERITIES.index(advice.professional_from) >= SEVERITIES.index(Severity.LOW)


def test_the_disclaimer_says_what_the_report_is_not() -> None:
    assert "not a medical" in wording.DISCLAIMER
    assert "doctor" in wording.DISCLAIMER
