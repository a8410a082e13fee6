"""Out-of-fold answers of networks told different things -> what demographics add, and how much of it is mere missingness.

A gain counts only where it is still there when nothing can be told from which values are known, nor from who is shown by which
source, and where it is there among pictures of one source. Everything else would be lost, or do harm, on a person's photo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact
from analyzer.model_card import Metric
from training import evaluate
from training.data import sampling
from training.data.pictures import DEMOGRAPHICS, Picture
from training.data.sampling import Rows, Said
from training.evaluation import bootstrap, scores
from training.evaluation.scores import Answers
from training.kfold import arms
from training.kfold.arms import ALIKE, AS_SAID, IMAGE, Arm

FIGURES = (scores.ACCURACY, scores.BALANCED, scores.MACRO_F1, artefact.EARNED)
WHICH, VALUES = "which are known", "values"  # what a classifier without a picture is given
LEAST_IN_LEAF = 5  # pictures, of the decision tree
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers to every picture by networks that were not trained on it.

    Attributes:
        said: (N, 12) what the sources say of the people.
        truth: (N,) index of the class.
        folds: (N,) from 0.
        logits: (key of the arm, way in which it was told when asked) → (N, C).
    """

    classes: Sequence[str]
    pictures: Sequence[Picture]
    said: Said
    truth: Rows
    folds: Rows
    logits: Mapping[tuple[str, str], Floats]

    def answers(self, arm: Arm, way: str) -> Answers:
        """What an arm answered when told in this way; the image alone answers the same in each."""
        logits = self.logits[arm.key, arms.NOTHING if arm is IMAGE else way]
        return self.answered(logits.argmax(axis=1), artefact.probabilities(logits, 1.0))

    def answered(self, answered: Rows, shares: NDArray[np.float64]) -> Answers:
        groups, sources = [one.group for one in self.pictures], [one.source for one in self.pictures]
        return Answers(self.classes, self.truth, answered, groups, sources, shares)


@dataclass(frozen=True)
class Difference:
    """By how much an arm is better than the image alone, both asked about the same pictures.

    Attributes:
        pooled: difference of the balanced accuracy, 95 % interval by draws of whole groups of pictures.
        inside: the same within sources that hold several classes; None where there is none.
        folds: the difference in each fold.
        across: mean over the folds, with an interval that knows that their training pictures overlap.
        told: by how much the very same network is better when it is told than when it is told nothing.
    """

    pooled: Metric
    inside: Metric | None
    folds: tuple[float, ...]
    across: Metric
    told: Metric

    @property
    def counts(self) -> bool:
        """Every one of the intervals lies above 0."""
        found = (self.pooled, self.inside, self.across)
        return all(one is not None and one.interval is not None and one.interval[0] > 0 for one in found)


@dataclass(frozen=True)
class Telling:
    """What a classifier that sees no picture makes of what is said: balanced accuracy, and the class that it tells best."""

    balanced: Metric
    best_class: str
    auroc: Metric


@dataclass(frozen=True, eq=False)
class Gain:
    """What demographics add.

    Attributes:
        known: class → value → share of its pictures of which it is known.
        kept: value → share of all pictures that keep it when said alike.
        telling: (way, `WHICH` or `VALUES`) → what these alone tell.
        folds: (arm, way) → figure → mean and standard deviation over the folds.
        differences: arm → difference from the image alone, told when asked as it was in training.
    """

    known: Mapping[str, Mapping[str, float]]
    kept: Mapping[str, float]
    telling: Mapping[tuple[str, str], Telling]
    folds: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]
    differences: Mapping[str, Difference]

    @property
    def counts(self) -> bool:
        return self.differences[ALIKE.key].counts


def measured(oof: OutOfFold, seed: int) -> Gain:
    """All of it."""
    people = sampling.known(oof.said)
    known = {
        name: dict(zip(DEMOGRAPHICS, people[oof.truth == index].mean(axis=0).tolist(), strict=True))
        for index, name in enumerate(oof.classes)
    }
    alike = sampling.evening(sampling.levels(oof.said), oof.truth).kept_share
    return Gain(
        known=known,
        kept=dict(zip(DEMOGRAPHICS, alike.tolist(), strict=True)),
        telling={
            (way, what): telling(oof, way, seed, flags=what == WHICH)
            for way in (AS_SAID, arms.KNOWN_ALIKE, arms.SAID_ALIKE)
            for what in (WHICH, VALUES)
        },
        folds={
            (arm.key, way): over_folds(oof, oof.answers(arm, way).answered)
            for arm, way in ((arm, way) for arm in arms.ARMS for way in arms.WAYS)
        },
        differences={arm.key: difference(oof, arm) for arm in arms.ARMS if arm is not IMAGE},
    )


