"""Groups of pictures -> bootstrap draws of whole groups, all at once, so that a figure over every draw is one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analyzer.model_card import Metric
from training.evaluate import DRAWS, SEED

DIGITS = 4
TAIL = 0.025  # of each side of a 95 % interval
Mask = NDArray[np.bool_]  # (N,)
Values = NDArray[
    np.float64
]  # (1 + DRAWS,): a figure of the pictures as they are, then of each draw; nan where it cannot be told


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The draws that `evaluate.metric` makes, as weights.

    Attributes:
        groups: (N,) index of each picture's group.
        weights: (1 + DRAWS, N) float32: how often each picture is in a draw; row 0 is the pictures as they are.
    """

    groups: NDArray[np.intp]
    weights: NDArray[np.float32]

    def totals(self, table: NDArray) -> NDArray[np.float64]:
        """(1 + DRAWS, …) sum over the pictures of each draw of a (N, …) table."""
        return np.asarray(self.weights @ np.asarray(table, np.float32), np.float64)

    def shares(self, hit: Mask, among: Mask) -> Values:
        """Share of the pictures `among` that are `hit`."""
        counted = self.totals(np.stack([hit & among, among], axis=1))
        return ratio(counted[:, 0], counted[:, 1])

    def share(self, hit: Mask, among: Mask) -> Metric:
        """`shares` as a figure; its count is that of the pictures `among`."""
        found = metric(self.shares(hit, among), int(among.sum()))
        return widened(found, len(np.unique(self.groups[among])))


def draw(groups: Sequence[str]) -> Bootstrap:
    """The draws for pictures of these groups; the same at every call."""
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(index.max()) + 1
    drawn = np.random.default_rng(SEED).integers(0, count, (DRAWS, count))
    places = drawn + count * np.arange(DRAWS)[:, None]
    times = np.bincount(places.ravel(), minlength=DRAWS * count).reshape(DRAWS, count)
    times = np.concatenate([np.ones((1, count), times.dtype), times])
    return Bootstrap(index, times.astype(np.float32)[:, index])


def metric(values: Values, count: int) -> Metric:
    """A figure with its 95 % interval; without one where the figure itself cannot be told."""
    value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not len(drawn):
        return Metric(float("nan"), None, count)
    low, high = np.percentile(drawn, [100 * TAIL, 100 * (1 - TAIL)])
    return Metric(round(value, DIGITS), (round(float(low), DIGITS), round(float(high), DIGITS)), count)


def widened(found: Metric, groups: int) -> Metric:
    """A share of which all or none are hit, with the exact interval for that many groups (Clopper & Pearson, Biometrika 1934).

    No draw differs there, and the bootstrap's interval would have no width.
    """
    if found.value not in (0.0, 1.0):
        return found
    width = round(1.0 - TAIL ** (1.0 / groups), DIGITS)
    return Metric(found.value, (0.0, width) if found.value == 0.0 else (round(1.0 - width, DIGITS), 1.0), found.count)


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotient; nan where it is 0 / 0."""
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)
