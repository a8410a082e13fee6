"""Acne: inflamed spots of 2 to 12 mm that are redder and a little darker than the skin right around them.

Blood in the skin absorbs green and blue: an inflamed spot gains a* and loses L* and b*. The measurement is the
contrast of H = a* - 0.4 L* - 0.4 b* between a spot-sized centre and its surround (difference of two Gaussians, both
taken over skin only), so that diffuse redness, shading and the tone of the skin cancel. What darkens without
reddening (moles, freckles, stubble) is left out, and what is a line rather than round (hair, creases) counts less.
The contrast is divided by the square root of the person's own a* unevenness and the fourth root of the lightness, so
that noisy and flat, dark and bright pictures compare. Nose, frown lines and under-eye are left out: their folds and
rims look like spots in every face.

Raw measurement: ln(1 + 100 m), m = mean over the skin of the excess, that is the contrast above `LEAST_CONTRAST` (at
most `MOST_EXCESS`) times the roundness.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.values import Finding, Lesion, Mask, Rgb
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.ACNE
# Numbers without another source were chosen on the tuning half of ACNE04 (`python -m benchmarks.tables.acne --tuning`).
AXIS = np.array([-0.4, 1.0, -0.4], np.float32)  # weights of L*, a*, b* in H
CENTRE_SIGMA = 1.2  # half-size px (two working px, 1.1 to a mm): Gaussian of the centre, about 2.6 mm across
SURROUND_SIGMA = 3.4  # half-size px: about 7 mm across
LEAST_RED = 0.25  # gain of a* per loss of L*, below which a dark spot is brown, not red
LEAST_CONTRAST = 0.8  # H units; what even clear skin reaches
MOST_EXCESS = 3.0  # H units; no single spot decides
ROUNDNESS = 1.5  # roundness is this less the ratio of difference to sum of the two curvatures, inside 0..1
USUAL_UNEVENNESS = 0.3  # a* units: median robust spread of the a* contrast on the tuning half of ACNE04
USUAL_LIGHTNESS = 65.0  # L*: median over the skin, same pictures
LIGHTNESS_OFFSET = 16.0  # CIELAB differences of a spot grow with exposure as L* + 16 does
LEAST_UNEVENNESS = 0.15  # a* units; what JPEG and noise filters leave over
BORDER_PX = 13  # half-size px: diameter of the disc that shrinks the skin, against rims of hair, lips and lids
WING_MARGIN = 14.0  # working px around the nostrils and wings of the nose
ROOT_HALF_HEIGHT = 36.0  # working px above and below the root of the nose: frown lines
PEAK_EXCESS = 1.7  # H units: top of a spot that is counted
FOOT_EXCESS = 0.5  # H units: outline of a spot
SPOT_MM = (1.0, 14.0)  # shortest and longest side of a counted spot's outline
LONGEST_RATIO = 3.0  # longer to shorter side; above it is a line, not a spot
MARGIN_PX = 2  # half-size px added around the outline, which is drawn inside the spot's soft edge
LEAST_SKIN_PX = 1500  # half-size px
LEAST_REGION_PX = 300  # half-size px
MOST_ENLARGED = 2.2  # working px per original px above which spots of 2 mm are no longer resolved

Map = NDArray[np.float32]  # (h, w), half-size crop around the skin


@dataclass(frozen=True, eq=False)
class View:
    """The part of the face that holds skin, at half size; all (h, w), its corner at half-size `left`, `top`.

    Attributes:
        lab: (h, w, 3) float32 CIELAB without single wrong pixels, which would look like spots.
        skin: where a surround may be taken from.
        looked_at: where spots are looked for: skin away from its borders, without nose and under-eye.
    """

    lab: NDArray[np.float32]
    skin: Mask
    looked_at: Mask
    left: int
    top: int

    def cut(self, mask: Mask) -> Mask:
        """The same part of a (512, 512) mask."""
        height, width = self.skin.shape
        return mask[::2, ::2][self.top : self.top + height, self.left : self.left + width]


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Inflamed spots of a face.

    Args:
        roi: the aligned face, or skin without landmarks.
        gate: answer "not measured" where the picture is too small for it; benchmarks on small pictures turn it off.
    """
    if gate and roi.scale > MOST_ENLARGED:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_SMALL, "The face is too small in the picture to see single spots."
        )
    if gate and (unreadable := roi.unreadable_colour):
        return calibration.not_measured(NAME, *unreadable)
    view = _view(roi)
    if np.count_nonzero(view.looked_at) < LEAST_SKIN_PX:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_FEW_PIXELS, "Too little skin is visible to look for spots."
        )
    excess, unevenness = _excess(view)
    spots, covered = _spots(roi, view, excess)
    counted = np.minimum(excess, MOST_EXCESS)
    return calibration.measured(
        NAME,
        _raw(counted, view.looked_at),
        regions={name: _region_raw(counted, view.looked_at & view.cut(mask)) for name, mask in roi.regions.items()},
        area_fraction=float(np.count_nonzero(covered) / np.count_nonzero(view.looked_at)),
        lesions=spots,
        evidence={"spots": float(len(spots)), "unevenness_a": unevenness},
    )


