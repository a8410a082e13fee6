"""Dark spots: brown spots of about 3 to 15 mm (freckles, moles, sun spots) against the skin around each of them.

Light absorption of skin is read per colour channel as optical density, D = -ln(linear intensity + 0.02). Red light is
absorbed by melanin and hardly by blood, so D_red tells brown spots from inflamed ones. A pixel counts at one size when

- it is denser in red than the skin in *all* eight directions on a ring around it: folds, hairs and shadow edges are
  as dark as their surroundings in at least one direction, a spot is not; and
- it is browner on all sides as well (D_blue - D_red higher): the shade in a pore or a dent has the colour of the skin.

The contrast of such a pixel is D_red minus the highest D_red on the ring, so complexion and exposure cancel. The measurement,

    raw = 1000 sum over sizes of mean(min(contrast, 0.08)) * 3 / radius / (0.05 + sd of D's green excess)

lets a spot count by its area rather than its depth, gives all sizes a like share (radius in half-size pixels), and
sets spots in relation to how mottled the skin is with blood (green excess 2 D_green - D_red - D_blue, which shade leaves
alone): on inflamed skin a dark dot means less than on even skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import absorption, calibration, geometry
from analyzer.absorption import MOTTLE_FLOOR, blood_mottle, optical_density
from analyzer.roi import Roi
from analyzer.smoothing import Plane, blur_inside, halve_mask
from analyzer.values import Finding, Lesion, Mask
from analyzer.vocabulary import ConditionName, ReasonCode

NAME = ConditionName.DARK_SPOTS
TOO_LITTLE = "Too little skin is visible to look for dark spots."
LEVELS = 2  # pyramid levels: half and quarter size
RINGS_PX = (3.0, 4.3)  # ring radii at each level; 6, 9, 12 and 17 working px; a spot fits in up to twice the radius
SATURATION = 0.08  # optical density (natural) from which a darker pixel counts no more
CENTRE_PER_RADIUS = 1 / 3.2  # standard deviation of the centre's smoothing
PER_MILLE = 1000.0
SPOT_CONTRAST = 0.06  # optical density: a spot that reflects 6 % less red light than all around it is listed
LEAST_SPOT_PX = 3  # half-size pixels of core
MOST_LESIONS = 60
LARGEST_SCALE = 2.0  # working px per photo px; beyond it a 2.5 mm spot covers less than three photo pixels
LEAST_SKIN_PX = 3000  # half-size pixels, about a tenth of a face
NOSTRIL_MARGIN_PX = 14.0  # working px around the nostrils: shade in the crease of the wings
LEAST_REGION_PX = 120  # half-size pixels, about 1 cm²
DIRECTIONS = np.array([[np.cos(angle), np.sin(angle)] for angle in np.arange(8) * np.pi / 4])


@dataclass(frozen=True, eq=False)
class Contrast:
    """Brown spots of one size.

    Attributes:
        plane: contrast in optical density, 0 where there is no spot.
        whole: where a whole ring lies on skin.
        weight: by which the size enters the sum.
    """

    plane: Plane
    whole: Mask
    weight: float


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Brown spots of the skin.

    Args:
        roi: the aligned face.
        gate: False measures even where the service would refuse (benchmarks).
    """
    skin = halve_mask(roi.skin & ~_nose_wings(roi))
    if skin.sum() < (LEAST_SKIN_PX if gate else 1):
        return calibration.not_measured(NAME, ReasonCode.TOO_FEW_PIXELS, TOO_LITTLE)
    if gate and roi.scale > LARGEST_SCALE:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_SMALL, "The face is too small in the photo to see dark spots."
        )
    if gate and (unreadable := roi.unreadable_colour or roi.overexposed):
        return calibration.not_measured(NAME, *unreadable)
    density = optical_density(roi.rgb)
    contrasts = [spot_contrast(density, skin, level, radius) for level in range(LEVELS) for radius in RINGS_PX]
    total = _total(contrasts, None)
    if total is None:
        return calibration.not_measured(NAME, ReasonCode.TOO_FEW_PIXELS, TOO_LITTLE)
    mottle = blood_mottle(density, skin)
    weight = PER_MILLE / (MOTTLE_FLOOR + mottle)
    strongest = np.maximum.reduce([_enlarged(contrast.plane) for contrast in contrasts])
    lesions, area_px = _lesions(roi, strongest)
    return calibration.measured(
        NAME,
        weight * total,
        regions=roi.per_region(skin, LEAST_REGION_PX, lambda mask: _total(contrasts, mask, weight)),
        area_fraction=min(area_px / float(skin.sum()), 1.0),
        lesions=lesions[:MOST_LESIONS],
        evidence={
            "count": float(len(lesions)),
            "mottle": mottle,
            "strongest_contrast": float(strongest.max()),
        },
    )


