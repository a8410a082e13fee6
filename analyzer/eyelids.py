"""Roi -> whether the eyes are open: an iris is darker, the white of an eye paler than the skin around it.

Lashes and the crease of a closed lid are dark too, but thin. So the openness of an eye is the strongest contrast that fills a
whole spot between the lids, larger than lashes and smaller than an iris (a morphological opening: the minimum over the
spot, the maximum over all places). It is a share of the skin's own lightness and chroma, so that light and dark skin, bright and
dim light are treated alike. It needs no exact lid landmarks, only where the eye is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.roi import Roi
from analyzer.values import Points

SPOT_HEIGHT, SPOT_WIDTH = 0.18, 0.09  # of the eye's width; lashes are thinner, an iris is 0.35 across
LID_MARGIN_PX = 8.0  # working px around the landmarks in which the eye is looked for
SKIN_RING_PX = (10.0, 26.0)  # working px around them: the skin that it is compared with
LEAST_RING_PX = 80
LEAST_CHROMA = 4.0  # CIELAB; of skin with less, hardly any colour can be missing
MAX_SCALE = 2.5  # working px per original px: of an eye of less than about 30 px, too little is left of the white


def openness(roi: Roi) -> float | None:
    """Contrast of the opener eye with its skin, about 0.45 closed, 0.8 open; None when no eye can be judged.

    An eye is judged when the detector saw it, it is not the one turned away, and skin shows around it.
    """
    if not roi.measured_landmarks or roi.scale > MAX_SCALE:
        return None
    shares = geometry.foreshortening(roi.landmarks)
    eyes = [roi.landmarks[f"{geometry.SIDES[side]}_eye"] for side, share in shares.items() if share == 1.0]
    seen = [value for value in (eye_openness(roi, eye) for eye in eyes) if value is not None]
    return max(seen, default=None)


def eye_openness(roi: Roi, eye: Points) -> float | None:
    """Openness of one eye; None when it leaves the crop or too little skin shows around it."""
    inner, outer = (geometry.grow(eye, margin) for margin in SKIN_RING_PX)
    if outer.min() < 0 or outer.max() > geometry.SIZE - 1:
        return None
    window = geometry.window_around(outer)
    ring = geometry.fill_window(outer, window) & ~geometry.fill_window(inner, window) & roi.skin[window]
    if np.count_nonzero(ring) < LEAST_RING_PX:
        return None
    lab = roi.lab[window]
    contrast = cv2.erode(_contrast(lab, np.median(lab[ring], axis=0)), _spot(float(np.ptp(eye[:, 0]))))
    return float(contrast[geometry.fill_window(geometry.grow(eye, LID_MARGIN_PX), window)].max())


def _contrast(lab: NDArray[np.float32], skin: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much darker or less coloured than skin each pixel is, the greater of both: 0 as skin, 1 black or without colour."""
    lightness, chroma = float(skin[0]), float(np.hypot(*skin[1:]))
    darker = (lightness - lab[..., 0]) / max(lightness, 1.0)
    as_light = np.minimum(
        lightness / np.maximum(lab[..., 0], 1.0), 1.0
    )  # what is lighter would have more chroma as skin
    paler = (chroma - as_light * np.hypot(lab[..., 1], lab[..., 2])) / max(chroma, LEAST_CHROMA)
    return np.maximum(darker, paler).astype(np.float32)


def _spot(eye_width: float) -> NDArray[np.uint8]:
    """Structuring element of odd sides."""
    height, width = (max(3, round(share * eye_width) | 1) for share in (SPOT_HEIGHT, SPOT_WIDTH))
    return np.ones((height, width), np.uint8)
