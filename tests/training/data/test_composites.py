"""Training pictures: boxes and landmarks move with the pixels, mirrored pictures have mirrored truth."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import face_crops, geometry
from training.data import composites, degradations
from training.data.composites import Pictures
from training.data.faces import Scene

RNG = np.random.default_rng(3)
GREEN, RED = (40, 200, 60), (220, 30, 30)


def face_scene() -> Scene:
    """A green head on black; a red mouth marks which way is down."""
    angles = np.linspace(0, 2 * math.pi, 36, endpoint=False) - math.pi / 2
    points = np.zeros((142, 2), np.float32)
    points[face_crops.OVAL] = np.stack([100 + 60 * np.cos(angles), 90 + 80 * np.sin(angles)], axis=1)
    points[36:140] = (100, 140)
    points[geometry.GROUPS["right_eye"]], points[geometry.GROUPS["left_eye"]] = (75, 80), (125, 80)
    points[face_crops.IRISES] = [(75, 80), (125, 80)]
    rgb = np.zeros((200, 200, 3), np.uint8)
    cv2.ellipse(rgb, (100, 90), (60, 80), 0, 0, 360, GREEN, -1)
    cv2.circle(rgb, (100, 140), 14, RED, -1)
    return Scene("drawn", rgb, face_crops.box_of(points)[None], points)


@pytest.fixture
def pictures() -> Pictures:
    blue = Scene("blue", np.full((120, 160, 3), (20, 40, 190), np.uint8), np.zeros((0, 4), np.float32))
    partner = np.arange(142)
    partner[face_crops.IRISES] = [141, 140]
    return Pictures([face_scene()], [face_scene()], [face_scene()], [blue], [], partner)


def mouth(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    red = rgb.astype(int)
    rows, columns = np.nonzero((red[..., 0] > red[..., 1] + 50) & (red[..., 0] > red[..., 2] + 50))
    return np.array([columns.mean(), rows.mean()])


def expected_mouth(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the mouth of `face_scene` lies for a box anywhere."""
    asked = face_scene().boxes[0]
    down = (140 - asked[1]) / asked[2] * box[2]
    return np.array([box[0] - down * math.sin(box[3]), box[1] + down * math.cos(box[3])])


@pytest.mark.parametrize("seed", range(12))
def test_boxes_lie_on_the_faces_of_a_canvas(seed: int, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composites, "degrade", lambda rng, rgb: rgb)
    monkeypatch.setattr(composites, "OCCLUDED", 0.0)
    monkeypatch.setattr(composites, "BORDERS", (cv2.BORDER_CONSTANT,) * 3)
    monkeypatch.setattr(composites, "texture", lambda rng, side_px: np.full((side_px, side_px, 3), 128, np.uint8))
    rng, seen = np.random.default_rng(seed), 0
    for _ in range(30):
        rgb, boxes = composites.canvas(rng, pictures)
        assert rgb.shape == (192, 192, 3)
        if len(boxes) != 1 or boxes[0, 2] < 30:
            continue
        place = expected_mouth(boxes[0])
        if (place > 15).all() and (place < 177).all():
            assert mouth(rgb) == pytest.approx(place, abs=0.06 * float(boxes[0, 2]) + 1.5)
            seen += 1
    assert seen > 3


def test_landmarks_lie_on_the_face_of_a_crop(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composites, "degrade", lambda rng, rgb: rgb)
    monkeypatch.setattr(composites, "OCCLUDED", 0.0)
    background = np.full((128, 128, 3), (20, 40, 190), np.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rgb, points = composites.crop(rng, pictures.singles[0], pictures.partner, background)
        assert rgb.shape == (128, 128, 3)
        assert mouth(rgb) == pytest.approx((points[120] + 0.5) * 128, abs=2.0)
        assert points[140, 0] < points[141, 0]  # the picture's left iris stays the first, mirrored or not


def test_mirroring_turns_the_roll_around() -> None:
    boxes = np.array([[40, 50, 20, 0.3], [10, 20, 12, math.nan]], np.float32)
    once = composites.mirrored(boxes)
    assert once[0] == pytest.approx([152, 50, 20, -0.3])
    assert math.isnan(once[1, 3])
    np.testing.assert_allclose(composites.mirrored(once), boxes, atol=1e-5)


def test_a_worse_picture_keeps_its_size_and_type() -> None:
    rgb = RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    changed = 0
    for _ in range(60):
        worse = degradations.degrade(RNG, rgb)
        assert worse.shape == rgb.shape
        assert worse.dtype == np.uint8
        changed += bool((worse != rgb).any())
    assert changed > 50


def test_an_occlusion_covers_a_part_of_the_face_only() -> None:
    rgb = np.full((192, 192, 3), 120, np.uint8)
    covered = degradations.occlude(np.random.default_rng(5), rgb, np.array([96, 96]), 80.0)
    changed = (covered != rgb).any(axis=2)
    assert rgb.min() == 120
    assert 0 <= changed.mean() < 0.3
