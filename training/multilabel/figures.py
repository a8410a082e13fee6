"""What was answered to labelled pictures -> every figure with its 95 % interval over whole groups, of all and of each condition.

Conditions that do not occur among the pictures (or in a draw) count in no mean over conditions. Severities are compared where they
are labelled; six of seven are "none", so that the figures "where present" say more than those of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import EARNED
from analyzer.model_card import Metric
from analyzer.severity import GRADES
from training.evaluate import TOO_FEW
from training.evaluation import bootstrap, scores
from training.evaluation.bootstrap import Bootstrap, Values, ratio
from training.evaluation.scores import AUROC, AVERAGE_PRECISION, F1, MACRO_F1, PRECISION, RECALL, mean_of_told
from training.multilabel.objective import UNSAID, Labels

MICRO_F1, EXACT, ELEMENTWISE = "micro-F1", "exact match", "element-wise accuracy"
MACRO_RECALL, MACRO_PRECISION, MACRO_AUROC = "macro recall", "macro precision", "macro AUROC"
FALSE_ALARMS = "false-positive rate"
SEVERITY, SEVERITY_PRESENT = "severity accuracy", "severity accuracy where present"
QWK, MAE = "severity QWK", "severity MAE where present"
STEPS = np.abs(np.arange(GRADES)[:, None] - np.arange(GRADES))  # between two grades
GRADED = np.arange(GRADES) > 0


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered to N pictures about C conditions.

    Attributes:
        truth: what is known of them.
        present: (N, C) bool, answered.
        severity: (N, C) 0..3, answered.
        groups, batches: of each picture; a group is drawn as a whole, figures within a batch are compared.
        shares: (N, C) probabilities, of those who give any.
    """

    conditions: Sequence[str]
    truth: Labels
    present: NDArray[np.bool_]
    severity: NDArray[np.intp]
    groups: Sequence[str]
    batches: Sequence[str]
    shares: NDArray[np.float64] | None = None

    @cached_property
    def bootstrap(self) -> Bootstrap:
        return bootstrap.draw(self.groups)

    @cached_property
    def areas(self) -> Sequence[tuple[Values, Values]]:
        """Of each condition, as `scores.areas`; nan where it does not occur, or is everywhere."""
        assert self.shares is not None
        columns = zip(self.shares.T, self.truth.present.T, strict=True)
        return [scores.areas(self.bootstrap, share, present) for share, present in columns]

    @cached_property
    def tables(self) -> NDArray[np.float64]:
        """(1 + DRAWS, C, 4, 4) labelled grades (rows) by answered grades (columns) of each draw."""
        known = self.truth.severity != UNSAID
        cells = np.where(known, self.truth.severity, 0) * GRADES + self.severity
        flat = np.eye(GRADES * GRADES, dtype=np.float32)[cells] * known[..., None]
        return self.bootstrap.totals(flat.reshape(len(known), -1)).reshape(-1, known.shape[1], GRADES, GRADES)

    def of(self, rows: NDArray) -> Answers:
        """Those of some pictures only, by index or mask."""
        index = np.arange(len(self.present))[rows]
        groups, batches = ([held[row] for row in index] for held in (self.groups, self.batches))
        shares = None if self.shares is None else self.shares[index]
        own = {"present": self.present[index], "severity": self.severity[index], "shares": shares}
        return replace(self, truth=self.truth.of(index), groups=groups, batches=batches, **own)


def overall(answers: Answers) -> dict[str, Metric]:
    """Figures of all pictures; those that cannot be told are left out."""
    found = {EARNED: within_batches(answers), **presence(answers), **graded(answers)}
    return _told(_with_intervals(found, answers, np.ones(len(answers.present), bool)))


def presence(answers: Answers) -> dict[str, Values]:
    """Figure → its value for the pictures as they are and for each draw, of which conditions are said to be there."""
    given, told, both, count = _counts(answers, np.ones(len(answers.present), bool))
    right = answers.present == answers.truth.present
    exact, cells = answers.bootstrap.totals(np.stack([right.all(axis=1), right.mean(axis=1)], axis=1)).T
    found = {
        MACRO_F1: mean_of_told(_f1(given, told, both)),
        MICRO_F1: ratio(2 * both.sum(axis=1), (given + told).sum(axis=1)),
        MACRO_RECALL: mean_of_told(ratio(both, given)),
        MACRO_PRECISION: mean_of_told(np.where(given > 0, np.nan_to_num(ratio(both, told)), np.nan)),
        EXACT: exact / count,
        ELEMENTWISE: cells / count,
    }
    if answers.shares is not None:
        found[MACRO_AUROC] = mean_of_told(np.stack([one[0] for one in answers.areas], axis=1))
    return found


def graded(answers: Answers) -> dict[str, Values]:
    """As `presence`, of the severities."""
    return _of_severity(answers.tables.sum(axis=1)) | {QWK: mean_of_told(kappa(answers.tables))}


def within_batches(answers: Answers) -> Values:
    """Mean of recall and specificity of each condition within each batch that has pictures with it and without it.

    Averaged over the conditions of a batch, then over the batches: nothing is gained by telling batches apart; chance is 0.5.
    """
    batches, inside = np.asarray(answers.batches), []
    for batch in np.unique(batches):
        given, told, both, count = _counts(answers, batches == batch)
        recall = ratio(both, given)
        specificity = ratio(count[:, None] - given - told + both, count[:, None] - given)
        inside.append(mean_of_told((recall + specificity) / 2))
    return mean_of_told(np.stack(inside, axis=1))


