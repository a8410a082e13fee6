"""The set shine-skin-collective as it lies on disk -> pictures with seven conditions and their severities; all that is odd, told.

The tree is ``output_images/<condition>/<severity>/*.png``, in the folder that is named or in its ``Synthetic``, with a ``.json`` beside
each picture. Labels come from these sidecars (`training.data.shine_labels`), never from the name of a file; the folder is compared with
them. Nothing above ``output_images`` is read, no picture is opened. Only a tree from which nothing at all can be read is an error.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.command import BadInput
from training.data import shine_labels
from training.data.pictures import Picture, Problem
from training.data.shine_labels import CONDITIONS, GRADES, Said
from training.data.sources import ENDINGS

SOURCE = "shine_skin"
HOME = "output_images"
BACKUP = "changes_backup"
FLIPPED = "_flipped"
BATCH = re.compile(r"\d{8}_\d{6}")  # the time at which a batch was made, in the names of its files
SUMMARY = re.compile(r"dataset_summary.*\.json")


@dataclass(frozen=True, kw_only=True)
class Oddity(Problem):
    """A problem with a code by which such ones are counted."""

    code: str


@dataclass(frozen=True)
class Labelled:
    """One picture with what its sidecar says.

    Attributes:
        picture: source is ``shine_skin <batch>``, so that pictures are compared within one batch; label is the condition that the
            sidecar names (None for healthy skin: none of the seven), kind ``<condition>/<severity 0..3>``, severity that of the
            condition, group the stem without ``_flipped``; age is the middle of the group of ages that it gives.
        targets: whether each of `CONDITIONS` is there.
        severities: of each of `CONDITIONS`: 0 where its target is false, 1..3 where it is true, None where nothing usable is said.
        batch: ``"v0"``, or the time in the names of the files that were made together, such as ``"20250910_163628"``.
        generation: of the sidecar, ``"v0"``, ``"v1"`` or ``"v2"``.
        skin_tone: as the sidecar says it, such as ``"very fair"``.
    """

    picture: Picture
    targets: tuple[bool, ...]
    severities: tuple[int | None, ...]
    batch: str
    generation: str
    skin_tone: str | None = None


@dataclass(frozen=True)
class Synthetic:
    """A tree that was read.

    Attributes:
        home: its ``output_images``.
        labelled: by path.
        oddities: all that was not as expected, by path; most of it was read all the same.
    """

    home: Path
    labelled: tuple[Labelled, ...]
    oddities: tuple[Oddity, ...]

    @property
    def pictures(self) -> list[Picture]:
        return [one.picture for one in self.labelled]

    def labels_of(self, pictures: Sequence[Picture]) -> list[Labelled]:
        """What is said of pictures of this tree, such as those that `prepared.prepare` could read; their groups are kept."""
        known = {one.picture.path: one for one in self.labelled}
        return [replace(known[picture.path], picture=picture) for picture in pictures]


def read(root: Path) -> Synthetic:
    """The pictures of a tree and all that is odd in it.

    Args:
        root: ``output_images`` itself, the folder that holds it, or the one that holds ``Synthetic/output_images``.

    Raises:
        BadInput: there is no such folder, or not one picture with a sidecar that can be used.
    """
    home, oddities = home_of(root), []
    pictures, sidecars = _files(home, oddities)
    labelled = []
    for key, path in pictures.items():
        sidecar = _parsed(sidecars.pop(key), oddities) if key in sidecars else _orphan(path, ".json", oddities)
        if sidecar is not None and (one := _labelled(path, sidecar, home, oddities)) is not None:
            labelled.append(one)
    for path in sidecars.values():
        _orphan(path, "picture", oddities)
    oddities += _of_copies(labelled, {path.stem for path in pictures.values()})
    if not labelled:
        first = f" The first problem: {oddities[0]}." if oddities else ""
        raise BadInput(
            f"{home}: expected <condition>/<severity>/NAME.png with NAME.json beside it; found none to use.{first}"
        )
    return Synthetic(home, tuple(labelled), tuple(sorted(oddities, key=lambda one: (one.path, one.code))))


def stratum(picture: Picture) -> tuple[str, ...]:
    """What every part of a split gets its share of (`partition.parts`): condition, severity, and batch."""
    return picture.kind, picture.source


def group_of(path: Path) -> str:
    """The stem without ``_flipped``, whether or not there is an original."""
    return f"{SOURCE}/{path.stem.removesuffix(FLIPPED)}"


def home_of(root: Path) -> Path:
    """The ``output_images`` of a tree.

    Raises:
        BadInput: there is none.
    """
    for home in (root, root / HOME, root / "Synthetic" / HOME):
        if home.name == HOME and home.is_dir():
            return home
    raise BadInput(f"{root}: expected the folder {HOME}, or one that holds it or Synthetic/{HOME}; name that one.")


def _files(home: Path, oddities: list[Oddity]) -> tuple[dict[Path, Path], dict[Path, Path]]:
    """Pictures and sidecars by their path without ending; what lies apart is told and left out."""
    pictures: dict[Path, Path] = {}
    sidecars: dict[Path, Path] = {}
    for path in _walked(home):
        ending = path.suffix.lower()
        if BACKUP in path.relative_to(home).parts:
            oddities.append(Oddity(path, f"lies in {BACKUP}; left out", code="backup"))
        elif path.parent == home and SUMMARY.fullmatch(path.name):
            oddities.append(Oddity(path, "is a summary of the set, no sidecar; left out", code="summary"))
        elif ending in ENDINGS:
            key = path.with_suffix("")
            kept, other = sorted((path, pictures.get(key, path)), key=lambda one: one.suffix.lower() != ".png")
            if other != kept:
                told = f"expected one picture beside a sidecar; {kept.name} is read, this one is left out"
                oddities.append(Oddity(other, told, code="second_picture"))
            pictures[key] = kept
        elif ending == ".json":
            sidecars[path.with_suffix("")] = path
        else:
            oddities.append(Oddity(path, "expected pictures and .json files only; left out", code="other_file"))
    return pictures, sidecars


def _walked(home: Path) -> Iterator[Path]:
    """All files that are not hidden, by path."""
    for folder, inner, names in os.walk(home):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _orphan(path: Path, missing: str, oddities: list[Oddity]) -> None:
    code = "orphan_picture" if missing == ".json" else "orphan_sidecar"
    oddities.append(Oddity(path, f"expected a {missing} of the same name beside it; left out", code=code))


def _parsed(path: Path, oddities: list[Oddity]) -> Mapping[str, Any] | None:
    """The object in a sidecar; None where there is none."""
    line = None
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(sidecar, dict):
            return sidecar
        reason = f"expected an object, found {type(sidecar).__name__}"
    except json.JSONDecodeError as error:
        reason, line = f"expected JSON: {error.msg.lower()}", error.lineno
    except (UnicodeDecodeError, RecursionError):
        reason = "expected JSON in UTF-8"
    except OSError as error:
        reason = f"expected a file that can be read: {(error.strerror or str(error)).lower()}"
    oddities.append(Oddity(path, f"{reason}; left out with its picture", line, code="bad_json"))
    return None


def _labelled(path: Path, sidecar: Mapping[str, Any], home: Path, oddities: list[Oddity]) -> Labelled | None:
    """One picture with its labels; None where the sidecar says nothing of its skin."""
    said, place = shine_labels.read(sidecar), path.with_suffix(".json")
    oddities += [Oddity(place, reason, code=code) for code, reason in said.oddities]
    if not said.usable:
        oddities.append(
            Oddity(place, "says nothing of the skin that is known; left out with its picture", code="unlabelled")
        )
        return None
    oddities += [Oddity(place, reason, code=code) for code, reason in _of_place(path.relative_to(home), said, sidecar)]
    named = BATCH.search(path.stem)
    batch = named[0] if named else said.generation
    picture = Picture(
        path,
        f"{SOURCE} {batch}",
        said.condition if said.condition in CONDITIONS else None,
        group_of(path),
        kind=f"{said.condition}/{said.severity}",
        severity=said.severity,
        age=said.age,
        gender=said.gender,
        fitzpatrick=said.fitzpatrick,
    )
    return Labelled(picture, said.targets, said.severities, batch, said.generation, said.skin_tone)


def _of_place(path: Path, said: Said, sidecar: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where folder or name and sidecar say two things.

    Args:
        path: of the picture, below the home.
    """
    if len(path.parts) != 3:
        yield "misplaced", f"lies in {path.parent}; expected <condition>/<severity>; read as its sidecar says"
    elif path.parts[0] != said.condition or GRADES.get(path.parts[1]) != said.severity:
        yield "moved", f"lies in {path.parent} and says {said.condition}, severity {said.severity}; read as it says"
    named = path.stem.endswith(FLIPPED)
    original = Path(str(sidecar.get("original_filename", path.name))).stem
    if named != said.is_flipped:
        yield "flip_unclear", f"is_flipped is {said.is_flipped}; expected {named} by its name; grouped by its name"
    elif named and original not in (path.stem, path.stem.removesuffix(FLIPPED)):
        yield (
            "flip_unclear",
            f"original_filename is {original}; expected {path.stem.removesuffix(FLIPPED)}; grouped by its name",
        )


def _of_copies(labelled: Sequence[Labelled], stems: Collection[str]) -> Iterator[Oddity]:
    """Mirrored pictures without their original, and those that say something else than it."""
    originals = {one.picture.path.stem: one for one in labelled}
    for one in labelled:
        path, stem = one.picture.path, one.picture.path.stem.removesuffix(FLIPPED)
        if stem == path.stem:
            continue
        if stem not in stems:
            yield Oddity(path, f"expected its original {stem}; kept, in the group of that name", code="flipped_alone")
        elif stem in originals and (one.targets, one.severities) != (
            originals[stem].targets,
            originals[stem].severities,
        ):
            yield Oddity(path, f"expected the labels of its original {stem}; each keeps its own", code="flip_differs")
