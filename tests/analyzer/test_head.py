"""The head computes what dense layers compute, and its gradient is that of finite differences."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import head
from analyzer.activations import ACTIVATIONS
from analyzer.errors import BadModel
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


@pytest.mark.parametrize("name", [*sorted(ACTIVATIONS.keys() - {"log", "logit"}), "mixed"])
def test_gradient_behind_every_activation_is_that_of_finite_differences(
    name: str, dense: Head, known: NDArray[np.float32]
) -> None:
    number = {"clipped_relu": ":1.5", "leaky_relu": ":0.2", "elu": ":0.7", "hard_sigmoid": ":0.2"}.get(name, "")
    names = np.array([f"{name}{number}"] if name != "mixed" else ["relu", "linear", "tanh", "silu"] * 2)
    layers = [(kernel / 3, bias) for kernel, bias in zip(dense.kernels, dense.biases, strict=True)]
    bent = head.of_layers(layers, [names, names[:6]])
    step = 1e-3
    slopes = [
        float(bent.logits(known + np.float32(step) * row)[0] - bent.logits(known - np.float32(step) * row)[0])
        / (2 * step)
        for row in np.eye(11, dtype=np.float32)
    ]
    assert np.ptp(slopes) > 1e-3
    assert bent.gradient(known, 0) == pytest.approx(np.array(slopes), abs=2e-2, rel=5e-3)


@pytest.mark.parametrize(("vote", "back"), [("softmax", "log"), ("sigmoid", "logit")])
def test_gradient_of_a_mean_of_probabilities_is_that_of_finite_differences(
    vote: str, back: str, dense: Head, known: NDArray[np.float32]
) -> None:
    mean = np.tile(np.eye(4, dtype=np.float32) / 2, (2, 1))
    layers = [(dense.kernels[0] / 3, dense.biases[0]), (mean, np.zeros(4)), (np.eye(4), np.zeros(4))]
    voting = head.of_layers(layers, [np.array([f"{vote}:0"] * 4 + [f"{vote}:1"] * 4), np.array([back])])
    first, second = np.split(known @ layers[0][0] + layers[0][1], 2)
    shares = [np.exp(x) / np.exp(x).sum() if vote == "softmax" else 1 / (1 + np.exp(-x)) for x in (first, second)]
    whole = np.mean(shares, axis=0)
    assert voting.logits(known) == pytest.approx(np.log(whole if vote == "softmax" else whole / (1 - whole)), abs=1e-5)
    step = np.float32(1e-2)
    slopes = [
        float(voting.logits(known + step * row)[1] - voting.logits(known - step * row)[1]) / (2 * float(step))
        for row in np.eye(11, dtype=np.float32)
    ]
    assert np.ptp(slopes) > 0.05
    assert voting.gradient(known, 1) == pytest.approx(np.array(slopes), abs=2e-3)


def test_activations_are_read_with_the_head_and_unknown_ones_refused(dense: Head, known: NDArray[np.float32]) -> None:
    arrays = {f"kernel_{place}": kernel for place, kernel in enumerate(dense.kernels)}
    arrays |= {f"bias_{place}": bias for place, bias in enumerate(dense.biases)}
    for names, fits in ((["tanh"], True), (["tanh"] * 8, True), (["tanh"] * 5, False), (["glu"], False)):
        file = io.BytesIO()
        np.savez(file, **arrays, activation_0=np.array(names), activation_1=np.array(["relu"]))
        if fits:
            hidden = np.maximum(
                np.tanh(known @ dense.kernels[0] + dense.biases[0]) @ dense.kernels[1] + dense.biases[1], 0
            )
            wanted = hidden @ dense.kernels[2] + dense.biases[2]
            assert head.read(file.getvalue()).logits(known) == pytest.approx(wanted, abs=1e-4)
        else:
            with pytest.raises(BadModel, match="activations"):
                head.read(file.getvalue())


def test_activation_map_of_flattened_maps_and_of_maps_of_two_sizes() -> None:
    fine, coarse = np.zeros((4, 4, 1), np.float32), np.ones((2, 2, 1), np.float32)
    fine[0, 0] = 4.0
    flat = np.concatenate([np.full(16, 1 / 16), np.full(4, 1 / 4)]).astype(np.float32)
    pooled = np.array([1.0, 1.0], np.float32)
    shown = [head.activation_map([fine, coarse], gradient) for gradient in (flat, pooled)]
    wanted = np.full((4, 4), 0.5)
    wanted[0, 0] = 1.0
    assert [each.tolist() for each in shown] == [wanted.tolist()] * 2


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
