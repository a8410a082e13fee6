"""Measure face finding: recall by group, false faces, eye and roll errors, reliability of the confidence, speed.

    python -m benchmarks.detection            # tables and benchmarks/results/detection.json, about 5 minutes
    python -m benchmarks.detection --size 0.2 # a fifth of the pictures
    python -m benchmarks.detection --fit      # fit analyzer/face_confidence.json again first

Needs the pictures of SKIN_DATA. Everything is measured on pictures that no number was fitted on.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer import face, haar
from analyzer.values import Face
from benchmarks import detection_fit as fitting
from benchmarks import detection_pictures as pictures
from benchmarks.detection_pictures import Picture, Truth

RESULTS = Path(__file__).with_name("results") / "detection.json"
SEED = 5
BINS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
LEAST_SHARE = 0.15  # WIDER faces smaller than this share of the short side are not looked for and not counted
FRONTAL_DEG, TURNED_DEG = 15.0, 35.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit face_confidence.json again first")
    parser.add_argument("--size", type=float, default=1.0, help="share of the pictures to use")
    options = parser.parse_args()
    if not pictures.DATA.is_dir():
        parser.error(f"no pictures at {pictures.DATA}: set SKIN_DATA")
    cv2.setNumThreads(1)
    candidates = fitting.collect(fitting.fitting_pictures(options.size))
    if options.fit:
        fitting.write(candidates)
    results = {
        "reliability": reliability([one for one in candidates if one.held_out]),
        **places(chain(positives(options.size), turned_positives(options.size))),
        "false_faces": false_faces(options.size),
        "speed": speed(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for name, rows in results.items():
        print(f"\n{name}")
        print_table(rows)


def positives(size: float) -> Iterator[Picture]:
    """Pictures with one known face each, none of them fitted on, and WIDER scenes with a face large enough."""
    for picture in chain(pictures.utkface(int(3000 * size), SEED), pictures.acne04(int(400 * size), SEED)):
        if picture.held_out:
            yield picture
    yield from pictures.skin_defects()
    for picture in pictures.wider():
        large = tuple(truth for truth in picture.truths if truth.side >= LEAST_SHARE * min(picture.rgb.shape[:2]))
        if picture.held_out and large:
            yield Picture(picture.source, picture.group, picture.name, picture.rgb, large)


def turned_positives(size: float) -> Iterator[Picture]:
    """Faces lying on either side or on their head."""
    for quarters in (1, 2, 3):
        for picture in chain(pictures.utkface(int(200 * size), SEED), pictures.acne04(int(100 * size), SEED)):
            if picture.held_out:
                turned = pictures.turned(picture, quarters)
                source, group = f"{picture.source} turned", f"{90 * quarters} deg"
                yield Picture(source, group, picture.name, turned.rgb, turned.truths)


def places(source: Iterable[Picture]) -> dict[str, list[dict[str, Any]]]:
    """Recall per source and group, and errors of box, eyes, roll and yaw where a teacher marked the face."""
    found: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    errors: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for picture in source:
        faces = face.detect(picture.rgb)
        right = any(truth.matches(faces[0]) for truth in picture.truths) if faces else False
        for group in (picture.group, "all"):
            found[picture.source, group].append((bool(faces), right))
        truth = picture.truths[0] if picture.truths else None
        if right and truth is not None and truth.eyes is not None and picture.source != "skin_defects":
            errors[picture.source, _view_name(truth)].append(errors_of(faces[0], truth))
    return {
        "recall": [_recall(source, group, rows) for (source, group), rows in sorted(found.items())],
        "errors": [_error_row(source, view, rows) for (source, view), rows in sorted(errors.items())],
    }


def errors_of(found: Face, truth: Truth) -> dict[str, float]:
    """Errors of one right face: eyes in true inter-ocular distances, angles in degrees, box in true box sides."""
    row = {
        "box_shift": math.dist(found.box.centre, truth.centre) / truth.side,
        "box_size": found.box.width / truth.side,
        "roll": abs(pictures.turn_between(found.roll_deg, truth.roll_deg or 0.0)) if found.eyes is not None else np.nan,
        "eyes": np.nan,
        "yaw": found.yaw_deg - truth.yaw_deg if found.yaw_deg is not None and truth.yaw_deg is not None else np.nan,
    }
    if found.eyes is not None and truth.eyes is not None:
        apart = max(float(np.linalg.norm(truth.eyes[1] - truth.eyes[0])), 1.0)
        row["eyes"] = float(np.linalg.norm(found.eyes - truth.eyes, axis=1).max()) / apart
    return row


def false_faces(size: float) -> list[dict[str, Any]]:
    """Faces found in pictures without one, per picture with a Wilson interval of the share of pictures hit."""
    hit: dict[str, list[int]] = defaultdict(list)
    for picture in chain(pictures.without_faces(int(300 * size), SEED), pictures.wider_tiles()):
        if picture.held_out:
            hit[picture.source].append(len(face.detect(picture.rgb)))
    return [
        {
            "source": source,
            "pictures": len(counts),
            "faces_per_picture": round(float(np.mean(counts)), 4),
            "pictures_hit": _share(sum(count > 0 for count in counts), len(counts)),
        }
        for source, counts in sorted(hit.items())
    ]


def reliability(candidates: Sequence[fitting.Examined]) -> list[dict[str, Any]]:
    """Mean confidence against the share of right candidates, per bin, and the expected calibration error."""
    stated = np.array([haar.confidence(one.features) for one in candidates])
    right = np.array([one.right for one in candidates])
    rows, error = [], 0.0
    for low, high in pairwise(BINS):
        inside = (stated >= low) & ((stated < high) | (high == 1.0))
        if inside.any():
            error += abs(stated[inside].mean() - right[inside].mean()) * inside.mean()
            rows.append(
                {
                    "confidence": f"{low:.2f}-{high:.2f}",
                    "candidates": int(inside.sum()),
                    "mean_confidence": round(float(stated[inside].mean()), 3),
                    "right": _share(int(right[inside].sum()), int(inside.sum())),
                }
            )
    whole = {"candidates": len(right), "mean_confidence": round(float(stated.mean()), 3)}
    rows.append({"confidence": f"all, ECE {error:.3f}", **whole, "right": _share(int(right.sum()), len(right))})
    return rows


def speed(repeats: int = 15) -> list[dict[str, Any]]:
    """Median wall-clock time of one call; pictures are scaled to 640 and 1600 px on the long side."""
    selfies = [picture for picture in pictures.skin_defects() if picture.group == "front"][:6]
    faceless = list(pictures.wider_tiles())[:6]
    cases = {"front selfie": selfies, "no face, every pass": faceless}
    rows = []
    for name, chosen in cases.items():
        for long_px in (640, 1600):
            times = [_wall_ms(_resized(picture.rgb, long_px), repeats) for picture in chosen]
            spread = {"median_ms": _round(np.median(times)), "max_ms": _round(max(times))}
            rows.append({"case": name, "long_px": long_px, **spread})
    return rows


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a Markdown table."""
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row[name]) for name in names) + " |")


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a share."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _recall(source: str, group: str, rows: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    some, right = (sum(column) for column in zip(*rows, strict=True))
    known = source != "skin_defects"
    return {
        "source": source,
        "group": group,
        "pictures": len(rows),
        "primary_face_right": _share(right, len(rows)) if known else "-",
        "some_face": _share(some, len(rows)),
    }


