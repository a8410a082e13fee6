"""Probabilities on validation pictures -> for each condition the threshold from which it is said to be there: the best F1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

USUAL = 0.5  # where validation has no picture with a condition, or none without
Floats = NDArray[np.float64]


def tuned(shares: Floats, present: NDArray[np.bool_]) -> Floats:
    """(C,) thresholds of (N, C) probabilities: in the middle of the widest range with the highest F1."""
    return np.array([_best(shares[:, one], present[:, one])[0] for one in range(shares.shape[1])])


def best_macro_f1(shares: Floats, present: NDArray[np.bool_]) -> float:
    """Mean over the conditions that occur of the F1 that each reaches at its best threshold; nan where none occurs."""
    reached = [_best(shares[:, one], present[:, one])[1] for one in np.flatnonzero(present.any(axis=0))]
    return float(np.mean(reached)) if reached else float("nan")


def _best(shares: Floats, present: NDArray[np.bool_]) -> tuple[float, float]:
    """Threshold and F1 of one condition; a probability that equals the threshold is above it."""
    if not present.any() or present.all():
        return USUAL, float(present.any())
    order = np.argsort(-shares, kind="stable")
    falling = shares[order]
    last = np.append(falling[:-1] != falling[1:], True)  # of equal probabilities all are told or none
    hits, told = np.cumsum(present[order])[last], np.flatnonzero(last) + 1
    f1 = 2 * hits / (told + present.sum())
    lowest, next_lower = falling[last], np.append(falling[last][1:], 0.0)
    best = np.flatnonzero(f1 == f1.max())
    widest = best[np.argmax(lowest[best] - next_lower[best])]
    return float((lowest[widest] + next_lower[widest]) / 2), float(f1[widest])
