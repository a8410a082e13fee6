"""Views of a face: the same whenever they are asked for, never upside down, of the size of the crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.data import augmentation
from training.data.augmentation import STANDARD, Augmentation, augmented, drawn

STILL = Augmentation(0.0, 0.0, (1.0, 1.0), 0.0, (1.0, 1.0), 0.0, (0.0, 40, 95))


def crop(side: int = 64) -> np.ndarray:
    """Bright above, dark below, red on the left."""
    rgb = np.zeros((side, side, 3), np.uint8)
    rgb[: side // 2] = 200
    rgb[:, : side // 4, 0] = 255
    return rgb


def test_nothing_happens_where_nothing_may() -> None:
    assert (drawn(np.random.default_rng(0), crop(), STILL) == crop()).all()


def test_a_view_is_the_same_whenever_it_is_asked_for_and_unlike_the_next() -> None:
    first, again, second = (augmented(crop(), STANDARD, b"1 picture", view) for view in (1, 1, 2))
    assert (first == again).all()
    assert (first != second).any()
    assert (augmented(crop(), STANDARD, b"2 picture", 1) != first).any()


def test_views_keep_shape_and_type_and_leave_the_crop_alone() -> None:
    given = crop()
    view = augmented(given, STANDARD, b"1 picture", 3)
    assert (view.shape, view.dtype) == (given.shape, np.uint8)
    assert (given == crop()).all()
    assert view.flags.c_contiguous


def test_no_view_is_upside_down() -> None:
    for seed in range(60):
        view = drawn(np.random.default_rng(seed), crop(), replace(STANDARD, brightness=0.0)).astype(float)
        middle = slice(16, 48)
        assert view[:24, middle].mean() > view[-24:, middle].mean() + 40


def test_some_views_are_mirrored_and_colours_stay_what_they_are() -> None:
    sides = set()
    for seed in range(30):
        view = drawn(np.random.default_rng(seed), crop(), replace(STILL, flip=0.5, jpeg=(1.0, 90, 95))).astype(int)
        redness = view[..., 0] - view[..., 2]
        left, right = redness[32:, :12].mean(), redness[32:, -12:].mean()
        assert max(left, right) > 150  # red, not blue: the order of the colours survives the compression
        sides.add(bool(left > right))
    assert sides == {True, False}


@pytest.mark.parametrize(
    ("change", "least", "most"), [({"brightness": 0.2}, -51, 51), ({"contrast": (0.5, 0.5)}, -60, 60)]
)
def test_light_changes_within_its_bounds(change: dict, least: float, most: float) -> None:
    for seed in range(20):
        away = drawn(np.random.default_rng(seed), crop(), replace(STILL, **change)).mean() - crop().mean()
        assert least - 1 <= away <= most + 1


def test_the_id_tells_augmentations_apart() -> None:
    assert STANDARD.id == augmentation.Augmentation().id
    assert replace(STANDARD, rotation_deg=29.0).id != STANDARD.id
