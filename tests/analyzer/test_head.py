"""The head computes what dense layers compute, and its gradient is that of finite differences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import head
from analyzer.head import Head


@pytest.fixture
def dense() -> Head:
    rng = np.random.default_rng(7)
    widths = (11, 8, 6, 4)
    return head.of_layers(
        [
            (rng.normal(size=(before, after)).astype(np.float32), rng.normal(size=after).astype(np.float32))
            for before, after in pairwise(widths)
        ]
    )


@pytest.fixture
def known() -> NDArray[np.float32]:
    return np.random.default_rng(8).normal(size=11).astype(np.float32)


def test_logits_are_those_of_relu_layers_with_a_linear_last_one(dense: Head, known: NDArray[np.float32]) -> None:
    hidden = known
    for kernel, bias in zip(dense.kernels[:-1], dense.biases[:-1], strict=True):
        hidden = np.clip(bias + np.einsum("i,io->o", hidden, kernel), 0, None)
    wanted = dense.biases[-1] + np.einsum("i,io->o", hidden, dense.kernels[-1])
    assert dense.logits(known) == pytest.approx(wanted, abs=1e-4)
    assert (dense.inputs, dense.classes) == (11, 4)


@pytest.mark.parametrize("index", range(4))
def test_gradient_is_that_of_finite_differences(dense: Head, known: NDArray[np.float32], index: int) -> None:
    step = np.float32(1e-2)
    slopes = [
        (dense.logits(known + step * one)[index] - dense.logits(known - step * one)[index]) / (2 * step)
        for one in np.eye(11, dtype=np.float32)
    ]
    assert dense.gradient(known, index) == pytest.approx(np.array(slopes), abs=2e-2)


def test_activation_map_is_the_gradient_weighted_sum_of_maps_without_what_speaks_against() -> None:
    maps = [np.zeros((2, 2, 1), np.float32), np.zeros((2, 2, 2), np.float32)]
    maps[0][0, 0] = 1.0
    maps[1][0, 1, 0] = 1.0
    maps[1][1, 1, 1] = 1.0
    shown = head.activation_map(maps, np.array([2.0, 1.0, -5.0], np.float32))
    assert shown.tolist() == [[1.0, 0.5], [0.0, 0.0]]


def test_activation_map_without_evidence_is_empty() -> None:
    maps = [np.ones((3, 3, 2), np.float32)]
    assert not head.activation_map(maps, np.array([-1.0, -1.0], np.float32)).any()
