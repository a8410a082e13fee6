"""Answers and truth -> every figure with its 95 % interval over whole groups: of all pictures, of each class, of the calibration.

The figures are those of `evaluate`, with the same draws; here a thousand draws of all of them take less than a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import EARNED
from analyzer.model_card import Metric
from training.evaluate import ECE_BINS
from training.evaluation import bootstrap
from training.evaluation.bootstrap import Bootstrap, Values, ratio

ACCURACY, BALANCED, MACRO_F1, WEIGHTED_F1 = "accuracy", "balanced accuracy", "macro-F1", "weighted F1"
RECALL, PRECISION, SPECIFICITY = "recall", "precision", "specificity"
FALSE_POSITIVES, F1, AUROC, AVERAGE_PRECISION = "false-positive rate", "F1", "AUROC", "average precision"
ECE = "expected calibration error"


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered to labelled pictures.

    Attributes:
        classes: their names, in the order of the indices.
        truth: (N,) index of the class.
        answered: (N,) index of the class.
        groups: of each picture; drawn as a whole.
        sources: of each picture.
        shares: (N, C) probabilities, of those who give any.
    """

    classes: Sequence[str]
    truth: NDArray[np.intp]
    answered: NDArray[np.intp]
    groups: Sequence[str]
    sources: Sequence[str]
    shares: NDArray[np.float64] | None = None

    @cached_property
    def bootstrap(self) -> Bootstrap:
        return bootstrap.draw(self.groups)

    def of(self, rows: NDArray) -> Answers:
        """Those of some pictures only, by index or mask."""
        index = np.arange(len(self.truth))[rows]
        shares = None if self.shares is None else self.shares[index]
        groups, sources = ([held[row] for row in index] for held in (self.groups, self.sources))
        return Answers(self.classes, self.truth[index], self.answered[index], groups, sources, shares)


def confusion(answers: Answers) -> NDArray[np.intp]:
    """(C, C) pictures of each class (rows) that were answered as each class (columns)."""
    count = len(answers.classes)
    pairs = np.bincount(answers.truth * count + answers.answered, minlength=count * count)
    return np.asarray(pairs.reshape(count, count), np.intp)


def overall(answers: Answers) -> dict[str, Metric]:
    """Figures of all pictures; those that cannot be told are left out."""
    found = {name: _figure(answers, values) for name, values in values_of_all(answers).items()}
    inside = compared(answers)
    if inside.any():
        matched = answers.of(inside)
        found = {EARNED: _figure(matched, source_matched(matched)), **found}
    return _told(found)


def values_of_all(answers: Answers) -> dict[str, Values]:
    """Figure → its value for the pictures as they are and for each draw."""
    tables = _confusions(answers, np.ones(len(answers.truth), bool))
    right, given, told = np.einsum("dcc->dc", tables), tables.sum(axis=2), tables.sum(axis=1)
    f1 = np.where(given > 0, ratio(2 * right, given + told), np.nan)
    return {
        ACCURACY: ratio(right.sum(axis=1), given.sum(axis=1)),
        BALANCED: mean_of_told(ratio(right, given)),
        MACRO_F1: mean_of_told(f1),
        WEIGHTED_F1: ratio(np.nansum(f1 * given, axis=1), given.sum(axis=1)),
    }


def compared(answers: Answers) -> NDArray[np.bool_]:
    """(N,) pictures whose source holds several classes."""
    sources = np.asarray(answers.sources)
    several = [one for one in np.unique(sources) if len(np.unique(answers.truth[sources == one])) > 1]
    return np.isin(sources, several)


def source_matched(answers: Answers) -> Values:
    """Balanced accuracy within every source that holds several classes in a draw, averaged over those sources."""
    sources = np.asarray(answers.sources)
    inside = []
    for source in np.unique(sources):
        tables = _confusions(answers, sources == source)
        given = tables.sum(axis=2)
        recalls = mean_of_told(ratio(np.einsum("dcc->dc", tables), given))
        inside.append(np.where((given > 0).sum(axis=1) > 1, recalls, np.nan))
    return mean_of_told(np.stack(inside, axis=1))


