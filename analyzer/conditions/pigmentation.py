"""Uneven pigment: patches of about 5 to 20 mm that are darker and browner than the skin around them; tone of the regions.

The crescents under the eyes are left out. Two things are measured on optical density (`analyzer.absorption`, offset 0.1), after
shading is taken off: everything wider than a patch of 20 mm is subtracted, which removes the fall of light over the
face as well as the complexion.

- Unevenness: mean over the skin of sqrt(max(r, 0) max(b, 0)), where r is the density in red and b the brown excess (blue
  over red) of a patch above its surroundings. Shade raises r without b, a flush neither, so that only patches with
  more melanin remain. As for dark spots it is divided by the mottling of the skin with blood.
- Spread of tone: largest minus smallest individual typology angle, atan2(L* - 50, b*) in degrees (Chardon 1991), over
  forehead, cheeks and chin. Left and right cheek enter as their mean, which takes light from one side out. Light from
  above remains in it, and the angle is unsteady on dark skin, so only what exceeds 40 degrees counts, and little:

    raw = 1000 * unevenness / (0.05 + blood mottling) + max(spread - 40, 0)
"""

from __future__ import annotations

import cv2
import numpy as np

from analyzer import absorption, calibration
from analyzer.roi import Roi
from analyzer.smoothing import Plane, blur_inside, halve_mask
from analyzer.values import Finding, Mask
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.PIGMENTATION
FINE_PX = 1.5  # standard deviation, quarter-size pixels (about 3 mm): spots and pores are smoothed away
COARSE_PX = 7.0  # quarter-size pixels (about 13 mm): shading and complexion
MARGIN_PX = 5  # half-size pixels along mask borders that are left out (hair, lips)
PER_MILLE = 1000.0
OFFSET = (
    0.1  # linear intensity; at 0.02 the sheen on dark skin passes for pigment (median 1.6 times that of light skin)
)
PATCH = 0.06  # optical density from which a patch counts as affected area
SPREAD_LIMIT_DEG = 40.0  # spread of tone that nine in ten faces stay under (UTKFace adults, tuning half)
SPREAD_WEIGHT = 1.0  # per degree beyond
ANATOMY = (Region.LEFT_UNDER_EYE, Region.RIGHT_UNDER_EYE)  # darker on most faces; measured by a condition of their own
TONE_REGIONS: tuple[tuple[Region, ...], ...] = (
    (Region.FOREHEAD,),
    (Region.LEFT_CHEEK, Region.RIGHT_CHEEK),
    (Region.CHIN,),
)
LEAST_SKIN_PX = 750  # quarter-size pixels, about a tenth of a face
LEAST_REGION_PX = 30  # quarter-size pixels, about 1 cm²


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Unevenness of the skin's pigment.

    Args:
        roi: the aligned face.
        gate: False measures even where the service would refuse (benchmarks).
    """
    skin = halve_mask(roi.skin & ~_anatomy(roi), MARGIN_PX)[::2, ::2]
    if skin.sum() < (LEAST_SKIN_PX if gate else 1):
        return calibration.not_measured(
            NAME, ReasonCode.TOO_FEW_PIXELS, "Too little skin is visible to compare its tone."
        )
    if gate and (unreadable := roi.unreadable_colour or roi.overexposed):
        return calibration.not_measured(NAME, *unreadable)
    half = absorption.optical_density(roi.rgb, OFFSET)
    density = cv2.resize(half, skin.shape[::-1], interpolation=cv2.INTER_AREA)
    patches = _patches(density, skin)
    mottle = absorption.blood_mottle(density, skin)
    weight = PER_MILLE / (absorption.MOTTLE_FLOOR + mottle)
    spread_deg = _tone_spread_deg(roi)
    return calibration.measured(
        NAME,
        weight * float(patches[skin].mean()) + SPREAD_WEIGHT * max((spread_deg or 0.0) - SPREAD_LIMIT_DEG, 0.0),
        regions=roi.per_region(skin, LEAST_REGION_PX, lambda mask: weight * float(patches[mask].mean())),
        area_fraction=float((patches[skin] > PATCH).mean()),
        evidence={"unevenness": PER_MILLE * float(patches[skin].mean()), "mottle": mottle}
        | ({} if spread_deg is None else {"tone_spread_deg": spread_deg}),
    )


def _anatomy(roi: Roi) -> Mask:
    hidden = [roi.regions[name] for name in ANATOMY if name in roi.regions]
    return np.any(hidden, axis=0) if hidden else np.zeros_like(roi.skin)


def _patches(density: absorption.Density, skin: Mask) -> Plane:
    """How much darker and browner a place is than its surroundings, optical density, 0 where it is not both."""
    red = _band(np.ascontiguousarray(density[..., 0]), skin)
    brown = _band(absorption.brown(density), skin)
    return np.sqrt(np.maximum(red, 0) * np.maximum(brown, 0))


def _band(values: Plane, skin: Mask) -> Plane:
    """Structure of patch size: finer and coarser variation is removed."""
    fine = blur_inside(values, skin, FINE_PX)
    return fine - blur_inside(fine, skin, COARSE_PX)


def _tone_spread_deg(roi: Roi) -> float | None:
    """Largest difference of tone between regions, degrees; None where fewer than two can be compared."""
    tones = [tone for names in TONE_REGIONS if (tone := _tone_deg(roi, names)) is not None]
    return max(tones) - min(tones) if len(tones) > 1 else None


def _tone_deg(roi: Roi, names: tuple[Region, ...]) -> float | None:
    """Individual typology angle of a region, or of the mean colour of a pair; None where one of them is hidden."""
    masks = [roi.regions[name][::4, ::4] for name in names if name in roi.regions]
    if len(masks) < len(names) or min(int(mask.sum()) for mask in masks) < LEAST_REGION_PX:
        return None
    lab = roi.lab[::4, ::4]
    lightness, _, yellow = np.mean([np.median(lab[mask], axis=0) for mask in masks], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1.0))))
