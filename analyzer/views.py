"""Copies of a gray picture for the face search: smaller, turned, or cut out around one face. Geometry only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.cascades import Gray
from analyzer.values import Rgb

SPAN = 1.75  # side of a view in face box sides
MOST_GAIN = 12.0  # of the contrast; beyond, noise would look like structure
LEAST_SIDE_PX = 96  # short side below which the pyramid is not halved again


@dataclass(frozen=True)
class Candidate:
    """A place to examine, in picture pixels: centre, side of the face box, and roll (clockwise positive)."""

    x: float
    y: float
    side: float
    roll_deg: float
    kind: str


def pyramid_of(rgb: Rgb) -> list[Gray]:
    """The gray picture and its halvings, the full size first."""
    levels = [np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)]
    while min(levels[-1].shape) >= LEAST_SIDE_PX:
        half = cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(half, np.uint8))
    return levels


def scaled(pyramid: Sequence[Gray], scale: float) -> Gray:
    """The picture at `scale` (≤ 1) times its size."""
    level = min(int(math.log2(1 / scale)), len(pyramid) - 1)
    height, width = pyramid[0].shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pyramid[level], size, interpolation=cv2.INTER_AREA), np.uint8)


def turned(gray: Gray, roll_deg: float) -> tuple[Gray, NDArray[np.float64]]:
    """The picture turned so that a face of this roll is upright, and the (2, 3) matrix back."""
    height, width = gray.shape
    roll = math.radians(roll_deg)
    cos, sin = math.cos(roll), math.sin(roll)
    new_width, new_height = (round(abs(cos) * a + abs(sin) * b) for a, b in ((width, height), (height, width)))
    back = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    back[:, 2] = (width / 2, height / 2) - back[:, :2] @ (new_width / 2, new_height / 2)
    if roll_deg == 0:
        return gray, back
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    upright = cv2.warpAffine(gray, back, (new_width, new_height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(upright, np.uint8), back


def view_of(pyramid: Sequence[Gray], candidate: Candidate, face_px: int) -> tuple[Gray, NDArray[np.float64]]:
    """Upright square view around a face box that is `face_px` wide there.

    Returns:
        The (S, S) view, box in the centre, edge pixels repeated where it leaves the picture; and the (2, 3) matrix from
        picture to view.
    """
    level = min(int(math.log2(max(candidate.side / face_px, 1.0))), len(pyramid) - 1)
    span = round(SPAN * face_px)
    roll = math.radians(candidate.roll_deg)
    zoom = face_px / candidate.side
    turn = zoom * np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    to_view = np.column_stack([turn, (span / 2, span / 2) - turn @ (candidate.x, candidate.y)])
    shrink = pyramid[level].shape[1] / pyramid[0].shape[1]
    middle_shift = (0.5 / shrink - 0.5,) * 2  # the first pixel of a level averages several of the picture
    from_level = np.column_stack([turn / shrink, to_view[:, 2] + turn @ middle_shift])
    view = cv2.warpAffine(pyramid[level], from_level, (span, span), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8), to_view


def stretched(gray: Gray) -> Gray:
    """Contrast stretched to the full range: OpenCV skips windows whose standard deviation is below ten levels."""
    low, high = int(gray.min()), int(gray.max())
    gain = min(255.0 / max(high - low, 1), MOST_GAIN)
    return np.asarray(cv2.convertScaleAbs(gray, alpha=gain, beta=-gain * low), np.uint8)
