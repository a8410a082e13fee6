"""SKIN_DATA -> pictures with a skin class or a pretext, cut as the service cuts them, parted by person and near-duplicate.

A picture in which the service finds a face is its aligned face; of any other the largest square in the middle is taken,
and `has_face` says so. Crops are kept in one file, so that later runs begin at once.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import face, photo, preprocessing, roi
from analyzer.errors import AnalyzerError
from analyzer.settings import CORES
from analyzer.values import Photo, Rgb
from training.data import duplicates
from training.data.splits import group_of, part_of

CLASSES = ("acne", "actinic_keratosis", "basal_cell_carcinoma", "eczema", "healthy", "rosacea")
CLINICAL = ("facial_skin_diseases", "dermnet_facial")  # sources that hold several of the classes
FOLDERS = {  # source → folder → class; None: not one of the classes, used to learn features
    "facial_skin_diseases": {name: name for name in CLASSES if name != "healthy"},
    "dermnet_facial": {
        "acne_vulgaris": "acne",
        "actinic_keratosis": "actinic_keratosis",
        "atopic_dermatitis": "eczema",
        "basal_cell_carcinoma": "basal_cell_carcinoma",
        "rosacea": "rosacea",
        "facial_psoriasis": None,
        "melasma": None,
        "periorificial_dermatitis": None,
        "postinflammatory_hyperpigmentation": None,
        "sebaceous_hyperplasia": None,
        "solar_lentigo": None,
        "vitiligo": None,
    },
    "dermalscan4": {"clear_skin": "healthy", "dark_spot": None, "puffy_eyes": None, "wrinkles": None},
    "closeups": {"jerawat": None, "komedo": None, "bopeng": None},
}
LICENCES = {
    "facial_skin_diseases": "unclear; research use",
    "dermnet_facial": "non-commercial",
    "dermalscan4": "scraped, unclear; research use",
    "closeups": "unclear; research use",
    "acne04": "CC BY 4.0, as the uploader states",
    "utkface": "non-commercial research",
    "ham10000": "CC BY-NC 4.0",
}
RACES = ("White", "Black", "Asian", "Indian", "other")
ADULT_YEARS = (18, 75)
HEALTHY_FACES = 250  # of UTKFace per race
PRETEXT_FACES, LESIONS_PER_DIAGNOSIS = 1600, 600
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
TOLD_EVERY = 1000  # pictures
SEED = 4


@dataclass(frozen=True)
class Example:
    """One picture.

    Attributes:
        path: inside SKIN_DATA.
        label: one of `CLASSES`, or None.
        pretext: what features are learned from: a class among those of the same source, such as ``"ham10000/mel"``.
        group: pictures with the same group are never torn apart.
        part: ``"train"``, ``"validation"`` or ``"test"``.
        race: UTKFace's, else "".
        has_face: the crop is an aligned face.
    """

    path: str
    source: str
    label: str | None
    pretext: str
    group: str
    part: str
    race: str = ""
    has_face: bool = False


def gather(data: Path) -> list[Example]:
    """All pictures, not yet opened; `part` is that of the path alone."""
    found = [*_folders(data), *_acne04(data), *_utkface(data), *_lesions(data)]
    if not any(example.label for example in found):
        raise FileNotFoundError(f"{data}: expected at least one of {', '.join(FOLDERS)} with pictures there.")
    return found


def crops(data: Path, kept: Path) -> tuple[list[Example], NDArray[np.uint8]]:
    """The examples that can be read, near-duplicates in one part, and their (N, 224, 224, 3) uint8 crops.

    Args:
        data: SKIN_DATA.
        kept: file that holds the crops of an earlier call, or will hold them.
    """
    examples = gather(data)
    key = hashlib.sha256(repr(examples).encode()).hexdigest()
    if kept.is_file():
        with np.load(kept) as stored:
            if str(stored["key"]) == key:
                return [Example(**row) for row in json.loads(str(stored["examples"]))], stored["crops"]
    cut = []
    with ThreadPoolExecutor(CORES) as pool:
        for example, answer in zip(examples, pool.map(_cut, [data / one.path for one in examples]), strict=True):
            cut.append(answer)
            if answer is None:
                print(f"{example.path}: cannot be read; left out", flush=True)
            if len(cut) % TOLD_EVERY == 0:
                print(f"{len(cut)} of {len(examples)} pictures cut", flush=True)
    pairs = [(one, *answer) for one, answer in zip(examples, cut, strict=True) if answer is not None]
    together = duplicates.groups([duplicates.fingerprint(crop) for _, crop, _ in pairs])
    read = [
        replace(one, group=pairs[first][0].group, part=pairs[first][0].part, has_face=found)
        for (one, _, found), first in zip(pairs, together, strict=True)
    ]
    pictures = np.stack([crop for _, crop, _ in pairs])
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".part.npz")
    np.savez(unfinished, key=key, examples=json.dumps([asdict(one) for one in read]), crops=pictures)
    unfinished.replace(kept)
    return read, pictures


def face_or_middle(rgb: Rgb) -> tuple[Rgb, bool]:
    """(224, 224, 3) uint8 of a picture, and whether it is the aligned face or the middle of a picture without one."""
    faces = face.detect(rgb)
    if not faces:
        return preprocessing.middle(rgb), False
    picture = Photo(rgb, (rgb.shape[1], rgb.shape[0]), 1.0, "image/png")
    return preprocessing.face(roi.extract(picture, faces[0])), True


def _cut(path: Path) -> tuple[Rgb, bool] | None:
    """`face_or_middle` of a file; None where it cannot be read."""
    try:
        rgb = photo.decode(path.read_bytes()).rgb
    except (OSError, AnalyzerError):
        return None
    if "ham10000" in path.parts:  # lesions under a lens: never faces
        return preprocessing.middle(rgb), False
    return face_or_middle(rgb)


def _folders(data: Path) -> Iterator[Example]:
    for source, classes in FOLDERS.items():
        for folder, label in classes.items():
            for path in _pictures(data / source / folder):
                yield _example(data, path, source, label, f"{source}/{folder}")


def _acne04(data: Path) -> Iterator[Example]:
    """All of it is acne, of four severities."""
    for path in _pictures(data / "acne04"):
        yield _example(data, path, "acne04", "acne", f"acne04/{path.stem.partition('_')[0]}")


def _utkface(data: Path) -> Iterator[Example]:
    """Adults of every race as healthy skin, so far as a face in passing shows it; ages for learning features."""
    paths = _pictures(data / "utkface")
    random.Random(SEED).shuffle(paths)
    healthy: Counter[str] = Counter()
    pretexts = 0
    for path in paths:
        fields = path.stem.split("_")
        if len(fields) < 4 or not all(field.isdigit() for field in fields[:3]) or int(fields[2]) >= len(RACES):
            continue
        age, race = int(fields[0]), RACES[int(fields[2])]
        if ADULT_YEARS[0] <= age <= ADULT_YEARS[1] and healthy[race] < HEALTHY_FACES:
            healthy[race] += 1
            yield _example(data, path, "utkface", "healthy", f"utkface/{min(age // 15, 4)}", race)
        elif pretexts < PRETEXT_FACES:
            pretexts += 1
            yield _example(data, path, "utkface", None, f"utkface/{min(age // 15, 4)}", race)


def _lesions(data: Path) -> Iterator[Example]:
    """HAM10000, the frequent diagnoses thinned out: for learning features only. Grouped by lesion."""
    table = data / "ham10000" / "HAM10000_metadata.csv"
    if not table.is_file():
        return
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    random.Random(SEED).shuffle(rows)
    taken: Counter[str] = Counter()
    for row in rows:
        path = data / "ham10000" / "images" / f"{row['image_id']}.jpg"
        if taken[row["dx"]] < LESIONS_PER_DIAGNOSIS and path.is_file():
            taken[row["dx"]] += 1
            lesion = path.with_name(row["lesion_id"])
            yield Example(
                path.relative_to(data).as_posix(),
                "ham10000",
                None,
                f"ham10000/{row['dx']}",
                row["lesion_id"],
                part_of(lesion),
            )


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS)


def _example(data: Path, path: Path, source: str, label: str | None, pretext: str, race: str = "") -> Example:
    group = f"{source}/{group_of(path)}"
    return Example(path.relative_to(data).as_posix(), source, label, pretext, group, part_of(path), race)
