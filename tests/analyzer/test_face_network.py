"""The learned face stage with the networks of the repository: places, sizes, rolls, faults."""

from __future__ import annotations

import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from analyzer import face_network, geometry, settings
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.face_network import FaceNetwork
from analyzer.values import Box, Face, Rgb

FOLDER = settings.BUNDLED_MODELS / "face_geometry"
EYES = np.array([[203, 102], [246, 103]], np.float32)  # irises of the astronaut, marked by hand
LIPS, CHIN = np.array([224, 147]), np.array([224, 178])  # middle of the mouth, lowest point of the chin; likewise


@pytest.fixture(scope="module")
def stage() -> FaceNetwork:
    return face_network.load(FOLDER)


@pytest.fixture(scope="module")
def portrait() -> Rgb:
    return np.ascontiguousarray(data.astronaut()[:, :440])


def turned(rgb: Rgb, angle_deg: float) -> tuple[Rgb, NDArray[np.float64]]:
    """The picture turned clockwise on a larger canvas, and the (2, 3) affine that turned it."""
    side = int(math.hypot(*rgb.shape[:2])) + 2
    matrix = cv2.getRotationMatrix2D((rgb.shape[1] / 2, rgb.shape[0] / 2), -angle_deg, 1.0)
    matrix[:, 2] += side / 2 - np.array(rgb.shape[1::-1]) / 2
    return np.asarray(cv2.warpAffine(rgb, matrix, (side, side)), np.uint8), matrix


def eye_error(face: Face, eyes: NDArray[np.floating]) -> float:
    """Distance of the worse iris, in distances between the irises."""
    assert face.landmarks is not None
    away = np.linalg.norm(face.landmarks["iris_centres"] - eyes, axis=1)
    return float(away.max() / np.linalg.norm(eyes[1] - eyes[0]))


def test_landmarks_lie_on_the_face(stage: FaceNetwork, portrait: Rgb) -> None:
    (face,) = stage.detect(portrait)
    assert face.confidence > 0.9
    assert face.method == "network"
    assert eye_error(face, EYES) < 0.12
    assert face.landmarks is not None
    assert np.linalg.norm(face.landmarks["lips_outer"].mean(axis=0) - LIPS) < 6
    assert np.linalg.norm(face.landmarks["face_oval"][18] - CHIN) < 8
    assert abs(face.roll_deg) < 6
    assert face.yaw_deg is not None
    assert abs(face.yaw_deg) < 25


@pytest.mark.parametrize("angle_deg", range(15, 360, 15))
def test_any_roll_is_found_and_told(stage: FaceNetwork, portrait: Rgb, angle_deg: int) -> None:
    rgb, matrix = turned(portrait, angle_deg)
    face = stage.detect(rgb)[0]
    assert eye_error(face, EYES @ matrix[:, :2].T + matrix[:, 2]) < 0.15
    assert abs((face.roll_deg - angle_deg + 180) % 360 - 180) < 8


