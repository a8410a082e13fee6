"""Facts, crops and batches of training pictures -> what simple methods answer to others: what a network must beat.

Nothing at all; the statistics of the picture; the batch that it was made in; a random forest on colour and texture. Thresholds are
tuned on validation as the network's are. Who knows the batch alone rules out three of the seven conditions in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import BASELINE
from training.data.facts import statistics
from training.data.prepared import Prepared
from training.evaluation import baselines
from training.evaluation.baselines import FOREST
from training.multilabel import thresholds
from training.multilabel.objective import UNSAID, Labels

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
    tables: dict[str, tuple[Callable[[Seen], Table], Callable[[], Any]]] = {
        BASELINE: (lambda one: statistics(one.prepared.facts), baselines.regression)
    }
    if with_forest:
        tables[FOREST] = (lambda one: baselines.textures(one.prepared.crops), lambda: baselines.forest(seed))
    none = np.zeros(asked.labels.present.shape, np.intp)
    found = {NOTHING: Told(none > 0, none), BATCH: by_batch(train, validation, asked)}
    for name, (look, make) in tables.items():
        found[name] = learned(train, validation, asked, look, make)
    return found


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


def learned(train: Seen, validation: Seen, asked: Seen, look: Callable[[Seen], Table], make: Callable[[], Any]) -> Told:
    """A classifier for each condition's presence, another for its severity."""
    rows, checked, given = look(train), look(validation), look(asked)
    shares = [[_share(make, rows, there, one) for one in (checked, given)] for there in train.labels.present.T]
    tuned_on, own = (np.stack([one[place] for one in shares], axis=1) for place in (0, 1))
    graded = [_grade(make, rows, severity, given) for severity in train.labels.severity.T]
    present = own >= thresholds.tuned(tuned_on, validation.labels.present)
    return Told(present, np.stack(graded, axis=1), own)


def _share(make: Callable[[], Any], rows: Table, there: NDArray[np.bool_], asked: Table) -> Shares:
    """(N,) probability that a condition is there; its frequency where all or none of the pictures have it."""
    if there.all() or not there.any():
        return np.full(len(asked), float(there.all()))
    return np.asarray(make().fit(rows, there).predict_proba(asked)[:, 1], np.float64)


def _grade(make: Callable[[], Any], rows: Table, severity: NDArray[np.intp], asked: Table) -> NDArray[np.intp]:
    """(N,) severity, learned where it is labelled."""
    known = severity != UNSAID
    grades = np.unique(severity[known])
    if len(grades) < 2:
        return np.full(len(asked), grades[0] if len(grades) else 0, np.intp)
    return np.asarray(make().fit(rows[known], severity[known]).predict(asked), np.intp)
