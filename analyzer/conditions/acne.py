"""Acne: inflamed spots of 2 to 12 mm that are redder and a little darker than the skin right around them.

Blood in the skin absorbs green and blue: an inflamed spot gains a* and loses L* and b*. The measurement is the
contrast of H = a* - 0.4 L* - 0.4 b* between a spot-sized centre and its surround (difference of two Gaussians, both
taken over skin only), so that diffuse redness, shading and the tone of the skin cancel. What darkens without
reddening (moles, freckles, stubble) is left out, and what is a line rather than round (hair, creases) counts less.
The contrast is divided by the square root of the person's own a* unevenness, which suits noisy and flat pictures
alike. Nose and under-eye are left out: their folds and rims look like spots in every face.

Raw measurement: ln(1 + 100 m), m = mean over the skin of the excess, that is the contrast above `LEAST_CONTRAST` (at
most `MOST_EXCESS`) times the roundness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.values import Finding, Lesion, Mask

HALF = geometry.SIZE // 2  # px, side at which spots are looked for; PX_PER_MM is 1.1 there
# Numbers without another source were chosen on the tuning half of ACNE04 (`python -m benchmarks.tables.acne --tuning`).
AXIS = np.array([-0.4, 1.0, -0.4], np.float32)  # weights of L*, a*, b* in H
CENTRE_SIGMA = 1.2  # half-size px: Gaussian of the centre, about 2.6 mm across
SURROUND_SIGMA = 3.4  # half-size px: about 7 mm across
LEAST_RED = 0.25  # gain of a* per loss of L*, below which a dark spot is brown, not red
LEAST_CONTRAST = 0.8  # H units; what even clear skin reaches
MOST_EXCESS = 3.0  # H units; no single spot decides
ROUNDNESS = 1.5  # roundness is this less the ratio of difference to sum of the two curvatures, inside 0..1
USUAL_UNEVENNESS = 0.3  # a* units: median robust spread of the a* contrast on the tuning half of ACNE04
LEAST_UNEVENNESS = 0.15  # a* units; what JPEG and noise filters leave over
BORDER_PX = 13  # half-size px: diameter of the disc that shrinks the skin, against rims of hair, lips and lids
WING_MARGIN = 14.0  # working px around the nostrils and wings of the nose
PEAK_CONTRAST = 2.5  # H units: top of a spot that is counted
FOOT_CONTRAST = 1.2  # H units: outline of a spot
SPOT_MM = (1.0, 14.0)  # shortest and longest side of a counted spot's outline
LONGEST_RATIO = 3.0  # longer to shorter side; above it is a line, not a spot
MARGIN_PX = 2.0  # half-size px added around the outline, which is drawn inside the spot's soft edge
LEAST_SKIN_PX = 1500  # half-size px
LEAST_REGION_PX = 300  # half-size px
MOST_ENLARGED = 2.2  # working px per original px above which spots of 2 mm are no longer resolved

Map = NDArray[np.float32]  # (256, 256)


@dataclass(frozen=True, eq=False)
class Relief:
    """How spots stand out, on the half-size crop: `contrast` in H units, `excess` as in the formula."""

    contrast: Map
    excess: Map
    unevenness_a: float


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Inflamed spots of a face.

    Args:
        roi: the aligned face, or skin without landmarks.
        gate: answer "not measured" where the picture is too small for it; benchmarks on small pictures turn it off.
    """
    if gate and roi.scale > MOST_ENLARGED:
        return calibration.not_measured(
            "acne", "too_small", "The face is too small in the picture to see single spots."
        )
    looked_at = _looked_at(roi)
    if looked_at.sum() < LEAST_SKIN_PX:
        return calibration.not_measured("acne", "too_few_pixels", "Too little skin is visible to look for spots.")
    relief = _relief(roi, looked_at)
    spots, covered = _spots(roi, relief.contrast, looked_at)
    return calibration.measured(
        "acne",
        _raw(relief.excess, looked_at),
        regions={name: _region_raw(relief.excess, looked_at & _half(mask)) for name, mask in roi.regions.items()},
        area_fraction=float(covered.sum() / looked_at.sum()),
        lesions=spots,
        evidence={"spots": float(len(spots)), "unevenness_a": relief.unevenness_a},
    )


