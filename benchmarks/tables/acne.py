"""Acne: score against ACNE04 severity, single spots against its boxes, false alarms on young UTKFace adults.

    python -m benchmarks.tables.acne            # held-out half, about 4 minutes
    python -m benchmarks.tables.acne --tuning   # the half that anchors and thresholds were chosen on

Three ways to the skin are kept apart: `service` (the face finder of the service), `teacher` (landmarks of a larger
network) and `close-up` (pictures in which the teacher sees no face; the middle of the picture, without landmarks).
Severity 0..3 stands in ACNE04's file names; its boxes are generous: a spot counts as found when overlap or centre fit.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer.conditions import acne
from analyzer.roi import Roi
from analyzer.values import Box, Finding, Severity
from benchmarks import dataset

TARGET_RANK = 0.65  # Spearman of score and severity
TARGET_FALSE_ALARMS = 0.05  # share of adults aged 20 to 35 with severity moderate or high
TARGET_SCORED = 0.90  # share of visible faces of each severity that get a score
LEAST_GROUP = 20  # pictures
LEAST_OVERLAP = 0.2  # IoU at which a box counts as found
YOUNG_ADULTS = 800  # pictures drawn from UTKFace
ALARMS = (Severity.MODERATE, Severity.HIGH)
Row = dict[str, Any]
Measures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One measured picture: what was found on it, and what a trivial baseline sees."""

    path: Path
    finding: Finding
    tone: str
    baselines: Measures

    @property
    def severity(self) -> int:
        return int(self.path.name[5])


def rows(tuning: bool = False) -> list[Row]:
    """All figures of the table; `tuning` takes the other half of the pictures."""
    split = "tuning" if tuning else "held-out"
    chosen = [path for path in dataset.pictures("acne04/*") if dataset.held_out(path) != tuning]
    faceless = [path for path in chosen if dataset.teacher_landmarks(path) is None]
    service = _cases(chosen, dataset.service_roi, "service")
    teacher = _cases([path for path in chosen if path not in set(faceless)], dataset.teacher_roi, "teacher")
    close_up = _cases(faceless, dataset.close_up_roi, "close-up")
    table = _severity_rows("service", service, chosen) + _severity_rows("teacher", teacher, chosen)
    table += _severity_rows("close-up", close_up, faceless)
    visible = [path for path in chosen if path not in set(faceless) or dataset.is_marked_face(path)]
    table += [_coverage_row("service, visible faces", _measured(service), visible, level) for level in range(4)]
    table += _spot_rows("service", service) + _spot_rows("teacher", teacher)
    table += _false_alarm_rows(tuning)
    return [{"table": "acne", "split": split, **row} for row in table]


def boxes(path: Path) -> list[Box]:
    """ACNE04's boxes of lesions in picture pixels."""
    found = ElementTree.parse(path.with_suffix(".xml")).iter("bndbox")
    corners = [[float(box.findtext(key, "nan")) for key in ("xmin", "ymin", "xmax", "ymax")] for box in found]
    return [Box(left, top, right - left, bottom - top) for left, top, right, bottom in corners]


def agrees(spot: Box, box: Box) -> bool:
    """Overlap (IoU) of at least `LEAST_OVERLAP`, or the spot's centre inside the box."""
    x, y = spot.centre
    if box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height:
        return True
    across = min(spot.x + spot.width, box.x + box.width) - max(spot.x, box.x)
    down = min(spot.y + spot.height, box.y + box.height) - max(spot.y, box.y)
    shared = max(across, 0.0) * max(down, 0.0)
    return shared >= LEAST_OVERLAP * (spot.area + box.area - shared)


def _cases(paths: Sequence[Path], find: Callable[[Path], Roi | None], label: str, gate: bool = True) -> list[Case]:
    cases = []
    for path in dataset.progress(paths, f"acne, {label}"):
        roi = find(path)
        if roi is not None:
            cases.append(Case(path, acne.measure(roi, gate=gate), dataset.tone_group(roi), _baselines(path, roi)))
    return cases