def of_classes(answers: Answers) -> dict[str, dict[str, Metric]]:
    """Class → figures; those that cannot be told, such as the precision of a class that is never answered, are left out."""
    return {name: _told(_of_class(answers, index)) for index, name in enumerate(answers.classes)}


def calibration_error(answers: Answers, shares: NDArray[np.float64]) -> Metric:
    """`evaluate.expected_calibration_error` of (N, C) probabilities, with its interval."""
    top, right = shares.max(axis=1), shares.argmax(axis=1) == answers.truth
    bins = np.minimum((top * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.eye(ECE_BINS)[bins] * (top - right)[:, None]
    weights = answers.bootstrap.weights.sum(axis=1, dtype=np.float64)
    values = np.abs(answers.bootstrap.totals(gaps)).sum(axis=1) / weights
    return bootstrap.metric(values, len(answers.truth))


def difference(after: Answers, before: Answers) -> dict[str, Metric]:
    """By how much the figures of all pictures differ between two ways to answer the same pictures, draw by draw."""
    first, second = values_of_all(before), values_of_all(after)
    return {name: bootstrap.metric(second[name] - first[name], len(after.truth)) for name in first}


def _figure(answers: Answers, values: Values) -> Metric:
    return bootstrap.widened(bootstrap.metric(values, len(answers.truth)), len(set(answers.groups)))


def _of_class(answers: Answers, index: int) -> dict[str, Metric]:
    is_it, called = answers.truth == index, answers.answered == index
    share = answers.bootstrap.share
    found = {
        RECALL: share(called, is_it),
        PRECISION: share(is_it, called),
        SPECIFICITY: share(~called, ~is_it),
        FALSE_POSITIVES: share(called, ~is_it),
        F1: bootstrap.metric(_f1(answers.bootstrap, is_it, called), len(is_it)),
    }
    if answers.shares is None or not is_it.any() or is_it.all():
        return found
    ranked = zip((AUROC, AVERAGE_PRECISION), areas(answers.bootstrap, answers.shares[:, index], is_it), strict=True)
    return found | {name: bootstrap.metric(values, len(is_it)) for name, values in ranked}


def _f1(draws: Bootstrap, is_it: NDArray[np.bool_], called: NDArray[np.bool_]) -> Values:
    given, told, both = draws.totals(np.stack([is_it, called, is_it & called], axis=1)).T
    return np.where(given > 0, ratio(2 * both, given + told), np.nan)


def areas(draws: Bootstrap, scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> tuple[Values, Values]:
    """(1 + DRAWS,) each: area under the ROC curve, ties counted half, and average precision: the sum of precision × step in recall."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    weights = draws.weights[:, order]
    hits, misses = (
        np.add.reduceat(weights * sign[order], starts, axis=1, dtype=np.float64) for sign in (positive, ~positive)
    )
    all_hits, all_misses = hits.sum(axis=1), misses.sum(axis=1)
    below = np.cumsum(misses, axis=1) - misses / 2
    above = np.cumsum(hits[:, ::-1], axis=1)
    taken = above + np.cumsum(misses[:, ::-1], axis=1)
    precise = np.nan_to_num(ratio(above, taken))
    auroc = ratio((hits * below).sum(axis=1), all_hits * all_misses)
    return auroc, ratio((hits[:, ::-1] * precise).sum(axis=1), all_hits)


def _confusions(answers: Answers, among: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(1 + DRAWS, C, C) confusion matrix of each draw, of the pictures `among`."""
    count = len(answers.classes)
    cells = np.eye(count * count, dtype=np.float32)[answers.truth * count + answers.answered]
    return answers.bootstrap.totals(cells * among[:, None]).reshape(-1, count, count)


def mean_of_told(table: NDArray[np.float64]) -> Values:
    """Mean of each row without its nan; nan where there is nothing else."""
    told = np.isfinite(table)
    return ratio(np.where(told, table, 0).sum(axis=1), told.sum(axis=1).astype(np.float64))


def _told(figures: Mapping[str, Metric]) -> dict[str, Metric]:
    return {name: one for name, one in figures.items() if np.isfinite(one.value)}
