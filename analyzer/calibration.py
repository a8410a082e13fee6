"""Published formulas: raw measurement → score → severity, interval and confidence.

All numbers stand in `calibration.json`, each with its source. For one condition:

- ``anchors``: increasing (raw, score) pairs; the score is their piecewise linear interpolation, clipped to 0..1.
- ``severity_limits``: four increasing scores where minimal, low, moderate and high begin.
- ``repeatability``: (score, sd) pairs: standard deviation of the score of one face under the perturbations of
  `benchmarks/repeatability.py`; interpolated.

With the score s and its standard deviation d the 95 % interval is s ± 1.96 d inside 0..1, and the confidence is the
probability mass of N(s, d) between the limits of the severity class that s falls into (open at the ends).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from analyzer.errors import BadSetting
from analyzer.values import Finding, Lesion, Severity

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
        """Standard deviation of the score under the published perturbations."""
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
    condition: str,
    raw: float,
    *,
    regions: Mapping[str, float | None] | None = None,
    area_fraction: float | None = None,
    lesions: Sequence[Lesion] = (),
    evidence: Mapping[str, float] | None = None,
) -> Finding:
    """Finding of a condition that was measured.

    Args:
        condition: key in calibration.json.
        raw: measurement in the unit of the formula.
        regions: region name → raw measurement there (same unit), None where it could not be measured.
        area_fraction: affected share of the measured skin, 0..1.
        lesions: spots in original pixels.
        evidence: further measured numbers; the raw measurement is added as ``"raw"``.
    """
    formula = formulas()[condition]
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
        regions={name: None if value is None else formula.score(value) for name, value in (regions or {}).items()},
        evidence={"raw": raw, **(evidence or {})},
    )


def not_measured(condition: str, code: str, sentence: str) -> Finding:
    """Finding of a condition that could not be measured on this picture."""
    return Finding(
        name=condition,
        score=None,
        interval=None,
        severity=Severity.NONE,
        confidence=0.0,
        formula=formulas()[condition].name,
        reason=f"{code}: {sentence}",
    )


@cache
def formulas() -> Mapping[str, Formula]:
    """All formulas by condition.

    Raises:
        BadSetting: calibration.json is missing or its numbers are not as described above.
    """
    return {name: _formula(name, entry) for name, entry in document()["conditions"].items()}


@cache
def document() -> Mapping[str, Any]:
    """calibration.json as it stands."""
    try:
        return json.loads(PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSetting(f"{PATH.name} cannot be read: {error}", "Restore the file from the release.") from error


def _formula(condition: str, entry: Mapping[str, Any]) -> Formula:
    formula = Formula(
        name=entry["formula"],
        condition=condition,
        anchors=tuple((float(raw), float(score)) for raw, score in entry["anchors"]),
        severity_limits=tuple(float(limit) for limit in entry["severity_limits"]),  # type: ignore[arg-type]
        repeatability=tuple((float(score), float(sd)) for score, sd in entry["repeatability"]["sd"]),
    )
    increasing = [raw for raw, _ in formula.anchors], [score for _, score in formula.anchors], formula.severity_limits
    if len(formula.severity_limits) != 4 or not all(_is_increasing(values) for values in increasing):
        raise BadSetting(
            f"{PATH.name}, condition {condition}: anchors and the four severity limits must increase",
            "Restore the file from the release.",
        )
    return formula


def _is_increasing(values: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _normal_cdf(z: float) -> float:
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))
