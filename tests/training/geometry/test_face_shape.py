"""The mean face: recovered from its turned pictures, and laid over marked points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import geometry, head_pose
from training.geometry import face_shape


def drawn_shape() -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """A symmetric face of 142 places, and which of them change places in a mirror."""
    rng = np.random.default_rng(4)
    half = rng.uniform((0.05, -0.5, -0.1), (0.45, 0.5, 0.4), (64, 3))
    shape = np.zeros((142, 3))
    partner = np.arange(142)
    oval, nose = geometry.GROUPS["face_oval"], geometry.GROUPS["nose"]
    angles = np.linspace(0, 2 * math.pi, 36, endpoint=False) - math.pi / 2
    shape[oval] = np.stack([0.45 * np.cos(angles), 0.6 * np.sin(angles), np.full(36, 0.3)], axis=1)
    partner[1:36] = np.arange(35, 0, -1)
    shape[nose] = [(0, y, -0.25) for y in np.linspace(-0.1, 0.15, 12)]
    paired = [index for index in range(36, 142) if not nose.start <= index < nose.stop]
    for row, (left, right) in enumerate(zip(paired[0::2], paired[1::2], strict=True)):
        shape[left], shape[right] = half[row] * (-1, 1, 1), half[row]
        partner[[left, right]] = right, left
    return shape - shape.mean(axis=0), partner


def frames(shape: NDArray[np.float64], count: int) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(5)
    turns = zip(rng.normal(0, 25, count), rng.normal(0, 8, count), rng.normal(0, 4, count), strict=True)
    poses = [np.array([*np.radians(turn), rng.normal(0, 0.05), 0.0, 0.0]) for turn in turns]
    return [face_shape._posed(shape, pose) for pose in poses]


def test_a_shape_is_recovered_from_its_turned_pictures() -> None:
    shape, partner = drawn_shape()
    found = face_shape.recovered(frames(shape, 200), partner)
    scale = np.linalg.norm(shape) / np.linalg.norm(found)
    assert np.abs(found * scale - shape).max() < 0.03


def test_pose_and_posing_mean_the_same_angles() -> None:
    shape, _ = drawn_shape()
    pose = np.array([*np.radians([40.0, -12.0, 20.0]), 3.0, 100.0, 80.0])
    seen = head_pose.pose(face_shape._posed(shape, pose).astype(np.float32), shape)
    assert (seen.yaw_deg, seen.pitch_deg, seen.roll_deg) == pytest.approx((40, -12, 20), abs=0.5)


@pytest.mark.parametrize("facing", ["right", "left"])
def test_a_marked_profile_gets_the_shape_that_made_its_marks(facing: str) -> None:
    shape, _ = drawn_shape()
    sign = 1.0 if facing == "right" else -1.0
    true = face_shape._posed(shape, np.array([sign * math.radians(75), 0.05, 0.1, math.log(200), 300.0, 250.0]))
    places = face_shape._marked_places(shape, sign, "corner")
    pose = np.array([sign * math.radians(75), 0.05, 0.1, math.log(200), 300.0, 250.0])
    points: dict[str, Any] = {
        name: face_shape._posed(place[None], pose)[0].tolist() for name, place in places.items() if name != "eye_far"
    }
    mark = {"facing": facing, "mouth_is": "corner", "cut": [], "points": {**points, "eye_far": None}}
    box = np.array([300.0, 260.0, 210.0, 0.1], np.float32)
    laid = face_shape.laid_over(mark, shape, box)
    assert np.linalg.norm(laid - true, axis=1).mean() < 0.08 * 200
