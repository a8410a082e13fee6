"""Features of pictures + what is said of the people -> answers to every picture by heads that did not learn from it.

Per fold and arm one head; what it answered is kept in one file as soon as it is trained, and not trained again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import command
from training.data import partition, sampling
from training.data.pictures import Picture
from training.data.sampling import Rows, Said
from training.kfold import arms
from training.kfold.arms import IMAGE, Arm

if TYPE_CHECKING:
    from training.heads import Chain, Recipe, Row

STOPPING_SHARE = 0.15  # of a fold's training pictures, by whole groups, decides when its training ends
LEAST_SAID = 20  # training pictures that must say something for it to be learned from
FOLDS = "folds"  # folder of what was answered
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Table:
    """Labelled pictures with all that networks are fed.

    Attributes:
        features: (N, 1 + V, D) float16: of each picture itself, then of its views.
        said: (N, 12) float32 by `data.demographics.vector`.
        truth: (N,) index in `classes`.
        seen: groups that the backbones learned from: they never decide when a training ends.
    """

    classes: tuple[str, ...]
    pictures: Sequence[Picture]
    features: NDArray[np.float16]
    said: Said
    truth: Rows
    seen: frozenset[str] = frozenset()

    def of(self, rows: Rows) -> Table:
        pictures = [self.pictures[row] for row in rows]
        return Table(self.classes, pictures, self.features[rows], self.said[rows], self.truth[rows], self.seen)

    @cached_property
    def digest(self) -> str:
        found = hashlib.sha256(repr((self.classes, [one.group for one in self.pictures], sorted(self.seen))).encode())
        for array in (self.features, self.said, self.truth):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


@dataclass(frozen=True)
class Plan:
    """How every head is trained; `balanced`: groups of people are drawn alike."""

    recipe: Recipe
    balanced: bool


def answers(
    table: Table, folds: Sequence[int], plan: Plan, work: Path, wanted: Sequence[Arm] = arms.ARMS
) -> dict[tuple[str, str], Floats]:
    """(key of the arm, way in which it was told when asked) → (N, C) logits of every picture, out of fold.

    Args:
        folds: of each picture; -1: it is trained on for every fold and never asked about, its logits are nan.
        work: folder that keeps what was answered; heads are trained in it.
    """
    place, found = np.asarray(folds), {}
    for fold in range(int(place.max()) + 1):
        held = np.flatnonzero(place == fold)
        for arm in wanted:
            own = replace(plan, recipe=replace(plan.recipe, seed=plan.recipe.seed + fold))
            key = hashlib.sha256(repr((table.digest, list(folds), asdict(own), asdict(arm))).encode()).hexdigest()
            path = work / FOLDS / f"{fold}_{arm.key}.npz"
            kept = _kept(path, key)
            if kept is None:
                kept = _trained(table, np.flatnonzero(place != fold), held, arm, own, work / f"{fold}_{arm.key}")
                with command.whole(path) as unfinished:
                    np.savez(unfinished, key=key, **kept)
                print(f"fold {fold + 1}, {arm.name}: trained", flush=True)
            else:
                print(f"fold {fold + 1}, {arm.name}: kept from an earlier run", flush=True)
            shutil.rmtree(work / f"{fold}_{arm.key}", ignore_errors=True)
            for way, logits in kept.items():
                found.setdefault((arm.key, way), np.full((len(place), logits.shape[1]), np.nan, np.float32))[held] = (
                    logits
                )
    return found


@dataclass(frozen=True, eq=False)
class Head:
    """Features and demographics -> logits, and the epochs of its training."""

    chain: Chain
    history: list[Row]


def fitted(table: Table, learned: Rows, stopping: Rows, arm: Arm, plan: Plan, work: Path) -> Head:
    """A head trained on some rows, ended by others.

    What too few training pictures say has no weight, so that saying it changes nothing. In training the few places of what is
    said are scaled so that together they weigh as much as all features, or they would hardly be learned from.
    """
    from training import heads

    if plan.balanced:
        rng = np.random.default_rng(plan.recipe.seed)
        learned = learned[sampling.balanced(rng, sampling.levels(table.said[learned]), table.truth[learned])]
    own, other = table.of(learned), table.of(stopping)
    told = arm.told(own.said, own.truth, arm.way, plan.recipe.seed)
    checked = arm.told(other.said, other.truth, arm.way, plan.recipe.seed + 1)
    silent = np.count_nonzero(told, axis=0) < LEAST_SAID
    scale = np.where(silent, 0, math.sqrt(own.features.shape[2] / told.shape[1])).astype(np.float32)
    found = heads.fit(
        own.features,
        own.truth,
        other.features,
        other.truth,
        plan.recipe,
        table.classes,
        demographics=told * scale,
        validation_demographics=checked * scale,
        work=work,
    )
    (kernel, bias), *others = heads.chain_of(found.model)
    scales = np.concatenate([np.ones(len(kernel) - len(scale), np.float32), scale])
    return Head(((kernel * scales[:, None], bias), *others), found.history)


def told_and_answered(chain: Chain, table: Table, arm: Arm, seed: int) -> dict[str, Floats]:
    """Way in which it is told when asked → (N, C) logits."""
    from training import heads

    ways = [arms.NOTHING] if arm is IMAGE else list(arms.WAYS)
    told = {way: arm.told(table.said, table.truth, way, seed) for way in ways}
    return {way: heads.logits_of(chain, table.features[:, 0], said) for way, said in told.items()}


def _trained(table: Table, rest: Rows, held: Rows, arm: Arm, plan: Plan, work: Path) -> Mapping[str, Floats]:
    shares = {"learned": 1 - STOPPING_SHARE, "stopping": STOPPING_SHARE}
    own = [table.pictures[row] for row in rest]
    dealt = np.array(partition.parts(own, seed=plan.recipe.seed, shares=shares, seen=table.seen), object)
    head = fitted(table, rest[dealt == "learned"], rest[dealt == "stopping"], arm, plan, work)
    return told_and_answered(head.chain, table.of(held), arm, plan.recipe.seed)


def _kept(path: Path, key: str) -> dict[str, Floats] | None:
    """What an earlier run answered, if it was asked the very same."""
    if not path.is_file():
        return None
    with np.load(path) as stored:
        if str(stored["key"]) != key:
            return None
        return {way: stored[way] for way in stored.files if way != "key"}
