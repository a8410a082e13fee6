"""The options of train_multilabel -> pictures of a tree, read, cut and parted, with their conditions and severities."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import gathering, weights
from training.data import duplicates, shine_report, shine_skin
from training.data.partition import PARTS
from training.data.pictures import Picture
from training.data.prepared import Prepared, prepare
from training.data.shine_skin import CONDITIONS, Labelled, Oddity, Synthetic
from training.multilabel.objective import UNSAID, Labels

ODDITIES = "validation.json"
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pictures:
    """All pictures that can be used.

    Attributes:
        found: the tree, with all that is odd in it.
        prepared: their facts and crops.
        said: of each, what its sidecar says.
        parts: of each, one of `PARTS`.
        seen: groups that the weights were trained on before.
    """

    found: Synthetic
    prepared: Prepared
    said: Sequence[Labelled]
    parts: Sequence[str]
    seen: frozenset[str] = frozenset()

    @cached_property
    def labels(self) -> Labels:
        severities = [[UNSAID if one is None else one for one in said.severities] for said in self.said]
        return Labels(np.array([said.targets for said in self.said], bool), np.array(severities, np.intp))

    @cached_property
    def groups(self) -> list[str]:
        return [one.group for one in self.prepared.pictures]

    @cached_property
    def batches(self) -> list[str]:
        return [said.batch for said in self.said]

    @cached_property
    def rows(self) -> Mapping[str, Rows]:
        """Part → pictures, as rows of `prepared`."""
        parts = np.array(self.parts, object)
        return {part: np.flatnonzero(parts == part) for part in PARTS}


def gathered(options: argparse.Namespace) -> Pictures:
    """Pictures read, grouped by their stem without ``_flipped``, and parted by condition, severity and batch.

    Raises:
        BadInput: a condition has too few groups of pictures for the parts.
    """
    found = shine_skin.read(options.data)
    tell(found, options.out / ODDITIES)
    pictures = limited(found.pictures, options.limit)
    given = prepare(pictures, options.cache / "pictures")
    prepared = replace(given, pictures=grouped(given, pictures))
    gathering.tell_problems(prepared)
    unread = (Oddity(one.path, one.reason, one.line, code="unreadable") for one in prepared.problems)
    found = replace(found, oddities=(*found.oddities, *unread))
    shine_report.write(found, options.out / ODDITIES)
    before = weights.seen(options.weights)
    seen = {one.group for one, facts in zip(prepared.pictures, prepared.facts, strict=True) if facts.sha256 in before}
    parts = gathering.parted(options.out / gathering.SPLIT, prepared, options.seed, seen, shine_skin.stratum)
    answer = Pictures(found, prepared, found.labels_of(prepared.pictures), parts, frozenset(seen))
    counts = zip(CONDITIONS, answer.labels.present.sum(axis=0).tolist(), strict=True)
    print(", ".join(f"{name} {count}" for name, count in counts), flush=True)
    return answer


def tell(found: Synthetic, path: Path) -> None:
    """Print how often each oddity was met, and write the whole validation report."""
    counts = Counter(one.code for one in found.oddities)
    told = ", ".join(f"{code} {count}" for code, count in counts.most_common()) or "nothing odd"
    print(f"{len(found.labelled)} pictures with labels; {told}; all in {path}", flush=True)
    shine_report.write(found, path)


def limited(pictures: Sequence[Picture], most: int | None) -> list[Picture]:
    """At most so many pictures of each condition, whole groups, severities and batches in turn."""
    if most is None:
        return list(pictures)
    groups: dict[str, list[Picture]] = defaultdict(list)
    for one in pictures:
        groups[one.group].append(one)
    turn: Counter[tuple[str, str]] = Counter()
    ordered = []
    for held in groups.values():
        of_kind = held[0].kind, held[0].source
        ordered.append((turn[of_kind], held))
        turn[of_kind] += 1
    taken: Counter[str | None] = Counter()
    chosen: set[Path] = set()
    for _, held in sorted(ordered, key=lambda one: one[0]):
        if taken[held[0].label] + len(held) <= most:
            taken[held[0].label] += len(held)
            chosen |= {one.path for one in held}
    return [one for one in pictures if one.path in chosen]


def grouped(prepared: Prepared, given: Sequence[Picture]) -> list[Picture]:
    """The prepared pictures in the groups of their names, joined where two files are the same.

    Pictures that look alike are not joined, as `prepare` does it: one generator draws all of them.
    """
    own = {one.path: one.group for one in given}
    names = [own[one.path] for one in prepared.pictures]
    ties = duplicates.ties_of(names) + duplicates.ties_of([one.sha256 for one in prepared.facts])
    firsts = duplicates.united(len(names), ties)
    return [replace(one, group=names[first]) for one, first in zip(prepared.pictures, firsts, strict=True)]
