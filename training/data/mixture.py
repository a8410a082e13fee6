"""A YAML of `training/configs`, or a folder of class folders -> classes, pictures, problems, licences.

What a mixture file may say stands at the head of `training.data.mixture_file`. Which pictures a cap keeps is decided by a
hash of each picture's name: pictures that come in later do not exchange the others.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.command import BadInput
from training.data import demographics, mixture_file
from training.data.mixture_file import MixtureFile, Source
from training.data.pictures import Picture, Problem
from training.data.sources import READERS, class_folders
from training.data.splits import TESTING_ONLY

DEFAULT_ROOT = "../shared/data"
DEMOGRAPHICS_FILE = "demographics.csv"
LEAST_CLASSES = 2
SEED = 4
YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Mixture:
    """Pictures of several sources.

    Attributes:
        classes: in the order of the network's answers.
        pictures: with one of `classes` as label, or None: those are for learning features only.
        problems: what was left out and why.
        licences: source → licence, as its owner states it.
    """

    classes: tuple[str, ...]
    pictures: list[Picture]
    problems: list[Problem]
    licences: dict[str, str]


def read(data: Path, root: Path | None = None, *, limit: int | None = None, testing: bool = False) -> Mixture:
    """Read a YAML file or a folder whose folders are the classes.

    Args:
        data: ``training/configs/facial.yaml``, or a folder.
        root: of the sources' paths; else the file's own, else the environment's SKIN_DATA, else ``../shared/data``.
        limit: most pictures of each class, taken evenly from the sources, for a quick try.
        testing: take sources that are for testing only as well.

    Raises:
        BadInput: a file or folder is absent, a class is empty, or there are fewer than two.
    """
    file = mixture_file.read(data) if data.suffix.lower() in YAML_ENDINGS and not data.is_dir() else _plain(data)
    base = root or file.root or Path(os.environ.get("SKIN_DATA") or DEFAULT_ROOT)
    pictures: list[Picture] = []
    problems: list[Problem] = []
    for source in file.sources:
        folder = base / source.path
        if source.optional and not folder.is_dir():
            problems.append(Problem(folder, f"the optional source {source.name} is not there; left out"))
            continue
        found, wrong = _of_source(source, folder, testing)
        pictures += found
        problems += wrong
    _refuse_doubles(pictures)
    classes = _classes(file, pictures, data)
    if limit is not None:
        pictures = limited(pictures, limit)
    return Mixture(classes, pictures, problems, {source.name: source.licence for source in file.sources})


def limited(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """At most so many pictures of each class, and as many without one, taken evenly from the sources; in their order."""
    places: dict[Picture, int] = {}
    ranks: Counter[tuple[str | None, str]] = Counter()
    for picture in sorted(pictures, key=_chance):
        places[picture] = ranks[picture.label, picture.source]
        ranks[picture.label, picture.source] += 1
    kept: set[Picture] = set()
    counts: Counter[str | None] = Counter()
    for picture in sorted(pictures, key=lambda one: (places[one], one.source)):
        if counts[picture.label] < most:
            counts[picture.label] += 1
            kept.add(picture)
    return [picture for picture in pictures if picture in kept]


def _plain(folder: Path) -> MixtureFile:
    """Every folder in it is a class."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: there is no such folder or YAML file; name one, such as training/configs/facial.yaml."
        )
    full = folder.resolve()
    return MixtureFile((Source(full.name, "folders", full),))


def _of_source(source: Source, folder: Path, testing: bool) -> tuple[list[Picture], list[Problem]]:
    try:
        found, problems = READERS[source.kind](folder, source.name)
    except BadInput as error:
        raise BadInput(f"{_at(source)}{error}") from error
    if not testing:
        _refuse_testing_only(source, folder, found)
    problems += _refuse_empty(source, folder, found)
    table = folder / (source.demographics or DEMOGRAPHICS_FILE)
    if source.demographics or table.is_file():
        found, wrong = demographics.described(found, table)
        problems += wrong
    return _capped(_mapped(found, source), source), problems


