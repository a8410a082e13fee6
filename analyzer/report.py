"""findings + prediction -> Report: primary condition, health score, wording, recommendations.

Severity, health score and primary condition rest on the measurements alone; an ensemble that may speak adds a sentence and
its advice (`analyzer.combination`, docs/ensemble.md).

Health score: 100 · Π (1 - wᵢ · sᵢ) over the measured conditions, with the score sᵢ in 0..1 and the weight wᵢ in 0..1 of
calibration.json. It is 100 on clear skin, never negative, and falls with every score. What was not measured is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from analyzer import calibration, wording
from analyzer.combination import HEALTHY, Opinion, judge
from analyzer.values import (
    Check,
    Demographics,
    Face,
    Finding,
    Guidance,
    ModelState,
    Photo,
    Prediction,
    Recommendations,
    Report,
    SkinTone,
)
from analyzer.vocabulary import CheckCode, ConditionName, Fitzpatrick, Severity, Verdict

ORDER = tuple(Severity)
UNKNOWN = Verdict.UNKNOWN
WORDING_AGE = 40  # years from which a note says that some lines are normal
DEEP_TONES = (Fitzpatrick.V, Fitzpatrick.VI)
MARKING = {ConditionName.ACNE, ConditionName.DARK_SPOTS, ConditionName.PIGMENTATION}  # what leaves or is dark marks
FAIR_TONES = (Fitzpatrick.I, Fitzpatrick.II)


def compose(
    *,
    photo: Photo,
    face: Face,
    checks: tuple[Check, ...],
    guidance: Guidance,
    findings: tuple[Finding, ...],
    skin_tone: SkinTone | None,
    model: ModelState,
    demographics: Demographics,
    timings_ms: Mapping[str, float],
    roi: object,
    prediction: Prediction | None = None,
) -> Report:
    """The report of an analysed face; `findings` are the measured ones."""
    concerns = ranked(findings)
    primary = primary_condition(findings)
    opinion = None if prediction is None else judge(prediction, findings)
    return Report(
        photo=photo,
        face=face,
        checks=checks,
        error_code=None,
        guidance=guidance,
        findings=findings,
        skin_tone=skin_tone,
        primary_condition=primary,
        primary_concerns=tuple(finding.name for finding in concerns),
        health_score=health_score(findings),
        confidence=confidence(findings),
        summary=summarise(findings, opinion),
        recommendations=recommend(concerns, demographics, opinion),
        model=model,
        demographics=demographics,
        timings_ms=timings_ms,
        roi=roi,
        prediction=prediction,
    )


def refuse(
    *,
    photo: Photo,
    face: Face | None,
    checks: tuple[Check, ...],
    error_code: CheckCode,
    guidance: Guidance,
    model: ModelState,
    demographics: Demographics,
    timings_ms: Mapping[str, float],
    roi: object = None,
) -> Report:
    """The report of a photo that was read but cannot be analysed."""
    return Report(
        photo=photo,
        face=face,
        checks=checks,
        error_code=error_code,
        guidance=guidance,
        findings=(),
        skin_tone=None,
        primary_condition=UNKNOWN,
        primary_concerns=(),
        health_score=None,
        confidence=0.0,
        summary=guidance.message,
        recommendations=Recommendations(),
        model=model,
        demographics=demographics,
        timings_ms=timings_ms,
        roi=roi,
    )


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Detected findings, worst first: by severity, then by score."""
    detected = [finding for finding in findings if finding.detected]
    return sorted(detected, key=lambda finding: (-ORDER.index(finding.severity), -(finding.score or 0.0)))


def primary_condition(findings: Sequence[Finding]) -> ConditionName | Verdict:
    """Name of the worst detected condition, ``"healthy"`` when none is, ``"unknown"`` when nothing was measured."""
    if all(finding.score is None for finding in findings):
        return UNKNOWN
    worst = ranked(findings)
    return worst[0].name if worst else HEALTHY


def health_score(findings: Iterable[Finding]) -> float | None:
    """0..100 by the formula above; None when nothing was measured."""
    weights = calibration.health_weights()
    kept = [1.0 - weights[finding.name] * finding.score for finding in findings if finding.score is not None]
    return 100.0 * math.prod(kept) if kept else None


def confidence(findings: Sequence[Finding]) -> float:
    """Probability that a repeated photo gives the same primary statement, 0..1.

    For a detected condition that is the confidence of its severity; for ``"healthy"`` the product over the measured conditions
    of the probability to stay below `low` (taken as independent, so it is a cautious figure), times the share of the conditions
    that could be measured: what was not looked at may be there.
    """
    worst = ranked(findings)
    if worst:
        return worst[0].confidence
    formulas = calibration.formulas()
    below = [
        formulas[finding.name].probability_below_low(finding.score) for finding in findings if finding.score is not None
    ]
    return math.prod(below) * len(below) / len(findings) if below else 0.0


def summarise(findings: Sequence[Finding], opinion: Opinion | None = None) -> str:
    """Plain sentences: what was measured, then how an ensemble that takes part sees it."""
    measured = _summarise_measured(findings)
    return f"{measured} {opinion.agreement_text}" if opinion and opinion.takes_part else measured


def _summarise_measured(findings: Sequence[Finding]) -> str:
    measured = sum(finding.score is not None for finding in findings)
    worst = ranked(findings)
    if not measured:
        return "None of the conditions could be measured on this photo."
    if worst:
        names = [
            f"{wording.TITLES[finding.name].lower()} ({wording.DEGREES[finding.severity]})" for finding in worst[:3]
        ]
        seen = f"Most visible in this photo: {wording.join(names)}."
    else:
        seen = "None of the measured conditions is noticeable in this photo."
    left_out = (
        ""
        if measured == len(findings)
        else f" {len(findings) - measured} of {len(findings)} could not be measured here."
    )
    return seen + left_out


def recommend(
    concerns: Sequence[Finding], demographics: Demographics, opinion: Opinion | None = None
) -> Recommendations:
    """Advice for the detected conditions, worst first; before it that of an ensemble which refers to a professional."""
    advice = [(finding, wording.ADVICE[finding.name]) for finding in concerns]
    needs = [item.professional for finding, item in advice if _at_least(finding.severity, item.professional_from)]
    if opinion and opinion.refers and opinion.wording:
        needs.insert(0, opinion.wording)
    notes = _notes(concerns, demographics)
    return Recommendations(
        immediate_actions=_unique(text for _, item in advice for text in item.actions) or wording.GENERAL_CARE[:1],
        lifestyle_changes=_unique([*(text for _, item in advice for text in item.habits), *notes])
        or wording.GENERAL_CARE[1:],
        professional_advice=(*_unique(needs), wording.WATCH),
        products=_unique(text for _, item in advice for text in item.products),
        professional_consultation=bool(needs),
    )


def _notes(concerns: Sequence[Finding], demographics: Demographics) -> list[str]:
    names = {finding.name for finding in concerns}
    notes = []
    if demographics.fitzpatrick in DEEP_TONES and names & MARKING:
        notes.append(wording.DEEP_TONE_NOTE)
    if demographics.fitzpatrick in FAIR_TONES:
        notes.append(wording.FAIR_TONE_NOTE)
    if (demographics.age or 0) >= WORDING_AGE and ConditionName.WRINKLES in names:
        notes.append(wording.AGE_NOTE)
    return notes


def _at_least(severity: Severity, limit: Severity) -> bool:
    return ORDER.index(severity) >= ORDER.index(limit)


def _unique(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentences))
