"""The true box and what counts as meeting it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from analyzer.values import Box
from benchmarks import detection_truth as truths
from tests.benchmarks.generated_faces import CENTRE, EYE_TO_CHIN, face_at, landmarks

MARK = {
    "roll_deg": 0,
    "points": {"eye": [100, 100], "eye_far": None, "nose_tip": [60, 140], "chin": [120, 200], "front": [80, 110]}
    | {"mouth": [90, 170], "back": [220, 130]},
}


@pytest.mark.parametrize("roll_deg", [0.0, 30.0, -75.0, 90.0, 135.0, 180.0])
def test_the_box_follows_the_convention_at_any_roll(roll_deg: float) -> None:
    truth = truths.from_landmarks(landmarks(roll_deg))
    assert truth.side == pytest.approx(1.41 * EYE_TO_CHIN, rel=1e-3)
    down = (-math.sin(math.radians(roll_deg)), math.cos(math.radians(roll_deg)))
    wanted = [CENTRE[axis] + 0.165 * EYE_TO_CHIN * down[axis] for axis in (0, 1)]
    assert truth.centre == pytest.approx(wanted, abs=0.1)
    assert abs(truths.turn_between(truth.roll_deg or 0.0, roll_deg)) < 0.1
    assert truth.yaw_deg == pytest.approx(0.0, abs=0.5)
    assert truth.view == "front"


def test_eyes_that_the_teacher_swapped_do_not_turn_the_face_over() -> None:
    points = landmarks()
    points[[140, 141]] = points[[141, 140]]
    assert truths.from_landmarks(points).roll_deg == pytest.approx(0.0, abs=0.1)


def test_a_nose_off_the_middle_is_a_turn_to_its_side() -> None:
    points = landmarks()
    points[truths.NOSE] += (40, 0)
    truth = truths.from_landmarks(points)
    assert truth.yaw_deg == pytest.approx(30.0, abs=1.0)  # asin of 40 / 80
    assert truth.view == "three-quarter"


def test_a_mark_gives_the_same_convention() -> None:
    truth = truths.from_mark(MARK, scale=0.5)
    assert truth.side == pytest.approx(1.41 * 50)
    assert truth.centre == pytest.approx((75.0, 50 + 0.165 * 50))  # middle between front and back, in half pixels
    assert truth.view == "profile"
    seen = {**MARK, "points": {**MARK["points"], "eye_far": [60, 98]}}  # type: ignore[dict-item]
    assert truths.from_mark(seen).view == "three-quarter"


def test_a_turned_mark_is_the_turned_box() -> None:
    matrix = cv2.getRotationMatrix2D((0, 0), -40, 1.0)
    points = {
        name: None if point is None else list(matrix[:, :2] @ point)
        for name, point in MARK["points"].items()  # type: ignore[attr-defined]
    }
    truth, upright = truths.from_mark({"roll_deg": 40, "points": points}), truths.from_mark(MARK)
    assert truth.side == pytest.approx(upright.side)
    assert truth.centre == pytest.approx(matrix[:, :2] @ upright.centre)


def test_a_face_matches_by_place_size_and_roll() -> None:
    truth = truths.from_landmarks(landmarks())
    x, y = truth.centre
    assert truth.matches(face_at(x, y, truth.side))
    assert not truth.matches(face_at(x + 90, y, truth.side))
    assert not truth.matches(face_at(x, y, 0.5 * truth.side))
    assert not truth.matches(face_at(x, y, 1.7 * truth.side))
    assert truth.matches(face_at(x, y, truth.side, roll_deg=-35))
    assert not truth.matches(face_at(x, y, truth.side, roll_deg=60))


def test_overlap_of_boxes() -> None:
    assert truths.overlap(Box(0, 0, 2, 2), Box(1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert truths.overlap(Box(0, 0, 2, 2), Box(5, 5, 2, 2)) == 0.0
    assert truths.overlap(Box(0, 0, 2, 2), Box(0, 0, 2, 2)) == 1.0


def test_a_detection_lies_on_a_drawn_face_by_centre_and_overlap() -> None:
    truth = truths.drawn(np.array([100.0, 100.0, 160.0, 180.0]))
    assert truth.side == pytest.approx(0.82 * 80)
    assert truth.lies_under(face_at(130, 140, 66))
    assert not truth.lies_under(face_at(130, 140, 200))  # overlaps by 0.12
    assert not truth.lies_under(face_at(165, 140, 66))  # centre outside
    assert not truth.lies_under(face_at(130, 140, 30))  # overlaps by 0.19


def test_moving_a_truth_moves_all_of_it() -> None:
    truth = truths.from_landmarks(landmarks())
    matrix = np.array([[0, -2, 500], [2, 0, 10]], np.float32)  # a quarter turn clockwise, twice the size
    seen = truths.moved(truth, matrix)
    assert seen.side == pytest.approx(2 * truth.side)
    assert seen.roll_deg == pytest.approx(90.0, abs=0.1)
    assert seen.centre == pytest.approx((500 - 2 * truth.centre[1], 10 + 2 * truth.centre[0]), abs=1e-3)
    assert truth.eyes is not None
    assert seen.eyes is not None
    np.testing.assert_allclose(seen.eyes, truth.eyes @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)
    assert seen.view == truth.view