def _looked_at(roi: Roi) -> Mask:
    """(256, 256) bool: skin away from its borders, without nose and under-eye."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    inner = cv2.erode(_half(roi.skin).astype(np.uint8), disc).astype(bool)
    return inner & ~_half(_left_out(roi)) if roi.landmarks else inner


def _left_out(roi: Roi) -> Mask:
    polygons = geometry.region_polygons(roi.landmarks)
    wings = geometry.grow(roi.landmarks["nose"][6:12], WING_MARGIN)
    return geometry.fill(wings, *(polygons[name] for name in ("nose", "left_under_eye", "right_under_eye")))


def _half(mask: Mask) -> Mask:
    return mask[::2, ::2]


def _relief(roi: Roi, looked_at: Mask) -> Relief:
    lab, weight = _half_lab(roi), _half(roi.skin).astype(np.float32)
    centre = _mean_over(lab, weight, CENTRE_SIGMA)
    difference = centre - _mean_over(lab, weight, SURROUND_SIGMA)
    lightness, redness = difference[..., 0], difference[..., 1]
    unevenness = float(1.48 * np.median(np.abs(redness[looked_at])))
    red = redness > LEAST_RED * np.maximum(-lightness, 0.0)
    unit = np.float32(np.sqrt(max(unevenness, LEAST_UNEVENNESS) / USUAL_UNEVENNESS))
    contrast = np.where(red, difference @ AXIS, np.float32(0)) / unit
    excess = np.clip(contrast - LEAST_CONTRAST, 0.0, MOST_EXCESS) * _roundness(centre @ AXIS)
    return Relief(contrast, excess, unevenness)


def _half_lab(roi: Roi) -> NDArray[np.float32]:
    """(256, 256, 3) CIELAB without single wrong pixels, which would look like spots."""
    small = cv2.resize(cv2.medianBlur(roi.rgb, 3), (HALF, HALF), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _mean_over(lab: NDArray[np.float32], weight: Map, sigma: float) -> NDArray[np.float32]:
    """Gaussian mean over the weighted pixels only."""
    total = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
    return cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma) / total[..., None]


def _roundness(height: Map) -> Map:
    """0..1 by the two curvatures k1, k2 (eigenvalues of the Hessian): 1 on round tops, 0.5 on ridges, 0 in hollows."""
    xx, yy, xy = (cv2.Sobel(height, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
    difference = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    return np.clip(ROUNDNESS - difference / np.maximum(-(xx + yy), 1e-3), 0.0, 1.0)


def _raw(excess: Map, area: Mask) -> float:
    return float(np.log1p(100.0 * excess[area].mean()))


def _region_raw(excess: Map, area: Mask) -> float | None:
    return _raw(excess, area) if area.sum() >= LEAST_REGION_PX else None


def _spots(roi: Roi, contrast: Map, looked_at: Mask) -> tuple[list[Lesion], Mask]:
    """Spots that stand out one by one, and the skin that they cover."""
    outline = (contrast > FOOT_CONTRAST) & looked_at
    count, labels, stats, centres = cv2.connectedComponentsWithStats(outline.astype(np.uint8), connectivity=4)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels[outline], contrast[outline])
    sides_mm = np.sort(stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]], axis=1) * (2 / geometry.PX_PER_MM)
    short, long = sides_mm.T
    fits = (short >= SPOT_MM[0]) & (long <= SPOT_MM[1]) & (long <= LONGEST_RATIO * short) & (peaks >= PEAK_CONTRAST)
    spots = [_lesion(roi, stats[part], centres[part], float(peaks[part])) for part in np.flatnonzero(fits)]
    return spots, fits[labels]


def _lesion(roi: Roi, stats: NDArray[np.int32], centre: NDArray[np.float64], contrast: float) -> Lesion:
    x, y = 2 * (stats[:2] - MARGIN_PX)
    width, height = 2 * (stats[2:4] + 2 * MARGIN_PX)
    return Lesion(roi.original_box(x, y, width, height), contrast, _region(roi.regions, centre))


def _region(regions: Mapping[str, Mask], centre: NDArray[np.float64]) -> str | None:
    x, y = (2 * centre).astype(int)
    return next((name for name, mask in regions.items() if mask[y, x]), None)
