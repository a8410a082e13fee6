"""Redness, dark spots and uneven pigment: each against pictures of the same source that show another disorder.

    python -m benchmarks.tables.colour            # held-out half, about 2 minutes
    python -m benchmarks.tables.colour --tuning   # the half that formulas and anchors were chosen on
    python -m benchmarks.tables.colour --whole    # both halves together: more pictures, narrower intervals

Negatives come from the same source as positives, since the colour of a frame tells sources apart. The pictures of
dermnet_facial used here hold no whole face (a large landmark network finds none in any of them), so every one is measured
through its whole frame, without the corner that carries the watermark; what the service's finder takes for a face
in some of them is kept apart in rows of its own. The pictures of dermalscan4 differ in size by class and are first brought to
one resolution. All are measured with the gate off: their physical scale is unknown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer import face, geometry, roi, skin
from analyzer.conditions import dark_spots, pigmentation, redness
from analyzer.roi import Roi
from analyzer.values import Finding, Photo
from benchmarks import dataset

TARGET = 0.85  # area under the ROC curve
COMMON_PX = 160  # short side that dermalscan4 is brought to; a few of its pictures are 130 px
WATERMARK = (slice(385, 512), slice(0, 120))  # rows and columns of the 512 px frame
LEAST_GROUP = 20  # pictures
DERMNET = ("rosacea", "melasma", "solar_lentigo")
DERMALSCAN = ("clear_skin", "dark_spot", "puffy_eyes", "wrinkles")
Row = dict[str, Any]
Measure = Callable[..., Finding]


@dataclass(frozen=True)
class Case:
    """One picture seen in one way."""

    path: Path
    roi: Roi
    kind: str
    size_px: int

    @property
    def baselines(self) -> dict[str, float]:
        frame = cv2.resize(self.roi.lab, (64, 64), interpolation=cv2.INTER_AREA)
        return {
            "mean a*": float(frame[..., 1].mean()),
            "mean L*": float(frame[..., 0].mean()),
            "picture size": float(self.size_px),
            "sharpness": dataset.sharpness(self.roi),
        }

    @property
    def tone(self) -> str:
        return dataset.tone_group(self.roi)


def rows(tuning: bool = False, whole: bool = False) -> list[Row]:
    """All figures of the table; `tuning` takes the other half of the pictures, `whole` both."""
    split = "whole" if whole else "tuning" if tuning else "held-out"

    def chosen(source: str, kinds: Sequence[str]) -> list[Path]:
        paths = [path for kind in kinds for path in dataset.pictures(f"{source}/{kind}/*")]
        return [path for path in paths if whole or dataset.held_out(path) != tuning]

    dermnet, scan = chosen("dermnet_facial", DERMNET), chosen("dermalscan4", DERMALSCAN)
    table: list[Row] = []
    frames = _cases(dermnet, _unmarked, "dermnet_facial")
    for way, cases in (("whole frame", frames), ("taken for a face", _cases(dermnet, dataset.service_roi, "finder"))):
        others = ("melasma", "solar_lentigo")
        table += _against("redness", redness.measure, f"rosacea, {way}", cases, ("rosacea",), others, len(dermnet))
        brown, rest = ("melasma", "solar_lentigo"), ("rosacea",)
        table += _against("dark_spots", dark_spots.measure, f"brown, {way}", cases, brown, rest, len(dermnet))
    for brown in ("melasma", "solar_lentigo"):
        table += _against("dark_spots", dark_spots.measure, f"{brown}, whole frame", frames, (brown,), rest, None)
    uneven = ("melasma", "solar_lentigo")
    table += _against("pigmentation", pigmentation.measure, "whole frame", frames, uneven, ("rosacea",), len(dermnet))
    for way, find in (("whole frame", _common_frame), ("service", _common_face), ("teacher", _common_teacher)):
        cases = _cases(scan, find, f"dermalscan4, {way}")
        clear = tuple(kind for kind in DERMALSCAN if kind != "dark_spot")
        table += _against(
            "dark_spots", dark_spots.measure, f"dermalscan4, {way}", cases, ("dark_spot",), clear, len(scan)
        )
    if not tuning:
        table += _subjects()
    return [{"table": "colour", "split": split, **row} for row in table]


def _cases(paths: Sequence[Path], find: Callable[[Path], Roi | None], label: str) -> list[Case]:
    found = ((path, find(path)) for path in dataset.progress(paths, f"colour, {label}"))
    return [Case(path, seen, path.parent.name, dataset.picture_size(path)) for path, seen in found if seen is not None]


def _against(
    name: str,
    measure: Measure,
    label: str,
    cases: Sequence[Case],
    positive: Sequence[str],
    negative: Sequence[str],
    pictures: int | None,
) -> list[Row]:
    """AUC of the positive kinds over the negative ones, beside the baselines; then per tone group."""
    used = [case for case in cases if case.kind in (*positive, *negative)]
    findings = [measure(case.roi, gate=False) for case in used]
    pairs = [(case, finding) for case, finding in zip(used, findings, strict=True) if finding.score is not None]
    title = f"{name} AUC, {label}: {' + '.join(positive)} against {' + '.join(negative)}"
    table = [_auc_row(title, pairs, positive, len(used) if pictures is None else pictures)]
    for tone in dataset.TONES:
        group = [pair for pair in pairs if pair[0].tone == tone]
        if len(group) >= LEAST_GROUP:
            table.append(_auc_row(f"{title}, {tone} skin", group, positive, None))
    return table


def _auc_row(figure: str, pairs: Sequence[tuple[Case, Finding]], positive: Sequence[str], pictures: int | None) -> Row:
    truth = [case.kind in positive for case, _ in pairs]
    row: Row = {"figure": figure, "n": len(pairs), "target": TARGET}
    if pictures is not None:
        row["n_refused"] = pictures - len(pairs)
    if all(truth) or not any(truth):
        return {**row, "value": None}
    raws = [finding.evidence["raw"] for _, finding in pairs]
    known = [case.baselines for case, _ in pairs]
    names = [name for name in known[0] if len({values[name] for values in known}) > 1]
    return row | {
        "value": dataset.auc(raws, truth),
        "interval": dataset.interval(dataset.auc, raws, truth),
        "baselines": {name: dataset.auc([values[name] for values in known], truth) for name in names},
    }


def _subjects() -> list[Row]:
    """skin_defects: redness subjects against the others, front views through the service's own finder, gate on."""
    paths = dataset.pictures("skin_defects/*/*/front.jpg")
    seen = [(path, dataset.service_roi(path)) for path in dataset.progress(paths, "colour, skin_defects")]
    cases = [Case(path, found, path.parts[-3], dataset.picture_size(path)) for path, found in seen if found is not None]
    pairs = [(case, redness.measure(case.roi)) for case in cases]
    pairs = [(case, finding) for case, finding in pairs if finding.score is not None]
    row = _auc_row("redness AUC, skin_defects: redness subjects against the others", pairs, ("redness",), len(paths))
    return [{**row, "target": None}]


