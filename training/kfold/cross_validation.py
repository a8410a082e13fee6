"""Features of pictures + what is said of the people -> answers to every picture by heads that did not learn from it.

Per fold and arm one head; what it answered is kept in one file as soon as it is trained, and not trained again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import command
from training.cluster import HERE, Pool
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


@dataclass(frozen=True)
class Part:
    """One head of the comparison: what it learns from and is asked about. Attributes: `plan` with the fold's own seed."""

    fold: int
    arm: Arm
    plan: Plan

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.fold}_{self.arm.key}"

    def key(self, table: Table, folds: Sequence[int]) -> str:
        """Of everything that its answers depend on."""
        text = repr((table.digest, list(folds), asdict(self.plan), asdict(self.arm)))
        return hashlib.sha256(text.encode()).hexdigest()

    def __str__(self) -> str:
        return f"fold {self.fold + 1}, {self.arm.name}"


@dataclass(frozen=True, eq=False)
class Sample:
    """What all heads of a comparison share.

    Attributes:
        place: (N,) fold of each picture.
        work: folder in which heads are trained, and go on after an interruption; None = one that is of no use afterwards.
    """

    table: Table
    place: Rows
    work: Path | None

    @contextmanager
    def folder(self, part: Part) -> Iterator[Path]:
        """Where a head is trained."""
        if self.work is not None:
            yield self.work / part.name
            return
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)


def answers(
    table: Table,
    folds: Sequence[int],
    plan: Plan,
    work: Path,
    wanted: Sequence[Arm] = arms.ARMS,
    pool: Pool = HERE,
) -> dict[tuple[str, str], Floats]:
    """(key of the arm, way in which it was told when asked) → (N, C) logits of every picture, out of fold.

    Args:
        folds: of each picture; -1: it is trained on for every fold and never asked about, its logits are nan.
        work: folder that keeps what was answered; heads are trained in it.
        pool: where heads are trained.
    """
    sample, found = Sample(table, np.asarray(folds), work if pool is HERE else None), {}
    seed = plan.recipe.seed
    every = [
        Part(fold, arm, replace(plan, recipe=replace(plan.recipe, seed=seed + fold)))
        for fold in range(int(sample.place.max()) + 1)
        for arm in wanted
    ]
    for part, kept in _answered(sample, every, folds, work, pool):
        held = sample.place == part.fold
        for way, logits in kept.items():
            shape = (len(held), logits.shape[1])
            found.setdefault((part.arm.key, way), np.full(shape, np.nan, np.float32))[held] = logits
    return found


def _answered(
    sample: Sample, every: Sequence[Part], folds: Sequence[int], work: Path, pool: Pool
) -> Iterator[tuple[Part, Mapping[str, Floats]]]:
    """Each head with its answers: first those that are kept, then the others as they are trained, which are kept at once."""
    missing = []
    for part in every:
        kept = _kept(_file(work, part), part.key(sample.table, folds))
        if kept is None:
            missing.append(part)
        else:
            shutil.rmtree(work / part.name, ignore_errors=True)  # where that run was killed before it tidied up
            print(f"{part}: kept from an earlier run", flush=True)
            yield part, kept
    for index, answered in pool.map(_trained, sample, missing):
        part = missing[index]
        with command.whole(_file(work, part)) as unfinished:
            np.savez(unfinished, key=part.key(sample.table, folds), **answered)
        shutil.rmtree(work / part.name, ignore_errors=True)
        print(f"{part}: trained", flush=True)
        yield part, answered


def _file(work: Path, part: Part) -> Path:
    return work / FOLDS / f"{part.name}.npz"


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


def _trained(sample: Sample, part: Part) -> Mapping[str, Floats]:
    """What a head answers to the pictures of its fold, trained on all others."""
    table, seed = sample.table, part.plan.recipe.seed
    rest, held = np.flatnonzero(sample.place != part.fold), np.flatnonzero(sample.place == part.fold)
    shares = {"learned": 1 - STOPPING_SHARE, "stopping": STOPPING_SHARE}
    own = [table.pictures[row] for row in rest]
    dealt = np.array(partition.parts(own, seed=seed, shares=shares, seen=table.seen), object)
    learned, stopping = rest[dealt == "learned"], rest[dealt == "stopping"]
    with sample.folder(part) as work:
        head = fitted(table, learned, stopping, part.arm, part.plan, work)
    return told_and_answered(head.chain, table.of(held), part.arm, seed)


def _kept(path: Path, key: str) -> dict[str, Floats] | None:
    """What an earlier run answered, if it was asked the very same."""
    if not path.is_file():
        return None
    with np.load(path) as stored:
        if str(stored["key"]) != key:
            return None
        return {way: stored[way] for way in stored.files if way != "key"}
