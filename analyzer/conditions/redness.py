"""Redness: how far skin is redder than the person's own less red skin, over regions; diffuse flush apart from spots.

Redness of a pixel is e = a* - 0.4 b* (CIELAB), smoothed over about 2 mm. Blood raises a* alone; melanin, and a warm white
balance, raise b* together with a*, and the second term takes that part out again. The person's own baseline is
the 20 % quantile of e over the skin. The measurement, in CIELAB units, is

    raw = max(rms over all skin, mean of the cheeks' rms) of max(e - baseline - 1.5, 0), plus 0.3 max(baseline - 10, 0)

The root mean square gives one red cheek more weight than a plain mean would, and a flush of both cheeks, where a flush
shows most, is not watered down by a pale forehead and chin.

The first term is relative to the person: it does not change with complexion or with a colour cast that is the same all over.
It is blind to a face that is red everywhere, where the least red skin is affected as well. The second term is for such
faces: a baseline above 10 is redder than that of six in seven faces. It is weak on purpose, since light and camera
shift a baseline too.
"""

from __future__ import annotations

import cv2
import numpy as np

from analyzer import calibration
from analyzer.geometry import PX_PER_MM
from analyzer.roi import Roi
from analyzer.smoothing import Plane, blur_inside, halve, halve_mask
from analyzer.values import Finding, Mask
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.REDNESS
CHEEKS = (Region.LEFT_CHEEK, Region.RIGHT_CHEEK)
MELANIN_B_PER_A = 0.4  # share of b* taken off a*; chosen among 0, 0.3 .. 0.7 by rank on dermnet_facial
BASELINE_QUANTILE = 20  # percent of the skin that is taken as the person's unaffected skin
DEAD_ZONE = 1.5  # CIELAB units, ordinary mottling of skin and JPEG chroma
ABSOLUTE_LIMIT = 10.0  # CIELAB units, baseline that 14 % of 240 UTKFace adults exceed
ABSOLUTE_WEIGHT = 0.3  # of a baseline above that limit
AFFECTED = 5.0  # CIELAB units above the baseline from which skin counts as affected area
SMOOTH_PX = 2.0  # standard deviation, half-size pixels, about 2 mm
MARGIN_PX = 2  # half-size pixels along mask borders that are left out (lip red, hair)
SPOT_MM = 9.0  # affected parts narrower than this are spots, wider ones diffuse
RED_HUE_DEG = 12.0  # HSV hue within which skin counts as red in the evidence; healthy skin lies at about 15 to 35
LEAST_SKIN_PX = 3000  # half-size pixels of skin, about a tenth of a face, needed for a baseline
LEAST_REGION_PX = 120  # half-size pixels, about 1 cm²


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Redness of the skin.

    Args:
        roi: the aligned face.
        gate: False measures even where the service would refuse (benchmarks).
    """
    skin = halve_mask(roi.skin, MARGIN_PX)
    if skin.sum() < (LEAST_SKIN_PX if gate else 1):
        return calibration.not_measured(NAME, ReasonCode.TOO_FEW_PIXELS, "Too little skin is visible to judge redness.")
    if gate and (unreadable := roi.unreadable_colour or roi.overexposed):
        return calibration.not_measured(NAME, *unreadable)
    index = blur_inside(halve(roi.lab[..., 1] - MELANIN_B_PER_A * roi.lab[..., 2]), skin, SMOOTH_PX)
    baseline = float(np.percentile(index[skin], BASELINE_QUANTILE))
    excess = index - baseline
    absolute = ABSOLUTE_WEIGHT * max(baseline - ABSOLUTE_LIMIT, 0.0)
    above = np.maximum(excess - DEAD_ZONE, 0)
    regions = roi.per_region(skin, LEAST_REGION_PX, lambda mask: _rms(above, mask))
    cheeks = [value for name in CHEEKS if (value := regions.get(name)) is not None]
    relative = max(_rms(above, skin), float(np.mean(cheeks)) if cheeks else 0.0)
    affected = skin & (excess + absolute > AFFECTED)
    return calibration.measured(
        NAME,
        relative + absolute,
        regions={name: None if value is None else value + absolute for name, value in regions.items()},
        area_fraction=float(affected.sum() / skin.sum()),
        evidence={
            "baseline": baseline,
            "relative": relative,
            "absolute": absolute,
            "red_hue_share": _red_hue_share(roi, skin),
        }
        | _shares(affected),
    )


def _rms(values: Plane, inside: Mask) -> float:
    return float(np.sqrt(np.mean(np.square(values[inside]))))


def _red_hue_share(roi: Roi, skin: Mask) -> float:
    """Share of the skin whose HSV hue lies within `RED_HUE_DEG` of pure red: not in the score, since light shifts it."""
    hue_deg = roi.hsv[::2, ::2, 0][skin]
    return float((np.abs((hue_deg + 180) % 360 - 180) < RED_HUE_DEG).mean())


def _shares(affected: Mask) -> dict[str, float]:
    """Shares of the affected area that lie in wide patches and in spots; both 0 where nothing is affected."""
    side = round(SPOT_MM * PX_PER_MM / 2) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    wide = cv2.morphologyEx(affected.astype(np.uint8), cv2.MORPH_OPEN, disc).sum()
    total = float(affected.sum())
    diffuse = float(wide) / total if total else 0.0
    return {"diffuse_share": diffuse, "spot_share": 1.0 - diffuse if total else 0.0}
