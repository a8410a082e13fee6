"""Frames of reference: the aligned crop under turn, size and place; transforms; the landmark prior; regions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.geometry import EYE_LINE_Y, EYE_TO_CHIN, GROUPS, SIZE
from analyzer.values import Box, Face, Points
from tests.analyzer import generated_skin

SIDES = ("cheek", "under_eye")


def moved(
    points: Mapping[str, Points], angle_deg: float, scale: float, shift: tuple[float, float]
) -> dict[str, Points]:
    """Landmarks turned clockwise, scaled and shifted."""
    angle = np.radians(angle_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, shift])
    return {name: geometry.transform(matrix, group) for name, group in points.items()}


def turned(yaw_deg: float) -> dict[str, Points]:
    """The generated face as a solid one, its head turned: landmarks with depths like those of a mean face, then projected."""
    front, side = generated_skin.landmarks(), 355.0  # px of a face box in the working crop
    yaw, middle = np.radians(yaw_deg), float(front["face_oval"][:, 0].mean())
    curves = {
        "face_oval": (2.4, -0.07),
        "lips_outer": (3.6, -0.17),
        "lips_inner": (3.6, -0.17),
    }  # how z grows with x², z at 0
    depths = {}
    for name, group in front.items():
        bend, depth = curves.get(name, (0.7, -0.03))
        depths[name] = bend * ((group[:, 0] - middle) / side) ** 2 + depth
    depths["nose"] = np.array([-0.11, -0.15, -0.19, -0.22, -0.26, -0.29, -0.28, -0.19, -0.13, -0.13, -0.16, -0.16])
    return {
        name: np.stack(
            [
                middle + (group[:, 0] - middle) * np.cos(yaw) - side * depths[name] * np.sin(yaw),
                group[:, 1],
            ],
            axis=1,
        ).astype(np.float32)
        for name, group in front.items()
    }


def aligned(points: Mapping[str, Points]) -> dict[str, Points]:
    matrix = geometry.align(points)
    return {name: geometry.transform(matrix, group) for name, group in points.items()}


def centres(points: Mapping[str, Points]) -> NDArray[np.float32]:
    return np.stack([points["right_eye"].mean(axis=0), points["left_eye"].mean(axis=0)])


@pytest.mark.parametrize("angle_deg", [0.0, 17.0, -40.0, 90.0, 180.0, -135.0])
@pytest.mark.parametrize("scale", [0.13, 1.0, 6.5])
def test_the_crop_has_level_eyes_and_the_chin_below_them(angle_deg: float, scale: float) -> None:
    points = moved(generated_skin.landmarks(), angle_deg, scale, (913.0, -77.0))
    matrix = geometry.align(points)
    aligned = {name: geometry.transform(matrix, group) for name, group in points.items()}
    eyes = centres(aligned)
    np.testing.assert_allclose(eyes[:, 1], EYE_LINE_Y, atol=0.05)
    assert eyes[0, 0] < eyes[1, 0]
    assert aligned["face_oval"][geometry.CHIN_INDEX, 1] == pytest.approx(EYE_LINE_Y + EYE_TO_CHIN, abs=0.1)
    across = aligned["face_oval"][:, 0]
    assert (across.min() + across.max()) / 2 == pytest.approx(SIZE / 2, abs=0.1)


def test_the_crop_does_not_depend_on_where_and_how_large_the_face_was() -> None:
    aligned = [
        geometry.transform(geometry.align(points), points["lips_outer"])
        for points in (moved(generated_skin.landmarks(), *how) for how in ((0, 1, (0, 0)), (-31, 3.3, (50, 4000))))
    ]
    np.testing.assert_allclose(*aligned, atol=0.1)


def test_a_narrower_distance_between_the_eyes_does_not_enlarge_the_crop() -> None:
    """A turned head brings the eyes together; height must set the scale."""
    points = dict(generated_skin.landmarks())
    turned = {name: (group * [0.7, 1.0]).astype(np.float32) for name, group in points.items()}
    scales = [np.hypot(*geometry.align(marks)[0, :2]) for marks in (points, turned)]
    assert scales[0] == pytest.approx(scales[1], rel=1e-4)


def test_transform_there_and_back_leaves_points_in_place() -> None:
    points = np.random.default_rng(0).uniform(-500, 4500, (200, 2)).astype(np.float32)
    matrix = geometry.align(moved(generated_skin.landmarks(), 25.0, 2.0, (300.0, 900.0)))
    back = geometry.transform(cv2.invertAffineTransform(matrix), geometry.transform(matrix, points))
    np.testing.assert_allclose(back, points, atol=0.02)


def test_transform_is_the_written_affine() -> None:
    matrix = np.array([[2.0, -1.0, 10.0], [0.5, 3.0, -4.0]])
    np.testing.assert_allclose(geometry.transform(matrix, np.array([[1.0, 2.0]])), [[10.0, 2.5]])


@pytest.mark.parametrize("yaw_deg", [-85.0, -60.0, -40.0, -15.0, 0.0, 15.0, 40.0, 60.0, 85.0])
@pytest.mark.parametrize("roll_deg", [0.0, 30.0, -100.0])
def test_the_roll_is_that_of_the_head_however_it_is_turned(yaw_deg: float, roll_deg: float) -> None:
    points = moved(turned(yaw_deg), roll_deg, 1.7, (400.0, 300.0))
    assert np.degrees(geometry.roll_rad(points)) == pytest.approx(roll_deg, abs=2.0)


@pytest.mark.parametrize("yaw_deg", [70.0, 80.0, 88.0])
def test_the_roll_of_a_profile_does_not_follow_an_eye_set_wrongly(yaw_deg: float) -> None:
    """3 px of error at eyes that lie 20 px apart would be 9 degrees."""
    points = turned(yaw_deg)
    points["left_eye"] = points["left_eye"] + np.float32([0, 3])
    assert abs(np.degrees(geometry.roll_rad(points))) < 1.5


@pytest.mark.parametrize("lower_px", [-6.0, 6.0])
def test_a_frontal_face_is_levelled_by_its_eyes_alone(lower_px: float) -> None:
    points = turned(10.0)
    points["left_eye"] = points["left_eye"] + np.float32([0, lower_px])
    eyes = centres(points)
    assert geometry.roll_rad(points) == pytest.approx(float(np.arctan2(*(eyes[1] - eyes[0])[::-1])), abs=1e-6)


def test_the_roll_changes_smoothly_as_the_head_turns() -> None:
    points = [turned(yaw_deg) for yaw_deg in np.arange(0.0, 90.0, 1.0)]
    for one in points:
        one["left_eye"] = one["left_eye"] + np.float32([0, 5])
    rolls = np.degrees([geometry.roll_rad(one) for one in points])
    assert np.abs(np.diff(rolls)).max() < 0.8


@pytest.mark.parametrize("yaw_deg", [-75.0, -50.0, -38.0, 38.0, 50.0, 75.0])
def test_a_cheek_that_is_turned_away_is_empty(yaw_deg: float) -> None:
    near, far = ("left", "right") if yaw_deg > 0 else ("right", "left")
    regions = geometry.region_polygons(aligned(turned(yaw_deg)))
    assert len(regions[f"{far}_cheek"]) == 0
    assert not geometry.fill(regions[f"{far}_cheek"]).any()
    assert geometry.fill(regions[f"{near}_cheek"]).sum() > 10000
    assert (len(regions[f"{far}_under_eye"]) == 0) is (abs(yaw_deg) >= 50)
    assert geometry.fill(regions[f"{near}_under_eye"]).any()


def test_the_far_cheek_narrows_steadily_until_it_is_gone() -> None:
    widths = [geometry.cheek_width(aligned(turned(yaw_deg)), "right") for yaw_deg in (0, 10, 20, 30, 40, 50, 60)]
    assert all(before > after for before, after in pairwise(widths))
    assert widths[0] == pytest.approx(geometry.cheek_width(aligned(turned(0.0)), "left"), abs=6.0)
    assert widths[2] > geometry.LEAST_CHEEK_PX > widths[4]


@pytest.mark.parametrize("yaw_deg", [0.0, 30.0, 60.0, 80.0])
def test_nose_and_lips_belong_to_the_face_of_every_view(yaw_deg: float) -> None:
    points = aligned(turned(yaw_deg))
    face = geometry.face_mask(points)
    for name in ("nose", "lips_outer", "right_eye", "left_eye"):
        inside = [face[int(y), int(x)] for x, y in points[name]]
        assert np.mean(inside) > 0.9, name


def test_in_front_the_face_is_its_outline() -> None:
    points = generated_skin.landmarks()
    outline = geometry.fill(geometry.outline(points))
    assert (geometry.face_mask(points) ^ outline).sum() < 0.003 * outline.sum()


def test_an_eye_that_is_turned_away_takes_less_skin_with_it() -> None:
    points = aligned(turned(60.0))
    cut = {name: geometry.fill(polygon).sum() for name, polygon in geometry.feature_polygons(points).items()}
    own = {name: geometry.fill(points[name]).sum() for name in ("right_eye", "left_eye")}
    assert geometry.foreshortening(points)["left"] == 1.0
    assert 0 < geometry.foreshortening(points)["right"] < 0.6
    assert cut["left_eye"] - own["left_eye"] < 0.4 * (cut["right_eye"] - own["right_eye"])


def test_both_eyes_of_a_frontal_face_are_seen_in_full() -> None:
    assert geometry.foreshortening(turned(8.0)) == {"left": 1.0, "right": 1.0}


def found(*, eyes: bool = True, yaw_deg: float | None = 20.0, roll_deg: float = 12.0) -> Face:
    """A face of 200 px with eyes on a line of that roll, the right one (of the picture) a little further out."""
    roll = np.radians(roll_deg)
    along = np.array([np.cos(roll), np.sin(roll)])
    middle = np.array([301.0, 280.0])
    pair = np.stack([middle - 38 * along, middle + 46 * along]).astype(np.float32)
    return Face(Box(200, 200, 200, 200), 0.9, pair if eyes else None, roll_deg, "made", yaw_deg)


def mirrored(face: Face, width: float) -> Face:
    """The face as a detector would report it in the mirrored picture."""
    box = Box(width - face.box.x - face.box.width, face.box.y, face.box.width, face.box.height)
    eyes = None if face.eyes is None else (face.eyes[::-1] * [-1, 1] + [width, 0]).astype(np.float32)
    yaw = None if face.yaw_deg is None else -face.yaw_deg
    return Face(box, face.confidence, eyes, -face.roll_deg, face.method, yaw)


@pytest.mark.parametrize("eyes", [True, False], ids=["with eyes", "box alone"])
@pytest.mark.parametrize("yaw_deg", [None, -30.0, 0.0, 30.0])
def test_the_prior_of_a_mirrored_face_is_the_mirrored_prior(eyes: bool, yaw_deg: float | None) -> None:
    face = found(eyes=eyes, yaw_deg=yaw_deg)
    straight, reverse = geometry.predict_landmarks(face), geometry.predict_landmarks(mirrored(face, 640))
    swapped = {"right_eye": "left_eye", "left_eye": "right_eye", "right_brow": "left_brow", "left_brow": "right_brow"}
    for name, points in straight.items():
        other = reverse[swapped.get(name, name)] * [-1, 1] + [640, 0]
        apart = np.linalg.norm(points[:, None] - other[None], axis=2)
        assert apart.min(axis=1).max() < 1.0, name
        assert apart.min(axis=0).max() < 1.0, name


@pytest.mark.parametrize("eyes", [True, False], ids=["with eyes", "box alone"])
def test_the_prior_moves_turns_and_grows_with_the_face(eyes: bool) -> None:
    face, factor, shift, turn_deg = found(eyes=eyes), 2.5, np.array([70.0, -30.0]), 33.0
    angle = np.radians(turn_deg)
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def there(points: NDArray[np.floating]) -> NDArray[np.floating]:
        return points @ turn.T + shift

    centre = there(np.array([face.box.centre]))[0]
    side = face.box.width * factor
    other = Face(
        Box(centre[0] - side / 2, centre[1] - side / 2, side, side),
        face.confidence,
        None if face.eyes is None else there(face.eyes).astype(np.float32),
        face.roll_deg + turn_deg,
        face.method,
        face.yaw_deg,
    )
    plain, changed = geometry.predict_landmarks(face), geometry.predict_landmarks(other)
    for name in GROUPS:
        np.testing.assert_allclose(changed[name], there(plain[name]), atol=0.2, err_msg=name)


def test_predicted_landmarks_make_a_face() -> None:
    points = geometry.predict_landmarks(found(roll_deg=0.0, yaw_deg=0.0))
    assert {name: len(group) for name, group in points.items()} == {
        name: part.stop - part.start for name, part in GROUPS.items()
    }
    np.testing.assert_allclose(centres(points), found(roll_deg=0.0).eyes, atol=12)
    heights = [points[name][:, 1].mean() for name in ("right_brow", "right_eye", "nose", "lips_outer")]
    assert heights == sorted(heights)
    assert points["face_oval"][geometry.CHIN_INDEX, 1] == pytest.approx(points["face_oval"][:, 1].max(), abs=2)


def test_landmarks_of_a_detector_come_before_the_prior() -> None:
    own = {name: group + np.float32(3) for name, group in generated_skin.landmarks().items()}
    face = Face(Box(0, 0, 300, 300), 0.9, centres(own), 0.0, "made", None, own)
    assert geometry.landmarks(face) is own


def test_the_outline_holds_the_forehead_that_the_oval_leaves_out() -> None:
    points = generated_skin.landmarks()
    rise = points["face_oval"][:, 1].min() - geometry.outline(points)[:, 1].min()
    assert 10 < rise < 80
    below = points["face_oval"][:, 1] > EYE_LINE_Y
    np.testing.assert_array_equal(geometry.outline(points)[below], points["face_oval"][below])


def test_left_and_right_are_sides_of_the_picture_and_mirror_each_other() -> None:
    masks = {
        name: geometry.fill(polygon) for name, polygon in geometry.region_polygons(generated_skin.landmarks()).items()
    }
    assert set(masks) == {
        *("forehead", "nose", "left_cheek", "right_cheek", "chin", "left_under_eye", "right_under_eye", "perioral")
    }
    for side in SIDES:
        left, right = masks[f"left_{side}"], masks[f"right_{side}"]
        assert np.argwhere(left)[:, 1].max() < np.argwhere(right)[:, 1].min()
        assert (left ^ right[:, ::-1]).sum() < 0.06 * left.sum()
    for name in ("forehead", "nose", "chin", "perioral"):
        assert (masks[name] ^ masks[name][:, ::-1]).sum() < 0.06 * masks[name].sum(), name


def test_regions_lie_where_their_names_say() -> None:
    points = generated_skin.landmarks()
    heights = {
        name: np.argwhere(geometry.fill(polygon))[:, 0] for name, polygon in geometry.region_polygons(points).items()
    }
    brow, eye, lips = (points[name][:, 1] for name in ("right_brow", "right_eye", "lips_outer"))
    assert heights["forehead"].max() < brow.min()
    assert eye.max() < np.median(heights["left_under_eye"]) < np.median(heights["left_cheek"]) < lips.max()
    assert lips.max() < heights["chin"].min()
    assert heights["perioral"].min() < lips.min() < lips.max() < heights["perioral"].max()


def test_features_are_cut_out_with_a_margin() -> None:
    points = generated_skin.landmarks()
    for name, group in (("right_eye", "right_eye"), ("left_brow", "left_brow"), ("lips", "lips_outer")):
        grown = geometry.fill(geometry.feature_polygons(points)[name])
        assert not (geometry.fill(points[group]) & ~grown).any()
        assert grown.sum() > 1.2 * geometry.fill(points[group]).sum()


def test_grow_moves_every_corner_outwards_by_the_margin() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)
    grown = geometry.grow(square, 5.0)
    apart = np.linalg.norm(grown[:, None] - square[None], axis=2).min(axis=1)
    np.testing.assert_allclose(apart, 5.0, atol=1e-4)
    assert cv2.contourArea(grown) > cv2.contourArea(square)


def test_fill_is_the_union() -> None:
    first, second = geometry.ellipse(np.array([150, 150]), 40, 20), geometry.ellipse(np.array([350, 350]), 10, 60)
    union = geometry.fill(first, second)
    np.testing.assert_array_equal(union, geometry.fill(first) | geometry.fill(second))
    assert union.shape == (SIZE, SIZE)
    assert geometry.fill(first).sum() == pytest.approx(np.pi * 40 * 20, rel=0.05)
    assert geometry.fill(geometry.FRAME).all()


@pytest.mark.parametrize("yaw_deg", [0.0, 35.0, 60.0, 75.0, 88.0])
def test_the_face_has_no_hole_in_any_view(yaw_deg: float) -> None:
    """The far half of the oval folds over the near one as a head turns."""
    face = geometry.face_mask(aligned(turned(yaw_deg))).astype(np.uint8)
    count, _ = cv2.connectedComponents(1 - face)
    assert count == 2  # the face itself and one background


def test_features_of_a_symmetric_face_are_symmetric() -> None:
    polygons = geometry.feature_polygons(generated_skin.landmarks())
    for part in ([polygons["nostrils"]], [polygons["lips"]], polygons.values()):
        mask = geometry.fill(*part)
        assert (mask & mask[:, ::-1]).sum() > 0.95 * (mask | mask[:, ::-1]).sum()


def test_both_nostrils_are_no_skin() -> None:
    points = generated_skin.landmarks()
    hole = geometry.fill(geometry.feature_polygons(points)["nostrils"])
    nose = points["nose"]
    for wing in (nose[[8, 10]].mean(axis=0), nose[[9, 11]].mean(axis=0)):
        x, y = (wing + nose[6]) / 2  # between the wing and the part between the nostrils
        assert hole[round(float(y)), round(float(x))]
