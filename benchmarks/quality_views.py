"""Tables of the quality gate that need more than the checks: what a turned head hides, and how well closed eyes are told.

Which eyes are open was marked by eye, blind to what is measured, on both halves of ACNE04 and UTKFace (`closed_eyes.json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from analyzer import face, geometry, quality, roi
from analyzer.values import Points
from benchmarks import dataset

EYE_MARKS = Path(__file__).with_name("closed_eyes.json")
YAW_DEG = (0, 10, 20, 25, 30, 35, 40, 45, 50, 60, 91)  # limits of the rows


def hidden(landmarks: Mapping[str, Points], yaw_deg: float) -> tuple[bool, bool]:
    """Whether the cheek and the skin below the eye are left out on the side that a face is turned to."""
    far = "right" if yaw_deg > 0 else "left"
    to_working = geometry.align(landmarks)
    regions = geometry.region_polygons(
        {name: geometry.transform(to_working, points) for name, points in landmarks.items()}
    )
    return len(regions[f"{far}_cheek"]) == 0, len(regions[f"{far}_under_eye"]) == 0


def by_yaw(paths: Iterable[Path]) -> dict[str, dict[str, float]]:
    """Range of yaw → number of faces, and the shares of them whose far cheek and far under-eye are left out."""
    faces = [found[0] for found in (face.detect(dataset.load(path).rgb) for path in paths) if found]
    known = [
        (abs(one.yaw_deg), hidden(geometry.landmarks(one), one.yaw_deg)) for one in faces if one.yaw_deg is not None
    ]
    table = {}
    for low, high in pairwise(YAW_DEG):
        seen = [empty for yaw, empty in known if low <= yaw < high]
        if seen:
            cheek, under_eye = np.mean(seen, axis=0)
            table[f"{low} to {high}"] = {"n": len(seen), "cheek": float(cheek), "under_eye": float(under_eye)}
    return table


def eye_marks(*, held_out: bool) -> list[tuple[Path, bool]]:
    """Pictures of one half with whether the eyes are closed."""
    marks = json.loads(EYE_MARKS.read_text(encoding="utf-8"))
    paths = [(dataset.data_root() / name, word == "closed") for word in ("closed", "open") for name in marks[word]]
    return [(path, closed) for path, closed in paths if dataset.held_out(path) == held_out]


def closed_eyes(marks: Sequence[tuple[Path, bool]]) -> dict[str, Any]:
    """How often the check is right about marked eyes."""
    values = {closed: [eyes_of(path) for path, word in marks if word == closed] for closed in (True, False)}
    measured = {closed: [value for value in seen if value is not None] for closed, seen in values.items()}
    below = {closed: sum(value < quality.MIN_OPENNESS for value in seen) for closed, seen in measured.items()}
    scores, words = measured[True] + measured[False], [True] * len(measured[True]) + [False] * len(measured[False])
    return {
        "marked_closed": len(values[True]),
        "marked_open": len(values[False]),
        "closed": len(measured[True]),
        "hits": below[True],
        "open": len(measured[False]),
        "false_alarms": below[False],
        "auc": dataset.auc([-score for score in scores], words) if measured[True] and measured[False] else None,
    }


def eyes_of(path: Path) -> float | None:
    """Openness of the eyes in a picture as the gate measures it; None where there is no face or it cannot be told."""
    picture = dataset.load(path)
    found = face.detect(picture.rgb)
    return quality.openness(roi.extract(picture, found[0])) if found else None


def print_views(views: Mapping[str, Mapping[str, float]]) -> None:
    print("\nleft out on the far side of a turned head, tuning half: degrees of yaw, faces, cheek, under-eye")
    for name, row in views.items():
        print(f"  {name:9}{row['n']:5}{100 * row['cheek']:6.0f} %{100 * row['under_eye']:6.0f} %")


def print_eyes(halves: Mapping[str, Mapping[str, Any]]) -> None:
    print("\nclosed eyes, marked by eye")
    for name, row in halves.items():
        print(
            f"  {name:9} told closed: {row['hits']} of {row['closed']} closed, {row['false_alarms']} of {row['open']} open"
            f"  (marked {row['marked_closed']} and {row['marked_open']}; AUC {row['auc']})"
        )
