"""Facts, crops and batches of training pictures -> what simple methods answer to others: what a network must beat.

Nothing at all; the statistics of the picture; the batch that it was made in; a random forest on colour and texture. Thresholds are
tuned on validation as the network's are. Who knows the batch alone rules out three of the seven conditions in one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import BASELINE
from training.data.facts import statistics
from training.data.prepared import Prepared
from training.evaluation import baselines
from training.evaluation.baselines import FOREST
from training.multilabel import thresholds
from training.multilabel.objective import UNSAID, Labels

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

NOTHING, BATCH = "all negative", "generation batch alone"
Shares = NDArray[np.float64]
Table = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Seen:
    """Some pictures. Attributes: `labels`, what is known of them; `batches`, of each."""

    prepared: Prepared
    labels: Labels
    batches: Sequence[str]


@dataclass(frozen=True, eq=False)
class Told:
    """What a method answers: (N, C) whether each condition is there, its severity, and probabilities where it has any."""

    present: NDArray[np.bool_]
    severity: NDArray[np.intp]
    shares: Shares | None = None


def answered(train: Seen, validation: Seen, asked: Seen, *, seed: int, with_forest: bool = True) -> dict[str, Told]:
    """Method → what it answers to the asked pictures."""
    none = np.zeros(asked.labels.present.shape, np.intp)
    found = {
        NOTHING: Told(none > 0, none),
        BATCH: by_batch(train, validation, asked),
        BASELINE: by_statistics(train, validation, asked),
    }
    return found | ({FOREST: by_texture(train, validation, asked, seed)} if with_forest else {})


def by_batch(train: Seen, validation: Seen, asked: Seen) -> Told:
    """How frequent each condition is in the batch, among the training pictures; no severities."""
    overall = train.labels.present.mean(axis=0)
    batches = np.asarray(train.batches)
    frequent: Mapping[str, Shares] = {
        str(one): train.labels.present[batches == one].mean(axis=0) for one in np.unique(batches)
    }
    own, checked = (np.stack([frequent.get(one, overall) for one in held.batches]) for held in (asked, validation))
    present = own >= thresholds.tuned(checked, validation.labels.present)
    return Told(present, present.astype(np.intp), own)


def by_statistics(train: Seen, validation: Seen, asked: Seen) -> Told:
    """A logistic regression for each condition's presence, another for its severity."""
    rows, checked, given = (statistics(one.prepared.facts) for one in (train, validation, asked))
    shares = [[_share(rows, there, one) for one in (checked, given)] for there in train.labels.present.T]
    tuned_on, own = (np.stack([one[place] for one in shares], axis=1) for place in (0, 1))
    graded = [_grade(rows, severity, given) for severity in train.labels.severity.T]
    present = own >= thresholds.tuned(tuned_on, validation.labels.present)
    return Told(present, np.stack(graded, axis=1), own)


def by_texture(train: Seen, validation: Seen, asked: Seen, seed: int) -> Told:
    """One forest for the presence of all conditions; another for all severities, of the pictures where all are labelled."""
    rows, checked, given = (baselines.textures(one.prepared.crops) for one in (train, validation, asked))
    labels = train.labels
    trees = baselines.forest(seed).fit(rows, labels.present.astype(np.intp))
    tuned_on, own = (_of_trees(trees, one) for one in (checked, given))
    whole = (labels.severity != UNSAID).all(axis=1)
    graded = baselines.forest(seed).fit(rows[whole], labels.severity[whole]).predict(given)
    present = own >= thresholds.tuned(tuned_on, validation.labels.present)
    return Told(present, np.asarray(graded, np.intp), own)


def _of_trees(trees: RandomForestClassifier, rows: Table) -> Shares:
    """(N, C) probabilities that each condition is there; one that all or none of the training pictures have is certain."""
    columns = zip(trees.predict_proba(rows), trees.classes_, strict=True)
    return np.stack([shares @ classes for shares, classes in columns], axis=1).astype(np.float64)


def _share(rows: Table, there: NDArray[np.bool_], asked: Table) -> Shares:
    """(N,) probability that a condition is there; certain where all or none of the pictures have it."""
    if there.all() or not there.any():
        return np.full(len(asked), float(there.all()))
    return np.asarray(baselines.regression().fit(rows, there).predict_proba(asked)[:, 1], np.float64)


def _grade(rows: Table, severity: NDArray[np.intp], asked: Table) -> NDArray[np.intp]:
    """(N,) severity, learned where it is labelled."""
    known = severity != UNSAID
    grades = np.unique(severity[known])
    if len(grades) < 2:
        return np.full(len(asked), grades[0] if len(grades) else 0, np.intp)
    return np.asarray(baselines.regression().fit(rows[known], severity[known]).predict(asked), np.intp)