def difference(oof: OutOfFold, arm: Arm) -> Difference:
    """Of an arm, told as in training, from the image alone."""
    after, before = oof.answers(arm, arm.way), oof.answers(IMAGE, arms.NOTHING)
    told, image, untold = (
        scores.values_of_all(one)[scores.BALANCED] for one in (after, before, oof.answers(arm, arms.NOTHING))
    )
    several = scores.compared(after)
    inside = None
    if several.any():
        gained = scores.source_matched(after.of(several)) - scores.source_matched(before.of(several))
        inside = bootstrap.metric(gained, int(several.sum()))
    each = tuple(
        evaluate.balanced_accuracy(oof.truth, after.answered)(rows)
        - evaluate.balanced_accuracy(oof.truth, before.answered)(rows)
        for rows in rows_of_folds(oof.folds)
    )
    pooled, by_telling = (bootstrap.metric(told - other, len(oof.truth)) for other in (image, untold))
    return Difference(pooled, inside, each, across_folds(each), by_telling)


def across_folds(each: Sequence[float]) -> Metric:
    """Mean over K folds and its corrected 95 % interval.

    Folds share most of their training pictures, so that their spread alone would be too narrow: the variance of the mean is
    s² (1/K + n_test/n_train) = s² (1/K + 1/(K-1)), Student's t with K - 1 degrees (Nadeau & Bengio, Machine Learning 52, 2003).
    """
    from scipy.stats import t

    count, mean = len(each), float(np.mean(each))
    reach = float(t.ppf(0.975, count - 1)) * float(np.std(each, ddof=1)) * math.sqrt(1 / count + 1 / (count - 1))
    return Metric(round(mean, 4), (round(mean - reach, 4), round(mean + reach, 4)), count)


def over_folds(oof: OutOfFold, answered: Rows) -> dict[str, tuple[float, float]]:
    """Figure → mean and standard deviation over the folds; folds where it cannot be told are passed over."""
    sources = np.array([one.source for one in oof.pictures])
    measures = (
        evaluate.accuracy(oof.truth, answered),
        evaluate.balanced_accuracy(oof.truth, answered),
        evaluate.macro_f1(oof.truth, answered),
        evaluate.source_matched(oof.truth, answered, sources),
    )
    found = {}
    for name, measure in zip(FIGURES, measures, strict=True):
        values = [value for rows in rows_of_folds(oof.folds) if math.isfinite(value := measure(rows))]
        if len(values) > 1:
            found[name] = (float(np.mean(values)), float(np.std(values, ddof=1)))
    return found


def telling(oof: OutOfFold, way: str, seed: int, *, flags: bool) -> Telling:
    """What the values, or only which of them are known, tell of the class without any picture: a decision tree, same folds."""
    from sklearn.tree import DecisionTreeClassifier

    shares = np.zeros((len(oof.truth), len(oof.classes)))
    for fold, held in enumerate(rows_of_folds(oof.folds)):
        rest = np.flatnonzero(oof.folds != fold)
        own, asked = (
            arms.told_in(way, oof.said[rows], oof.truth[rows], seed + place) for place, rows in enumerate((rest, held))
        )
        tree = DecisionTreeClassifier(min_samples_leaf=LEAST_IN_LEAF, class_weight="balanced", random_state=seed)
        tree.fit(sampling.flags(own) if flags else own, oof.truth[rest])
        shares[np.ix_(held, tree.classes_)] = tree.predict_proba(sampling.flags(asked) if flags else asked)
    answers = oof.answered(shares.argmax(axis=1), shares)
    classes = {name: found[scores.AUROC] for name, found in scores.of_classes(answers).items()}
    best = max(classes, key=lambda name: classes[name].value)
    balanced = bootstrap.metric(scores.values_of_all(answers)[scores.BALANCED], len(oof.truth))
    return Telling(balanced, best, classes[best])


def rows_of_folds(folds: Rows) -> list[Rows]:
    return [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
