"""Labelled pictures of lesions -> parts that keep a lesion together, or tear it; crops; the table that all later stages read."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import photo, preprocessing
from analyzer.settings import CORES
from analyzer.values import Rgb
from training import command
from training.command import BadInput
from training.data import partition
from training.data.pictures import Picture
from training.dermaops.settings import SPLITS

SHARES: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
NETWORK = (
    "network"  # the split that the network is trained on: one of SPLITS, in which weights' own pictures are trained on
)
WAYS = (*SPLITS, NETWORK)
COLUMNS = ("path", "group", "diagnosis", "sha256", *WAYS)
AHEAD = 16 * CORES  # pictures that are decoded before the first of them is taken


@dataclass(frozen=True, eq=False)
class Lesions:
    """Labelled pictures and how they are parted.

    Attributes:
        pictures: labelled with their diagnosis, grouped by lesion.
        digests: sha256 of each file.
        parts: one of `WAYS` → part of each picture.
    """

    pictures: Sequence[Picture]
    digests: Sequence[str]
    parts: Mapping[str, Sequence[str]]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({str(one.label) for one in self.pictures}))

    @property
    def truth(self) -> NDArray[np.intp]:
        """(N,) index of the class."""
        places = {name: place for place, name in enumerate(self.classes)}
        return np.array([places[str(one.label)] for one in self.pictures], np.intp)

    @property
    def groups(self) -> list[str]:
        return [one.group for one in self.pictures]

    def rows(self, way: str, part: str) -> NDArray[np.intp]:
        return np.flatnonzero(np.asarray(self.parts[way]) == part)


def limited(pictures: Sequence[Picture], most: int | None, seed: int) -> list[Picture]:
    """At most so many pictures of each diagnosis, whole lesions drawn at random."""
    if most is None:
        return list(pictures)
    members: dict[str, list[Picture]] = defaultdict(list)
    for one in pictures:
        members[one.group].append(one)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    taken: dict[str, list[Picture]] = defaultdict(list)
    for group in order:
        for one in members[group]:
            if len(taken[one.kind]) < most:
                taken[one.kind].append(one)
    return [one for held in taken.values() for one in held]


def parted(pictures: Sequence[Picture], way: str, seed: int, seen: Collection[int] = ()) -> list[str]:
    """The part of each picture: 80 % train, 10 % validation, 10 % test, stratified by diagnosis.

    Args:
        pictures: grouped by lesion.
        way: ``"lesion"`` keeps all pictures of a lesion in one part; ``"image"`` deals each by itself, which leaks.
        seen: rows that weights were trained on: they, and their lesions, can only be trained on.

    Raises:
        BadInput: a diagnosis cannot reach every part.
    """
    dealt = list(pictures)
    if way == "image":
        dealt = [replace(one, group=f"{one.source}/{one.path.stem}") for one in pictures]
    try:
        return partition.parts(
            dealt, seed=seed, shares=SHARES, seen={dealt[row].group for row in seen}, key=lambda one: (str(one.label),)
        )
    except partition.TooFewGroups as error:
        raise BadInput(f"{error} --limit may leave too few pictures.") from error


def leaked(groups: Sequence[str], parts: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) pictures outside training whose lesion is also in training."""
    pairs = list(zip(groups, parts, strict=True))
    trained = {group for group, part in pairs if part == "train"}
    return np.array([part != "train" and group in trained for group, part in pairs])


def crops_of(pictures: Sequence[Picture], side_px: int) -> NDArray[np.uint8]:
    """(N, side, side, 3) uint8 sRGB: the middle square of each picture."""
    answer = np.empty((len(pictures), side_px, side_px, 3), np.uint8)
    with ThreadPoolExecutor(CORES) as pool:
        for start in command.progress(range(0, len(pictures), AHEAD), -(-len(pictures) // AHEAD), "pictures, in parts"):
            some = pictures[start : start + AHEAD]
            for place, crop in enumerate(pool.map(lambda one: _crop(one.path, side_px), some), start):
                answer[place] = crop
    return answer


def written(lesions: Lesions, to: Path) -> Path:
    """A CSV with a row for each picture, so that others can be measured on the same parts."""
    with command.whole(to) as path, path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for place, (one, digest) in enumerate(zip(lesions.pictures, lesions.digests, strict=True)):
            rows.writerow([one.path, one.group, one.label, digest, *(lesions.parts[way][place] for way in WAYS)])
    return to


def read(path: Path) -> Lesions:
    """What `written` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pictures = [
        Picture(Path(row["path"]), row["group"].partition("/")[0], row["diagnosis"], row["group"], row["diagnosis"])
        for row in rows
    ]
    return Lesions(pictures, [row["sha256"] for row in rows], {way: [row[way] for row in rows] for way in WAYS})


def _crop(path: Path, side_px: int) -> Rgb:
    return preprocessing.middle(photo.decode(path.read_bytes()).rgb, side_px)