def of_conditions(answers: Answers) -> dict[str, dict[str, Metric]]:
    """Condition → figures; those that cannot be told, such as the recall of one that never occurs, are left out."""
    return {name: _told(_of_condition(answers, one)) for one, name in enumerate(answers.conditions)}


def of_batches(answers: Answers) -> dict[str, dict[str, Metric]]:
    """Batch → `overall` of its pictures, with the share of its conditions that do not occur and are said to be there."""
    batches = np.asarray(answers.batches)
    inside = {str(batch): answers.of(batches == batch) for batch in np.unique(batches)}
    return {batch: overall(own) | _told({FALSE_ALARMS: _false_alarms(own)}) for batch, own in inside.items()}


def absent(
    conditions: Sequence[str], present: NDArray[np.bool_], batches: Sequence[str], least: int = TOO_FEW
) -> dict[str, list[str]]:
    """Batch of at least so many pictures → conditions that none of them has: the batch alone rules them out."""
    place = np.asarray(batches)
    occurs = {str(one): present[place == one].any(axis=0) for one in np.unique(place) if (place == one).sum() >= least}
    return {
        batch: [name for name, there in zip(conditions, held, strict=True) if not there]
        for batch, held in occurs.items()
        if not held.all()
    }


def severity_table(answers: Answers) -> NDArray[np.intp]:
    """(4, 4) labelled entries of each grade (rows) that were answered as each grade (columns), of all conditions."""
    known = answers.truth.severity != UNSAID
    table = np.zeros((GRADES, GRADES), np.intp)
    np.add.at(table, (answers.truth.severity[known], answers.severity[known]), 1)
    return table


def kappa(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…) quadratically weighted kappa of (…, 4, 4) tables (Cohen, Psychological Bulletin 1968); nan where one grade is all."""
    chance = tables.sum(axis=-1, keepdims=True) * tables.sum(axis=-2, keepdims=True)
    total = tables.sum(axis=(-1, -2))
    away, expected = ((one * STEPS**2).sum(axis=(-1, -2)) for one in (tables, chance))
    return 1 - ratio(away * total, expected)


def _of_condition(answers: Answers, one: int) -> dict[str, Metric]:
    truth, told = answers.truth.present[:, one], answers.present[:, one]
    share = answers.bootstrap.share
    found = {PRECISION: share(truth, told), RECALL: share(told, truth), FALSE_ALARMS: share(told, ~truth)}
    given, called, both, _ = _counts(answers, np.ones(len(truth), bool))
    values = {F1: _f1(given, called, both)[:, one]}
    if answers.shares is not None and truth.any() and not truth.all():
        values |= zip((AUROC, AVERAGE_PRECISION), answers.areas[one], strict=True)
    values |= _of_severity(answers.tables[:, one]) | {QWK: kappa(answers.tables[:, one])}
    return found | _with_intervals(values, answers, truth)


def _of_severity(tables: NDArray[np.float64]) -> dict[str, Values]:
    """Of (1 + DRAWS, 4, 4) tables."""
    right, given = np.einsum("dgg->dg", tables), tables.sum(axis=2)
    away = (tables * STEPS).sum(axis=2)
    return {
        SEVERITY: ratio(right.sum(axis=1), given.sum(axis=1)),
        SEVERITY_PRESENT: ratio(right[:, GRADED].sum(axis=1), given[:, GRADED].sum(axis=1)),
        MAE: ratio(away[:, GRADED].sum(axis=1), given[:, GRADED].sum(axis=1)),
    }


def _counts(
    answers: Answers, among: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], Values]:
    """(1 + DRAWS, C) pictures with each condition, said to have it, both; (1 + DRAWS,) pictures; of those `among`."""
    truth, told = answers.truth.present, answers.present
    table = np.concatenate([truth, told, truth & told, np.ones((len(truth), 1), bool)], axis=1) & among[:, None]
    drawn = answers.bootstrap.totals(table)
    given, called, both = np.split(drawn[:, :-1], 3, axis=1)
    return given, called, both, drawn[:, -1]


def _f1(given: NDArray[np.float64], told: NDArray[np.float64], both: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(given > 0, ratio(2 * both, given + told), np.nan)


def _false_alarms(answers: Answers) -> Metric:
    """Share of the entries of conditions that do not occur which are said to be there."""
    never = ~answers.truth.present.any(axis=0)
    alarms = answers.present[:, never].sum(axis=1)
    drawn = answers.bootstrap.totals(np.stack([alarms, np.full(len(alarms), never.sum())], axis=1))
    return bootstrap.metric(ratio(drawn[:, 0], drawn[:, 1]), len(alarms))


def _with_intervals(values: Mapping[str, Values], answers: Answers, among: NDArray[np.bool_]) -> dict[str, Metric]:
    """Figures of all pictures; shares of which all or none are hit with the exact interval for the groups `among`."""
    found = {name: bootstrap.metric(drawn, len(among)) for name, drawn in values.items()}
    groups = len(np.unique(answers.bootstrap.groups[among]))
    shares = {name: found[name] for name in (EXACT, SEVERITY_PRESENT) if name in found and groups}
    return found | {name: bootstrap.widened(one, groups) for name, one in shares.items()}


def _told(found: Mapping[str, Metric]) -> dict[str, Metric]:
    return {name: one for name, one in found.items() if np.isfinite(one.value)}
