"""Eight conditions, one file each, in the order of the report. Each is one pure function (Roi) -> Finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analyzer.conditions import acne, dark_spots, pigmentation, pores, redness, texture, under_eye, wrinkles
from analyzer.parallel import run_each
from analyzer.roi import Roi
from analyzer.values import Finding

CONDITIONS: Mapping[str, Callable[[Roi], Finding]] = {
    "acne": acne.measure,
    "redness": redness.measure,
    "dark_spots": dark_spots.measure,
    "texture": texture.measure,
    "pores": pores.measure,
    "wrinkles": wrinkles.measure,
    "pigmentation": pigmentation.measure,
    "under_eye": under_eye.measure,
}


def assess(roi: Roi) -> tuple[Finding, ...]:
    """Measure every condition on one region of interest, in the order of `CONDITIONS`."""
    return tuple(run_each(lambda measure: measure(roi), CONDITIONS.values()))
