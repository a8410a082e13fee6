"""Outputs of a multi-label head -> for each condition the probability that it is there, and its severity from its own outputs.

An artefact whose card has the output kind ``"multilabel_severity"`` holds the files of any other (docs/ensemble.md): a compiled
network with `features` and the maps that they are means of, and in `head.npz` dense layers with ReLU between them
(kernel_0, bias_0, …). For the C classes of its card, in their order, the last layer gives C (1 + S) logits:

- C of "it is there", each on its own: sigmoid of the logit over the card's temperature, compared with the threshold
  `presence_<class>` of the card (`presence_threshold`);
- then S of each class's severity 0..3, class after class. S = 3: cumulative logits of "at least 1, 2, 3", as of CORAL (Cao, Mirjalili
  & Raschka, Pattern Recognition Letters 2020); the severity is how many are above 0. S = 4: a softmax over the grades.

Layers that presence and severity do not share stand in one chain as blocks of zeros beside each other. `golden.npz` holds drawn pictures
and all C (1 + S) logits. The severity never comes from the probability: something slight may be plain to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from analyzer.values import Grade

GRADES = 4  # none, slight, moderate, severe
CUMULATIVE, SOFTMAX = GRADES - 1, GRADES  # logits of one severity
USUAL_THRESHOLD = 0.5  # of a class whose card names none
Array = NDArray[np.float64]


def fits(outputs: int, classes: int) -> bool:
    """Whether a head of this width can belong to so many classes."""
    return classes > 0 and outputs in (classes * (1 + CUMULATIVE), classes * (1 + SOFTMAX))


def presence_threshold(name: str) -> str:
    """Name of a class's threshold in the card."""
    return f"presence_{name}"


def grades(
    logits: NDArray[np.float32], names: Sequence[str], thresholds: Mapping[str, float], temperature: float
) -> dict[str, Grade]:
    """What the logits say of each class.

    Args:
        logits: (C (1 + S),) of one face.
        names: of the C classes.
        thresholds: of the card.
        temperature: that the logits of presence are divided by.
    """
    there, shares = presence(logits, len(names), temperature), severity_shares(logits, len(names))
    how_severe = severities(logits, len(names))
    return {
        name: Grade(
            probability=float(there[place]),
            threshold=thresholds.get(presence_threshold(name), USUAL_THRESHOLD),
            severity=int(how_severe[place]),
            shares=tuple(map(float, shares[place])),
        )
        for place, name in enumerate(names)
    }


def presence(logits: NDArray[np.float32], classes: int, temperature: float) -> Array:
    """(…, C) probabilities 0..1 that each class is there."""
    return _sigmoid(np.asarray(logits[..., :classes], np.float64) / temperature)


def severity_shares(logits: NDArray[np.float32], classes: int) -> Array:
    """(…, C, 4) probabilities of the severities 0 to 3 of each class; they sum to 1.

    Cumulative logits are put in falling order first: where some cross, no probability is negative and the count stays.
    """
    graded = _graded(logits, classes)
    if graded.shape[-1] == SOFTMAX:
        shares = np.exp(graded - graded.max(axis=-1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
    reached = _sigmoid(-np.sort(-graded, axis=-1))
    edge = np.ones((*reached.shape[:-1], 1))
    return np.asarray(-np.diff(np.concatenate([edge, reached, 0 * edge], axis=-1), axis=-1))


def all_shares(logits: NDArray[np.float32], classes: int, temperature: float) -> Array:
    """(…, C · 5) every probability that the logits come to: what two arithmetics are compared by."""
    graded = severity_shares(logits, classes)
    flat = graded.reshape(*graded.shape[:-2], classes * GRADES)
    return np.concatenate([presence(logits, classes, temperature), flat], axis=-1)


def severities(logits: NDArray[np.float32], classes: int) -> NDArray[np.intp]:
    """(…, C) severity 0..3."""
    graded = _graded(logits, classes)
    return np.asarray((graded > 0).sum(axis=-1) if graded.shape[-1] == CUMULATIVE else graded.argmax(axis=-1), np.intp)


def _graded(logits: NDArray[np.float32], classes: int) -> Array:
    """(…, C, S) logits of the severities."""
    inner = np.asarray(logits[..., classes:], np.float64)
    return inner.reshape(*inner.shape[:-1], classes, inner.shape[-1] // classes)


def _sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))
