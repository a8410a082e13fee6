"""Open eyes stand out from the skin around them in whole spots, closed ones in a thin line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from analyzer import eyelids, geometry, quality
from tests.analyzer import generated_skin as made
from tests.analyzer.generated_skin import Lab

tones = pytest.mark.parametrize("tone", made.TONES)
EYES = ("right_eye", "left_eye")


def with_eyes(tone: str, *, closed: Sequence[str] = (), lash_px: int = 3) -> Lab:
    """The generated face with lids closed over some eyes: skin, and a dark line of lashes from corner to corner."""
    lab, skin = made.face(tone), np.float32(made.TONES[tone])
    for name in closed:
        eye = made.landmarks()[name]
        lid = geometry.fill(geometry.grow(eye, 4.0)).astype(np.float32)
        weight = cv2.GaussianBlur(lid, (0, 0), 1.5)[..., None]
        lab = lab * (1 - weight) + skin * weight
        corners = [tuple(int(value) for value in eye[i]) for i in (0, 8)]
        cv2.line(lab, *corners, (0.2 * float(skin[0]), 1.0, 1.0), lash_px)
    return lab


@tones
def test_closed_eyes_measure_less_than_open_ones(tone: str) -> None:
    both = eyelids.openness(made.roi_of(with_eyes(tone)))
    none = eyelids.openness(made.roi_of(with_eyes(tone, closed=EYES)))
    assert both is not None
    assert none is not None
    assert both > 0.7 > quality.MIN_OPENNESS > none + 0.2


@tones
def test_one_open_eye_is_enough(tone: str) -> None:
    one = eyelids.openness(made.roi_of(with_eyes(tone, closed=EYES[:1])))
    assert one == pytest.approx(eyelids.openness(made.roi_of(with_eyes(tone))), abs=0.02)


@tones
@pytest.mark.parametrize("lash_px", [1, 3, 5])
def test_lashes_are_too_thin_to_count(tone: str, lash_px: int) -> None:
    value = eyelids.openness(made.roi_of(with_eyes(tone, closed=EYES, lash_px=lash_px)))
    assert value is not None
    assert value < quality.MIN_OPENNESS


def test_the_value_depends_little_on_the_light() -> None:
    """Half the light, linear, takes lightness and chroma from eye and skin alike."""
    for closed in ((), EYES):
        lab = with_eyes("medium", closed=closed)
        bright, dim = (eyelids.openness(made.roi_of(lab * np.float32(factor))) for factor in (1.0, 0.6))
        assert dim == pytest.approx(bright, abs=0.12)


def test_eyes_that_nobody_saw_or_that_are_too_small_are_not_judged() -> None:
    roi = made.roi_of(with_eyes("medium"))
    assert eyelids.openness(replace(roi, measured_landmarks=False)) is None
    assert eyelids.openness(made.roi_of(with_eyes("medium"), scale=eyelids.MAX_SCALE + 0.1)) is None


def test_eyes_without_skin_around_them_are_not_judged() -> None:
    """Under sunglasses or hair."""
    mask = made.skin_mask().copy()
    mask[150:300] = False
    assert eyelids.openness(made.roi_of(with_eyes("medium"), mask=mask)) is None


def test_an_eye_at_the_edge_of_the_crop_is_not_judged() -> None:
    roi = made.roi_of(with_eyes("medium"))
    eye = made.landmarks()["right_eye"]
    assert eyelids.eye_openness(roi, eye) is not None
    assert eyelids.eye_openness(roi, eye - np.float32([eye[:, 0].min() - 10, 0])) is None


def test_an_eye_that_is_turned_away_has_no_say() -> None:
    """The far eye looks open, the near one is closed."""
    points = {name: group.copy() for name, group in made.landmarks().items()}
    middle = points["left_eye"].mean(axis=0)
    points["left_eye"] = (middle + (points["left_eye"] - middle) * [0.6, 1.0]).astype(np.float32)
    roi = replace(made.roi_of(with_eyes("medium", closed=["right_eye"])), landmarks=points)
    assert eyelids.openness(roi) == eyelids.eye_openness(roi, points["right_eye"])


@tones
def test_without_colour_darkness_alone_tells(tone: str) -> None:
    """In black and white nothing is pale."""
    values = [
        eyelids.openness(made.roi_of(with_eyes(tone, closed=closed) * np.float32([1, 0, 0]))) for closed in ((), EYES)
    ]
    assert values[1] is not None
    assert values[1] < 0.3
    assert (values[0] or 0.0) < 0.75