def _mapped(pictures: Sequence[Picture], source: Source) -> list[Picture]:
    """Labels become classes; what the map does not name is left out, what has no label stays without one."""
    if source.classes is None:
        return list(pictures)
    answer = []
    for picture in pictures:
        key = picture.kind if picture.kind in source.classes else picture.label
        if key is None or key in source.classes:
            answer.append(replace(picture, label=None if key is None else source.classes[key]))
    return answer


def _capped(pictures: Sequence[Picture], source: Source) -> list[Picture]:
    """At most `cap` of each class, or of each kind where there is no class; `extra` of the rest for learning features."""
    counts: Counter[tuple[str | None, str, str]] = Counter()
    extras = 0
    kept: dict[Picture, Picture] = {}
    for picture in sorted(pictures, key=_chance):
        kind = "" if picture.label else picture.kind
        among = str(getattr(picture, source.balance)) if source.balance else ""
        counts[picture.label, kind, among] += 1
        over = source.cap is not None and counts[picture.label, kind, among] > source.cap
        if not over and (picture.label is not None or source.extra is None):
            kept[picture] = picture
        elif source.extra is not None and extras < source.extra:
            extras += 1
            kept[picture] = replace(picture, label=None)
    return [kept[picture] for picture in pictures if picture in kept]


def _chance(picture: Picture) -> bytes:
    """A lot that depends on nothing but the picture's source, folder and name."""
    return hashlib.sha256(f"{SEED}/{picture.source}/{picture.path.parent.name}/{picture.path.name}".encode()).digest()


def _at(source: Source) -> str:
    """Beginning of a sentence: file and line of the source, where it stands in a file."""
    return f"{source.place}: " if source.place else ""


def _refuse_testing_only(source: Source, folder: Path, found: Sequence[Picture]) -> None:
    parts = {source.kind, *folder.resolve().parts, *(part for picture in found for part in picture.path.parts)}
    for name in TESTING_ONLY:
        if name in parts:
            raise BadInput(
                f"{_at(source)}{folder}: {name} is for testing only and must never be trained on; leave it out."
            )


def _refuse_empty(source: Source, folder: Path, found: Sequence[Picture]) -> list[Problem]:
    """Class folders without pictures: an end where they are to give a class, a problem where they are not."""
    homes = class_folders(folder) if source.kind == "folders" else {}
    wanted = source.classes if source.classes is not None else {label: label for label in homes}
    there = {picture.label for picture in found} | {picture.kind for picture in found}
    problems = []
    for label, name in wanted.items():
        if label in there:
            continue
        place = homes[label][0] if label in homes else folder / label if source.kind == "folders" else folder
        state = "holds no picture" if source.kind != "folders" or label in homes else "is not there"
        what = f"{label} {state}" if source.kind != "folders" else f"the class folder {state}"
        if name is None:
            problems.append(Problem(place, f"{what}; nothing is learned from it"))
        else:
            raise BadInput(
                f"{_at(source)}{place}: {what}, so class {name} would be empty; put pictures in it, or remove {label}."
            )
    return problems


def _refuse_doubles(pictures: Sequence[Picture]) -> None:
    homes = {parent: parent.resolve() for parent in {picture.path.parent for picture in pictures}}
    sources: dict[Path, str] = {}
    for picture in pictures:
        other = sources.setdefault(homes[picture.path.parent] / picture.path.name, picture.source)
        if other != picture.source:
            raise BadInput(f"{picture.path}: is read by two sources, {other} and {picture.source}; remove one of them.")


def _classes(file: MixtureFile, pictures: Sequence[Picture], data: Path) -> tuple[str, ...]:
    """Those of the file, or all that occur; every one of them has pictures."""
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        if picture.label is not None:
            counts[picture.label] += 1
    classes = file.classes or tuple(sorted(counts))
    for name in sorted(counts.keys() - set(classes)):
        raise BadInput(f"{data}: a source gives the class {name}, which `classes` does not name; add it, or map it.")
    for name in classes:
        if not counts[name]:
            raise BadInput(f"{data}: no source gives a picture of class {name}; add one, or remove the class.")
    if len(classes) < LEAST_CLASSES:
        raise BadInput(
            f"{data}: found {len(classes)} class ({', '.join(classes)}); at least {LEAST_CLASSES} are needed."
        )
    return classes
