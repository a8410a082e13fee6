"""The options of a training script -> its pictures, read and parted, and a network with trained backbones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from training import audit, pretext, weights
from training.audit import Dropped
from training.command import BadInput
from training.data import mixture, partition
from training.data.mixture import Mixture
from training.data.pictures import Picture
from training.data.prepared import Prepared, prepare
from training.heads import Indices

SPLIT = "split.json"
PARTS = partition.PARTS
TOLD_PROBLEMS = 10


@dataclass(frozen=True, eq=False)
class Pictures:
    """All pictures with their parts, what was left out of them, and rows and truth of the labelled ones."""

    given: Mixture
    prepared: Prepared
    parts: Sequence[str]
    left_out: Sequence[Dropped] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.given.classes

    @cached_property
    def rows(self) -> Mapping[str, Indices]:
        """Part → labelled pictures, as rows of `prepared`."""
        pairs = list(zip(self.prepared.pictures, self.parts, strict=True))
        return {
            part: np.array([row for row, (one, its) in enumerate(pairs) if one.label and its == part], np.intp)
            for part in PARTS
        }

    @cached_property
    def truth(self) -> Mapping[str, Indices]:
        """Part → (N,) index of the class."""
        labels = self.prepared.pictures
        return {
            part: np.array([self.classes.index(str(labels[row].label)) for row in rows], np.intp)
            for part, rows in self.rows.items()
        }

    def of(self, part: str) -> Prepared:
        return self.prepared.subset(self.rows[part])


def gathered(options: argparse.Namespace) -> Pictures:
    """Pictures read, those left out that `options.drop` names, and parted."""
    given = mixture.read(options.data, limit=options.limit)
    prepared = prepare(given.pictures, options.cache / "pictures", given.problems)
    tell(prepared, given.classes)
    left_out: list[Dropped] = []
    if wanted := getattr(options, "drop", ()):
        prepared, left_out = audit.dropped(prepared, wanted)
        audit.write_dropped(left_out, options.out / audit.DROPPED)
        print(f"left out: {len(left_out)} pictures, listed in {options.out / audit.DROPPED}", flush=True)
    before = weights.seen(options.weights)
    seen = {one.group for one, facts in zip(prepared.pictures, prepared.facts, strict=True) if facts.sha256 in before}
    parts = parted(options.out / SPLIT, prepared, options.seed, seen)
    used = [row for row, one in enumerate(prepared.pictures) if needed(one.label, parts[row], options.weights)]
    return Pictures(given, prepared.subset(used), [parts[row] for row in used], left_out)


def needed(label: str | None, part: str, choice: str) -> bool:
    """Whether anything is made of a picture: those without a class teach new backbones, or are strangers of the test."""
    return label is not None or part == "test" or choice == weights.NONE


def parted(
    path: Path,
    prepared: Prepared,
    seed: int,
    seen: set[str],
    key: Callable[[Picture], tuple[str, ...]] = partition.stratum,
) -> list[str]:
    """The part of each picture, kept in a file; groups that the weights have seen are trained on.

    Args:
        key: what every part gets its share of.

    Raises:
        BadInput: a class has too few groups, or an earlier split puts what the weights have seen elsewhere.
    """
    try:
        parts = partition.kept(path, prepared.pictures, seed=seed, seen=seen, key=key)
    except ValueError as error:
        raise BadInput(str(error)) from error
    torn = {
        one.group for one, part in zip(prepared.pictures, parts, strict=True) if one.group in seen and part != "train"
    }
    if torn:
        raise BadInput(
            f"{path}: {len(torn)} groups of pictures that these weights were trained on are in validation or test, such as "
            f"{min(torn)}; name another --out, or use the weights that the split was made with."
        )
    return parts


def tell(prepared: Prepared, classes: Sequence[str]) -> None:
    """Problems, and how many pictures of each class there are."""
    tell_problems(prepared)
    counts = {name: sum(one.label == name for one in prepared.pictures) for name in classes}
    print(", ".join(f"{name} {count}" for name, count in counts.items()), flush=True)
    for name in (name for name, count in counts.items() if not count):
        raise BadInput(f"class {name}: none of its pictures can be read; mend or remove them.")


def tell_problems(prepared: Prepared) -> None:
    for problem in prepared.problems[:TOLD_PROBLEMS]:
        print(problem, file=sys.stderr)
    if len(prepared.problems) > TOLD_PROBLEMS:
        print(f"… and {len(prepared.problems) - TOLD_PROBLEMS} further problems", file=sys.stderr)


def backbones(options: argparse.Namespace, pictures: Pictures) -> keras.Model:
    """A network with trained backbones and a fresh head."""
    trained = None
    if options.weights == weights.NONE:
        trained = pretext.weights(
            pictures.prepared,
            pictures.parts,
            options.out / "backbones",
            epochs=options.pretext_epochs,
            seed=options.seed,
        )
    return weights.network(options.weights, trained)