def _nose_wings(roi: Roi) -> Mask:
    """The nostrils and the creases around them, which are dark, warm and enclosed on most faces."""
    if not roi.landmarks:
        return np.zeros_like(roi.skin)
    return geometry.fill(geometry.grow(geometry.feature_polygons(roi.landmarks)["nostrils"], NOSTRIL_MARGIN_PX))


def spot_contrast(density: NDArray[np.float32], skin: Mask, level: int, radius_px: float) -> Contrast:
    """Brown spots of one size; density and skin in half-size pixels, the radius in pixels of the level."""
    side = density.shape[0] >> level
    small = cv2.resize(density, (side, side), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(skin.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) > 0.95
    reach = int(np.ceil(radius_px))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    whole = cv2.erode(inside.astype(np.uint8), disc, borderValue=0).astype(bool)
    sigma = radius_px * CENTRE_PER_RADIUS
    red, brown = cv2.split(blur_inside(cv2.merge([small[..., 0], absorption.brown(small)]), inside, sigma))
    kept = whole & (_above_ring(brown, radius_px) > 0)
    plane = np.where(kept, np.maximum(_above_ring(red, radius_px), 0), np.float32(0))
    return Contrast(plane, whole, RINGS_PX[0] / (radius_px * 2**level))


def _above_ring(values: Plane, radius_px: float) -> Plane:
    """Value minus the highest of the eight values on the ring around it."""
    reach = int(np.ceil(radius_px))
    padded = cv2.copyMakeBorder(values, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    height, width = values.shape
    highest = np.full_like(values, -np.inf)
    for dx, dy in np.rint(DIRECTIONS * radius_px).astype(int):
        np.maximum(highest, padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width], out=highest)
    return values - highest


def _total(contrasts: Sequence[Contrast], inside: Mask | None, weight: float = 1.0) -> float | None:
    """Weighted sum over sizes of the mean contrast, over all skin or inside a half-size mask; None where no ring fits."""
    means = []
    for contrast in contrasts:
        used = contrast.whole if inside is None else contrast.whole & _reduced(inside, contrast.plane.shape[0])
        if used.any():
            means.append(contrast.weight * float(np.minimum(contrast.plane[used], SATURATION).mean()))
    return weight * sum(means) if means else None


def _lesions(roi: Roi, strongest: Plane) -> tuple[list[Lesion], float]:
    """Listed spots, strongest first, and their area in half-size pixels."""
    cores = (strongest > SPOT_CONTRAST).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(cores, connectivity=8)
    lesions, area = [], 0.0
    for label in range(1, count):
        x, y, width, height, core_px = (int(value) for value in stats[label])
        if core_px < LEAST_SPOT_PX:
            continue
        part = (slice(y, y + height), slice(x, x + width))
        contrast = float(strongest[part][labels[part] == label].max())
        box = roi.original_box(2 * x - width, 2 * y - height, 4 * width, 4 * height)  # the core is half the spot
        lesions.append(Lesion(box, contrast, roi.region_at(*(2 * centres[label]))))
        area += np.pi * width * height
    return sorted(lesions, key=lambda lesion: -lesion.contrast), area


def _enlarged(plane: Plane) -> Plane:
    return cv2.resize(plane, (256, 256), interpolation=cv2.INTER_LINEAR)


def _reduced(mask: Mask, side: int) -> Mask:
    return mask[:: mask.shape[0] // side, :: mask.shape[1] // side]
