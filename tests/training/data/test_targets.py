"""What the detector is asked to answer, read back by what reads its answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import face_network
from training.data.targets import target_maps

SIDE_PX = 192


def answers_of(boxes: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Maps of a perfect detector: logit 6 where it must answer, -6 elsewhere."""
    maps = target_maps(boxes, SIDE_PX)
    return {
        name: np.concatenate([np.where(target[..., :1] > 0, 6.0, -6.0), target[..., 2:7]], axis=-1)[None].astype(
            np.float32
        )
        for name, target in maps.items()
    }


@pytest.mark.parametrize("side", [13, 20, 45, 60, 100, 180, 260])
@pytest.mark.parametrize("roll_deg", [0, 75, -170])
def test_a_perfect_answer_is_read_as_the_box_that_was_asked_for(side: float, roll_deg: float) -> None:
    box = np.array([[101.0, 87.0, side, math.radians(roll_deg)]], np.float32)
    boxes, logits = face_network.proposals(answers_of(box), 0.0)
    assert boxes == pytest.approx(box, abs=0.02)
    assert logits == pytest.approx([6.0])


def test_faces_of_all_sizes_in_one_picture_are_asked_for() -> None:
    asked = np.array([[30, 30, 16, 0.1], [100, 40, 50, 0], [95, 130, 105, -0.4]], np.float32)
    boxes, _ = face_network.proposals(answers_of(asked), 0.0)
    assert sorted(boxes[:, 2].tolist()) == pytest.approx(sorted(asked[:, 2].tolist()), abs=0.05)


def test_tiny_faces_are_neither_asked_for_nor_forbidden() -> None:
    fine = target_maps(np.array([[60, 60, 8, 0]], np.float32), SIDE_PX)["stride_8"]
    assert not fine[..., 0].any()
    assert fine[7, 7, 1] == 0
    assert fine[20, 20, 1] == 1


def test_an_unknown_roll_is_marked_as_unknown() -> None:
    middle = target_maps(np.array([[96, 96, 60, math.nan]], np.float32), SIDE_PX)["stride_16"]
    asked = middle[middle[..., 0] > 0]
    assert len(asked)
    assert np.isfinite(asked).all()
    assert not asked[:, 5:].any()


def test_without_faces_everything_counts_as_background() -> None:
    for target in target_maps(np.zeros((0, 4), np.float32), SIDE_PX).values():
        assert not target[..., 0].any()
        assert target[..., 1].all()
