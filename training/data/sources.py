"""A folder as its data set lies on disk -> pictures with what the data set says of them, and problems: one reader a kind.

A reader opens no picture. What it cannot take is a `Problem`, never the end; only a folder from which nothing at all can be
read raises `BadInput`. Labels are the source's own words; `training.data.mixture` maps them to classes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from training.command import BadInput
from training.data.pictures import Picture, Problem
from training.data.splits import group_of
from training.data.tables import columns_of, rows_of

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
PART_FOLDERS = frozenset(
    {"train", "training", "valid", "val", "validation", "test", "testing"}
)  # of a ready-made split
VIEWS = ("front", "left_side", "right_side")
RACES = ("White", "Black", "Asian", "Indian", "other")  # by UTKFace's number
SEXES = ("male", "female")  # by UTKFace's number
OLDEST = 116  # years, in UTKFace
HEALTHY_YEARS = (18, 75)  # whose skin UTKFace may stand for, so far as a face in passing shows it
COPY_ENDING = re.compile(  # what augmentation tools put behind a name; a number in brackets is none: it often numbers people
    r"(?:_(?:jpe?g|png|webp|bmp))?\.rf\.[0-9a-f]{6,}$"
    r"|[ _-]+(?:[hv]?flip(?:ped)?|mirror(?:ed)?|rot(?:at(?:ed?|ion))?|aug(?:mented)?|nois[ye]|blur(?:red)?|bright(?:ened)?|copy)"
    r"(?:[ _-]?\d+)?$",
    re.IGNORECASE,
)


Read = tuple[list[Picture], list[Problem]]
Reader = Callable[[Path, str], Read]


def folders(folder: Path, name: str) -> Read:
    """Class folders: the label is the folder's name. A folder inside a class folder holds one subject.

    Args:
        folder: ``<class>/*.jpg``, ``<class>/<subject>/*.jpg``, or either below ``train``, ``valid`` and ``test``, which are read
            as one: a ready-made split rarely keeps copies of one picture together.
        name: of the source.
    """
    pictures: list[Picture] = []
    for label, homes in class_folders(folder).items():
        for home in homes:
            for path in pictures_in(home):
                inner = path.relative_to(home).parts
                one = f"{label}/{inner[0]}" if len(inner) > 1 else f"{label}/{stem_of(path)}"
                pictures.append(Picture(path, name, label, f"{name}/{one}", kind=label))
    return pictures, []


def skin_defects(folder: Path, name: str) -> Read:
    """Selfies of subjects from the front and both sides, grouped by subject. For testing only (`training.data.splits`).

    Labels come from a CSV with the columns id, front, left_side, right_side and type, where there is one, as in the Kaggle
    release (paths below its folder or below ``files/``), else from the folders ``<type>/<subject>/<view>.jpg``.
    """
    table = next((path for path in sorted(_existing(folder).glob("*.csv")) if {"id", "type"} <= columns_of(path)), None)
    if table is not None:
        return _subjects_of_table(table, folder, name)
    pictures = [
        Picture(path, name, path.parts[-3], f"{name}/{path.parent.name}", kind=path.parts[-3])
        for path in pictures_in(folder)
        if len(path.relative_to(folder).parts) >= 3
    ]
    return _some(pictures, folder, "<type>/<subject>/front.jpg, or a CSV with the columns id, front, …, type"), []


def utkface(folder: Path, name: str) -> Read:
    """Faces named ``AGE_GENDER_RACE_DATE.jpg``. Adults are labelled ``healthy``, others are not; kind is the age band."""
    pictures, problems = [], []
    for path in pictures_in(_existing(folder)):
        try:
            pictures.append(_of_face_name(path, name))
        except ValueError:
            reason = "the name must be AGE_GENDER_RACE_DATE (0-116, 0-1, 0-4), such as 25_1_2_20170116; left out"
            problems.append(Problem(path, reason))
    return _some(pictures, folder, "25_1_2_20170116….jpg"), problems


def acne04(folder: Path, name: str) -> Read:
    """Pictures ``levleS_N.jpg`` of acne of severity S, with lesions from ``levleS_N.xml``; grouped in runs of numbers."""
    paths, marks = pictures_in(_existing(folder)), {path.stem: path for path in sorted(folder.rglob("*.xml"))}
    pictures: list[Picture] = []
    problems: list[Problem] = []
    for path in paths:
        named = re.fullmatch(r"(levle([0-3]))_(\d+)", stem_of(path), re.IGNORECASE)
        if not named:
            problems.append(Problem(path, "the name must be levleS_N with a severity S of 0 to 3; left out"))
            continue
        mark = marks.pop(path.stem, None)
        boxes, found = (
            lesions(mark) if mark else ((), [Problem(path, "there is no .xml beside it; kept without lesions")])
        )
        problems += found
        group = f"{name}/{group_of(Path('acne04', stem_of(path).lower()))}"
        kind = named[1].lower()
        pictures.append(Picture(path, name, "acne", group, kind=kind, severity=int(named[2]), boxes=boxes))
    problems += [Problem(path, "there is no picture beside it; left out") for path in marks.values()]
    return _some(pictures, folder, "levle0_1.jpg"), problems


def ham10000(folder: Path, name: str) -> Read:
    """Lesions under a lens, for learning features only: no label, kind is the diagnosis, grouped by lesion."""
    table = _existing(folder) / "HAM10000_metadata.csv"
    if not table.is_file():
        raise BadInput(f"{table}: there is no such file; it comes with HAM10000 and belongs beside its pictures.")
    homes = {path.stem: path for path in pictures_in(folder)}
    pictures: list[Picture] = []
    problems: list[Problem] = []
    absent = []
    for line, row in rows_of(table, ("lesion_id", "image_id", "dx"), problems):
        path = homes.pop(row["image_id"], None)
        if path is None:
            absent.append(line)
            continue
        age = float(row["age"]) if re.fullmatch(r"\d+(\.\d+)?", row.get("age", "")) else None
        gender = row["sex"] if row.get("sex") in SEXES else None
        pictures.append(Picture(path, name, None, f"{name}/{row['lesion_id']}", row["dx"], age=age, gender=gender))
    if absent:
        reason = f"{len(absent)} rows, this one first, name pictures that are not there or were named before; left out"
        problems.append(Problem(table, reason, absent[0]))
    return _some(pictures, folder, "the pictures that HAM10000_metadata.csv names"), problems + _orphans(homes, table)


READERS: Mapping[str, Reader] = {
    "folders": folders,
    "skin_defects": skin_defects,
    "utkface": utkface,
    "acne04": acne04,
    "ham10000": ham10000,
}


def pictures_in(folder: Path) -> list[Path]:
    """Pictures in a folder and below it, without hidden ones and those of ``__MACOSX``."""
    found: list[Path] = []
    for home, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not _hidden(name)]
        found += [Path(home, name) for name in names if name.lower().endswith(ENDINGS) and not _hidden(name)]
    return sorted(found, key=os.fspath)


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """Class → its folders, by name; those of a ready-made split joined."""
    inner = _folders_in(_existing(folder))
    if inner and all(path.name.lower() in PART_FOLDERS for path in inner):
        inner = sorted((path for part in inner for path in _folders_in(part)), key=lambda path: path.name)
    if not inner:
        raise BadInput(f"{folder}: expected class folders in it, such as {folder / 'acne'}; there is no folder at all.")
    return {label: list(homes) for label, homes in groupby(inner, key=lambda path: path.name)}


def stem_of(path: Path) -> str:
    """Name without ending and without what augmentation tools put behind it: ``a_flipped``, ``a-rot90``, ``a_jpg.rf.<hash>``."""
    stem = path.stem
    while (shorter := COPY_ENDING.sub("", stem)) not in ("", stem):
        stem = shorter
    return stem


def lesions(path: Path) -> tuple[tuple[tuple[float, float, float, float], ...], list[Problem]]:
    """Boxes (x, y, width, height) in pixels of a VOC annotation; what is wrong with it, with its line."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        why = str(error).partition(":")[0]
        return (), [Problem(path, f"no well-formed XML ({why}); its lesions are left out", error.position[0])]
    lines = [text.count("\n", 0, found.start()) + 1 for found in re.finditer(r"<bndbox[\s>]", text)]
    boxes, problems = [], []
    for line, box in zip(lines, root.iter("bndbox"), strict=False):
        try:
            left, top, right, bottom = (float(box.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError:
            problems.append(Problem(path, "a bndbox needs the numbers xmin, ymin, xmax, ymax; left out", line))
            continue
        if left < right and top < bottom:
            boxes.append((left, top, right - left, bottom - top))
        else:
            problems.append(Problem(path, "a bndbox must have xmin < xmax and ymin < ymax; left out", line))
    return tuple(boxes), problems


def _of_face_name(path: Path, name: str) -> Picture:
    """Raises ValueError where the name is not UTKFace's."""
    age, gender, race, date = stem_of(path).split("_")
    if not all(text.isascii() and text.isdigit() for text in (age, gender, race)) or not date:
        raise ValueError(path.name)
    years = int(age)
    if years > OLDEST or int(gender) >= len(SEXES) or int(race) >= len(RACES):
        raise ValueError(path.name)
    said: dict[str, Any] = {"age": float(years), "gender": SEXES[int(gender)], "ethnicity": RACES[int(race)]}
    label = "healthy" if HEALTHY_YEARS[0] <= years <= HEALTHY_YEARS[1] else None
    band = Picture(path, name, None, "", age=years).age_band
    return Picture(path, name, label, f"{name}/{stem_of(path)}", kind=str(band), **said)


def _subjects_of_table(table: Path, folder: Path, name: str) -> Read:
    homes = {path.relative_to(folder).as_posix(): path for path in pictures_in(folder)}
    pictures: list[Picture] = []
    problems: list[Problem] = []
    for line, row in rows_of(table, ("id", "type"), problems):
        for view in VIEWS:
            told = row.get(view, "").replace("\\", "/").lstrip("/")
            if not told:
                continue
            path = homes.pop(told, None) or homes.pop(f"files/{told}", None)
            if path is None:
                problems.append(
                    Problem(table, f"{told}: there is no such picture, or it was named before; left out", line)
                )
            else:
                label = row["type"].lower()
                pictures.append(Picture(path, name, label, f"{name}/{row['id']}", kind=label))
    return _some(pictures, folder, f"the pictures that {table.name} names"), problems + _orphans(homes, table)


def _orphans(homes: Mapping[str, Path], table: Path) -> list[Problem]:
    if not homes:
        return []
    reason = f"{table.name} names neither this picture nor {len(homes) - 1} others beside it; left out"
    return [Problem(min(homes.values()), reason)]


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        hint = "name the folder of the data set, or fetch it: python -m training.data.acquire"
        raise BadInput(f"{folder}: there is no such folder; {hint}.")
    return folder


def _some(pictures: list[Picture], folder: Path, expected: str) -> list[Picture]:
    if not pictures:
        raise BadInput(f"{folder}: found none of the pictures that were expected there: {expected}.")
    return pictures
