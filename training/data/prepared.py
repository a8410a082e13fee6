"""Pictures, not yet opened -> what training works on: facts and crops of each, read once, copies of one picture in one group.

Facts and crops are kept in a cache under the sha256 of the file's bytes, one entry a file, below a folder named after
everything that they depend on. A run that was interrupted goes on from there; a file that has changed is another entry.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import face, preprocessing
from analyzer.errors import AnalyzerError
from analyzer.settings import CORES
from analyzer.values import Rgb
from training import command
from training.data import duplicates, facts
from training.data.demographics import estimated
from training.data.facts import Facts
from training.data.pictures import Picture, Problem

UNDER_A_LENS = ("ham10000",)  # sources that show lesions under a lens: no face is looked for; all share its round edge
AHEAD = 4 * CORES  # pictures that are worked on before the first of them is taken
DAMAGED = (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Pictures that could be read, in the order in which they were given.

    Attributes:
        pictures: with their final groups: copies of one picture belong to one group, whatever they are called.
        facts: of each.
        crops: (N, 224, 224, 3) uint8.
        problems: of loading and of reading.
    """

    pictures: list[Picture]
    facts: list[Facts]
    crops: NDArray[np.uint8]
    problems: list[Problem]

    def subset(self, rows: Sequence[int] | NDArray[np.intp]) -> Prepared:
        """The same for some of the rows, in their order; all problems."""
        chosen = np.asarray(rows, np.intp)
        pictures = [self.pictures[row] for row in chosen]
        return Prepared(pictures, [self.facts[row] for row in chosen], self.crops[chosen], self.problems)


def prepare(pictures: Sequence[Picture], cache: Path, problems: Sequence[Problem] = ()) -> Prepared:
    """Read all pictures, from the cache where they were read before.

    Skin types that no source says are estimated from the picture where it shows a face, and marked as estimated.

    Args:
        cache: folder that keeps facts and crops.
        problems: of loading; those of reading are added.

    Raises:
        BadInput: none of the pictures can be read.
    """
    shelf = cache / key()
    found: list[Picture] = []
    measured: list[Facts] = []
    failed = list(problems)
    crops = np.empty((len(pictures), preprocessing.SIDE_PX, preprocessing.SIDE_PX, 3), np.uint8)
    read = _each(lambda one: entry(one.path, shelf, look_for_face=one.source not in UNDER_A_LENS), pictures)
    for picture, answer in zip(pictures, command.progress(read, len(pictures), "pictures read"), strict=True):
        if isinstance(answer, Problem):
            failed.append(answer)
            continue
        crops[len(found)] = answer[1]
        found.append(estimated(picture, answer[0].ita_deg))
        measured.append(answer[0])
    if not found:
        raise command.BadInput(_nothing(pictures, failed))
    return Prepared(grouped(found, measured), measured, crops[: len(found)], failed)


def key() -> str:
    """Name of everything but the file that facts and crops depend on."""
    stage = face.warm_up()
    return f"{preprocessing.FACE}, {stage.name} {stage.version}, facts {facts.VERSION}"


def entry(path: Path, shelf: Path, *, look_for_face: bool = True) -> tuple[Facts, Rgb] | Problem:
    """Facts and crop of a file, or why there are none. Read from the shelf, where they will lie afterwards."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Problem(path, f"expected a picture; {(error.strerror or str(error)).lower()}; left out")
    digest = hashlib.sha256(data).hexdigest()
    home = shelf / digest[:2] / f"{digest}{'' if look_for_face else '-middle'}.npz"
    if (kept := _opened(home)) is not None:
        return kept
    try:
        answer = facts.measured(data, look_for_face=look_for_face)
    except (AnalyzerError, facts.TooSmall) as error:
        return Problem(path, f"expected a whole JPEG, PNG, WebP, GIF or HEIC picture: {_plain(error)}; left out")
    _keep(home, *answer)
    return answer


def grouped(pictures: Sequence[Picture], measured: Sequence[Facts]) -> list[Picture]:
    """The pictures, in one group what shows the same: by their detail, or by one file name in two sources."""
    ties = duplicates.ties_of([picture.group for picture in pictures])
    ties += duplicates.ties_of([one.sha256 for one in measured])
    ties += [
        (first, second)
        for first, second, likeness in alike(measured, duplicates.SAME)
        if likeness >= duplicates.COPY or pictures[first].source not in UNDER_A_LENS
    ]
    ties += _named_alike(pictures)
    names: dict[int, str] = {}
    firsts = duplicates.united(len(pictures), ties).tolist()
    for first, picture in zip(firsts, pictures, strict=True):
        names[first] = min(names.get(first, picture.group), picture.group)
    return [
        picture if picture.group == names[first] else replace(picture, group=names[first])
        for first, picture in zip(firsts, pictures, strict=True)
    ]


def alike(measured: Sequence[Facts], least: float) -> list[tuple[int, int, float]]:
    """Rows whose pictures, or what was cut out of them, are alike (`duplicates.pairs`), the lower first, in order."""
    both = np.stack([duplicates.read(one.fingerprint) for one in measured])
    likeness: dict[tuple[int, int], float] = {}
    for prints in (both[:, 0], both[:, 1]):
        for first, second, value in duplicates.pairs(prints, least):
            likeness[first, second] = max(value, likeness.get((first, second), 0.0))
    return [(first, second, value) for (first, second), value in sorted(likeness.items())]


def _named_alike(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    """Ties of pictures whose names occur in several sources."""
    names = [duplicates.shared_name(picture.path) for picture in pictures]
    sources: dict[str | None, set[str]] = {}
    for name, picture in zip(names, pictures, strict=True):
        sources.setdefault(name, set()).add(picture.source)
    return duplicates.ties_of([name if len(sources[name]) > 1 else None for name in names])


def _each(
    work: Callable[[Picture], tuple[Facts, Rgb] | Problem], pictures: Sequence[Picture]
) -> Iterator[tuple[Facts, Rgb] | Problem]:
    """The answers in order, a few at a time ahead of what is taken; an interruption waits only for those few."""
    with ThreadPoolExecutor(CORES) as pool:
        for start in range(0, len(pictures), AHEAD):
            yield from pool.map(work, pictures[start : start + AHEAD])


def _opened(home: Path) -> tuple[Facts, Rgb] | None:
    """None where there is no entry, or a damaged one."""
    try:
        with np.load(BytesIO(home.read_bytes())) as stored:
            known, crop = Facts.from_json(str(stored["facts"])), stored["crop"]
    except (FileNotFoundError, *DAMAGED):
        return None
    fits = crop.shape == (preprocessing.SIDE_PX, preprocessing.SIDE_PX, 3) and crop.dtype == np.uint8
    return (known, crop) if fits else None


def _keep(home: Path, known: Facts, crop: Rgb) -> None:
    """Write an entry as a whole; two threads or processes may write the same one."""
    home.parent.mkdir(parents=True, exist_ok=True)
    unfinished = home.with_name(f"{home.stem}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, facts=np.array(known.to_json()), crop=crop)
        unfinished.replace(home)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _plain(error: Exception) -> str:
    sentence = str(error).rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def _nothing(pictures: Sequence[Picture], failed: Sequence[Problem]) -> str:
    if not pictures:
        return "there is no picture to read; check the paths of DATA"
    return f"none of {len(pictures)} pictures can be read, the first: {failed[-len(pictures)]}"
