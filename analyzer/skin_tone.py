"""Roi -> skin tone: ITA, and Fitzpatrick and Monk estimates from it, with their agreement.

A photo under unknown light gives an estimate of how the skin *looks in the photo*, not of the skin. Nothing is decided from it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np

from analyzer.roi import COLOURED, Roi
from analyzer.values import Check, SkinTone
from analyzer.vocabulary import CheckCode, Fitzpatrick, ItaGroup, Region

# Upper limits in degrees, darkest first: Chardon, Cretois, Hourseau (1991), Int. J. Cosmet. Sci. 13, 191-208.
ITA_LIMITS = (-30.0, 10.0, 28.0, 41.0, 55.0)
ITA_GROUPS = tuple(ItaGroup)
# The usual reading of the six ITA groups as Fitzpatrick types; the types are defined by sun reaction, not colour, so this
# is a convention (Ware et al. 2020, JAAD Int. 1, 71-75, on how loose it is).
FITZPATRICK = tuple(reversed(Fitzpatrick))
# Monk Skin Tone scale, lightest first: the ten published swatches (E. Monk, 2023, "The Monk Skin Tone Scale").
MONK_HEX = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
LIGHT_CODES = (
    CheckCode.TOO_DARK,
    CheckCode.TOO_BRIGHT,
    CheckCode.OVEREXPOSED,
    CheckCode.UNEVEN_LIGHT,
    CheckCode.COLOUR_CAST,
)  # checks that speak against the estimate
PARTLY_SEEN = 0.4  # share of the face that is visible skin, below which the rest may look quite different
MIN_PIXELS = 500  # working px of skin


def ita_degrees(lab: np.ndarray) -> float:
    """Individual typology angle of a CIELAB colour: atan2(L* - 50, b*) in degrees, -90..90 for b* > 0 (Chardon 1991)."""
    return float(np.degrees(np.arctan2(lab[0] - 50.0, max(float(lab[2]), 1e-6))))


def ita_group(ita_deg: float) -> int:
    """Index into `ITA_GROUPS`, 0 = dark."""
    return bisect_left(ITA_LIMITS, ita_deg)


def estimate(roi: Roi, checks: Iterable[Check] = ()) -> SkinTone | None:
    """Skin tone of the cheeks and forehead; None when too little skin is visible.

    Args:
        checks: quality checks of the same photo; failed ones about light become the caveat.
    """
    if roi.skin.sum() < MIN_PIXELS:
        return None
    lab = roi.baseline_lab
    ita = ita_degrees(lab)
    swatches = monk_swatches()
    monk = int(np.linalg.norm(swatches - lab, axis=1).argmin())
    group = ita_group(ita)
    return SkinTone(
        ita_deg=round(ita, 1),
        ita_group=ITA_GROUPS[group],
        fitzpatrick_estimate=FITZPATRICK[group],
        monk_estimate=monk + 1,
        estimates_agree=roi.unreadable_colour != COLOURED and abs(group - ita_group(ita_degrees(swatches[monk]))) <= 1,
        caveat=_caveat(roi, checks),
    )


def monk_swatches() -> np.ndarray:
    """(10, 3) float32 CIELAB of the Monk swatches."""
    rgb = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in MONK_HEX], np.float32) / 255
    return cv2.cvtColor(rgb[None], cv2.COLOR_RGB2LAB)[0]


def _caveat(roi: Roi, checks: Iterable[Check]) -> str | None:
    if any(check.code in LIGHT_CODES and not check.passed for check in checks):
        return "The light in this photo is uneven, coloured, too dark or too bright, so the tone may be off by several steps."
    if any(check.code == CheckCode.NOT_ENOUGH_SKIN and (check.value or 0.0) < PARTLY_SEEN for check in checks):
        return "Only a part of the face could be read as skin, perhaps its brighter part, so the tone may be off by several steps."
    angles = [ita_degrees(np.median(roi.lab[mask], axis=0)) for mask in _cheeks(roi)]
    if any(abs(first - second) > 20.0 for first, second in pairwise(angles)):
        return "One side of the face is much brighter than the other, so the tone is uncertain."
    return "Estimated from one photo under unknown light; it can be off by several steps."


def _cheeks(roi: Roi) -> list[np.ndarray]:
    regions = (roi.regions.get(Region.LEFT_CHEEK), roi.regions.get(Region.RIGHT_CHEEK))
    return [mask for mask in regions if mask is not None and mask.sum() >= MIN_PIXELS]
