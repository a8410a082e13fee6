"""Findings -> their part of the JSON, under the names that pages match on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analyzer import calibration
from analyzer.conditions import CONDITIONS
from analyzer.values import Finding, Lesion, Photo, Report, Severity
from web import faces, numbers, shapes, words

WIRE_NAMES: Mapping[str, str] = {"pigmentation": "hyperpigmentation"}  # pages match on these


def wire_name(name: str) -> str:
    """Name of a condition as the pages match on it."""
    return WIRE_NAMES.get(name, name)


def by_condition(report: Report) -> dict[str, Finding]:
    """All eight conditions in their order; absent ones as not measured."""
    found = {finding.name: finding for finding in report.findings}
    return {name: found.get(name) or _unmeasured(name) for name in CONDITIONS}


def _unmeasured(name: str) -> Finding:
    return calibration.not_measured(name, "not_measured", "This condition was not looked at.")


def detected_conditions(report: Report) -> list[shapes.DetectedCondition]:
    """Measured detections, the primary first, then by score; one `healthy` or `unknown` entry when there is none."""
    found = [finding for finding in report.findings if finding.detected]
    found.sort(key=lambda finding: (finding.name != report.primary_condition, -(finding.score or 0.0)))
    return [_detected_entry(finding) for finding in found] or [_nothing_detected(report)]


def _detected_entry(finding: Finding) -> shapes.DetectedCondition:
    return shapes.DetectedCondition(
        name=wire_name(finding.name),
        confidence=numbers.share(finding.confidence),
        severity=finding.severity.value,
        source=finding.source,
        description=words.describe(finding, finding.spot_count),
    )


def _nothing_detected(report: Report) -> shapes.DetectedCondition:
    measured = any(finding.score is not None for finding in report.findings)
    return shapes.DetectedCondition(
        name="healthy" if measured else "unknown",
        confidence=numbers.share(report.confidence) if measured else 0.0,
        severity="none",
        source="classical",
        description=words.HEALTHY if measured else words.NOTHING_MEASURED,
    )


def predictions(entries: Iterable[shapes.DetectedCondition]) -> list[shapes.Prediction]:
    """Each name once, as its first entry has it."""
    first: dict[str, float] = {}
    for entry in entries:
        first.setdefault(entry.name, entry.confidence)
    return [
        shapes.Prediction(condition=name, confidence=confidence, percentage=round(100 * confidence, 1))
        for name, confidence in first.items()
    ]


def condition_entry(finding: Finding) -> shapes.Condition:
    """Everything that is known about one condition."""
    measured = finding.score is not None
    return shapes.Condition(
        detected=finding.detected,
        score=numbers.share(finding.score) if measured else None,
        score_interval=[numbers.share(edge) for edge in finding.interval] if finding.interval else None,
        severity=finding.severity.value,
        confidence=numbers.share(finding.confidence),
        description=words.describe(finding, finding.spot_count),
        percentage=None if finding.area_fraction is None else numbers.share(finding.area_fraction),
        spot_count=finding.spot_count,
        source=finding.source,
        formula=finding.formula,
        reason=finding.reason,
        evidence={name: numbers.rounded(value) for name, value in finding.evidence.items()},
    )


def level_word(finding: Finding | None) -> Any:
    """Severity as `severity_levels` words it: the highest is "severe"."""
    severity = finding.severity if finding else Severity.NONE
    return "severe" if severity is Severity.HIGH else severity.value


def region_scores(findings: Iterable[Finding]) -> dict[str, dict[str, float | None]]:
    """Region → condition → score 0..1, None where the region could not be measured."""
    regions: dict[str, dict[str, float | None]] = {}
    for finding in findings:
        for region, score in finding.regions.items():
            regions.setdefault(region, {})[wire_name(finding.name)] = None if score is None else numbers.share(score)
    return regions


def lesion_entry(lesion: Lesion, photo: Photo) -> shapes.Lesion:
    """One spot in original pixels."""
    bounds = faces.clipped_bounds(lesion.box, photo)
    return shapes.Lesion(**bounds, contrast=numbers.rounded(lesion.contrast), region=lesion.region)


def primary_finding(report: Report) -> Finding | None:
    """The finding that the primary condition names; None for `healthy` and `unknown`."""
    wanted = wire_name(report.primary_condition)
    return next((finding for finding in report.findings if wire_name(finding.name) == wanted), None)
