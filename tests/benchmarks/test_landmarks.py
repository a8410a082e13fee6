"""Landmark error and polygon agreement on drawn faces whose figures are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer import geometry
from analyzer.face import Detector, FaceStage
from analyzer.values import Face
from benchmarks import landmark_sheets, landmarks
from benchmarks.detection_pictures import Picture
from benchmarks.detection_truth import from_landmarks
from tests.benchmarks import generated_faces as drawn

TEACHER = drawn.landmarks()
DIAGONAL = 160 * 2**0.5  # of the drawn oval, a circle of 80 px
ERRORS = dict.fromkeys(("all", *geometry.GROUPS), 0.02)
ONE = landmarks.Measured("haar", "UTKFace", "frontal", "Black", "dark", True, ERRORS, 0.9)


def test_the_teacher_has_no_error_and_agrees_with_itself() -> None:
    points = drawn.grouped(TEACHER)
    assert max(landmarks.errors(points, TEACHER).values()) == 0.0
    assert landmarks.agreement(points, TEACHER) == 1.0


def test_a_shift_is_told_in_diagonals_of_the_oval() -> None:
    points = drawn.grouped(TEACHER + np.float32([0.01 * DIAGONAL, 0]))
    assert landmarks.errors(points, TEACHER)["all"] == pytest.approx(0.01, rel=0.02)
    only_lips = drawn.grouped(TEACHER) | {"lips_outer": points["lips_outer"]}
    found = landmarks.errors(only_lips, TEACHER)
    assert found["lips_outer"] == pytest.approx(0.01, rel=0.02)
    assert found["right_eye"] == 0.0
    assert found["all"] == pytest.approx(0.01 * 20 / 142, rel=0.02)


def test_agreement_does_not_depend_on_the_size_of_the_picture() -> None:
    moved = TEACHER + np.float32([9, 5])
    whole = landmarks.agreement(drawn.grouped(moved), TEACHER)
    assert landmarks.agreement(drawn.grouped(3 * moved), 3 * TEACHER) == pytest.approx(whole, abs=0.01)
    assert 0.7 < whole < 0.95


def test_agreement_of_faces_apart_is_nothing_even_off_the_raster() -> None:
    assert landmarks.agreement(drawn.grouped(TEACHER + np.float32([5000, 0])), TEACHER) == 0.0


def test_the_polygon_is_the_oval_without_its_features() -> None:
    points = drawn.grouped(TEACHER)
    mask = landmark_sheets.polygon(points, (400, 400))
    assert not mask[200, 165]  # eye
    assert not mask[265, 200]  # mouth
    assert not mask[178, 235]  # brow
    assert mask[230, 150]  # cheek
    assert mask[230, 200]  # the nose is skin
    assert not mask[100, 200]  # beyond the oval


def picture() -> Picture:
    return Picture(
        "UTKFace", "White", "utkface/x.jpg", np.full((400, 400, 3), 90, np.uint8), (from_landmarks(TEACHER),)
    )


def found(x: float = 0.0) -> Face:
    centre = from_landmarks(TEACHER).centre
    face = drawn.face_at(centre[0] + x, centre[1], 141.0)
    return replace(face, landmarks=drawn.grouped(TEACHER + np.float32([x, 0])))


def test_another_face_than_the_marked_one_counts_as_not_found() -> None:
    for face, right in ((found(), True), (found(300), False)):
        stage = Detector(FaceStage("network", "1"), lambda rgb, face=face: (face,))  # type: ignore[misc]
        assert (landmarks.right_face(stage, picture()) is not None) == right
    silent = Detector(FaceStage("network", "1"), lambda rgb: ())
    assert landmarks.right_face(silent, picture()) is None


def test_tables_count_faces_that_were_not_found_apart() -> None:
    missed = replace(ONE, found=False, errors={}, iou=float("nan"))
    rows = {row["faces of"]: row for row in landmarks.tables([ONE, ONE, missed])["landmark_error"]}
    assert (rows["all"]["faces"], rows["all"]["not_found"]) == (3, 1)
    assert rows["all"]["mean"].startswith("0.0200 ")
    assert rows["race: Black"]["faces"] == 3
    only = landmarks.tables([missed])["polygon_agreement"][0]
    assert (only["not_found"], only["mean"]) == (1, "-")


def test_groups_stand_by_stage_and_view() -> None:
    rows = landmarks.group_rows([ONE, replace(ONE, stage="network", view="side")])
    assert rows[0]["landmarks"] == "all"
    assert (rows[0]["haar_frontal"], rows[0]["haar_side"], rows[0]["network_side"]) == (0.02, None, 0.02)


def test_sheets_show_every_face_and_mark_the_missing(tmp_path: Path) -> None:
    paths = landmark_sheets.write(tmp_path, "network", [(picture(), found())] * 11 + [(picture(), None)])
    assert [path.name for path in paths] == ["network_0.png", "network_1.png"]
    whole, rest = (cv2.imread(str(path))[..., ::-1] for path in paths)
    side = landmark_sheets.TILE_PX
    assert whole.shape == (2 * side, 5 * side, 3)
    assert rest.shape == (side, 5 * side, 3)
    assert tuple(rest[4, side + 20]) == (255, 0, 0)  # the second tile of the last sheet: nothing found
    assert (whole[:side, :side] == landmark_sheets.COLOURS["lips_outer"]).all(axis=2).any()


@pytest.mark.data
def test_the_teacher_of_a_real_face_agrees_with_itself(skin_data: Path) -> None:
    one = next(landmarks.pictures.utkface(1, 3, held_out=True))
    teacher = landmarks.teacher_points(one)
    box = one.truths[0]
    face = replace(drawn.face_at(*box.centre, box.side), landmarks=drawn.grouped(teacher))
    stage = Detector(FaceStage("network", "1"), lambda rgb: (face,))
    measured = next(landmarks.measure({"network": stage}, one))
    assert measured.found
    assert measured.race == one.group
    assert measured.tone in ("light", "intermediate", "dark")
    assert (measured.errors["all"], measured.iou) == (0.0, 1.0)


@pytest.mark.data
def test_forty_varied_faces_are_drawn(skin_data: Path) -> None:
    chosen = list(landmarks.varied())
    assert len(chosen) == 40
    assert {one.group for one in chosen if one.source == "UTKFace"} == set(landmarks.dataset.RACES)
    assert all(one.held_out for one in chosen)
