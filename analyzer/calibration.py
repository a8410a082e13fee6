"""Published formulas: raw measurement → score → severity, interval and confidence.

All numbers stand in `calibration.json`, each with its source. For one condition:

- ``anchors``: increasing (raw, score) pairs; the score is their piecewise linear interpolation, clipped to 0..1.
- ``severity_limits``: four increasing scores where minimal, low, moderate and high begin.
- ``repeatability``: (first score, sd) pairs: root mean square difference between the score of a repeated photo and the
  first, under the perturbations of `benchmarks/repeatability.py`; interpolated.

With the score s and its standard deviation d the 95 % interval is s ± 1.96 d inside 0..1, and the confidence is the
probability mass of N(s, d) between the limits of the severity class that s falls into (open at the ends).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from analyzer.errors import BadSetting
from analyzer.values import Finding, Lesion
from analyzer.vocabulary import ConditionName, ReasonCode, Region, Severity

PATH = Path(__file__).with_name("calibration.json")
SEVERITIES = tuple(Severity)
MIN_SD = 1e-3  # keeps the confidence defined where repeatability was perfect on the measured pictures


@dataclass(frozen=True)
class Formula:
    """The numbers of one condition, checked."""

    name: str
    condition: str
    anchors: tuple[tuple[float, float], ...]
    severity_limits: tuple[float, float, float, float]
    repeatability: tuple[tuple[float, float], ...]

    def score(self, raw: float) -> float:
        """Raw measurement → score in 0..1."""
        raws, scores = zip(*self.anchors, strict=True)
        return float(np.clip(np.interp(raw, raws, scores), 0.0, 1.0))

    def severity(self, score: float) -> Severity:
        return SEVERITIES[int(np.searchsorted(self.severity_limits, score, side="right"))]

    def deviation(self, score: float) -> float:
        """How far the score of a repeated photo lies from this one, root mean square."""
        scores, deviations = zip(*self.repeatability, strict=True)
        return max(float(np.interp(score, scores, deviations)), MIN_SD)

    def interval(self, score: float) -> tuple[float, float]:
        half = 1.96 * self.deviation(score)
        return max(0.0, score - half), min(1.0, score + half)

    def confidence(self, score: float) -> float:
        """Probability that the severity stays the same, 0..1."""
        edges = (-math.inf, *self.severity_limits, math.inf)
        level = SEVERITIES.index(self.severity(score))
        deviation = self.deviation(score)
        return _normal_cdf((edges[level + 1] - score) / deviation) - _normal_cdf((edges[level] - score) / deviation)

    def probability_below_low(self, score: float) -> float:
        """Probability that the severity stays below `low`, 0..1."""
        return _normal_cdf((self.severity_limits[1] - score) / self.deviation(score))


def measured(
    condition: ConditionName,
    raw: float,
    *,
    regions: Mapping[Region, float | None] | None = None,
    area_fraction: float | None = None,
    lesions: Sequence[Lesion] = (),
    evidence: Mapping[str, float] | None = None,
) -> Finding:
    """Finding of a condition that was measured; a raw value that is no finite number counts as not measured.

    Args:
        condition: key in calibration.json.
        raw: measurement in the unit of the formula.
        regions: region name → raw measurement there (same unit), None where it could not be measured.
        area_fraction: affected share of the measured skin, 0..1.
        lesions: spots in original pixels.
        evidence: further measured numbers; the raw measurement is added as ``"raw"``.
    """
    formula = formulas()[condition]
    if not math.isfinite(raw):
        return not_measured(condition, ReasonCode.UNDEFINED, "The measurement has no defined value on this photo.")
    score = formula.score(raw)
    return Finding(
        name=condition,
        score=score,
        interval=formula.interval(score),
        severity=formula.severity(score),
        confidence=formula.confidence(score),
        formula=formula.name,
        area_fraction=area_fraction,
        lesions=tuple(sorted(lesions, key=lambda lesion: -lesion.contrast)),
        regions={name: _score_or_none(formula, value) for name, value in (regions or {}).items()},
        evidence={"raw": raw, **(evidence or {})},
    )


def _score_or_none(formula: Formula, raw: float | None) -> float | None:
    return None if raw is None or not math.isfinite(raw) else formula.score(raw)


def not_measured(condition: ConditionName, code: ReasonCode, sentence: str) -> Finding:
    """Finding of a condition that could not be measured on this picture."""
    return Finding(
        name=condition,
        score=None,
        interval=None,
        severity=Severity.NONE,
        confidence=0.0,
        formula=formulas()[condition].name,
        reason=f"{code}: {sentence}",
        reason_code=code,
    )


@cache
def formulas() -> Mapping[str, Formula]:
    """All formulas by condition.

    Raises:
        BadSetting: calibration.json is missing or its numbers are not as described above.
    """
    return {name: _formula(name, entry) for name, entry in _part("conditions").items()}


@cache
def health_weights() -> Mapping[str, float]:
    """Weight of each condition in the health score (`analyzer.report`), 0..1.

    Raises:
        BadSetting: there is not one weight between 0 and 1 for each condition.
    """
    weights = _part("health").get("weights", {})
    if set(weights) != set(formulas()) or not all(0.0 < weight < 1.0 for weight in weights.values()):
        raise _bad("health: there must be one weight between 0 and 1 for each condition")
    return weights


@cache
def document() -> Mapping[str, Any]:
    """calibration.json as it stands."""
    try:
        return json.loads(PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSetting(f"{PATH.name} cannot be read: {error}", "Restore the file from the release.") from error


def _part(name: str) -> Mapping[str, Any]:
    try:
        return document()[name]
    except (KeyError, TypeError) as error:
        raise _bad(f"part {name} is missing") from error


def _formula(condition: str, entry: Mapping[str, Any]) -> Formula:
    try:
        formula = Formula(
            name=str(entry["formula"]),
            condition=condition,
            anchors=tuple((float(raw), float(score)) for raw, score in entry["anchors"]),
            severity_limits=tuple(float(limit) for limit in entry["severity_limits"]),  # type: ignore[arg-type]
            repeatability=tuple((float(score), float(sd)) for score, sd in entry["repeatability"]["sd"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(f"condition {condition}: {error!r}") from error
    for fault in _faults(formula):
        raise _bad(f"condition {condition}: {fault}")
    return formula


def _faults(formula: Formula) -> Iterator[str]:
    """What is wrong with the numbers of one condition."""
    raws, scores = [raw for raw, _ in formula.anchors], [score for _, score in formula.anchors]
    if len(raws) < 2 or not (_is_increasing(raws) and _is_increasing(scores) and math.isfinite(raws[0] + raws[-1])):
        yield "two or more anchors must increase in raw value and score"
    elif not 0.0 <= scores[0] < scores[-1] <= 1.0:
        yield "the scores of the anchors must lie in 0..1"
    limits = (0.0, *formula.severity_limits, 1.0)
    if len(limits) != 6 or not _is_increasing(limits):
        yield "the four severity limits must increase between 0 and 1"
    if not formula.repeatability or not _is_increasing([score for score, _ in formula.repeatability]):
        yield "repeatability needs pairs with increasing scores"
    if not all(0.0 <= sd < math.inf for _, sd in formula.repeatability):
        yield "a standard deviation must not be negative"


def _bad(what: str) -> BadSetting:
    return BadSetting(f"{PATH.name}, {what}", "Restore the file from the release.")


def _is_increasing(values: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))
