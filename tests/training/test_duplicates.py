"""Copies of a picture are one group; different pictures are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzer.values import Rgb
from training.data import duplicates
from training.data.degradations import degrade


def pictures(count: int) -> list[Rgb]:
    """Smooth fields of light and shade, each another one."""
    grids = [np.random.default_rng(seed).uniform(20, 235, (9, 9, 3)).astype(np.float32) for seed in range(count)]
    return [
        np.clip(cv2.resize(grid, (200, 200), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8) for grid in grids
    ]


@pytest.mark.parametrize(
    "copied",
    [
        lambda rgb: rgb,
        lambda rgb: rgb[:, ::-1],
        lambda rgb: cv2.resize(rgb, (130, 130), interpolation=cv2.INTER_AREA),
        lambda rgb: np.clip(rgb * 0.8 + 10, 0, 255).astype(np.uint8),
        lambda rgb: cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR),
    ],
    ids=["copy", "flip", "smaller", "darker", "compressed"],
)
def test_a_changed_copy_is_in_the_group_of_its_original(copied) -> None:  # type: ignore[no-untyped-def]
    originals = pictures(4)
    prints = [duplicates.fingerprint(rgb) for rgb in [*originals, copied(originals[2])]]
    assert duplicates.groups(prints).tolist() == [0, 1, 2, 3, 2]


def test_unlike_pictures_are_groups_of_their_own() -> None:
    prints = [duplicates.fingerprint(degrade(np.random.default_rng(9), rgb)) for rgb in pictures(40)]
    assert duplicates.groups(prints).tolist() == list(range(40))


def test_likeness_is_passed_on() -> None:
    """The second is like the first and the third, which are not alike: all three belong together."""
    bits = np.zeros(256, bool)
    first, second, third = bits.copy(), bits.copy(), bits.copy()
    second[:30] = True
    third[:60] = True
    mirrored = np.random.default_rng(0).random((3, 256)) < 0.5
    prints = [np.stack(pair) for pair in zip((first, second, third), mirrored, strict=True)]
    assert duplicates.groups(prints).tolist() == [0, 0, 0]
    assert duplicates.groups([prints[0], prints[2]]).tolist() == [0, 1]


def test_nothing_has_no_groups() -> None:
    assert duplicates.groups([]).size == 0
