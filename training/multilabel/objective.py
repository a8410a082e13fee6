"""Conditions and their severities -> packed targets, and the loss by which a head learns them.

What the outputs of a head mean, and how they are read, says `analyzer.severity`: C logits that a condition is there, then S of each
condition's severity: cumulative ones that share their weights (``"coral"``), or a softmax that knows no order (``"ce"``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from analyzer.severity import CUMULATIVE, GRADES, SOFTMAX

UNSAID = -1  # a severity that is not labelled
PRESENCE_LOSSES = ("bce", "focal")
OUTPUTS: Mapping[str, int] = {"coral": CUMULATIVE, "ce": SOFTMAX}  # severity loss → logits of each condition
FOCUS, ALPHA = 2.0, 0.25  # gamma and alpha of the focal loss (Lin et al., ICCV 2017)
GRADED_SHARE = 0.5  # of the weight of a condition's severities, for those above none: six of seven entries are none
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of N pictures.

    Attributes:
        present: (N, C) bool.
        severity: (N, C) 0..3; `UNSAID` where nothing usable is said.
    """

    present: NDArray[np.bool_]
    severity: NDArray[np.intp]

    def of(self, rows: NDArray) -> Labels:
        return Labels(self.present[rows], self.severity[rows])


@dataclass(frozen=True)
class Aim:
    """What a head is to learn.

    Attributes:
        presence: one of `PRESENCE_LOSSES`.
        severity: one of `OUTPUTS`.
        severity_weight: of the severities' loss beside that of the conditions.
    """

    presence: str = "bce"
    severity: str = "coral"
    severity_weight: float = 1.0

    def outputs(self, conditions: int) -> int:
        """Width of a head."""
        return conditions * (1 + OUTPUTS[self.severity])


def severity_weights(severity: NDArray[np.intp]) -> Floats:
    """(N, C) weights: 0 where unlabelled; of each condition none and graded pictures count alike, their mean is 1."""
    known, graded = severity != UNSAID, severity > 0
    counts = np.stack([(known & ~graded).sum(axis=0), graded.sum(axis=0)])
    shares = np.where(counts.min(axis=0) > 0, np.array([[1 - GRADED_SHARE], [GRADED_SHARE]]), 1.0)
    each = shares * known.sum(axis=0) / np.maximum(counts, 1)
    return np.where(known, np.where(graded, each[1], each[0]), 0).astype(np.float32)


def packed(labels: Labels, weights: Floats) -> Floats:
    """(N, 3 C) float32: whether each condition is there, its severity (0 where unlabelled), the weight of that."""
    return np.concatenate([labels.present, np.maximum(labels.severity, 0), weights], axis=1).astype(np.float32)


class Loss(keras.losses.Loss):
    """Mean over the conditions of `packed` targets (N, 3 C) against a head's outputs (N, C (1 + S)); one number a picture."""

    def __init__(self, aim: Aim) -> None:
        super().__init__()
        self.aim = aim

    def call(self, wanted: keras.KerasTensor, outputs: keras.KerasTensor) -> keras.KerasTensor:
        present, severity, weights = ops.split(wanted, 3, axis=1)
        count = present.shape[1]
        graded = ops.reshape(outputs[:, count:], (-1, count, OUTPUTS[self.aim.severity]))
        told = _presence(present, outputs[:, :count], self.aim.presence)
        how_much = weights * (_cumulative if self.aim.severity == "coral" else _categorical)(severity, graded)
        return ops.mean(told, axis=1) + self.aim.severity_weight * ops.mean(how_much, axis=1)


class Cumulative(keras.layers.Layer):
    """(N, D) -> (N, 3 C): for each condition three logits with the same weights and a bias each, falling at the start."""

    def __init__(self, conditions: int, **more: object) -> None:
        super().__init__(**more)
        self.conditions = conditions

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.conditions), initializer="glorot_uniform", name="kernel")
        start = np.tile(np.linspace(1, -1, GRADES - 1, dtype=np.float32), self.conditions)
        self.bias = self.add_weight(
            shape=start.shape, initializer=lambda *_, **__: ops.convert_to_tensor(start), name="bias"
        )

    def call(self, given: keras.KerasTensor) -> keras.KerasTensor:
        return ops.repeat(given @ self.kernel, GRADES - 1, axis=1) + self.bias


def _presence(present: keras.KerasTensor, logits: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    """(N, C) cross-entropy; focal: less of what is right already."""
    entropy = _entropy(present, logits)
    if kind == "bce":
        return entropy
    shares = ops.sigmoid(logits)
    missed = present * (1 - shares) + (1 - present) * shares
    return (ALPHA * present + (1 - ALPHA) * (1 - present)) * missed**FOCUS * entropy


def _cumulative(severity: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """(N, C) mean cross-entropy of the questions "at least 1, 2, 3"."""
    reached = ops.cast(severity[..., None] >= np.arange(1.0, GRADES, dtype=np.float32), logits.dtype)
    return ops.mean(_entropy(reached, logits), axis=2)


def _categorical(severity: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """(N, C) cross-entropy over the grades."""
    grades = ops.one_hot(ops.cast(severity, "int32"), GRADES, dtype=logits.dtype)
    return -ops.sum(grades * ops.log_softmax(logits), axis=2)


def _entropy(wanted: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Binary cross-entropy of logits, without overflow."""
    return ops.softplus(-ops.abs(logits)) + ops.maximum(logits, 0) - logits * wanted
