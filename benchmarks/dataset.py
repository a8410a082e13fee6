"""What the accuracy tables share: the data folder, the tuning/held-out split, Rois of pictures, rank statistics."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from analyzer import face, geometry, photo, roi, skin
from analyzer.roi import Roi
from analyzer.values import Box, Face, Photo
from training.data import splits
from training.data.faces import MARKS

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BOOTSTRAP_ROUNDS = 1000
RACES = ("White", "Black", "Asian", "Indian", "other")  # as UTKFace numbers them
TONES = ("light", "intermediate", "dark")
LIGHT_ITA_DEG = 41.0  # individual typology angle above which skin counts as light
DARK_ITA_DEG = 10.0  # below which it counts as dark
SEED = 0


def data_root() -> Path:
    """Folder of the real pictures: SKIN_DATA, else ../shared/data beside the repository."""
    return Path(os.environ.get("SKIN_DATA", ROOT.parent / "shared" / "data"))


def pictures(pattern: str) -> list[Path]:
    """Pictures below the data folder, sorted."""
    return sorted(path for path in data_root().glob(pattern) if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def held_out(path: Path) -> bool:
    """Whether tables may use a picture: half of every source, never used to choose a number or to train.

    The one split of the project, that of `training.data.splits`: a hash of the file name decides, so that it depends
    neither on the folder above the source nor on the ending. In ACNE04 neighbouring numbers of one severity often show the
    same person (seen by eye): there a hash of severity and number // 20 decides, and neighbours stay together.
    skin_defects and phone_originals are held out as a whole.
    """
    return splits.held_out(path)


def load(path: Path) -> Photo:
    return photo.decode(path.read_bytes())


def service_roi(path: Path) -> Roi | None:
    """Roi of the best face that the service's own detector finds, quality gate off; None when it finds none."""
    picture = load(path)
    faces = face.detect(picture.rgb)
    return roi.extract(picture, faces[0]) if faces else None


def teacher_roi(path: Path) -> Roi | None:
    """Roi from the teacher's landmarks, to measure a condition apart from face finding; None where there are none."""
    points = teacher_landmarks(path)
    if points is None:
        return None
    return roi.extract(load(path), teacher_face(points))


def close_up_roi(path: Path) -> Roi:
    """Whole-picture Roi for pictures that show skin without a whole face: one region, `whole`."""
    picture = load(path)
    height, width = picture.rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    scale = geometry.SIZE / side
    crop = picture.rgb[top : top + side, left : left + side]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgb = cv2.resize(crop, (geometry.SIZE, geometry.SIZE), interpolation=interpolation)
    to_original = np.float32([[1 / scale, 0, left], [0, 1 / scale, top]])
    return roi.from_parts(rgb, skin.segment_close_up(rgb), {}, to_original=to_original, scale=scale)


def tone_group(seen: Roi) -> str:
    """Skin tone by the individual typology angle of the person's baseline colour: light, intermediate or dark."""
    lightness, _, yellow = seen.baseline_lab
    ita_deg = np.degrees(np.arctan2(lightness - 50, yellow))
    return "light" if ita_deg > LIGHT_ITA_DEG else "intermediate" if ita_deg >= DARK_ITA_DEG else "dark"


def race(path: Path) -> str:
    """Race as a UTKFace file name gives it (AGE_GENDER_RACE_DATE); empty for other pictures and names that lack a part."""
    parts = path.stem.split("_")
    return RACES[int(parts[2])] if "utkface" in path.parts and len(parts) > 3 else ""


def sharpness(seen: Roi) -> float:
    """Standard deviation of the Laplacian of the crop: a trivial baseline."""
    return float(cv2.Laplacian(seen.gray, cv2.CV_32F).std())


def picture_size(path: Path) -> int:
    """Pixels of the original picture: a trivial baseline."""
    return math.prod(load(path).original_size)


def is_marked_face(path: Path) -> bool:
    """Marks by eye say that the picture shows most of a face, though the teacher sees none."""
    return path.relative_to(data_root()).as_posix() in _marked_faces()


@cache
def _marked_faces() -> frozenset[str]:
    marks = json.loads(MARKS.read_text(encoding="utf-8"))["marks"]
    return frozenset(mark["file"] for mark in marks if mark["kind"] == "face")


def teacher_landmarks(path: Path) -> NDArray[np.float32] | None:
    """(142, 2) landmarks in picture pixels, or None."""
    archive = _archive()
    row = archive["index"].get(path.relative_to(data_root()).as_posix())
    if row is None:
        return None
    height, width = load(path).rgb.shape[:2]
    return (archive["points"][row].astype(np.float32) / archive["scale"] * [width, height]).astype(np.float32)


def teacher_face(points: NDArray[np.float32]) -> Face:
    groups = {name: points[part] for name, part in geometry.GROUPS.items()}
    low, high = groups["face_oval"].min(axis=0), groups["face_oval"].max(axis=0)
    eyes = np.stack([groups["right_eye"].mean(axis=0), groups["left_eye"].mean(axis=0)])
    box = Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    span = eyes[1] - eyes[0]
    roll = float(np.degrees(np.arctan2(span[1], span[0])))
    return Face(box=box, confidence=1.0, eyes=eyes, roll_deg=roll, method="teacher", landmarks=groups)


@cache
def _archive() -> dict[str, Any]:
    archive = np.load(data_root() / "face_landmarks.npz")
    index = {str(path): row for row, path in enumerate(archive["paths"])}
    return {"index": index, "points": archive["points"], "scale": float(archive["scale"])}


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Area under the ROC curve: probability that a positive scores above a negative."""
    ranks, truth = rankdata(scores), np.asarray(positive, bool)
    n_positive, n_negative = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def interval(statistic: Callable[..., float], *columns: Sequence[float]) -> tuple[float, float]:
    """Bootstrap 95 % interval over rows; resamples where the statistic is undefined are left out."""
    rng, table = np.random.default_rng(SEED), [np.asarray(column) for column in columns]
    draws = (rng.integers(0, len(table[0]), len(table[0])) for _ in range(BOOTSTRAP_ROUNDS))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array([statistic(*(column[rows] for column in table)) for rows in draws])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def progress(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield the items, with a line of progress on the terminal."""
    return counted(items, label, len(items))


def counted(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yield `total` items as they come, with a line of progress on the terminal."""
    for number, item in enumerate(items, 1):
        if number % 50 == 0 or number == total:
            print(f"\r{label}: {number}/{total}", end="" if number < total else "\n", flush=True)
        yield item


def write(name: str, table: object) -> Path:
    """Write a table as JSON to benchmarks/results/."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(table, indent=1), encoding="utf-8")
    return path
