"""Angles of a head from landmarks: a shape turned by known angles gives these angles back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import head_pose

SHAPE = np.random.default_rng(1).normal(size=(142, 3)) * (0.35, 0.45, 0.2)
SHAPE -= SHAPE.mean(axis=0)


def turned(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Rotation: about the head's vertical axis to the right, about its level axis downwards, then in the picture clockwise."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = [[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]]
    about_x = [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    in_plane = [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    return np.array(in_plane) @ np.array(about_x) @ np.array(about_y)


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, 0, 0), (-60, 10, 5), (20, -15, 100), (-85, 5, -170), (5, 30, 45)])
@pytest.mark.parametrize("scale", [0.2, 300.0])
def test_known_angles_come_back(angles: tuple[float, float, float], scale: float) -> None:
    points = scale * (SHAPE @ turned(*angles).T)[:, :2] + (400, 300)
    seen = head_pose.pose(points.astype(np.float32), SHAPE)
    assert (seen.yaw_deg, seen.pitch_deg, seen.roll_deg) == pytest.approx(angles, abs=0.2)


def test_yaw_is_positive_where_the_nose_points_to_the_right_of_the_picture() -> None:
    shape = np.array([[0, 0, -1.0], [-1, 0, 0], [1, 0, 0], [0, 1, 0.2], [0, -1, 0.1]])
    shape -= shape.mean(axis=0)
    points = (shape @ turned(30, 0, 0).T)[:, :2]
    assert points[0, 0] > points[1:3, 0].mean()
    assert head_pose.pose(points, shape).yaw_deg == pytest.approx(30, abs=0.5)


def test_a_little_noise_turns_the_head_a_little() -> None:
    points = 100 * (SHAPE @ turned(25, 5, 10).T)[:, :2]
    noisy = points + np.random.default_rng(2).normal(0, 1.0, points.shape)
    assert head_pose.pose(noisy, SHAPE).yaw_deg == pytest.approx(25, abs=2)
