"""The tables of `benchmarks.detection`: each puts the stages beside each other on the same pictures."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from analyzer.face import Detector
from analyzer.values import Face, Rgb
from benchmarks import figures
from benchmarks.detection_pictures import Picture
from benchmarks.detection_truth import Truth, turn_between

LEAST_FACE_PX = 40.0  # width of drawn faces that must be found in a WIDER scene of 416 px
BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
VIEWS = {15.0: "0-15 deg", 35.0: "15-35 deg", math.inf: "35 deg and more"}  # turn below → name of the row
GAPS_IN = "UTKFace"  # source whose groups are races

Stages = Mapping[str, Detector]
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a stage made of one picture: some face, the right one first, and its errors where the truth tells them."""

    some: bool
    right: bool
    errors: Mapping[str, float] | None = None


def outcome(faces: Sequence[Face], truths: Sequence[Truth]) -> Outcome:
    """Judge the first face."""
    truth = next((truth for truth in truths if faces and truth.matches(faces[0])), None)
    exact = truth is not None and truth.eyes is not None
    return Outcome(bool(faces), truth is not None, errors_of(faces[0], truth) if truth and exact else None)


def errors_of(found: Face, truth: Truth) -> dict[str, float]:
    """Errors of one right face: eyes in true inter-ocular distances, angles in degrees, box in true box sides."""
    row = {
        "box_shift": math.dist(found.box.centre, truth.centre) / truth.side,
        "box_size": found.box.width / truth.side,
        "roll": abs(turn_between(found.roll_deg, truth.roll_deg or 0.0)) if found.eyes is not None else math.nan,
        "eyes": math.nan,
        "yaw": found.yaw_deg - truth.yaw_deg if found.yaw_deg is not None and truth.yaw_deg is not None else math.nan,
    }
    if found.eyes is not None and truth.eyes is not None:
        apart = max(float(np.linalg.norm(truth.eyes[1] - truth.eyes[0])), 1.0)
        row["eyes"] = float(np.linalg.norm(found.eyes - truth.eyes, axis=1).max()) / apart
    return row


