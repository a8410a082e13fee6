"""Wrinkles, under-eye, texture and pores against what labels there are.

    python -m benchmarks.tables.structure            # held-out half, about 6 minutes
    python -m benchmarks.tables.structure --tuning   # the half that anchors and thresholds were chosen on

Three ways to the skin are kept apart: `service` (the face finder of the service), `teacher` (landmarks of a larger
network) and `labels` (dark_circles only: a mean face laid over the labelled boxes, since many of its pictures show
little but eyes).

- Wrinkles: dermalscan4 wrinkles against clear_skin, at one common resolution and blur, because the clear pictures are
  larger and size alone would tell the classes; rank correlation with the age of UTKFace adults, size gate off (128 px).
- Under-eye: rank correlation with the worst grade among a picture's labels, gate off; puffiness against clear faces.
- Texture and pores have no graded labels: pock scars and blackheads of closeups against each other (one source) and
  against cheeks of clear faces (two sources: sharpness alone tells them apart), as patches of face scale; and age.
  Sanity only.
- How far each score moves under JPEG compression and another size of the same photo.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry, roi
from analyzer.conditions import pores, texture, under_eye, wrinkles
from analyzer.roi import Roi
from analyzer.values import Box, Face, Finding, Mask, Photo, Rgb
from benchmarks import dataset

COMMON_PX = 128  # side to which the 512 px crop is reduced: the largest that small and large pictures share
COMMON_BLUR_PX = 2.6  # working px to which sharper crops are blurred
LEAST_GROUP = 20  # pictures
ADULTS = 1000  # pictures drawn from UTKFace
GRADES = {3: 0, 1: 1, 2: 2, 0: 3}  # class of dark_circles → none, low, moderate, high
CLOSE_UPS = ("bopeng", "komedo")  # pock scars, blackheads
PATCH_PX = 112  # working px, side of a patch of cheek
CLEAR_SCALE = 1.5  # working px per original px up to which a clear face shows its texture
MEASURES: Mapping[str, Callable[..., Finding]] = {
    "wrinkles": wrinkles.measure,
    "under_eye": under_eye.measure,
    "texture": texture.measure,
    "pores": pores.measure,
}
WAYS: Mapping[str, Callable[[Path], Roi | None]] = {"service": dataset.service_roi, "teacher": dataset.teacher_roi}
PERTURBED = 40  # faces for the table of perturbations
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One picture: its label, what was measured (None: refused), and what trivial baselines see."""

    label: float
    value: float | None
    group: str
    tone: str
    baselines: Mapping[str, float]


def rows(tuning: bool = False) -> list[Row]:
    """All figures of the table; `tuning` takes the other half of the pictures."""
    table = [
        row for part in (_wrinkles, _ages, _under_eye, _puffiness, _patches, _perturbations) for row in part(tuning)
    ]
    split = "tuning" if tuning else "held-out"
    return [{"split": "both" if "both halves" in row["figure"] else split, **row} for row in table]


def common_resolution(face: Roi) -> Roi:
    """The crop as a picture of a small face would give it: same size and blur for all."""
    small = cv2.resize(face.rgb, (COMMON_PX, COMMON_PX), interpolation=cv2.INTER_AREA)
    rgb = cv2.resize(small, (geometry.SIZE, geometry.SIZE), interpolation=cv2.INTER_CUBIC)
    blur_px = _with_rgb(face, rgb).edge_blur_px
    if blur_px < COMMON_BLUR_PX:
        rgb = cv2.GaussianBlur(rgb, (0, 0), float(np.sqrt(COMMON_BLUR_PX**2 - blur_px**2)))
    return _with_rgb(face, rgb)