def _unmarked(path: Path) -> Roi:
    """The whole frame without the corner of the watermark."""
    seen = dataset.close_up_roi(path)
    mask = seen.skin.copy()
    mask[WATERMARK] = False
    return roi.from_parts(seen.rgb, mask, {}, to_original=seen.to_original, scale=seen.scale)


def _common(path: Path) -> Photo:
    picture = dataset.load(path)
    height, width = picture.rgb.shape[:2]
    factor = COMMON_PX / min(height, width)
    size = (round(width * factor), round(height * factor))
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return Photo(rgb, size, 1.0, picture.media_type)


def _common_frame(path: Path) -> Roi:
    rgb = _common(path).rgb
    top, left = (rgb.shape[0] - COMMON_PX) // 2, (rgb.shape[1] - COMMON_PX) // 2
    side = (geometry.SIZE, geometry.SIZE)
    crop = cv2.resize(rgb[top : top + COMMON_PX, left : left + COMMON_PX], side, interpolation=cv2.INTER_CUBIC)
    return roi.from_parts(crop, skin.segment_close_up(crop), {}, scale=geometry.SIZE / COMMON_PX)


def _common_face(path: Path) -> Roi | None:
    picture = _common(path)
    faces = face.detect(picture.rgb)
    return roi.extract(picture, faces[0]) if faces else None


def _common_teacher(path: Path) -> Roi | None:
    points, picture = dataset.teacher_landmarks(path), _common(path)
    if points is None:
        return None
    width, height = dataset.load(path).original_size
    factors = np.float32([picture.rgb.shape[1] / width, picture.rgb.shape[0] / height])
    return roi.extract(picture, dataset.teacher_face(points * factors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    half = parser.add_mutually_exclusive_group()
    half.add_argument("--tuning", action="store_true", help="the half that numbers were chosen on")
    half.add_argument("--whole", action="store_true", help="both halves")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for row in rows(options.tuning, options.whole):
        value, interval = row["value"], row.get("interval")
        shown = "–" if value is None else f"{value:.3f} ({interval[0]:.2f}–{interval[1]:.2f})"
        baselines = ", ".join(f"{name} {figure:.2f}" for name, figure in row.get("baselines", {}).items())
        print(f"{row['split']}: {row['figure']}: {shown}, n {row['n']}, refused {row.get('n_refused')} | {baselines}")


if __name__ == "__main__":
    main()