def _error_row(source: str, view: str, rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    seen = {name: column[~np.isnan(column)] for name, column in columns.items()}
    return {
        "source": source,
        "view": view,
        "faces": len(rows),
        "box_shift_median": _quantile(seen["box_shift"], 0.5),
        "box_size_p10_p90": f"{_quantile(seen['box_size'], 0.1)}-{_quantile(seen['box_size'], 0.9)}",
        "eyes_found": _share(len(seen["eyes"]), len(rows)),
        "worse_eye_median": _quantile(seen["eyes"], 0.5),
        "worse_eye_p90": _quantile(seen["eyes"], 0.9),
        "eye_over_0.25": _share(int((seen["eyes"] > 0.25).sum()), len(seen["eyes"])),
        "roll_median_deg": _quantile(seen["roll"], 0.5),
        "roll_p90_deg": _quantile(seen["roll"], 0.9),
        "yaw_known": len(seen["yaw"]),
        "yaw_median_abs_deg": _quantile(np.abs(seen["yaw"]), 0.5),
    }


def _view_name(truth: Truth) -> str:
    yaw_deg = abs(truth.yaw_deg or 0.0)
    if yaw_deg < FRONTAL_DEG:
        return f"0-{FRONTAL_DEG:.0f} deg"
    return f"{FRONTAL_DEG:.0f}-{TURNED_DEG:.0f} deg" if yaw_deg < TURNED_DEG else f"{TURNED_DEG:.0f} deg and more"


def _share(hits: int, count: int) -> str:
    if count == 0:
        return "-"
    low, high = wilson(hits, count)
    return f"{hits / count:.3f} [{low:.3f}, {high:.3f}]"


def _quantile(values: np.ndarray, q: float) -> float | None:
    return round(float(np.quantile(values, q)), 3) if len(values) else None


def _round(value: float) -> float:
    return round(float(value), 1)


def _resized(rgb: np.ndarray, long_px: int) -> np.ndarray:
    scale = long_px / max(rgb.shape[:2])
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _wall_ms(rgb: np.ndarray, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        face.detect(rgb)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


if __name__ == "__main__":
    main()