def _baselines(path: Path, roi: Roi) -> Measures:
    skin = roi.lab[roi.skin] if roi.skin.any() else roi.lab.reshape(-1, 3)
    rgb = dataset.load(path).rgb
    frame = cv2.cvtColor(cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    return {
        "mean a* of the skin": float(skin[:, 1].mean()),
        "mean a* of the frame": float(frame[..., 1].mean()),
        "mean L* of the skin": float(skin[:, 0].mean()),
        "sharpness": dataset.sharpness(roi),
        "picture size": float(dataset.picture_size(path)),
    }


def _severity_rows(way: str, cases: Sequence[Case], pictures: Sequence[Path]) -> list[Row]:
    """Rank correlation with severity, over all and per tone; coverage and agreement of the severity words."""
    measured = _measured(cases)
    tones = {tone: [case for case in measured if case.tone == tone] for tone in dataset.TONES}
    table = [_rank_row(f"Spearman of score and severity, {way}", measured, len(pictures), baselines=True)]
    table += [
        _rank_row(f"Spearman of score and severity, {way}, {tone} skin", group, None)
        for tone, group in tones.items()
        if len(group) >= LEAST_GROUP
    ]
    return (
        table + [_coverage_row(way, measured, pictures, level) for level in range(4)] + [_confusion_row(way, measured)]
    )


def _rank_row(figure: str, cases: Sequence[Case], pictures: int | None, baselines: bool = False) -> Row:
    scores = [case.finding.evidence["raw"] for case in cases]
    truth = [case.severity for case in cases]
    row: Row = {
        "figure": figure,
        "value": dataset.spearman(scores, truth),
        "interval": dataset.interval(dataset.spearman, scores, truth),
        "n": len(cases),
        "n_refused": None if pictures is None else pictures - len(cases),
        "target": TARGET_RANK,
    }
    if baselines:
        names = [name for name in cases[0].baselines if len({case.baselines[name] for case in cases}) > 1]
        row["baselines"] = {name: dataset.spearman([case.baselines[name] for case in cases], truth) for name in names}
    return row


def _measured(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.finding.score is not None]


def _coverage_row(way: str, measured: Sequence[Case], pictures: Sequence[Path], level: int) -> Row:
    """Share of the pictures of one severity that got a score; faces count as visible by the teacher or by marks."""
    of_level = {path for path in pictures if int(path.name[5]) == level}
    total, scored = len(of_level), sum(case.path in of_level for case in measured)
    return {
        "figure": f"scored, severity {level}, {way}",
        "value": scored / total if total else None,
        "n": scored,
        "n_refused": total - scored,
        "target": TARGET_SCORED if "visible" in way else None,
    }


def _confusion_row(way: str, measured: Sequence[Case]) -> Row:
    """Share of pictures whose severity word fits: 0 none or minimal, 1 low, 2 moderate, 3 high."""
    words = {severity.value: min(max(step - 1, 0), 3) for step, severity in enumerate(Severity)}
    counts = Counter((case.severity, case.finding.severity.value) for case in measured)
    right = sum(count for (level, word), count in counts.items() if words[word] == level)
    near = sum(count for (level, word), count in counts.items() if abs(words[word] - level) <= 1)
    most = max(Counter(case.severity for case in measured).values())
    return {
        "figure": f"severity word as labelled, {way}",
        "value": right / len(measured),
        "n": len(measured),
        "within_one": near / len(measured),
        "baselines": {"the most frequent severity": most / len(measured)},
        "confusion": {f"severity {level}": {word: counts[level, word] for word in words} for level in range(4)},
    }


def _spot_rows(way: str, cases: Sequence[Case]) -> list[Row]:
    """Precision and recall of single spots; recall over all boxes of the picture, visible skin or not."""
    table = np.zeros((len(cases), 4))  # right spots, spots, found boxes, boxes
    for number, case in enumerate(cases):
        spots, truth = [lesion.box for lesion in case.finding.lesions], boxes(case.path)
        right = sum(any(agrees(spot, box) for box in truth) for spot in spots)
        found = sum(any(agrees(spot, box) for spot in spots) for box in truth)
        table[number] = right, len(spots), found, len(truth)
    return [
        _share_row(f"spots that lie on a labelled lesion, {way}", table[:, 0], table[:, 1]),
        _share_row(f"labelled lesions that were found, {way}", table[:, 2], table[:, 3]),
    ]


def _share_row(figure: str, part: np.ndarray, whole: np.ndarray) -> Row:
    def share(part: np.ndarray, whole: np.ndarray) -> float:
        return float(part.sum() / whole.sum())

    return {
        "figure": figure,
        "value": share(part, whole),
        "interval": dataset.interval(share, part, whole),
        "n": int(whole.sum()),
    }


def _false_alarm_rows(tuning: bool) -> list[Row]:
    """Young adults of UTKFace, 128 px, so the size gate is off: how often is acne called moderate or worse?"""
    young = [path for path in dataset.pictures("utkface/*") if 20 <= int(path.name.split("_")[0]) <= 35]
    young = [path for path in young if dataset.held_out(path) != tuning]
    drawn = np.random.default_rng(dataset.SEED).permutation(len(young))[:YOUNG_ADULTS]
    cases = _cases([young[index] for index in drawn], dataset.teacher_roi, "young adults", gate=False)
    cases = [case for case in cases if case.finding.score is not None]
    groups = {"all": cases}
    for race in dataset.RACES:
        groups[race] = [case for case in cases if dataset.race(case.path) == race]
    for tone in dataset.TONES:
        groups[f"{tone} skin"] = [case for case in cases if case.tone == tone]
    return [
        _alarm_row(name, group, len(drawn) - len(cases) if name == "all" else None)
        for name, group in groups.items()
        if len(group) >= LEAST_GROUP
    ]


def _alarm_row(name: str, cases: Sequence[Case], refused: int | None) -> Row:
    alarms = np.array([case.finding.severity in ALARMS for case in cases], float)
    return {
        "figure": f"moderate or worse on UTKFace aged 20 to 35, size gate off, {name}",
        "value": float(alarms.mean()),
        "interval": dataset.interval(lambda column: float(np.mean(column)), alarms),
        "n": len(cases),
        "n_refused": refused,
        "target": TARGET_FALSE_ALARMS,
        "low_or_worse": float(np.mean([case.finding.detected for case in cases])),
    }


def _print(table: Sequence[Row]) -> None:
    for row in table:
        value = "-" if row["value"] is None else f"{row['value']:.3f}"
        span = "[{:.3f}, {:.3f}]".format(*row["interval"]) if "interval" in row else ""
        print(f"{row['figure']:<78} {value:>6} {span:<16} n {row['n']:>5}  refused {row.get('n_refused', '-')}")
        for name in ("baselines", "within_one", "low_or_worse"):
            if name in row:
                print(f"    {name}: {row[name]}")
        for level, words in row.get("confusion", {}).items():
            print(f"    {level}: {words}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Accuracy of the acne score.")
    parser.add_argument("--tuning", action="store_true", help="the half that thresholds were chosen on")
    result = rows(parser.parse_args().tuning)
    _print(result)
    dataset.write("acne", result)
