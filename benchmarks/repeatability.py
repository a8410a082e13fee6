"""How much do the scores of one face change when only the photo changes?

Run:     python -m benchmarks.repeatability [--faces N] [--draws K] [--write]
Cost:    about 5 minutes on 2 cores with the defaults.
Expects: 95 % intervals that hold about 95 % of repeated scores, and confidences near the observed share of equal severities.

Each face is photographed anew K times on paper: JPEG quality 60 to 95, exposure ±15 %, turn ±3°, scale 0.7 to 1.3, shift up to
2 % of the width, mirrored or not, all at once and drawn at random. The whole service path runs on each (decode, face, Roi,
conditions). The root mean square difference between a repeated score and the first, pooled over faces of similar score, becomes
the `repeatability` of calibration.json (--write, from the tuning half of the pictures); the held-out half then tells how true
intervals and confidences are. UTKFace pictures are doubled in size, so that they pass the size gate.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer import calibration, pipeline
from analyzer.conditions import CONDITIONS
from analyzer.ensemble import Ensemble
from analyzer.values import Finding, Rgb
from benchmarks import dataset

SOURCES = {
    "acne04/*": 0.4,
    "utkface/*": 0.4,
    "dermalscan4/clear_skin/*": 0.1,
    "dark_circles/images/*": 0.1,
}  # share of faces
QUALITY = (60, 95)
EXPOSURE = 0.15
TURN_DEG = 3.0
SCALE = (0.7, 1.3)
SHIFT = 0.02
SCORE_EDGES = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0)  # faces are pooled between these scores
LEAST_FACES = 4  # a bin with fewer takes the deviation of its nearest full neighbour
LEAST_SD = 0.005
Scores = dict[str, float | None]


@dataclass(frozen=True)
class Repeats:
    """Findings of one face: of the photo as it is, and of its perturbed copies."""

    path: Path
    original: dict[str, Finding]
    copies: list[dict[str, Finding]]
    lost: int  # copies that were refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=80, help="faces of each half")
    parser.add_argument("--draws", type=int, default=8, help="perturbed copies of each face")
    parser.add_argument("--write", action="store_true", help="fit on the tuning half and write calibration.json")
    options = parser.parse_args()
    if options.write:
        fitted = deviations(repeat(choose(options.faces, held_out=False), options.draws))
        write(fitted, f"python -m benchmarks.repeatability --write --faces {options.faces} --draws {options.draws}")
        calibration.document.cache_clear()
        calibration.formulas.cache_clear()
    repeats = repeat(choose(options.faces, held_out=True), options.draws)
    table = [verdict(name, repeats) for name in CONDITIONS]
    print_table(table, repeats)
    print(f"written to {dataset.write('repeatability', table)}")


def choose(faces: int, *, held_out: bool) -> list[Path]:
    rng = np.random.default_rng(dataset.SEED)
    chosen: list[Path] = []
    for pattern, share in SOURCES.items():
        paths = [path for path in dataset.pictures(pattern) if dataset.held_out(path) == held_out]
        count = min(len(paths), round(share * faces))
        chosen += [paths[i] for i in sorted(rng.choice(len(paths), count, replace=False))]
    return chosen


def repeat(paths: Sequence[Path], draws: int) -> list[Repeats]:
    """Analyse every picture and `draws` perturbed copies; pictures that are refused as they are are left out."""
    rng = np.random.default_rng(dataset.SEED)
    kept = []
    for path in dataset.progress(paths, "repeatability"):
        rgb = enlarged(path)
        original = analyse(encode(rgb, 95))
        if original is None:
            continue
        copies = [analyse(perturb(rgb, rng)) for _ in range(draws)]
        found = [copy for copy in copies if copy is not None]
        kept.append(Repeats(path, original, found, draws - len(found)))
    return kept


def enlarged(path: Path) -> Rgb:
    rgb = dataset.load(path).rgb
    return cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) if "utkface" in path.parts else rgb


def perturb(rgb: Rgb, rng: np.random.Generator) -> bytes:
    """A JPEG of the same face under random conditions (see the head of this file)."""
    height, width = rgb.shape[:2]
    scale = rng.uniform(*SCALE)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-TURN_DEG, TURN_DEG), scale)
    turn[:, 2] += np.array([width, height]) * (scale - 1) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * width
    if scale < 0.9:
        rgb = cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale)
    size = (round(width * scale), round(height * scale))
    copy = cv2.warpAffine(rgb, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    copy = np.clip(copy * rng.uniform(1 - EXPOSURE, 1 + EXPOSURE), 0, 255).astype(np.uint8)
    return encode(copy[:, ::-1] if rng.random() < 0.5 else copy, int(rng.integers(*QUALITY)))


def encode(rgb: Rgb, quality: int) -> bytes:
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def analyse(data: bytes) -> dict[str, Finding] | None:
    report = pipeline.analyze_photo(data, Ensemble())
    return None if report.error_code else {finding.name: finding for finding in report.findings}


def scores(name: str, repeats: Repeats) -> list[float]:
    """Scores of the copies in which the condition was measured."""
    return [copy[name].score for copy in repeats.copies if copy[name].score is not None]  # type: ignore[misc]


def deviations(repeats: Sequence[Repeats]) -> dict[str, list[list[float]]]:
    """Condition → (score, sd) pairs: how far a repeated score lies from the first one, by the first score."""
    return {
        name: pooled([(first, scores(name, face)) for face, first in measured(name, repeats)]) for name in CONDITIONS
    }


def measured(name: str, repeats: Sequence[Repeats]) -> list[tuple[Repeats, float]]:
    """Faces on which the condition was measured, with its score on the photo as it is."""
    firsts = [(face, face.original[name].score) for face in repeats]
    return [(face, first) for face, first in firsts if first is not None and scores(name, face)]


def pooled(faces: Sequence[tuple[float, Sequence[float]]]) -> list[list[float]]:
    """Root mean square difference of repeated scores from the first, between neighbouring score edges."""
    firsts = np.array([first for first, _ in faces])
    squares = np.array([np.mean((np.array(repeated) - first) ** 2) for first, repeated in faces])
    bins = [(low, high, (firsts >= low) & (firsts <= high)) for low, high in pairwise(SCORE_EDGES)]
    pairs = [((low + high) / 2, squares[inside]) for low, high, inside in bins if inside.sum() >= LEAST_FACES]
    return [[round(score, 3), round(max(float(np.sqrt(part.mean())), LEAST_SD), 4)] for score, part in pairs]


def write(fitted: dict[str, list[list[float]]], command: str) -> None:
    """Put the fitted deviations into calibration.json, leaving everything else as it stands."""
    text = calibration.PATH.read_text(encoding="utf-8")
    for name, pairs in fitted.items():
        entry = json.dumps({"sd": pairs, "source": f"tuning half, {command}"})
        pattern = re.compile(rf'("formula": "{name}-\d+".*?"repeatability": )\{{.*?\}}', re.DOTALL)
        text, count = pattern.subn(lambda match, entry=entry: match.group(1) + entry, text, count=1)
        if count != 1:
            raise SystemExit(f"{calibration.PATH}: no repeatability entry of {name} found")
    json.loads(text)
    calibration.PATH.write_text(text, encoding="utf-8")


def verdict(name: str, repeats: Sequence[Repeats]) -> dict[str, Any]:
    """How intervals and confidences of the originals hold on the copies."""
    rows = [(face.original[name], face) for face in repeats if face.original[name].score is not None]
    inside, same, claimed, spread, missing, total = [], [], [], [], 0, 0
    for finding, face in rows:
        values = scores(name, face)
        total += len(face.copies)
        missing += len(face.copies) - len(values)
        low, high = finding.interval or (0.0, 1.0)
        inside += [low <= value <= high for value in values]
        words = [copy[name].severity for copy in face.copies if copy[name].score is not None]
        same += [word == finding.severity for word in words]
        claimed += [finding.confidence] * len(words)
        spread += [float(np.std(values, ddof=1))] if len(values) > 2 else []
    return {
        "condition": name,
        "faces": len(rows),
        "copies": len(inside),
        "not measured again": missing / max(total, 1),
        "median sd": float(np.median(spread)) if spread else None,
        "90 % sd": float(np.quantile(spread, 0.9)) if spread else None,
        "inside 95 % interval": float(np.mean(inside)) if inside else None,
        "same severity": float(np.mean(same)) if same else None,
        "claimed confidence": float(np.mean(claimed)) if claimed else None,
    }


def print_table(table: Sequence[dict[str, Any]], repeats: Sequence[Repeats]) -> None:
    lost, copies = sum(face.lost for face in repeats), sum(face.lost + len(face.copies) for face in repeats)
    print(f"held-out half: {len(repeats)} faces analysed, {lost} of {copies} perturbed copies refused")
    columns = list(table[0])[1:]
    print("| condition | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for row in table:
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in (row[key] for key in columns)]
        print(f"| {row['condition']} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
