"""The face networks and their losses; runs where the training environment is (`make train-env`)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")
keras = pytest.importorskip("keras")

from training.data.targets import target_maps  # noqa: E402
from training.geometry import face_networks  # noqa: E402


def test_detector_answers_at_every_stride_for_any_size() -> None:
    maps = face_networks.detector()(np.zeros((1, 96, 160, 3), np.float32))
    assert {name: tuple(answer.shape) for name, answer in maps.items()} == {
        "stride_8": (1, 12, 20, 6),
        "stride_16": (1, 6, 10, 6),
        "stride_32": (1, 3, 5, 6),
    }


def test_landmarks_answer_points_and_a_logit() -> None:
    answer = face_networks.landmarks()(np.zeros((2, 128, 128, 3), np.float32))
    assert tuple(answer["points"].shape) == (2, 284)
    assert tuple(answer["face"].shape) == (2, 1)


def test_the_right_answer_costs_less_than_a_wrong_one() -> None:
    truth = target_maps(np.array([[96, 96, 60, 0.3]], np.float32), 192)["stride_16"][None]
    right = np.concatenate([np.where(truth[..., :1] > 0, 8.0, -8.0), truth[..., 2:7]], axis=-1)
    shifted = right + np.array([0, 0.5, 0, 0, 0, 0])
    silent = np.where(np.arange(6) == 0, -8.0, right)
    costs = [
        float(face_networks.detector_loss(truth, answer.astype(np.float32))) for answer in (right, shifted, silent)
    ]
    assert costs[0] < 0.01
    assert costs[0] < costs[1]
    assert costs[0] < costs[2]


def test_cells_that_may_answer_either_way_cost_nothing() -> None:
    truth = np.zeros((1, 6, 6, 8), np.float32)
    loud = np.full((1, 6, 6, 6), 9.0, np.float32)
    assert float(face_networks.detector_loss(truth, loud)) == 0.0


def test_crops_without_landmarks_do_not_pull_the_points() -> None:
    truth = np.full((2, 284), np.nan, np.float32)
    truth[0] = 0.1
    answer = np.full((2, 284), 0.1, np.float32)
    answer[1] = 5.0
    assert float(face_networks.landmark_loss(truth, answer)) == 0.0
    assert float(face_networks.landmark_loss(truth, answer + 0.05)) > 1.0
