"""Acne: inflamed spots of 2 to 12 mm that are redder and a little darker than the skin right around them.

Blood in the skin absorbs green and blue: an inflamed spot gains a* and loses L* and b*. The measurement is the contrast of
H = a* - 0.4 L* - 0.4 b* between a spot-sized centre and its surround (difference of two Gaussians, both taken over skin
only), so that diffuse redness, shading and the tone of the skin cancel. What darkens without reddening (moles, freckles,
stubble) is left out. The contrast is divided by the square root of the person's own a* unevenness, which holds for
noisy and for flat pictures. The nose is left out: its folds and rims look like spots in every face.

Raw measurement: ln(1 + 100 m), m = mean over the skin of the contrast above `LEAST_CONTRAST`.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.values import Finding, Lesion, Mask

HALF = geometry.SIZE // 2  # px, side at which spots are looked for; PX_PER_MM is 1.1 there
AXIS = np.float32([-0.4, 1.0, -0.4])  # weights of L*, a*, b* in H; chosen on the tuning half of ACNE04
CENTRE_SIGMA = 1.2  # half-size px: Gaussian of the centre, about 2.6 mm across
SURROUND_SIGMA = 3.4  # half-size px: about 7 mm across
LEAST_RED = 0.25  # gain of a* per loss of L*, below which a dark spot is brown, not red
LEAST_CONTRAST = 0.8  # H units; what even clear skin reaches
USUAL_UNEVENNESS = 0.3  # a* units: median robust spread of the a* contrast on the tuning half of ACNE04
LEAST_UNEVENNESS = 0.15  # a* units; what JPEG and noise filters leave over
BORDER_PX = 13  # half-size px: diameter of the disc that shrinks the skin, against rims of hair, lips and lids
PEAK_CONTRAST = 2.5  # H units: top of a spot that is counted
FOOT_CONTRAST = 1.2  # H units: outline of a spot
SPOT_MM = (1.0, 14.0)  # longest and shortest side of a counted spot's outline
LONGEST_RATIO = 3.0  # longer to shorter side; above it is a line, not a spot
LEAST_SKIN_PX = 1500  # half-size px
LEAST_REGION_PX = 300  # half-size px
MOST_ENLARGED = 2.2  # working px per original px above which spots of 2 mm are no longer resolved

Contrast = NDArray[np.float32]


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
    skin, looked_at = _areas(roi)
    if looked_at.sum() < LEAST_SKIN_PX:
        return calibration.not_measured("acne", "too_few_pixels", "Too little skin is visible to look for spots.")
    contrast = _contrast(roi, skin, looked_at)
    excess = np.maximum(contrast - LEAST_CONTRAST, 0.0)
    spots, covered = _spots(roi, contrast, looked_at)
    return calibration.measured(
        "acne",
        _raw(excess, looked_at),
        regions={name: _region_raw(excess, looked_at & _half(mask)) for name, mask in roi.regions.items()},
        area_fraction=float(covered.sum() / looked_at.sum()),
        lesions=spots,
        evidence={"spots": float(len(spots)), "unevenness_a": _unevenness(contrast, looked_at)},
    )


def _areas(roi: Roi) -> tuple[Mask, Mask]:
    """(256, 256) skin that the surround may use, and the part of it in which spots are looked for."""
    skin = _half(roi.skin)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    inner = cv2.erode(skin.astype(np.uint8), disc).astype(bool)
    return skin, inner & ~_half(_nose(roi)) if roi.landmarks else inner


def _nose(roi: Roi) -> Mask:
    return geometry.fill(geometry.region_polygons(roi.landmarks)["nose"])


def _half(mask: Mask) -> Mask:
    return mask[::2, ::2]


def _contrast(roi: Roi, skin: Mask, looked_at: Mask) -> Contrast:
    """(256, 256) float32: centre minus surround in H units, 0 where it is not red."""
    lab = _half_lab(roi)
    weight = skin.astype(np.float32)
    difference = _mean_over(lab, weight, CENTRE_SIGMA) - _mean_over(lab, weight, SURROUND_SIGMA)
    lightness, redness = difference[..., 0], difference[..., 1]
    unevenness = max(_unevenness(redness, looked_at), LEAST_UNEVENNESS)
    red = redness > LEAST_RED * np.maximum(-lightness, 0.0)
    return np.where(red, difference @ AXIS, 0.0) / np.float32(np.sqrt(unevenness / USUAL_UNEVENNESS))


def _half_lab(roi: Roi) -> NDArray[np.float32]:
    clean = cv2.medianBlur(roi.rgb, 3)  # single wrong pixels are no spots
    small = cv2.resize(clean, (HALF, HALF), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _mean_over(lab: NDArray[np.float32], weight: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian mean over the weighted pixels only."""
    total = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
    return cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma) / total[..., None]


def _unevenness(difference: Contrast, looked_at: Mask) -> float:
    return float(1.48 * np.median(np.abs(difference[looked_at])))


def _raw(excess: Contrast, area: Mask) -> float:
    return float(np.log1p(100.0 * excess[area].mean()))


def _region_raw(excess: Contrast, area: Mask) -> float | None:
    return _raw(excess, area) if area.sum() >= LEAST_REGION_PX else None


def _spots(roi: Roi, contrast: Contrast, looked_at: Mask) -> tuple[list[Lesion], Mask]:
    """Spots that stand out one by one, and the skin that they cover."""
    outline = ((contrast > FOOT_CONTRAST) & looked_at).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(outline, connectivity=8)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels.ravel(), contrast.ravel())
    width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    long, short = np.maximum(width, height), np.minimum(width, height)
    mm = 2.0 / geometry.PX_PER_MM
    fits = (short * mm >= SPOT_MM[0]) & (long * mm <= SPOT_MM[1]) & (long <= LONGEST_RATIO * short)
    fits &= peaks >= PEAK_CONTRAST
    fits[0] = False
    spots = [_lesion(roi, stats[i], centres[i], float(peaks[i])) for i in np.flatnonzero(fits)]
    return spots, fits[labels]


def _lesion(roi: Roi, stats: NDArray[np.int32], centre: NDArray[np.float64], contrast: float) -> Lesion:
    x, y, width, height = (2.0 * float(value) for value in stats[:4])
    return Lesion(roi.original_box(x, y, width, height), contrast, _region(roi.regions, centre))


def _region(regions: Mapping[str, Mask], centre: NDArray[np.float64]) -> str | None:
    x, y = (2 * centre).astype(int)
    return next((name for name, mask in regions.items() if mask[y, x]), None)
