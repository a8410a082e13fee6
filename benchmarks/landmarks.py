"""Landmark error of the face stages against the teacher, and agreement of the face polygon drawn from them.

    python -m benchmarks.landmarks                  # tables and benchmarks/results/landmarks.json
    python -m benchmarks.landmarks --stage network  # one stage alone; "both" takes what is there
    python -m benchmarks.landmarks --size 0.2       # a fifth of the pictures
    python -m benchmarks.landmarks --draw DIR       # sheets of 40 faces with landmarks and polygon instead of tables

Expects: at most 2 % error on frontal faces, 3.5 % on turned ones; polygons that agree by 0.90, for no race below 0.88.

Held-out pictures of UTKFace, ACNE04, dermalscan4 and skin_defects. *Error* is the mean distance of the 142 landmarks, or
of a group of them, divided by the diagonal of the box around the teacher's face oval. The *polygon* is the face oval
minus eyes, brows and lips (convex hulls), *agreement* the intersection over union of the stage's and the teacher's, drawn in
the same pixels. Frontal: turned by less than 15 degrees by the teacher. Faces that the stage does not find are counted apart.
The cascades measure no landmarks: theirs are the prior's (`analyzer.geometry`), which fitted on some of these faces.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from analyzer import geometry
from analyzer.face import Detector
from analyzer.geometry import Landmarks
from analyzer.values import Face, Points
from benchmarks import dataset, figures, landmark_sheets
from benchmarks import detection_pictures as pictures
from benchmarks import detection_stages as stages_of
from benchmarks.detection import part, shortened
from benchmarks.detection_pictures import Picture
from benchmarks.detection_tables import Row, Stages

SEED = 7
UTKFACE = 1000  # pictures at --size 1
DIAGONAL_PX = 400.0  # of the teacher's box, on the raster where polygons are compared
MARGIN_PX = 200.0  # raster around that box
TARGETS = {"frontal": 0.02, "side": 0.035, "iou": 0.90, "iou_of_each_race": 0.88}


@dataclass(frozen=True, eq=False)
class Measured:
    """One stage on one face; `errors` (landmark group → share of the diagonal) and `iou` are empty where it is not found."""

    stage: str
    source: str
    view: str
    race: str
    tone: str
    found: bool
    errors: Mapping[str, float]
    iou: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages_of.add_choice(parser)
    parser.add_argument("--size", type=float, default=1.0, help="share of the pictures to use")
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write sheets of 40 faces to this folder instead")
    options = parser.parse_args()
    if not dataset.data_root().is_dir():
        parser.error(f"no pictures at {dataset.data_root()}: set SKIN_DATA")
    cv2.setNumThreads(1)
    stages = stages_of.chosen(options.stage, parser)
    if options.draw is not None:
        for name, stage in stages.items():
            landmark_sheets.write(options.draw, name, [(picture, shown(stage, picture)) for picture in varied()])
        return
    results = tables([one for picture in faces(options.size) for one in measure(stages, picture)])
    for name, rows in results.items():
        print(f"\n{name}")
        figures.print_table(rows)
    print(f"\nwritten to {dataset.write('landmarks', {'targets': TARGETS, **results})}")


def faces(size: float) -> Iterator[Picture]:
    """Held-out pictures with teacher landmarks."""
    yield from pictures.utkface(part(UTKFACE, size), SEED, held_out=True)
    yield from pictures.acne04(part(400, size), SEED, held_out=True)
    yield from shortened(pictures.dermalscan4(held_out=True), 30, size)
    yield from shortened((one for one in pictures.skin_defects() if one.truths), 40, size)


def varied() -> Iterator[Picture]:
    """Forty held-out faces: four of each race, twelve of ACNE04, eight selfies of the testing set."""
    by_race: dict[str, list[Picture]] = {race: [] for race in dataset.RACES}
    for picture in pictures.utkface(200, SEED, held_out=True):
        if len(by_race[picture.group]) < 4:
            by_race[picture.group].append(picture)
    selfies = list(pictures.skin_defects())
    chosen = selfies[:: max(1, len(selfies) // 8)][:8]
    return chain(*by_race.values(), pictures.acne04(12, SEED, held_out=True), chosen)


def measure(stages: Stages, picture: Picture) -> Iterator[Measured]:
    """Every stage on one face."""
    path = dataset.data_root() / picture.name
    teacher = teacher_points(picture)
    region = dataset.teacher_roi(path)
    told = {
        "source": picture.source,
        "view": "frontal" if picture.truths[0].view == "front" else "side",
        "race": dataset.race(path),
        "tone": "" if region is None else dataset.tone_group(region),
    }
    for name, stage in stages.items():
        face = right_face(stage, picture)
        if face is None:
            yield Measured(name, **told, found=False, errors={}, iou=float("nan"))
        else:
            points = geometry.landmarks(face)
            yield Measured(name, **told, found=True, errors=errors(points, teacher), iou=agreement(points, teacher))


def right_face(stage: Detector, picture: Picture) -> Face | None:
    """The first face, when it is the one that the teacher marked."""
    found = stage.detect(picture.rgb)[:1]
    return next((face for face in found if any(truth.matches(face) for truth in picture.truths)), None)


def shown(stage: Detector, picture: Picture) -> Face | None:
    """The first face, right or not."""
    return next(iter(stage.detect(picture.rgb)), None)


def teacher_points(picture: Picture) -> Points:
    """(142, 2) in pixels of the picture."""
    return pictures.landmarks()[picture.name] * np.array(picture.rgb.shape[1::-1], np.float32)


def errors(points: Landmarks, teacher: Points) -> dict[str, float]:
    """Landmark group, and "all" → mean distance in diagonals of the box around the teacher's oval."""
    whole = np.concatenate([points[name] for name in geometry.GROUPS])
    apart = np.linalg.norm(whole - teacher, axis=1) / diagonal(teacher)
    return {"all": float(apart.mean()), **{name: float(apart[rows].mean()) for name, rows in geometry.GROUPS.items()}}


