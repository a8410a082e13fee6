"""A trained network and its pictures -> what it and simple methods answer to those that they did not learn from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import distribution, severity
from analyzer.distribution import Distribution
from training import cards, heads
from training.data.shine_skin import CONDITIONS
from training.heads import Chain
from training.multilabel import folds, simple_methods, thresholds
from training.multilabel.backbones import Compiled
from training.multilabel.figures import Answers
from training.multilabel.folds import OutOfFold, Table
from training.multilabel.labelled import Pictures
from training.multilabel.multilabel_tables import MODEL
from training.multilabel.severity_head import Recipe
from training.multilabel.simple_methods import Seen, Told
from training.resuming import Row

LEARNED_FROM = ("train", "validation")  # parts that the folds are of
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Network:
    """A backbone and its head.

    Attributes:
        taught: groups that the backbone learned from.
        features: (N, 1 + views, D) of all pictures, as `compiled` gives them.
        history: of the head, or of both together.
    """

    backbone: keras.Model
    taught: frozenset[str]
    compiled: Compiled
    features: NDArray[np.float16]
    chain: Chain
    history: list[Row]


def tuned(network: Network, pictures: Pictures) -> NDArray[np.float64]:
    """(C,) thresholds, tuned on the validation pictures."""
    rows = pictures.rows["validation"]
    told = told_of(network, rows, np.full(len(CONDITIONS), thresholds.USUAL))
    assert told.shares is not None
    return thresholds.tuned(told.shares, pictures.labels.present[rows])


def told_of(network: Network, rows: Rows, limits: NDArray[np.float64]) -> Told:
    """What the network answers to some pictures."""
    outputs = heads.logits_of(network.chain, network.features[rows, 0])
    shares = severity.presence(outputs, len(CONDITIONS), 1.0)
    return Told(shares >= limits, severity.severities(outputs, len(CONDITIONS)), shares)


def answers_of(told: Told, pictures: Pictures, rows: Rows) -> Answers:
    """What was answered, with what is known of the pictures."""
    groups, batches = ([held[row] for row in rows] for held in (pictures.groups, pictures.batches))
    return Answers(CONDITIONS, pictures.labels.of(rows), told.present, told.severity, groups, batches, told.shares)


def seen(pictures: Pictures, rows: Rows) -> Seen:
    return Seen(pictures.prepared.subset(rows), pictures.labels.of(rows), [pictures.batches[row] for row in rows])


def simple_answers(pictures: Pictures, options: argparse.Namespace) -> dict[str, Answers]:
    """Simple methods, to the test pictures."""
    parts = [seen(pictures, pictures.rows[part]) for part in ("train", "validation", "test")]
    found = simple_methods.answered(*parts, seed=options.seed)
    return {name: answers_of(told, pictures, pictures.rows["test"]) for name, told in found.items()}


@dataclass(frozen=True, eq=False)
class Served:
    """What the service is given: features and maps that differ from the usual ones, a head that knows them as such.

    Attributes:
        known: where the features of the training pictures and of their views lie.
        limit: distance that most validation pictures keep.
    """

    compiled: Compiled
    chain: Chain
    known: Distribution
    limit: float


def served(network: Network, pictures: Pictures) -> Served:
    """The form of a network that is served."""
    own = network.features[pictures.rows["train"]]
    flat = own.reshape(-1, own.shape[2])
    usual, spread = heads.usual_range(flat)
    kinds = [str(pictures.prepared.pictures[row].label) for row in pictures.rows["train"]]
    index = np.repeat(np.unique(kinds, return_inverse=True)[1], own.shape[1])
    rank = min(distribution.RANK, (len(flat) - len(np.unique(kinds))) // 2)
    known = distribution.fit(heads.clipped(flat, usual, spread) - usual, index, rank)
    checked = network.features[pictures.rows["validation"], 0].astype(np.float32) - usual
    limit = float(np.quantile([known.distance(one) for one in checked], cards.FAMILIAR_SHARE))
    (kernel, bias), *rest = network.chain
    return Served(network.compiled.centred(usual), ((kernel, bias + usual @ kernel), *rest), known, limit)


def folded(
    network: Network, pictures: Pictures, recipe: Recipe, options: argparse.Namespace
) -> tuple[dict[str, Answers], Rows]:
    """Answers of heads and of simple methods to the pictures of the parts "train" and "validation", out of fold; the folds."""
    rows = np.concatenate([pictures.rows[part] for part in LEARNED_FROM])
    own = [pictures.prepared.pictures[row] for row in rows]
    table = Table(own, network.features[rows], pictures.labels.of(rows), network.taught)
    found = folds.answers(table, options.folds, recipe, options.out)
    asked = rows[found.rows]
    told = {
        MODEL: Told(found.present, found.severity, found.shares),
        **simple_out_of_fold(found, rows, pictures, options),
    }
    return {name: answers_of(one, pictures, asked) for name, one in told.items()}, found.fold


def simple_out_of_fold(
    found: OutOfFold, rows: Rows, pictures: Pictures, options: argparse.Namespace
) -> Mapping[str, Told]:
    """Simple methods, in the same folds; without the forest."""
    each = [
        simple_methods.answered(
            seen(pictures, rows[learned]),
            seen(pictures, rows[stopping]),
            seen(pictures, rows[found.rows[found.fold == fold]]),
            seed=options.seed,
            with_forest=False,
        )
        for fold, (learned, stopping) in enumerate(zip(found.learned, found.stopping, strict=True))
    ]
    return {name: _joined([one[name] for one in each]) for name in each[0]}


def _joined(told: Sequence[Told]) -> Told:
    shares = [one.shares for one in told if one.shares is not None]
    return Told(
        np.concatenate([one.present for one in told]),
        np.concatenate([one.severity for one in told]),
        np.concatenate(shares) if shares else None,
    )