@pytest.mark.parametrize("share", [0.08, 0.1, 0.16, 0.25, 0.5])
def test_faces_from_eight_hundredths_of_the_width(stage: FaceNetwork, portrait: Rgb, share: float) -> None:
    head = portrait[10:260, 110:340]
    width = round(640 * share / stage.detect(portrait)[0].box.width * head.shape[1])
    small = cv2.resize(head, (width, width * head.shape[0] // head.shape[1]), interpolation=cv2.INTER_AREA)[:460, :560]
    scene = np.full((480, 640, 3), 120, np.uint8)
    scene[10 : 10 + len(small), 40 : 40 + small.shape[1]] = small
    (face,) = stage.detect(scene)
    assert face.box.width == pytest.approx(share * 640, rel=0.12)


def test_two_faces_are_two_and_the_larger_comes_first(stage: FaceNetwork, portrait: Rgb) -> None:
    half = cv2.resize(portrait, None, fx=0.55, fy=0.55, interpolation=cv2.INTER_AREA)
    scene = np.full((512, 440 + half.shape[1], 3), 90, np.uint8)
    scene[:, :440] = portrait
    scene[100 : 100 + len(half), 440:] = half
    faces = stage.detect(scene)
    assert len(faces) == 2
    assert faces[0].box.centre[0] < 440 < faces[1].box.centre[0]
    assert faces[0].box.area > faces[1].box.area


def test_a_mirrored_face_has_mirrored_landmarks(stage: FaceNetwork, portrait: Rgb) -> None:
    face, mirrored = stage.detect(portrait)[0], stage.detect(np.ascontiguousarray(portrait[:, ::-1]))[0]
    assert face.landmarks is not None
    assert mirrored.landmarks is not None
    assert mirrored.yaw_deg == pytest.approx(-(face.yaw_deg or 0), abs=4)
    swapped = mirrored.landmarks["iris_centres"][::-1] * (-1, 1) + (portrait.shape[1], 0)
    assert np.linalg.norm(swapped - face.landmarks["iris_centres"], axis=1).max() < 0.03 * face.box.width


def test_each_landmark_has_one_partner_in_the_mirror(stage: FaceNetwork) -> None:
    assert (stage.partner[stage.partner] == np.arange(142)).all()
    assert stage.partner[140] == 141
    assert stage.partner[geometry.CHIN_INDEX] == geometry.CHIN_INDEX


@pytest.mark.parametrize("picture", ["coffee", "rocket", "chelsea"])
def test_pictures_without_a_human_face(stage: FaceNetwork, picture: str) -> None:
    assert stage.detect(getattr(data, picture)()) == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (3000, 2), (31, 33)])
def test_pictures_of_any_shape_are_taken(stage: FaceNetwork, shape: tuple[int, int]) -> None:
    assert stage.detect(np.full((*shape, 3), 128, np.uint8)) == ()


def test_many_threads_get_the_same_answer(stage: FaceNetwork, portrait: Rgb) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(stage.detect, [portrait] * 24))
    assert {answer[0].confidence for answer in answers} == {answers[0][0].confidence}
    assert {answer[0].box for answer in answers} == {answers[0][0].box}


def test_the_least_confidence_is_the_callers(stage: FaceNetwork, portrait: Rgb) -> None:
    assert len(stage.detect(portrait, least_confidence=0.0)) >= 1
    assert stage.detect(portrait, least_confidence=1.1) == ()


def test_without_a_folder_there_is_no_stage(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        face_network.load(tmp_path / "face_geometry")


@pytest.mark.parametrize("name", ["detector.bin", "landmarks.xml", "shape.json"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "face_geometry"
    shutil.copytree(FOLDER, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadModel, match=name):
        face_network.load(folder)


def test_an_artefact_that_answers_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "face_geometry"
    shutil.copytree(FOLDER, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"output_kind": "one_class"}))
    with pytest.raises(BadModel, match="answers one_class, not faces"):
        face_network.load(folder)


def test_the_artefact_is_small_and_says_what_it_learned_from() -> None:
    card = json.loads((FOLDER / "card.json").read_text())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3 * 2**20
    assert {source["source"] for source in card["training_data"]} >= {"utkface", "acne04", "wider"}
    assert all(source["licence"] for source in card["training_data"])
    assert card["metrics"]["overall"]


def test_squares_overlap_by_their_share_of_the_smaller_one() -> None:
    squares = np.array([[10, 10, 10], [15, 10, 10], [40, 10, 10], [10, 10, 5]], float)
    assert face_network.overlap(squares[0], squares) == pytest.approx([1, 0.5, 0, 1])


def test_of_faces_in_one_place_the_most_probable_stays() -> None:
    faces = [
        Face(Box(x, 0, 10, 10), confidence, None, 0.0, "network") for x, confidence in ((0, 0.7), (1, 0.9), (30, 0.6))
    ]
    assert [face.confidence for face in face_network.distinct(faces)] == [0.9, 0.6]
