"""Turned pictures carry their truth along; faceless ones are many, varied and held out; the real sets are read rightly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import dataset, textures
from benchmarks import detection_pictures as pictures
from benchmarks.detection_pictures import Picture
from benchmarks.detection_truth import from_landmarks
from tests.benchmarks.generated_faces import landmarks


def drawn_face() -> Picture:
    """A picture that is black but for a red and a green disc where the irises are."""
    rgb = np.zeros((330, 420, 3), np.uint8)
    truth = from_landmarks(landmarks())
    assert truth.eyes is not None
    for eye, colour in zip(truth.eyes, ((255, 0, 0), (0, 255, 0)), strict=True):
        cv2.circle(rgb, (int(eye[0]), int(eye[1])), 6, colour, -1)
    return Picture("drawn", "front", "utkface/1_1_1_1.jpg", rgb, (truth,))


@pytest.mark.parametrize("angle_deg", [0, 15, 45, 90, 130, 180, 255, 270, 345])
def test_a_turned_picture_keeps_everything_and_its_truth_lies_on_it(angle_deg: int) -> None:
    picture = drawn_face()
    seen = pictures.turned(picture, angle_deg)
    assert min(seen.rgb.shape[:2]) >= min(picture.rgb.shape[:2])
    truth = seen.truths[0]
    assert truth.eyes is not None
    for channel, eye in enumerate(truth.eyes):
        y, x = np.nonzero(seen.rgb[..., channel] > 128)
        assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx(tuple(eye), abs=1.0)
    assert abs((truth.roll_deg or 0.0) % 360 - angle_deg) < 0.1 or angle_deg == 0
    assert seen.held_out == picture.held_out


def test_every_texture_is_a_picture_and_differs_from_the_next() -> None:
    for kind in textures.KINDS:
        one, other = (textures.texture(kind, np.random.default_rng(seed)) for seed in (1, 2))
        assert one.dtype == np.uint8
        assert one.shape[2] == 3
        assert one.shape != other.shape or (one != other).any()
        np.testing.assert_array_equal(one, textures.texture(kind, np.random.default_rng(1)))


def test_an_unknown_texture_is_refused() -> None:
    with pytest.raises(ValueError, match="marble"):
        textures.pattern("marble", 20, 20, np.random.default_rng(0))


@pytest.mark.data
def test_faceless_pictures_are_as_many_as_asked_and_held_out(skin_data: Path) -> None:
    found = list(pictures.faceless(40, seed=1))
    counts = Counter(picture.source for picture in found)
    assert len(found) == 40
    assert counts["HAM10000"] == 20
    assert set(counts) == {"HAM10000", "close-ups", "WIDER tiles", "generated"}
    assert all(picture.held_out for picture in found if picture.source != "generated")
    assert not any(picture.truths for picture in found)


@pytest.mark.data
def test_sources_keep_to_their_side_of_the_split(skin_data: Path) -> None:
    for held_out in (True, False):
        chosen = [*pictures.utkface(5, 1, held_out), *pictures.acne04(5, 1, held_out=held_out)]
        chosen += [*pictures.dermatoscopy(5, 1, held_out), *pictures.close_ups(5, 1, held_out)]
        assert len(chosen) == 20
        assert {picture.held_out for picture in chosen} == {held_out}


@pytest.mark.data
def test_every_hand_mark_gives_a_sensible_box_in_its_picture(skin_data: Path) -> None:
    found = [*pictures.hand_marked(True), *pictures.hand_marked(False)]
    assert len(found) > 50
    for picture in found:
        truth = picture.truths[0]
        height, width = picture.rgb.shape[:2]
        assert 0 <= truth.centre[0] <= width, picture.name
        assert 0 <= truth.centre[1] <= height, picture.name
        assert 0.2 < truth.side / min(height, width) < 1.6, picture.name


@pytest.mark.data
def test_all_selfies_of_the_testing_set_are_read_and_held_out(skin_data: Path) -> None:
    found = list(pictures.skin_defects())
    assert len(found) == len(dataset.pictures("skin_defects/*/*/*"))
    assert all(picture.held_out and picture.truths for picture in found)
    assert Counter(picture.group for picture in found).keys() == {"front", "left side", "right side"}
