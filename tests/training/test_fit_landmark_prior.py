"""Fitting the landmark prior: it recovers what made its data, knows no side, and its published numbers are whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.values import Box, Face
from tests.analyzer import generated_skin
from training import fit_landmark_prior as prior

PUBLISHED = json.loads(Path(geometry.__file__).with_name("landmark_prior.json").read_text(encoding="utf-8"))
POINTS = sum(part.stop - part.start for part in geometry.GROUPS.values())


def teacher(shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """(142, 2) landmarks of the generated face."""
    return np.concatenate([generated_skin.landmarks()[name] for name in geometry.GROUPS]).astype(np.float64) + shift


def found(points: NDArray[np.float64], rng: np.random.Generator, *, eyes: bool = True) -> Face:
    """A face as a detector might report it around landmarks."""
    oval = points[geometry.GROUPS["face_oval"]]
    side = float(np.ptp(oval[:, 0])) * rng.uniform(0.9, 1.1)
    x, y = oval.mean(axis=0) + rng.normal(0, 0.03 * side, 2) - side / 2
    pair = np.stack([points[geometry.GROUPS[name]].mean(axis=0) for name in ("right_eye", "left_eye")])
    return Face(
        Box(float(x), float(y), side, side),
        0.9,
        pair.astype(np.float32) if eyes else None,
        0.0,
        "made",
        rng.uniform(-40, 40),
    )


def pairs(count: int) -> list[tuple[Face, NDArray[np.float64]]]:
    rng = np.random.default_rng(0)
    faces = [teacher(tuple(rng.uniform(0, 900, 2))) for _ in range(count)]
    return [(found(points, rng, eyes=number % 3 != 0), points) for number, points in enumerate(faces)]


def test_fit_recovers_the_rule_that_made_the_points() -> None:
    """Two landmarks that mirror each other, placed by known weights, are found again."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(400), rng.normal(size=(400, 6))])
    sign = geometry.PRIOR_MIRROR
    one = rng.normal(size=(7, 2)) + np.outer([1, 0, 0, 0, 0, 0, 0], [-9, 0])
    other = sign[:, None] * one * [-1, 1]
    weights = np.concatenate([one, other], axis=1)
    np.testing.assert_allclose(prior.fit(x, x @ weights), weights, atol=1e-4)


def test_mirroring_twice_changes_nothing() -> None:
    y = np.stack([teacher().ravel() - np.tile([generated_skin.MIDDLE, 250], POINTS)] * 2)
    np.testing.assert_allclose(prior.mirrored_targets(prior.mirrored_targets(y)), y, atol=1e-9)
    x = np.random.default_rng(0).normal(size=(5, 7))
    np.testing.assert_array_equal(prior.mirrored_features(prior.mirrored_features(x)), x)


def test_a_symmetric_face_is_its_own_mirror_image() -> None:
    y = (teacher() - [generated_skin.MIDDLE, 250]).ravel()[None]
    np.testing.assert_allclose(prior.mirrored_targets(y), y, atol=3.0)


def test_mirrored_landmarks_take_the_numbers_of_the_other_side() -> None:
    rng = np.random.default_rng(1)
    y = (teacher() - [generated_skin.MIDDLE, 250]).ravel() + rng.normal(0, 1, (40, 2 * POINTS))
    mirrored = prior.mirrored_targets(y).reshape(40, POINTS, 2)
    right, left = geometry.GROUPS["right_eye"], geometry.GROUPS["left_eye"]
    expected = y.reshape(40, POINTS, 2)[:, left].mean(axis=1) * [-1, 1]
    np.testing.assert_allclose(mirrored[:, right].mean(axis=1), expected, atol=1e-9)


def test_design_has_a_row_per_face_and_with_eyes_only_for_faces_that_have_some() -> None:
    faces = pairs(12)
    x, y = prior.design(faces, with_eyes=False)
    assert x.shape == (12, 3)
    assert y.shape == (12, 2 * POINTS)
    x, y = prior.design(faces, with_eyes=True)
    assert x.shape == (8, 7)
    assert y.shape == (8, 2 * POINTS)


@pytest.mark.parametrize("with_eyes", [True, False])
def test_a_fitted_prior_predicts_faces_that_it_has_not_seen(with_eyes: bool) -> None:
    x, y = prior.design(pairs(90), with_eyes=with_eyes)
    half = len(x) // 2
    errors = np.linalg.norm((x[half:] @ prior.fit(x[:half], y[:half]) - y[half:]).reshape(-1, POINTS, 2), axis=2)
    assert np.median(errors) < (0.04 if with_eyes else 0.08)  # box widths


def test_only_a_face_of_the_same_place_and_size_is_the_marked_one() -> None:
    points = teacher()
    oval = points[geometry.GROUPS["face_oval"]]

    def at(shift: float, side: float) -> Face:
        x, y = oval.mean(axis=0) + np.array([shift, 0]) - side / 2
        return Face(Box(float(x), float(y), side, side), 0.9, None, 0.0, "made")

    width = float(np.ptp(oval[:, 0]))
    assert prior.agrees(at(0, width), points)
    assert prior.agrees(at(0.2 * width, width), points)
    assert not prior.agrees(at(0.5 * width, width), points)
    assert not prior.agrees(at(0, 0.4 * width), points)
    assert not prior.agrees(at(0, 3 * width), points)


def test_published_numbers_are_whole_and_their_errors_small() -> None:
    assert PUBLISHED["source"]
    assert PUBLISHED["unit"]
    for kind, rows, limit in (("eyes", 7, 0.08), ("box", 3, 0.15)):
        weights = np.array(PUBLISHED[kind])
        assert weights.shape == (rows, 2 * POINTS)
        assert np.isfinite(weights).all()
        assert set(PUBLISHED[f"{kind}_error"]) == set(geometry.GROUPS)
        assert max(PUBLISHED[f"{kind}_error"].values()) < limit
    assert all(PUBLISHED["eyes_error"][name] < PUBLISHED["box_error"][name] for name in geometry.GROUPS)


@pytest.mark.data
def test_published_errors_are_met_on_real_faces(skin_data: Path) -> None:
    """Two dozen UTKFace faces: the mean error of the prior is what the file says, within half as much again."""
    from analyzer import haar, photo
    from benchmarks import dataset

    errors = []
    for path in [path for path in dataset.pictures("utkface/*") if dataset.held_out(path)][100::250][:26]:
        points, rgb = dataset.teacher_landmarks(path), photo.decode(path.read_bytes()).rgb
        for one in haar.detect(rgb)[:1]:
            if points is not None and one.eyes is not None and prior.agrees(one, points):
                guess = np.concatenate(list(geometry.predict_landmarks(one).values()))
                errors.append(
                    np.linalg.norm(guess - points, axis=1)[geometry.GROUPS["lips_outer"]].mean() / one.box.width
                )
    assert len(errors) >= 12
    assert np.median(errors) < 1.5 * PUBLISHED["eyes_error"]["lips_outer"]