def places(stages: Stages, source: Iterable[Picture]) -> dict[str, list[Row]]:
    """Recall per source, group and view; the widest gap between races; errors where a teacher marked the face."""
    seen: dict[tuple[str, str], dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    errors: dict[tuple[str, str], dict[str, list[Mapping[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for picture in source:
        for name, stage in stages.items():
            made = outcome(stage.detect(picture.rgb), picture.truths)
            for place in rows_of(picture):
                seen[place][name].append(made)
            if made.errors is not None:
                errors[picture.source, view_name(picture.truths[0])][name].append(made.errors)
    return {
        "recall": [recall_row(place, made) for place, made in sorted(seen.items())],
        "race_gap": race_gaps(seen, stages),
        "errors": [
            error_row(place, name, rows) for place, made in sorted(errors.items()) for name, rows in made.items()
        ],
    }


def rows_of(picture: Picture) -> list[tuple[str, str]]:
    """The rows of the recall table that a picture counts in; ACNE04 stands by severity and, all marks together, by view."""
    rows = [(picture.source, picture.group), (picture.source, "all")]
    if picture.source.startswith("ACNE04"):
        rows += [("ACNE04 by view", truth.view) for truth in picture.truths[:1]]
        rows += [("ACNE04 with hand marks", picture.group), ("ACNE04 with hand marks", "all")]
    return rows


def recall_row(place: tuple[str, str], made: Mapping[str, Sequence[Outcome]]) -> Row:
    row: Row = {"source": place[0], "group": place[1], "pictures": len(next(iter(made.values())))}
    for name, outcomes in made.items():
        row[f"{name}_right"] = figures.share(sum(one.right for one in outcomes), len(outcomes))
        row[f"{name}_some"] = figures.share(sum(one.some for one in outcomes), len(outcomes))
    return row


def race_gaps(seen: Mapping[tuple[str, str], Mapping[str, Sequence[Outcome]]], stages: Stages) -> list[Row]:
    """Per stage the races with the best and the worst recall and their difference."""
    gaps = []
    for name in stages:
        shares = {
            group: (sum(one.right for one in made[name]), len(made[name]))
            for (source, group), made in seen.items()
            if source == GAPS_IN and group != "all"
        }
        if len(shares) > 1:
            gaps.append({"stage": name, "source": GAPS_IN, **figures.widest_gap(shares)})
    return gaps


def error_row(place: tuple[str, str], stage: str, rows: Sequence[Mapping[str, float]]) -> Row:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    eyes = columns["eyes"][~np.isnan(columns["eyes"])]
    shifts, sizes, rolls, yaws = (columns[name] for name in ("box_shift", "box_size", "roll", "yaw"))
    return {
        "source": place[0],
        "turn": place[1],
        "stage": stage,
        "faces": len(rows),
        "box_shift_median": figures.quantile(shifts, 0.5),
        "box_size_p10_p90": f"{figures.quantile(sizes, 0.1)}-{figures.quantile(sizes, 0.9)}",
        "eyes_found": figures.share(len(eyes), len(rows)),
        "worse_eye_median": figures.quantile(eyes, 0.5),
        "worse_eye_p90": figures.quantile(eyes, 0.9),
        "eye_over_0.25": figures.share(int((eyes > 0.25).sum()), len(eyes)),
        "roll_median_deg": figures.quantile(rolls, 0.5),
        "roll_p90_deg": figures.quantile(rolls, 0.9),
        "yaw_known": int((~np.isnan(yaws)).sum()),
        "yaw_median_abs_deg": figures.quantile(np.abs(yaws), 0.5),
    }


def view_name(truth: Truth) -> str:
    yaw_deg = abs(truth.yaw_deg or 0.0)
    return next(name for limit, name in VIEWS.items() if yaw_deg < limit)


def crowds(stages: Stages, scenes: Iterable[Picture]) -> list[Row]:
    """WIDER: drawn faces wide enough that were found, and detections that lie on no drawn face of any size."""
    counts = {name: {"found": 0, "false": 0, "hit": 0} for name in stages}
    wanted = pictures = 0
    for scene in scenes:
        large = [truth for truth in scene.truths if truth.drawn_box.width >= LEAST_FACE_PX]
        wanted, pictures = wanted + len(large), pictures + 1
        for name, stage in stages.items():
            faces = stage.detect(scene.rgb)
            false = false_detections(faces, scene.truths)
            counts[name]["found"] += sum(any(truth.lies_under(face) for face in faces) for truth in large)
            counts[name]["false"] += false
            counts[name]["hit"] += false > 0
    return [
        {
            "stage": name,
            "pictures": pictures,
            f"faces_of_{LEAST_FACE_PX:.0f}_px": wanted,
            "recall": figures.share(count["found"], wanted),
            "false_per_picture": round(count["false"] / max(pictures, 1), 4),
            "pictures_with_false": figures.share(count["hit"], pictures),
        }
        for name, count in counts.items()
    ]


def false_detections(faces: Sequence[Face], truths: Sequence[Truth]) -> int:
    """How many detections lie on no drawn face, however small."""
    return sum(not any(truth.lies_under(face) for truth in truths) for face in faces)


def false_faces(stages: Stages, pictures: Iterable[Picture]) -> list[Row]:
    """Faces found in pictures without one, per source and in all."""
    hits: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for picture in pictures:
        for name, stage in stages.items():
            faces = len(stage.detect(picture.rgb))
            for source in (picture.source, "all"):
                hits[source][name].append(faces)
    rows = []
    for source, counts in hits.items():
        row: Row = {"source": source, "pictures": len(next(iter(counts.values())))}
        for name, faces in counts.items():
            row[f"{name}_faces_per_picture"] = round(float(np.mean(faces)), 4)
            row[f"{name}_pictures_hit"] = figures.share(sum(count > 0 for count in faces), len(faces))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["source"] == "all", row["source"]))


def rotations(stages: Stages, turned: Iterable[tuple[float, Picture]]) -> list[Row]:
    """Recall and error of the roll per angle, clockwise."""
    seen: dict[float, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for angle_deg, picture in turned:
        for name, stage in stages.items():
            made = outcome(stage.detect(picture.rgb), picture.truths)
            seen[angle_deg][name].append(made)
            seen[math.inf][name].append(made)
    return [_rotation_row(angle_deg, made) for angle_deg, made in sorted(seen.items())]


def _rotation_row(angle_deg: float, made: Mapping[str, Sequence[Outcome]]) -> Row:
    row: Row = {"angle_deg": "all" if math.isinf(angle_deg) else angle_deg}
    row["pictures"] = len(next(iter(made.values())))
    for name, outcomes in made.items():
        rolls = [one.errors["roll"] for one in outcomes if one.errors is not None]
        row[f"{name}_right"] = figures.share(sum(one.right for one in outcomes), len(outcomes))
        row[f"{name}_roll_median_deg"] = figures.quantile(rolls, 0.5)
        row[f"{name}_roll_p90_deg"] = figures.quantile(rolls, 0.9)
    return row


def reliability(stated: Sequence[float], right: Sequence[bool]) -> list[Row]:
    """Mean confidence against the share of right candidates, per bin, and the expected calibration error."""
    confidence, truth = np.asarray(stated, float), np.asarray(right, bool)
    rows, error = [], 0.0
    for low, high in pairwise(BINS):
        inside = (confidence >= low) & ((confidence < high) | (high == 1.0))
        if inside.any():
            error += abs(confidence[inside].mean() - truth[inside].mean()) * inside.mean()
            rows.append(_bin_row(f"{low:.2f}-{high:.2f}", confidence[inside], truth[inside]))
    if len(truth):
        rows.append(_bin_row(f"all, ECE {error:.3f}", confidence, truth))
    return rows


def _bin_row(name: str, confidence: np.ndarray, right: np.ndarray) -> Row:
    return {
        "confidence": name,
        "candidates": len(right),
        "mean_confidence": round(float(confidence.mean()), 3),
        "right": figures.share(int(right.sum()), len(right)),
    }


def speed(stages: Stages, cases: Mapping[str, Sequence[Picture]], repeats: int = 15) -> list[Row]:
    """Median wall-clock time of one call; pictures are scaled to 640 and 1600 px on the long side."""
    rows = []
    for case, pictures in cases.items():
        for long_px in (640, 1600):
            row: Row = {"case": case, "long_px": long_px, "pictures": len(pictures)}
            for name, stage in stages.items():
                times = [wall_ms(stage, resized(picture.rgb, long_px), repeats) for picture in pictures]
                row[f"{name}_median_ms"] = round(float(np.median(times)), 1)
                row[f"{name}_max_ms"] = round(max(times), 1)
            rows.append(row)
    return rows


def resized(rgb: Rgb, long_px: int) -> Rgb:
    scale = long_px / max(rgb.shape[:2])
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def wall_ms(stage: Detector, rgb: Rgb, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        stage.detect(rgb)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000
