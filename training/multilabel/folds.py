"""Features of pictures -> answers to every picture by heads that did not learn from it, fold by fold; each is kept as it is done."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import severity
from training import command, heads
from training.data import partition, shine_skin
from training.data.pictures import Picture
from training.multilabel import severity_head, thresholds
from training.multilabel.objective import Labels
from training.multilabel.severity_head import Known, Recipe

STOPPING_SHARE = 0.15  # of a fold's training pictures, by whole groups: ends its training and tunes its thresholds
FOLDS = "folds"  # folder of what was answered
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """Pictures with all that heads are fed. Attributes: `features`, (N, V, D); `seen`, groups that the backbone learned from."""

    pictures: Sequence[Picture]
    features: NDArray[np.floating]
    labels: Labels
    seen: frozenset[str] = frozenset()

    def of(self, rows: Rows) -> Known:
        return Known(self.features[rows], self.labels.of(rows))


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers to the pictures in the folds.

    Attributes:
        rows: (M,) of the table; pictures that the backbone learned from are in no fold.
        fold: (M,) of each.
        shares, present, severity: (M, C) what was answered, with the thresholds of the fold.
        learned, stopping: of each fold, the rows that its head learned from, and those that ended its training.
    """

    rows: Rows
    fold: Rows
    shares: NDArray[np.float64]
    present: NDArray[np.bool_]
    severity: Rows
    learned: Sequence[Rows]
    stopping: Sequence[Rows]


def dealt(table: Table, count: int, seed: int) -> Rows:
    """(N,) fold of each picture by condition, severity and batch; -1 for those that the backbone learned from.

    Raises:
        TooFewGroups: a condition has fewer groups than there are folds.
    """
    answer = np.full(len(table.pictures), -1, np.intp)
    free = np.flatnonzero([one.group not in table.seen for one in table.pictures])
    own = [table.pictures[row] for row in free]
    answer[free] = partition.folds(own, count, seed=seed, key=shine_skin.stratum)
    return answer


def answers(table: Table, count: int, recipe: Recipe, work: Path) -> OutOfFold:
    """Train a head for each fold and ask it about the pictures of that fold.

    Raises:
        BadInput: a condition has too few groups of pictures for so many folds.
    """
    try:
        place = dealt(table, count, recipe.seed)
        parts = [_parts(table, place, fold, recipe.seed) for fold in range(count)]
    except partition.TooFewGroups as error:
        told = " Pictures that the backbone learned from are in no fold." * bool(table.seen)
        raise command.BadInput(f"--folds {count}: {error}{told} Another number of folds may do.") from error
    held = [np.flatnonzero(place == fold) for fold in range(count)]
    found = [_fold(table, fold, held[fold], *parts[fold], recipe, work) for fold in range(count)]
    rows, number = np.concatenate(held), np.repeat(np.arange(count), [len(one) for one in held])
    shares, present, severity_told = (
        np.concatenate([one[name] for one in found]) for name in ("shares", "present", "severity")
    )
    return OutOfFold(rows, number, shares, present, severity_told, *map(list, zip(*parts, strict=True)))


def _parts(table: Table, place: Rows, fold: int, seed: int) -> tuple[Rows, Rows]:
    """Of the pictures outside a fold, those that are learned from and those that end the training."""
    rest = np.flatnonzero(place != fold)
    shares = {"learned": 1 - STOPPING_SHARE, "stopping": STOPPING_SHARE}
    own = [table.pictures[row] for row in rest]
    dealt_to = partition.parts(own, seed=seed + fold, shares=shares, seen=table.seen, key=shine_skin.stratum)
    learns = np.array(dealt_to, object) == "learned"
    return rest[learns], rest[~learns]


def _fold(
    table: Table, fold: int, held: Rows, learned: Rows, stopping: Rows, recipe: Recipe, work: Path
) -> Mapping[str, NDArray]:
    """What the head of a fold answers, from an earlier run where it was asked the very same."""
    own = replace(recipe, seed=recipe.seed + fold)
    digest = hashlib.sha256(repr((asdict(own), learned.tolist(), stopping.tolist(), held.tolist())).encode())
    for array in (table.features, table.labels.present, table.labels.severity):
        digest.update(np.ascontiguousarray(array).data)
    path, state = work / FOLDS / f"{fold}.npz", work / FOLDS / str(fold)
    if (kept := _kept(path, digest.hexdigest())) is not None:
        print(f"fold {fold + 1}: kept from an earlier run", flush=True)
        return kept
    fitted = severity_head.fit(table.of(learned), table.of(stopping), own, state)
    asked, checked = (heads.logits_of(fitted.chain, table.features[rows, 0]) for rows in (held, stopping))
    count = table.labels.present.shape[1]
    limits = thresholds.tuned(severity.presence(checked, count, 1.0), table.labels.present[stopping])
    shares = severity.presence(asked, count, 1.0)
    answer = {"shares": shares, "present": shares >= limits, "severity": severity.severities(asked, count)}
    with command.whole(path) as unfinished:
        np.savez(unfinished, key=digest.hexdigest(), **answer)
    shutil.rmtree(state)
    print(f"fold {fold + 1}: trained, {len(fitted.history)} epochs", flush=True)
    return answer


def _kept(path: Path, key: str) -> Mapping[str, NDArray] | None:
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files} if str(stored["key"]) == key else None
