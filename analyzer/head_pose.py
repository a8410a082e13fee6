"""Landmarks -> how the head is turned, from the mean three-dimensional shape of a face.

The shape was recovered from two-dimensional landmarks of many turned faces by factorisation (Tomasi and Kanade 1992, with
the metric constraints of scaled orthography) and lies beside the face networks. Its axes: x to the picture's right, y
down, z away from the viewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analyzer.values import Points

Shape = NDArray[np.float64]  # (N, 3), centred


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in degrees: yaw positive towards the picture's right of an upright face, pitch positive downwards, roll clockwise."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def pose(points: Points, shape: Shape) -> Pose:
    """The rotation whose scaled orthographic picture of the shape lies nearest to the points (least squares)."""
    centred = points - points.mean(axis=0)
    affine = np.linalg.lstsq(shape, centred.astype(float), rcond=None)[0].T  # (2, 3)
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    across, down = u @ vt
    away = np.cross(across, down)
    return _angles(np.stack([across, down, away]))


def mirror_partners(shape: Shape) -> NDArray[np.intp]:
    """For each point the one that lies nearest to its mirror image: what takes its place in a mirrored picture."""
    apart = np.linalg.norm((shape * (-1, 1, 1))[:, None] - shape[None], axis=2)
    return apart.argmin(axis=1)


def _angles(rotation: NDArray[np.float64]) -> Pose:
    """Angles of rotation = roll · pitch · yaw: the head turns about its own axis first."""
    roll = math.atan2(-rotation[0, 1], rotation[1, 1])
    level = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]]) @ rotation[:2]
    pitch = math.atan2(rotation[2, 1], level[1, 1])
    yaw = math.atan2(-level[0, 2], level[0, 0])
    return Pose(math.degrees(yaw), math.degrees(pitch), math.degrees(roll))
