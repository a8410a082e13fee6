"""Upright gray face -> pair of eye centres, or none. Works on the standard face view of `analyzer.haar`."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.cascades import Gray, fitted, group, scan
from analyzer.values import Points

REACH = (-0.44, -0.32, 0.44, 0.1)  # left, top, right, bottom of the searched band, from the box centre, in box sides
EYE_SIDES = (0.18, 0.42)  # smallest and largest eye hit, in box sides
STEP = 1.1  # ratio of neighbouring window sizes
LEAST_VOTES = 2  # hits that an eye needs
MOST_EYES = 3  # candidates per side of the face
MOST_SQUARED_Z = 20.0  # above this a pair does not look like two eyes of this face
IRIS_REACH = 0.05  # how far the refinement may move an eye, in box sides
GRADIENT_QUANTILE = 0.7  # weaker edges do not vote for the iris
PEAK_FRACTION = 0.9  # votes above this share of the best make up the centre


def locate(gray: Gray, side_px: float) -> tuple[Points | None, float]:
    """Find the best pair of eyes.

    Args:
        gray: (S, S) uint8 view with the face box in its centre, upright.
        side_px: side of the face box in the view.

    Returns:
        The (2, 2) pair, left in the picture first, in pixels of `gray`, or None; and the votes of its weaker eye.
    """
    centre_px = gray.shape[0] / 2
    left, top, right, bottom = (int(centre_px + edge * side_px) for edge in REACH)
    hits = scan("eye", gray[top:bottom, left:right], EYE_SIDES[0] * side_px, EYE_SIDES[1] * side_px, STEP)
    hits[:, :2] += (left, top)
    lefts, rights = (
        group(hits[half], LEAST_VOTES, MOST_EYES) for half in (hits[:, 0] < centre_px, hits[:, 0] >= centre_px)
    )
    pairs = [(_plausibility(one, other, centre_px, side_px), one, other) for one, other in product(lefts, rights)]
    pairs = [pair for pair in pairs if np.isfinite(pair[0])]
    if not pairs:
        return None, 0.0
    _, one, other = max(pairs, key=lambda pair: pair[0])
    reach_px = IRIS_REACH * side_px
    eyes = np.array([iris_centre(gray, eye[:2], reach_px) for eye in (one, other)], np.float32)
    return eyes, float(min(one[4], other[4]))


def iris_centre(gray: Gray, eye: NDArray[np.float32], reach_px: float) -> NDArray[np.float32]:
    """Dark round centre near an eye: the point that most gradients point away from (Timm & Barth, VISAPP 2011).

    Args:
        eye: (2,) first estimate in pixels of `gray`.
        reach_px: how far the answer may lie from it.

    Returns:
        (2,) float32; the estimate itself where the patch is flat or leaves the picture.
    """
    radius = int(np.ceil(reach_px)) + 2
    x, y = (round(float(v)) for v in eye)
    patch = gray[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
    if patch.shape != (2 * radius + 1,) * 2:
        return eye
    smooth = np.asarray(cv2.GaussianBlur(patch, (3, 3), 0), np.uint8)
    votes = _radial_votes(smooth) * (255.0 - smooth)
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    votes *= np.exp(-(offsets[:, None] ** 2 + offsets**2) / (reach_px**2))
    total = votes.sum()
    if total <= 0:
        return eye
    votes = np.where(votes >= PEAK_FRACTION * votes.max(), votes, 0.0)
    shift = np.array([(votes.sum(axis=0) * offsets).sum(), (votes.sum(axis=1) * offsets).sum()]) / votes.sum()
    return np.array([x + shift[0], y + shift[1]], np.float32)


def _radial_votes(gray: Gray) -> NDArray[np.float32]:
    """(H, W) mean squared agreement between strong gradients and the rays from each pixel."""
    gradient = np.stack([cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)], axis=-1)
    strength = np.linalg.norm(gradient, axis=-1)
    rows, columns = np.nonzero(strength > max(float(np.quantile(strength, GRADIENT_QUANTILE)), 1.0))
    if len(rows) == 0:
        return np.zeros(gray.shape, np.float32)
    units = gradient[rows, columns] / strength[rows, columns, None]
    height, width = gray.shape
    away_x = columns[:, None, None] - np.arange(width, dtype=np.float32)[None, None, :]
    away_y = rows[:, None, None] - np.arange(height, dtype=np.float32)[None, :, None]
    length = np.maximum(np.hypot(away_x, away_y), 1.0)
    agreement = (away_x * units[:, 0, None, None] + away_y * units[:, 1, None, None]) / length
    votes: NDArray[np.float32] = (np.clip(agreement, 0, None) ** 2).mean(axis=0)
    return votes


def _plausibility(one: NDArray[np.float32], other: NDArray[np.float32], centre_px: float, side_px: float) -> float:
    """Votes of a pair less its squared distance from the usual place of eyes in a box; -inf when implausible."""
    across, down = (other[:2] - one[:2]) / side_px
    middle_x, middle_y = ((one[:2] + other[:2]) / 2 - centre_px) / side_px
    seen = np.array([middle_x, middle_y, np.hypot(across, down), np.degrees(np.arctan2(down, across))])
    usual = fitted()["eyes"]
    squared_z = float((((seen - usual["mean"]) / usual["sd"]) ** 2).sum())
    if squared_z > MOST_SQUARED_Z:
        return -np.inf
    return float(np.log1p(one[4]) + np.log1p(other[4])) - squared_z / 2