def _view(roi: Roi) -> View:
    skin = roi.skin[::2, ::2].astype(np.uint8)
    left, top, width, height = cv2.boundingRect(skin)
    part = slice(top, top + height), slice(left, left + width)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    inner = cv2.erode(skin, disc).astype(bool)
    if roi.landmarks:
        inner &= ~_left_out(roi)[::2, ::2]
    rgb = roi.rgb[2 * top : 2 * (top + height), 2 * left : 2 * (left + width)]
    return View(_half_lab(rgb), skin[part].astype(bool), inner[part], left, top)


def _left_out(roi: Roi) -> Mask:
    polygons = geometry.region_polygons(roi.landmarks)
    nose, eyes = roi.landmarks["nose"], (roi.landmarks["right_eye"], roi.landmarks["left_eye"])
    wings = geometry.grow(nose[6:12], WING_MARGIN)
    gap = max(float(eyes[1][:, 0].min() - eyes[0][:, 0].max()), 0.0)
    root = geometry.ellipse(nose[0], gap / 2, ROOT_HALF_HEIGHT)
    return geometry.fill(
        wings, root, *(polygons[name] for name in (Region.NOSE, Region.LEFT_UNDER_EYE, Region.RIGHT_UNDER_EYE))
    )


def _half_lab(rgb: Rgb) -> NDArray[np.float32]:
    if rgb.size == 0:
        return np.zeros((0, 0, 3), np.float32)
    small = cv2.resize(cv2.medianBlur(rgb, 3), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _excess(view: View) -> tuple[Map, float]:
    """Contrast above `LEAST_CONTRAST` times roundness, in H units, and the person's unevenness in a* units."""
    weighted = cv2.merge([*cv2.split(view.lab), np.ones(view.skin.shape, np.float32)]) * view.skin[..., None]
    centre = _mean_over(weighted, CENTRE_SIGMA)
    lightness, redness, yellow = cv2.split(centre - _mean_over(weighted, SURROUND_SIGMA))
    unevenness = float(1.48 * np.median(np.abs(redness[view.looked_at])))
    contrast = AXIS[0] * lightness + AXIS[1] * redness + AXIS[2] * yellow
    contrast /= np.float32(_unit(unevenness, float(np.median(view.lab[view.looked_at, 0]))))
    contrast[redness <= LEAST_RED * np.maximum(-lightness, 0.0)] = 0.0
    roundness = _roundness(cv2.transform(centre, AXIS[None]))
    return np.maximum(contrast - LEAST_CONTRAST, 0.0) * roundness, unevenness


def _unit(unevenness_a: float, lightness: float) -> float:
    """What the contrast is divided by; lightness is the median L* of the skin."""
    noise = max(unevenness_a, LEAST_UNEVENNESS) / USUAL_UNEVENNESS
    light = max(lightness + LIGHTNESS_OFFSET, 1.0) / (USUAL_LIGHTNESS + LIGHTNESS_OFFSET)
    return noise**0.5 * light**0.25


def _mean_over(weighted: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """(h, w, 3) Gaussian mean over skin, from (h, w, 4): CIELAB times weight, and weight."""
    blurred = cv2.GaussianBlur(weighted, (0, 0), sigma)
    return blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-3)


def _roundness(height: Map) -> Map:
    """0..1 by the two curvatures k1, k2 (eigenvalues of the Hessian): 1 on round tops, 0.5 on ridges, 0 in hollows."""
    xx, yy, xy = (cv2.Sobel(height, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
    difference = cv2.magnitude(xx - yy, 2 * xy)
    return np.clip(ROUNDNESS - difference / np.maximum(-(xx + yy), 1e-3), 0.0, 1.0)


def _raw(counted: Map, area: Mask) -> float:
    return float(np.log1p(100.0 * cv2.mean(counted, area.astype(np.uint8))[0]))


def _region_raw(counted: Map, area: Mask) -> float | None:
    return _raw(counted, area) if np.count_nonzero(area) >= LEAST_REGION_PX else None


def _spots(roi: Roi, view: View, excess: Map) -> tuple[list[Lesion], Mask]:
    """Spots that stand out one by one, and the skin that they cover."""
    outline = (excess > FOOT_EXCESS) & view.looked_at
    count, labels, stats, centres = cv2.connectedComponentsWithStats(outline.astype(np.uint8), connectivity=4)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels[outline], excess[outline])
    sides_mm = np.sort(stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]], axis=1) * (2 / geometry.PX_PER_MM)
    short, long = sides_mm.T
    fits = (short >= SPOT_MM[0]) & (long <= SPOT_MM[1]) & (long <= LONGEST_RATIO * short) & (peaks >= PEAK_EXCESS)
    stats[:, :2] += view.left, view.top
    centres += view.left, view.top
    spots = [_lesion(roi, stats[part], centres[part], float(peaks[part])) for part in np.flatnonzero(fits)]
    return spots, fits[labels]


def _lesion(roi: Roi, stats: NDArray[np.int32], centre: NDArray[np.float64], excess: float) -> Lesion:
    left, top = (2.0 * (float(value) - MARGIN_PX) for value in stats[:2])
    width, height = (2.0 * (float(value) + 2 * MARGIN_PX) for value in stats[2:4])
    return Lesion(roi.original_box(left, top, width, height), excess, roi.region_at(*(2 * centre)))