def diagonal(teacher: Points) -> float:
    """Diagonal of the upright box around the teacher's oval, in pixels."""
    return float(np.hypot(*np.ptp(teacher[geometry.GROUPS["face_oval"]], axis=0)))


def agreement(points: Landmarks, teacher: Points) -> float:
    """Intersection over union of the two face polygons, on a raster where the teacher's diagonal has DIAGONAL_PX."""
    oval = teacher[geometry.GROUPS["face_oval"]]
    scale = DIAGONAL_PX / diagonal(teacher)
    matrix = np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]], np.float32)
    matrix[:, 2] = MARGIN_PX - scale * oval.min(axis=0)
    width, height = np.ceil(scale * np.ptp(oval, axis=0) + 2 * MARGIN_PX).astype(int)
    groups = {name: teacher[rows] for name, rows in geometry.GROUPS.items()}
    one, other = (
        landmark_sheets.polygon(
            {name: geometry.transform(matrix, part) for name, part in marks.items()}, (height, width)
        )
        for marks in (points, groups)
    )
    return float((one & other).sum() / max((one | other).sum(), 1))


def tables(measured: Sequence[Measured]) -> dict[str, list[Row]]:
    """Error per kind of face, error per group of landmarks, agreement of the polygons."""
    return {
        "landmark_error": [figure_row(kind, rows, _error) for kind, rows in kinds(measured)],
        "landmark_groups": group_rows(measured),
        "polygon_agreement": [figure_row(kind, rows, _iou) for kind, rows in kinds(measured)],
    }


def kinds(measured: Sequence[Measured]) -> list[tuple[Row, list[Measured]]]:
    """The rows of a table: per stage all faces, each view, source, race and tone."""
    rows: list[tuple[Row, list[Measured]]] = []
    for stage in dict.fromkeys(one.stage for one in measured):
        own = [one for one in measured if one.stage == stage]
        rows.append(({"stage": stage, "faces of": "all"}, own))
        for column in ("view", "source", "race", "tone"):
            for value in sorted({getattr(one, column) for one in own} - {""}):
                members = [one for one in own if getattr(one, column) == value]
                rows.append(({"stage": stage, "faces of": f"{column}: {value}"}, members))
    return rows


def figure_row(kind: Row, rows: Sequence[Measured], figure: Callable[[Measured], float]) -> Row:
    """Mean with bootstrap interval, and the worst tenth."""
    values = [figure(one) for one in rows if one.found]
    row = {**kind, "faces": len(rows), "not_found": len(rows) - len(values), "mean": "-", "p10": None, "p90": None}
    if values:
        low, high = dataset.interval(np.mean, values)
        row["mean"] = f"{np.mean(values):.4f} [{low:.4f}, {high:.4f}]"
        row["p10"], row["p90"] = (round(float(np.quantile(values, q)), 4) for q in (0.1, 0.9))
    return row


def group_rows(measured: Sequence[Measured]) -> list[Row]:
    """Mean error of each group of landmarks, frontal and side, stage beside stage."""
    rows = []
    for group in ("all", *geometry.GROUPS):
        row: Row = {"landmarks": group}
        for stage in dict.fromkeys(one.stage for one in measured):
            for view in ("frontal", "side"):
                values = _values(measured, stage, view, group)
                row[f"{stage}_{view}"] = round(float(np.mean(values)), 4) if values else None
        rows.append(row)
    return rows


def _values(measured: Iterable[Measured], stage: str, view: str, group: str) -> list[float]:
    return [one.errors[group] for one in measured if one.found and (one.stage, one.view) == (stage, view)]


def _error(one: Measured) -> float:
    return one.errors["all"]


def _iou(one: Measured) -> float:
    return one.iou


if __name__ == "__main__":
    main()