def grades(path: Path) -> list[tuple[int, Box]]:
    """Grade 0..3 and box in picture pixels of each label of a dark_circles picture."""
    height, width = dataset.load(path).rgb.shape[:2]
    found = []
    for line in (path.parent.parent / "labels" / f"{path.stem}.txt").read_text().splitlines():
        kind, x, y, w, h = (float(part) for part in line.split()[:5])
        found.append((GRADES[int(kind)], Box((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)))
    return found


def labelled_roi(path: Path) -> Roi | None:
    """Mean face whose under-eye crescents lie on the labelled boxes; with a single box only that eye is kept."""
    boxes = sorted((box for _, box in grades(path)), key=lambda box: box.x)
    photo, points = dataset.load(path), _mean_face()
    crescents = [under_eye.crescent(points[under_eye.EYES[side]]) for side in ("left", "right")]
    centres = np.array([(crescent.min(axis=0) + crescent.max(axis=0)) / 2 for crescent in crescents])
    targets = np.array([boxes[0].centre, boxes[-1].centre])
    if len(boxes) > 1:
        matrix = _similarity(centres, targets)
    else:
        zoom = boxes[0].width / float(np.ptp(crescents[0][:, 0]))
        matrix = np.array([[zoom, 0, 0], [0, zoom, 0]])
        matrix[:, 2] = targets[0] - zoom * centres[0]
    landmarks = {name: geometry.transform(matrix, group) for name, group in points.items()}
    face = roi.extract(photo, dataset.teacher_face(np.concatenate([landmarks[name] for name in geometry.GROUPS])))
    return face if len(boxes) > 1 else _left_half(face)


def cheek_patches(face: Roi) -> list[Rgb]:
    """Squares of `PATCH_PX` from the middle of each cheek that is bare enough."""
    patches = []
    for side in ("left", "right"):
        area = face.regions[f"{side}_cheek"]
        if area.sum() < PATCH_PX**2 / 2:
            continue
        y, x = np.argwhere(area).mean(axis=0).astype(int) - PATCH_PX // 2
        window = slice(max(y, 0), y + PATCH_PX), slice(max(x, 0), x + PATCH_PX)
        if area[window].mean() > 0.9 and area[window].size == PATCH_PX**2:
            patches.append(face.rgb[window])
    return patches


def patch_roi(rgb: Rgb) -> Roi:
    """A patch, brought to the size of a cheek and repeated in mirror image over the crop, so that it has no edges."""
    patch = cv2.resize(rgb, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA)
    times = -(-geometry.SIZE // (2 * PATCH_PX))
    row = np.concatenate([patch, patch[:, ::-1]] * times, axis=1)
    whole = np.concatenate([row, row[::-1]] * times)[: geometry.SIZE, : geometry.SIZE]
    return roi.from_parts(np.ascontiguousarray(whole), np.ones(whole.shape[:2], bool), {})


def _wrinkles(tuning: bool) -> list[Row]:
    """Wrinkled against clear faces; the class is small, so both halves together are given beside the half."""
    table = []
    for way in WAYS:
        for name, view in (("one common resolution", common_resolution), ("own resolution", None)):
            cases = {
                half: [
                    _case(path, way, wrinkles.measure, label, view=view)
                    for label, folder in enumerate(("clear_skin", "wrinkles"))
                    for path in _chosen(f"dermalscan4/{folder}/*", half)
                ]
                for half in (tuning, not tuning)
            }
            title = f"AUC of wrinkles against clear, {name}, {way}"
            table.append(_row("wrinkles", title, dataset.auc, cases[tuning], 0.85))
            table.append(_row("wrinkles", f"{title}, both halves", dataset.auc, [*cases[True], *cases[False]], 0.85))
    return table


def _ages(tuning: bool) -> list[Row]:
    """Rank correlation with age, over all, per race and per tone, for wrinkles; over all for texture."""
    adults = [path for path in _chosen("utkface/*", tuning) if 20 <= _age(path) <= 80]
    drawn = [adults[index] for index in np.random.default_rng(dataset.SEED).permutation(len(adults))[:ADULTS]]
    table = []
    for way, find in WAYS.items():
        pairs = [(path, find(path)) for path in dataset.progress(drawn, f"age, {way}")]
        cases = [_assessed(path, face, wrinkles.measure, _age(path)) for path, face in pairs]
        table.append(_row("wrinkles", f"Spearman with age 20 to 80, gate off, {way}", dataset.spearman, cases, 0.3))
        for group in (*dataset.RACES, *(f"{tone} skin" for tone in dataset.TONES)):
            part = [case for case in cases if group in (case.group, case.tone)]
            title = f"Spearman with age 20 to 80, gate off, {way}, {group}"
            table += [_row("wrinkles", title, dataset.spearman, part, 0.3)] if _enough(part) else []
        rough = [_assessed(path, face, texture.measure, _age(path)) for path, face in pairs]
        table.append(_row("texture", f"Spearman with age 20 to 80, gate off, {way}", dataset.spearman, rough, None))
    return table


def _under_eye(tuning: bool) -> list[Row]:
    table = []
    for way, find in (("service", dataset.service_roi), ("labels", labelled_roi)):
        for scope, chosen in (
            ("", _chosen("dark_circles/images/*", tuning)),
            (", both halves", dataset.pictures("dark_circles/images/*")),
        ):
            cases = [
                _assessed(path, find(path), under_eye.measure, max(grade for grade, _ in grades(path)))
                for path in chosen
            ]
            title = f"Spearman with the worst dark-circles grade, gate off, {way}{scope}"
            table.append(_row("under_eye", title, dataset.spearman, cases, 0.4))
    return table


def _puffiness(tuning: bool) -> list[Row]:
    """Puffy eyes against clear faces, by the puffiness in the evidence and by the score."""
    paths = [
        (path, label)
        for label, folder in enumerate(("clear_skin", "puffy_eyes"))
        for path in dataset.pictures(f"dermalscan4/{folder}/*")
    ]
    table = []
    for title, key in (("puffiness", "puffiness_percent"), ("under-eye score", "raw")):
        cases = [_case(path, "teacher", under_eye.measure, label, key=key) for path, label in paths]
        table.append(
            _row(
                "under_eye",
                f"AUC of puffy eyes against clear by {title}, gate off, teacher, both halves",
                dataset.auc,
                cases,
                None,
            )
        )
    return table


def _patches(tuning: bool) -> list[Row]:
    """Close-ups against cheeks of clear faces, both as patches of the same size."""
    faces = [dataset.teacher_roi(path) for path in _chosen("dermalscan4/clear_skin/*", tuning)]
    clear = [patch for face in faces if face is not None and face.scale <= CLEAR_SCALE for patch in cheek_patches(face)]
    patches = {
        folder: [dataset.load(path).rgb for path in _chosen(f"closeups/{folder}/*", tuning)] for folder in CLOSE_UPS
    }
    contests = [("texture", "bopeng"), ("texture", "komedo"), ("pores", "komedo"), ("pores", "bopeng")]
    table = [
        _contest(name, patches[folder], clear, f"{folder} close-ups against cheeks of clear faces, two sources")
        for name, folder in contests
    ]
    for name, folder, other in (("texture", "bopeng", "komedo"), ("pores", "komedo", "bopeng")):
        table.append(_contest(name, patches[folder], patches[other], f"{folder} against {other} close-ups, one source"))
    return table


def _contest(name: str, affected: Sequence[Rgb], others: Sequence[Rgb], title: str) -> Row:
    cases = [_patch_case(patch, MEASURES[name], 0) for patch in others]
    cases += [_patch_case(patch, MEASURES[name], 1) for patch in affected]
    return _row(name, f"AUC of {title}, as patches", dataset.auc, cases, None)


def _perturbations(tuning: bool) -> list[Row]:
    """Mean change and mean absolute change of each score when the same photo is compressed or resized."""
    sources = (
        _chosen("acne04/levle[01]*.jpg", tuning)[: PERTURBED // 2],
        _chosen("dermalscan4/*/*", tuning)[: PERTURBED // 2],
    )
    paths = [path for source in sources for path in source if dataset.teacher_landmarks(path) is not None]
    changes: dict[tuple[str, str], list[float]] = {}
    lost: dict[tuple[str, str], int] = {}
    for path in dataset.progress(paths, "perturbations"):
        photo, face = dataset.load(path), dataset.teacher_face(_teacher(path))
        before = _scores(roi.extract(photo, face))
        for kind, (rgb, zoom) in _copies(photo.rgb).items():
            copy = Photo(rgb, (rgb.shape[1], rgb.shape[0]), 1.0, photo.media_type)
            after = _scores(roi.extract(copy, face.scaled(zoom)))
            for name, score in before.items():
                if score is not None and (changed := after[name]) is not None:
                    changes.setdefault((name, kind), []).append(changed - score)
                elif score is not None:
                    lost[name, kind] = lost.get((name, kind), 0) + 1
    return [
        {
            "table": name,
            "figure": f"mean absolute change of the score, {kind}, teacher",
            "value": float(np.mean(np.abs(values))),
            "interval": dataset.interval(lambda column: float(np.mean(np.abs(column))), values),
            "n": len(values),
            "n_refused": lost.get((name, kind), 0),
            "target": None,
            "baselines": {"mean change": float(np.mean(values))},
        }
        for (name, kind), values in sorted(changes.items())
    ]


def _chosen(pattern: str, tuning: bool) -> list[Path]:
    return [path for path in dataset.pictures(pattern) if dataset.held_out(path) != tuning]


def _case(
    path: Path,
    way: str,
    measure: Callable[..., Finding],
    label: float,
    *,
    view: Callable[[Roi], Roi] | None = None,
    key: str = "raw",
) -> Case:
    face = WAYS[way](path)
    return _assessed(path, face if face is None or view is None else view(face), measure, label, key=key)


def _assessed(path: Path, face: Roi | None, measure: Callable[..., Finding], label: float, *, key: str = "raw") -> Case:
    """Gate off; no face counts as refused."""
    race = dataset.race(path)
    if face is None:
        return Case(label, None, race, "", {})
    baselines = {
        "mean L*": float(face.baseline_lab[0]),
        "picture size": float(dataset.picture_size(path)),
        "sharpness": dataset.sharpness(face),
        "minus blur": -face.edge_blur_px,
    }
    return Case(label, measure(face, gate=False).evidence.get(key), race, f"{dataset.tone_group(face)} skin", baselines)


def _patch_case(patch: Rgb, measure: Callable[..., Finding], label: float) -> Case:
    whole = patch_roi(patch)
    baselines = {
        "mean L*": float(whole.lab[..., 0].mean()),
        "sharpness": dataset.sharpness(whole),
    }
    return Case(label, measure(whole, gate=False).evidence.get("raw"), "", "", baselines)


def _row(table: str, figure: str, statistic: Callable[..., float], cases: Sequence[Case], target: float | None) -> Row:
    seen = [case for case in cases if case.value is not None]
    values, labels = [float(case.value or 0.0) for case in seen], [case.label for case in seen]
    names = sorted({name for case in seen for name in case.baselines})
    columns = {name: [case.baselines[name] for case in seen] for name in names}
    return {
        "table": table,
        "figure": figure,
        "value": statistic(values, labels),
        "interval": dataset.interval(statistic, values, labels),
        "n": len(seen),
        "n_refused": len(cases) - len(seen),
        "target": target,
        "baselines": {name: statistic(column, labels) for name, column in columns.items() if len(set(column)) > 1},
    }


def _scores(face: Roi) -> dict[str, float | None]:
    return {name: measure(face).score for name, measure in MEASURES.items()}


def _copies(rgb: Rgb) -> dict[str, tuple[Rgb, float]]:
    """Kind of perturbation → the picture and its zoom."""
    copies = {f"JPEG quality {quality}": (_compressed(rgb, quality), 1.0) for quality in (60, 75, 90)}
    for zoom in (0.7, 1.3):
        interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        copies[f"scale {zoom}"] = cv2.resize(rgb, None, fx=zoom, fy=zoom, interpolation=interpolation), zoom
    return copies


def _compressed(rgb: Rgb, quality: int) -> Rgb:
    data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _with_rgb(face: Roi, rgb: Rgb) -> Roi:
    return _copy(face, rgb, face.skin.copy())


def _left_half(face: Roi) -> Roi:
    """Without skin on the picture's right: a single labelled eye is laid on the left one."""
    skin = face.skin.copy()
    skin[:, int(face.landmarks["nose"][:, 0].mean()) :] = False
    return _copy(face, face.rgb.copy(), skin)


def _copy(face: Roi, rgb: Rgb, skin: Mask) -> Roi:
    landmarks = {name: points.copy() for name, points in face.landmarks.items()}
    return roi.from_parts(
        rgb, skin, landmarks, to_original=face.to_original.copy(), scale=face.scale, yaw_deg=face.yaw_deg
    )


def _mean_face() -> dict[str, NDArray[np.float32]]:
    eyes = np.array([[160, 180], [240, 180]], np.float32)
    points = geometry.predict_landmarks(Face(Box(100, 100, 200, 200), 1.0, eyes, 0.0, "mean"))
    return {name: geometry.transform(geometry.align(points), group) for name, group in points.items()}


def _similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.floating]:
    """(2, 3) turn, zoom and shift that takes two points to two others."""
    before, after = (complex(*(points[1] - points[0])) for points in (source, target))
    turn = after / before
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    matrix[:, 2] = target[0] - matrix[:, :2] @ source[0]
    return matrix


def _teacher(path: Path) -> NDArray[np.float32]:
    points = dataset.teacher_landmarks(path)
    assert points is not None
    return points


def _age(path: Path) -> int:
    return int(path.stem.split("_")[0])


def _enough(cases: Sequence[Case]) -> bool:
    return sum(case.value is not None for case in cases) >= LEAST_GROUP


def _print(table: Sequence[Row]) -> None:
    for row in table:
        span = "[{:.3f}, {:.3f}]".format(*row["interval"])
        counts = f"n {row['n']:>4}  refused {row['n_refused']}"
        print(f"{row['table']:<10}{row['figure']:<84} {row['value']:>6.3f} {span:<16} {counts}")
        print("    " + ", ".join(f"{name} {value:.2f}" for name, value in row["baselines"].items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Accuracy of wrinkles, under-eye, texture and pores.")
    parser.add_argument("--tuning", action="store_true", help="the half that thresholds were chosen on")
    options = parser.parse_args()
    result = rows(options.tuning)
    _print(result)
    dataset.write("structure_tuning" if options.tuning else "structure", result)
