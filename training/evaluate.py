"""Predictions + truth -> metrics with intervals, baselines and calibration, as a card holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata

from analyzer.artefact import probabilities
from analyzer.model_card import Metric

DRAWS = 1000  # of a bootstrap
TOO_FEW = 20  # cases under which a group gets no figure
ECE_BINS = 10
SEED = 2
Indices = NDArray[np.intp]
Floats = NDArray[np.float64]
Measure = Callable[[Indices], float]  # rows → figure; nan where it cannot be told


def metrics(measures: Mapping[str, Measure], groups: Sequence[str]) -> dict[str, Metric]:
    """`metric` of each; figures that cannot be told, such as the precision of a class that is never answered, are left out."""
    found = {name: metric(measure, groups) for name, measure in measures.items()}
    return {name: one for name, one in found.items() if np.isfinite(one.value)}


def metric(measure: Measure, groups: Sequence[str]) -> Metric:
    """A figure over all rows with its 95 % interval: a bootstrap that draws whole groups (persons, copies of a picture)."""
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    value = measure(np.arange(len(index)))
    if not np.isfinite(value):
        return Metric(value, None, len(index))
    members = [np.flatnonzero(index == group) for group in range(int(index.max()) + 1)]
    rng = np.random.default_rng(SEED)
    drawn = [
        measure(np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))]))
        for _ in range(DRAWS)
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Metric(round(value, 4), (round(float(low), 4), round(float(high), 4)), len(index))


def accuracy(truth: Indices, answered: Indices) -> Measure:
    return lambda rows: float(np.mean(truth[rows] == answered[rows]))


def recall(truth: Indices, answered: Indices, label: int) -> Measure:
    return lambda rows: _share(answered[rows] == label, truth[rows] == label)


def precision(truth: Indices, answered: Indices, label: int) -> Measure:
    return lambda rows: _share(truth[rows] == label, answered[rows] == label)


def specificity(truth: Indices, answered: Indices, label: int) -> Measure:
    return lambda rows: _share(answered[rows] != label, truth[rows] != label)


def balanced_accuracy(truth: Indices, answered: Indices) -> Measure:
    """Mean recall of the classes that occur."""

    def measure(rows: Indices) -> float:
        return float(np.mean([np.mean(answered[rows][truth[rows] == one] == one) for one in np.unique(truth[rows])]))

    return measure


def macro_f1(truth: Indices, answered: Indices) -> Measure:
    """Mean F1 of the classes that occur."""

    def measure(rows: Indices) -> float:
        given, told = truth[rows], answered[rows]
        right = [2 * np.sum((given == one) & (told == one)) for one in np.unique(given)]
        return float(
            np.mean(right / np.array([np.sum(given == one) + np.sum(told == one) for one in np.unique(given)]))
        )

    return measure


def source_matched(truth: Indices, answered: Indices, sources: NDArray[np.str_]) -> Measure:
    """Balanced accuracy within every source that holds several classes, averaged over those sources."""

    def measure(rows: Indices) -> float:
        figures = []
        for source in np.unique(sources[rows]):
            inside = rows[sources[rows] == source]
            if len(np.unique(truth[inside])) > 1:
                figures.append(balanced_accuracy(truth, answered)(inside))
        return float(np.mean(figures)) if figures else float("nan")

    return measure


def auroc(scores: Floats, positive: NDArray[np.bool_]) -> Measure:
    """Probability that a positive scores above a negative (ties count half)."""

    def measure(rows: Indices) -> float:
        is_positive = positive[rows]
        count = int(is_positive.sum())
        if count in (0, len(rows)):
            return float("nan")
        ranks = rankdata(scores[rows])[is_positive].sum()
        return float((ranks - count * (count + 1) / 2) / (count * (len(rows) - count)))

    return measure


def expected_calibration_error(shares: Floats, truth: Indices) -> float:
    """Mean difference of top probability and accuracy over bins of equal width, weighted (Guo et al., ICML 2017)."""
    top, right = shares.max(axis=1), shares.argmax(axis=1) == truth
    bins = np.minimum((top * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs(float(top[bins == one].sum() - right[bins == one].sum())) for one in np.unique(bins)]
    return sum(gaps) / len(truth)


def temperature(logits: NDArray[np.float32], truth: Indices, weights: Floats) -> float:
    """The temperature with the least weighted cross-entropy on pictures that were not trained on."""

    def loss(log_temperature: float) -> float:
        shares = probabilities(logits, float(np.exp(log_temperature)))
        return float(-(weights * np.log(np.maximum(shares[np.arange(len(truth)), truth], 1e-12))).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded").x))


def of_groups(
    measure: Mapping[str, Measure], rows: Mapping[str, Indices], groups: Sequence[str]
) -> dict[str, dict[str, Metric]]:
    """Group of people or sources → metrics; groups under `TOO_FEW` are left out."""
    together = np.asarray(groups)
    return {
        name: metrics(
            {
                figure: lambda drawn, one=one, inside=inside: one(inside[drawn])  # type: ignore[misc]
                for figure, one in measure.items()
            },
            list(together[inside]),
        )
        for name, inside in rows.items()
        if len(inside) >= TOO_FEW
    }


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(np.mean(hit[among])) if among.any() else float("nan")
