"""Findings -> their part of the JSON, under the names that pages match on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from analyzer import calibration
from analyzer.conditions import CONDITIONS
from analyzer.report import primary_condition, ranked
from analyzer.values import Finding, Lesion, Photo, Report
from analyzer.vocabulary import ConditionName, ReasonCode, Region, Severity, Source, Verdict
from web import faces, mending, numbers, shapes, words
from web.vocabulary import Level, TextureWord, ToneWord, WireName


def wire_name(name: ConditionName | Verdict) -> WireName:
    """Return the name of a condition, or of what stands in its place, that the pages match on."""
    return words.NAMES[name]


def sound(report: Report) -> Report:
    """Count findings that contradict themselves as not measured, and derive the headline again if there are any."""
    broken = {finding.name for finding in report.findings if not _is_sound(finding)}
    if not broken:
        return report
    kept = tuple(_undefined(finding.name) if finding.name in broken else finding for finding in report.findings)
    return replace(
        report,
        findings=kept,
        primary_condition=primary_condition(kept),
        primary_concerns=tuple(finding.name for finding in ranked(kept)),
    )


def _is_sound(finding: Finding) -> bool:
    """Tell whether score and area are finite, or, without a score, there is a reason and no severity."""
    if finding.score is None:
        return finding.reason_code is not None and finding.severity is Severity.NONE
    return math.isfinite(finding.score) and (finding.area_fraction is None or math.isfinite(finding.area_fraction))


def by_condition(report: Report) -> dict[ConditionName, Finding]:
    """All eight conditions in their order; absent ones as not measured."""
    findings = {finding.name: finding for finding in report.findings}
    return {name: findings.get(name) or _overlooked(name) for name in CONDITIONS}


def _overlooked(name: ConditionName) -> Finding:
    return calibration.not_measured(name, ReasonCode.NOT_MEASURED, "This condition was not looked at.")


def _undefined(name: ConditionName) -> Finding:
    """Return the finding of a condition whose measurement cannot be shown."""
    return calibration.not_measured(name, ReasonCode.UNDEFINED, "The measurement has no defined value on this photo.")


def detected_conditions(report: Report) -> list[shapes.DetectedCondition]:
    """Measured detections, the primary first, then by score; one `healthy` or `unknown` entry when there is none."""
    detected = [finding for finding in by_condition(report).values() if finding.detected]
    detected.sort(key=lambda finding: (finding.name != report.primary_condition, -(finding.score or 0.0)))
    return mending.entries("detected_conditions", _detected_entry, detected) or [_nothing_detected(report)]


def _detected_entry(finding: Finding) -> shapes.DetectedCondition:
    return shapes.DetectedCondition(
        name=wire_name(finding.name),
        confidence=numbers.share(finding.confidence),
        severity=finding.severity,
        measured=True,
        source=finding.source,
        description=words.describe(finding, finding.spot_count),
    )


def _nothing_detected(report: Report) -> shapes.DetectedCondition:
    measured = any(finding.score is not None for finding in by_condition(report).values())
    return shapes.DetectedCondition(
        name=WireName.HEALTHY if measured else WireName.UNKNOWN,
        confidence=numbers.share(report.confidence) if measured else 0.0,
        severity=Severity.NONE,
        measured=measured,
        source=Source.CLASSICAL,
        description=words.HEALTHY if measured else words.NOTHING_MEASURED,
    )


def predictions(entries: Iterable[shapes.DetectedCondition]) -> list[shapes.Prediction]:
    """Each name once, as its first entry has it."""
    first: dict[WireName, shapes.DetectedCondition] = {}
    for entry in entries:
        first.setdefault(entry.name, entry)
    return [
        shapes.Prediction(
            condition=name,
            confidence=entry.confidence,
            percentage=round(100 * entry.confidence, 1),
            measured=entry.measured,
        )
        for name, entry in first.items()
    ]


def condition_entries(report: Report) -> dict[ConditionName, shapes.Condition]:
    """Return the entries of all eight conditions; one that cannot be made counts as not measured."""
    return {
        name: mending.part(
            f"result.conditions.{name}",
            partial(condition_entry, finding),
            partial(_undefined_entry, name),
        )
        for name, finding in by_condition(report).items()
    }


def _undefined_entry(name: ConditionName) -> shapes.Condition:
    return condition_entry(_undefined(name))


def condition_entry(finding: Finding) -> shapes.Condition:
    """Everything that is known about one condition."""
    return shapes.Condition(
        detected=finding.detected,
        measured=finding.score is not None,
        score=None if finding.score is None else numbers.share(finding.score),
        score_interval=_interval(finding),
        severity=finding.severity,
        confidence=numbers.share(finding.confidence),
        description=words.describe(finding, finding.spot_count),
        percentage=None if finding.area_fraction is None else numbers.share(finding.area_fraction),
        spot_count=numbers.count(finding.spot_count),
        source=finding.source,
        formula=finding.formula,
        reason=finding.reason,
        reason_code=finding.reason_code,
        evidence={name: numbers.rounded(value) for name, value in finding.evidence.items()},
    )


def _interval(finding: Finding) -> list[float] | None:
    """Return both edges of a measured score, an unknown one at the end of the scale; None when not measured."""
    if finding.score is None:
        return None
    low, high = map(numbers.finite, finding.interval or (None, None))
    return [numbers.share(low), 1.0 if high is None else numbers.share(high)]


def skin_analysis(report: Report, headline: Mapping[str, Any]) -> shapes.SkinAnalysis:
    """Return the report in the words of an older page."""
    conditions = by_condition(report)
    texture, pigmentation = conditions[ConditionName.TEXTURE], conditions[ConditionName.PIGMENTATION]
    detected = [finding for finding in conditions.values() if finding.detected]
    return shapes.SkinAnalysis(
        overall_health_score=headline["skin_health_score"],
        texture=TextureWord.UNKNOWN if texture.score is None else words.TEXTURE[texture.severity],
        tone=ToneWord.UNKNOWN if pigmentation.score is None else words.TONE[pigmentation.severity],
        analysis_confidence=headline["confidence"],
        conditions_detected=mending.entries("skin_analysis.conditions_detected", _located_entry, detected),
    )


def _located_entry(finding: Finding) -> shapes.LocatedCondition:
    return shapes.LocatedCondition(
        condition=wire_name(finding.name),
        severity=finding.severity,
        measured=True,
        confidence=numbers.share(finding.confidence),
        location=words.location(finding) or "face",
        description=words.describe(finding, finding.spot_count),
    )


def level_word(finding: Finding | None) -> Level:
    """Severity as `severity_levels` words it: the highest is "severe"."""
    return words.LEVELS[finding.severity if finding else Severity.NONE]


def region_scores(findings: Iterable[Finding]) -> dict[Region, dict[WireName, float | None]]:
    """Region → condition → score 0..1, None where the region could not be measured."""
    regions: dict[Region, dict[WireName, float | None]] = {}
    for finding in findings:
        for region, score in finding.regions.items():
            is_number = numbers.finite(score) is not None
            regions.setdefault(region, {})[wire_name(finding.name)] = numbers.share(score) if is_number else None
    return regions


def lesion_entry(lesion: Lesion, photo: Photo) -> shapes.Lesion:
    """One spot in original pixels."""
    bounds = faces.clipped_bounds(lesion.box, photo)
    return shapes.Lesion(**bounds, contrast=numbers.rounded(lesion.contrast), region=lesion.region)


def lesions(report: Report) -> dict[WireName, list[shapes.Lesion]]:
    """Return the spots of each condition that has some."""
    return {
        wire_name(finding.name): mending.entries(
            "lesions", lambda lesion: lesion_entry(lesion, report.photo), finding.lesions
        )
        for finding in report.findings
        if finding.lesions
    }


def primary_finding(report: Report) -> Finding | None:
    """The finding that the primary condition names; None for `healthy` and `unknown`."""
    return next((finding for name, finding in by_condition(report).items() if name == report.primary_condition), None)
