"""How blurred the picture of a face is, from its strongest edges: lids, brows, lips, nostrils are sharp on every face.

A step edge seen through a Gaussian blur b and differentiated at scale s has a gradient peak proportional to 1 /
sqrt(b² + s²). The ratio of the peaks at two scales therefore gives b, whatever the contrast of the edge (the idea of
Elder & Zucker, "Local scale control for edge detection and blur estimation", PAMI 1998). Measured on the aligned
crop, b counts everything that took detail away: focus, motion, a small original that was enlarged, strong
compression.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.values import Points

FINE_PX = 1.0  # working px, the smaller scale of differentiation
COARSE_PX = 2.5  # working px
EDGE_PERCENTILE = 98.0  # of the gradient magnitude: the strong edges
MARGIN_PX = 14.0  # around the eyes and brows
MAX_BLUR_PX = 12.0  # above, the ratio says nothing any more


def edge_blur_px(lightness: NDArray[np.float32], landmarks: Mapping[str, Points]) -> float:
    """Blur of the aligned crop as the standard deviation of a Gaussian, working px, 0..MAX_BLUR_PX.

    Measured around both eyes, or over the whole crop where there are no landmarks; MAX_BLUR_PX when there is no edge.

    Args:
        lightness: (512, 512) L*, 0..100.
        landmarks: groups of points in working px; may be empty.
    """
    lightness = lightness[_window(landmarks)]
    fine, coarse = _edge_strength(lightness, FINE_PX), _edge_strength(lightness, COARSE_PX)
    ratio = (fine / max(coarse, 1e-6)) ** 2
    if ratio <= 1.0 or fine < 1e-3:
        return MAX_BLUR_PX
    variance = (COARSE_PX**2 - ratio * FINE_PX**2) / (ratio - 1.0)
    return float(np.clip(np.sqrt(max(variance, 0.0)), 0.0, MAX_BLUR_PX))


def _window(landmarks: Mapping[str, Points]) -> tuple[slice, slice]:
    """Rows and columns around eyes and brows."""
    names = [name for name in ("right_eye", "left_eye", "right_brow", "left_brow") if name in landmarks]
    if not names:
        return slice(None), slice(None)
    points = np.concatenate([landmarks[name] for name in names])
    low = np.clip(points.min(axis=0) - MARGIN_PX, 0, geometry.SIZE - 32).astype(int)
    high = np.clip(points.max(axis=0) + MARGIN_PX, low + 32, geometry.SIZE).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _edge_strength(lightness: NDArray[np.float32], scale_px: float) -> float:
    """High percentile of the gradient magnitude after Gaussian smoothing, L* per px."""
    smooth = cv2.GaussianBlur(lightness, (0, 0), scale_px)
    dx, dy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    return float(np.percentile(cv2.magnitude(dx, dy)[::2, ::2], EDGE_PERCENTILE))
