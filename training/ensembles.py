"""Heads of single backbones -> ensembles, each written as one chain of dense layers, so that it is served like any head.

Two heads side by side are one head with block-diagonal kernels. What joins their logits, a weighted mean or a further linear
layer, is linear and melts into the last kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import evaluate, heads
from training.heads import MEMBERS, Chain, Floats, Indices, Recipe
from training.resuming import Row

CONCATENATION, VOTING, STACKING = "concatenation", "weighted voting", "stacking"
VOTES = np.linspace(0, 1, 21)  # shares of the first member that voting tries
STACKING_STRENGTH = 0.1  # C of scikit-learn's logistic regression: the smaller, the closer the layer stays to nothing
STACKING_FOLDS = 5
ALIKE = 4  # digits in which figures must differ to decide


@dataclass(frozen=True, eq=False)
class Candidate:
    """A head that may become the artefact's.

    Attributes:
        chain: features (3328 + demographics) → logits.
        validation_logits: (M, C); where validation pictures fitted something, those of folds that did not see them.
        history: of its training; empty for one that was put together of others.
    """

    name: str
    chain: Chain
    validation_logits: Floats
    history: list[Row]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Known:
    """What heads are fitted on: features (N, V, 3328), truth (N,), groups of pictures, demographics (N, 12) or None."""

    features: NDArray[np.float16]
    truth: Indices
    groups: Sequence[str]
    demographics: Floats | None = None

    @property
    def seen(self) -> Floats:
        """(N, 3328 + demographics) float32: the pictures themselves."""
        own = self.features[:, 0].astype(np.float32)
        return own if self.demographics is None else np.concatenate([own, self.demographics], axis=1)


def candidates(
    train: Known,
    validation: Known,
    recipe: Recipe,
    classes: Sequence[str],
    work: Path,
    told: Callable[[str], Sequence[object]] = lambda name: (),
) -> list[Candidate]:
    """Both members alone, then the ensembles by concatenation, weighted voting and stacking.

    Args:
        told: name of a candidate → callbacks of its training.
    """
    found = []
    for name, columns in {**MEMBERS, CONCATENATION: slice(0, None)}.items():
        fitted = heads.fit(
            train.features[:, :, columns],
            train.truth,
            validation.features[:, :1, columns],
            validation.truth,
            recipe,
            classes,
            demographics=train.demographics,
            validation_demographics=validation.demographics,
            work=work / name.lower(),
            callbacks=told(name),
        )
        places = np.arange(validation.seen.shape[1])
        width = validation.features.shape[2]
        own = np.concatenate([places[:width][columns], places[width:]])
        chain = spread(heads.chain_of(fitted.model), own, len(places))
        found.append(Candidate(name, chain, heads.logits_of(chain, validation.seen), fitted.history))
    pair = found[: len(MEMBERS)]
    return [*found, voting(pair, validation), stacking(pair, validation, len(classes), recipe.seed)]


def best(found: Sequence[Candidate], validation: Known) -> Candidate:
    """The one with the highest balanced accuracy on validation; of equal ones that with the lowest loss, then the first."""

    def rank(one: Candidate) -> tuple[float, float]:
        figures = measured(one, validation)
        return round(figures["balanced accuracy"], ALIKE), -round(figures["loss"], ALIKE)

    return max(found, key=rank)


def measured(one: Candidate, validation: Known) -> dict[str, float]:
    """Balanced accuracy, accuracy and macro-F1 on validation; `loss`: balanced cross-entropy at its best temperature."""
    truth, answered = validation.truth, one.validation_logits.argmax(axis=1)
    rows = np.arange(len(truth))
    return {
        "balanced accuracy": evaluate.balanced_accuracy(truth, answered)(rows),
        "accuracy": evaluate.accuracy(truth, answered)(rows),
        "macro-F1": evaluate.macro_f1(truth, answered)(rows),
        "loss": loss(one.validation_logits, truth),
    }


def loss(logits: Floats, truth: Indices) -> float:
    """Cross-entropy with every class counting alike, at the temperature where it is lowest."""
    weights = heads.balanced_weights(truth, logits.shape[1])
    heat = evaluate.temperature(logits, truth, weights)
    scaled = logits.astype(np.float64) / heat
    scaled -= scaled.max(axis=1, keepdims=True)
    shares = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return float(-(weights * shares[np.arange(len(truth)), truth]).mean())


def voting(pair: Sequence[Candidate], validation: Known) -> Candidate:
    """Weighted mean of the logits of two members; the weight has the lowest loss on validation."""
    first, second = (one.validation_logits for one in pair)
    share = min(VOTES, key=lambda one: loss((one * first + (1 - one) * second).astype(np.float32), validation.truth))
    classes = np.eye(first.shape[1])
    chain = joined([one.chain for one in pair], np.concatenate([share * classes, (1 - share) * classes]))
    told = f"{share:.2f} of {pair[0].name}, {1 - share:.2f} of {pair[1].name}"
    return Candidate(VOTING, chain, heads.logits_of(chain, validation.seen), [], told)


def stacking(pair: Sequence[Candidate], validation: Known, classes: int, seed: int) -> Candidate:
    """A linear layer on the logits of two members: logistic regression on validation, judged by folds that keep groups whole."""
    both = np.concatenate([one.validation_logits for one in pair], axis=1)
    fold = folds(validation.truth, validation.groups, STACKING_FOLDS, seed)
    apart = np.empty((len(both), classes), np.float32)
    for left in np.unique(fold):
        kernel, bias = _regression(both[fold != left], validation.truth[fold != left], classes)
        apart[fold == left] = both[fold == left] @ kernel + bias
    kernel, bias = _regression(both, validation.truth, classes)
    chain = joined([one.chain for one in pair], kernel, bias)
    return Candidate(STACKING, chain, apart, [], f"judged by {STACKING_FOLDS} folds of the validation pictures")


def folds(truth: Indices, groups: Sequence[str], count: int, seed: int) -> Indices:
    """(N,) fold of each picture: groups are kept whole and dealt in turn, class by class."""
    labels = dict(zip(groups, truth, strict=True))
    order = [list(labels)[place] for place in np.random.default_rng(seed).permutation(len(labels))]
    dealt = {group: place % count for place, group in enumerate(sorted(order, key=lambda group: labels[group]))}
    return np.array([dealt[group] for group in groups], np.intp)


def _regression(logits: Floats, truth: Indices, classes: int) -> tuple[Floats, Floats]:
    """(inputs, C) kernel and (C,) bias, on logits brought to deviation 1; a class that does not occur stays improbable."""
    from sklearn.linear_model import LogisticRegression

    spread_ = logits.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=STACKING_STRENGTH, class_weight="balanced", max_iter=2000).fit(
        logits / spread_, truth
    )
    kernel, bias = np.zeros((logits.shape[1], classes)), np.full(classes, -20.0)
    if len(fitted.classes_) == 2:  # one row stands for both
        kernel[:, fitted.classes_] = np.stack([-fitted.coef_[0], fitted.coef_[0]], axis=1) / 2
        bias[fitted.classes_] = np.array([-fitted.intercept_[0], fitted.intercept_[0]]) / 2
    else:
        kernel[:, fitted.classes_], bias[fitted.classes_] = fitted.coef_.T, fitted.intercept_
    return (kernel / spread_[:, None]).astype(np.float32), bias.astype(np.float32)


def spread(chain: Chain, places: Indices, width: int) -> Chain:
    """The same head for a wider input, of which it takes the numbers at `places`."""
    (kernel, bias), *rest = chain
    wide = np.zeros((width, kernel.shape[1]), np.float32)
    wide[places] = kernel
    return ((wide, bias), *rest)


def joined(chains: Sequence[Chain], kernel: NDArray[np.floating], bias: NDArray[np.floating] | float = 0.0) -> Chain:
    """Heads side by side on the same input, and a linear layer on all their logits, as one head.

    Args:
        chains: of the same depth and input.
        kernel: (sum of their classes, C).
    """
    layers = []
    last = len(chains[0]) - 1
    for place, pieces in enumerate(zip(*chains, strict=True)):
        kernels, biases = [one for one, _ in pieces], np.concatenate([one for _, one in pieces])
        own = np.concatenate(kernels, axis=1) if place == 0 else _diagonal(kernels)
        if place == last:
            own, biases = own @ kernel, biases @ kernel + bias
        layers.append((own.astype(np.float32), np.asarray(biases, np.float32)))
    return tuple(layers)


def units_of(chain: Chain) -> tuple[int, ...]:
    """Widths of the layers before the last."""
    return tuple(len(bias) for _, bias in chain[:-1])


def table(found: Sequence[Candidate], validation: Known) -> Mapping[str, Mapping[str, float]]:
    """Name → figures on validation, for people and for the report."""
    return {one.name: measured(one, validation) for one in found}


def _diagonal(kernels: Sequence[Floats]) -> Floats:
    rows, columns = np.cumsum([[0, 0], *(one.shape for one in kernels)], axis=0).T
    answer = np.zeros((rows[-1], columns[-1]), np.float32)
    for place, one in enumerate(kernels):
        answer[rows[place] : rows[place + 1], columns[place] : columns[place + 1]] = one
    return answer
