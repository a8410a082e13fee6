"""The convention of a face box, the overview and the upright crop."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from analyzer import face_crops, geometry
from analyzer.values import Points


def landmarks(middle: tuple[float, float], chin_px: float, roll: float, half_width: float = 60.0) -> Points:
    """142 points that matter only by eyes and oval: a level face turned by `roll` about the middle of its eyes."""
    angles = np.linspace(0, 2 * math.pi, 36, endpoint=False) - math.pi / 2
    oval = np.stack([half_width * np.cos(angles), chin_px * np.sin(angles)], axis=1)
    points = np.zeros((142, 2))
    points[face_crops.OVAL] = oval
    for name, x in (("right_eye", -25), ("left_eye", 25)):
        points[geometry.GROUPS[name]] = (x, 0)
    points[face_crops.IRISES] = [(-25, 0), (25, 0)]
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return (points @ turn.T + middle).astype(np.float32)


@pytest.mark.parametrize("roll_deg", [0, 30, 90, -150, 179])
def test_box_follows_its_convention_at_any_roll(roll_deg: float) -> None:
    roll = math.radians(roll_deg)
    x, y, side, turned = face_crops.box_of(landmarks((200, 150), 100, roll))
    assert side == pytest.approx(141, abs=0.1)
    assert turned == pytest.approx(roll, abs=1e-5)
    down = 0.165 * 100
    assert (x, y) == pytest.approx((200 - down * math.sin(roll), 150 + down * math.cos(roll)), abs=0.1)


def test_overview_keeps_the_whole_picture_and_its_scale() -> None:
    rgb = np.full((300, 600, 3), 200, np.uint8)
    small, scale = face_crops.overview(rgb)
    assert small.shape == (256, 256, 3)
    assert scale == pytest.approx(256 / 600)
    assert (small[:128] == 200).all()
    assert not small[128:].any()


def test_a_sliver_of_a_picture_has_an_overview() -> None:
    small, scale = face_crops.overview(np.full((2, 4000, 3), 9, np.uint8))
    assert small.shape == (256, 256, 3)
    assert scale == pytest.approx(0.064)


@pytest.mark.parametrize("size", [160, 640, 2400])
@pytest.mark.parametrize("roll_deg", [0, 45, -120])
def test_crop_shows_the_box_upright_at_any_size(size: int, roll_deg: float) -> None:
    """A disc above the centre of the box, in its own frame, lands above the middle of the crop, at the same size."""
    roll, side = math.radians(roll_deg), size * 0.3
    centre = np.array([size * 0.5, size * 0.55])
    up = centre + 0.3 * side * np.array([math.sin(roll), -math.cos(roll)])
    rgb = np.zeros((size, size, 3), np.uint8)
    cv2.circle(rgb, np.round(up).astype(int).tolist(), round(side * 0.1), (255, 255, 255), -1)
    crop = face_crops.upright_crop(rgb, np.array([*centre, side, roll], np.float32))
    rows, columns = np.nonzero(crop[..., 0] > 127)
    unit = face_crops.CROP_PX / face_crops.CROP_SIDES
    assert columns.mean() == pytest.approx(face_crops.CROP_PX / 2, abs=1.5)
    assert rows.mean() == pytest.approx(face_crops.CROP_PX / 2 - 0.3 * unit, abs=1.5)
    assert math.sqrt(len(rows) / math.pi) == pytest.approx(0.1 * unit, rel=0.12)


def test_crop_of_a_box_far_outside_repeats_the_edge() -> None:
    rgb = np.full((50, 50, 3), 77, np.uint8)
    crop = face_crops.upright_crop(rgb, np.array([500, -400, 300, 0.3], np.float32))
    assert (crop == 77).all()
