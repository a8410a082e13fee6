"""Eight conditions, one file each, in the order of the report. Each is one pure function (Roi) -> Finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analyzer.conditions import acne, dark_spots, pigmentation, pores, redness, texture, under_eye, wrinkles
from analyzer.parallel import run_each
from analyzer.roi import Roi
from analyzer.values import Finding
from analyzer.vocabulary import ConditionName

CONDITIONS: Mapping[ConditionName, Callable[[Roi], Finding]] = {
    ConditionName.ACNE: acne.measure,
    ConditionName.REDNESS: redness.measure,
    ConditionName.DARK_SPOTS: dark_spots.measure,
    ConditionName.TEXTURE: texture.measure,
    ConditionName.PORES: pores.measure,
    ConditionName.WRINKLES: wrinkles.measure,
    ConditionName.PIGMENTATION: pigmentation.measure,
    ConditionName.UNDER_EYE: under_eye.measure,
}


def assess(roi: Roi) -> tuple[Finding, ...]:
    """Measure every condition on one region of interest, in the order of `CONDITIONS`."""
    return tuple(run_each(lambda measure: measure(roi), CONDITIONS.values()))
