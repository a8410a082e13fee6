"""What an audit has seen -> its folder: audit.html, audit.json, contact sheets as PNG, unreadable.csv."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer.model_card import Metric
from training.auditing.audit_findings import FAULTS, SEVERITIES, Finding, Parts, has_fault, labelled, number
from training.auditing.confounds import Confound
from training.auditing.watermarks import Overlay
from training.command import whole
from training.data.demographics import GROUPINGS, UNKNOWN
from training.data.partition import PARTS
from training.data.prepared import Prepared
from training.reporting import contact_sheet, document
from training.reporting.document import Document, Plot, Section, Table

PAGE, RECORD, UNREAD = "audit.html", "audit.json", "unreadable.csv"
SHEETS: Mapping[str, str] = {  # code of a finding → what its sheet shows
    "two labels": "The same picture under two labels, in a row.",
    "torn apart": "Pictures of one group in several parts.",
    "exact duplicates": "Byte by byte the same, side by side.",
    "near duplicates": "The same pictures but for size, light, compression or a mirror, side by side.",
    "same subject": "Likely one person or lesion, by pairs: kept in one part.",
    **{code: f"Pictures that {fault.said}." for code, fault in FAULTS.items()},
}
IN_PAIRS = tuple(SHEETS)[:5]


@dataclass(frozen=True, eq=False)
class Seen:
    """All that an audit has seen; `matched` are healthy faces before and after they were made like clinical pictures."""

    prepared: Prepared
    classes: Sequence[str]
    parts: Parts | None
    findings: Sequence[Finding]
    confounds: Sequence[Confound]
    overlays: Sequence[Overlay]
    matched: tuple[Prepared, Prepared] | None


def write(seen: Seen, out: Path) -> Path:
    """Write everything into a folder; the path of the page."""
    sheets = [
        *_class_sheet(seen, out),
        *_finding_sheets(seen, out),
        *_overlay_sheet(seen, out),
        *_matched_sheet(seen, out),
    ]
    with whole(out / RECORD) as unfinished:
        unfinished.write_text(json.dumps(record(seen), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if seen.prepared.problems:
        with whole(out / UNREAD) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("path", "line", "reason"))
            rows.writerows((one.path, one.line or "", one.reason) for one in seen.prepared.problems)
    with whole(out / PAGE) as unfinished:
        unfinished.write_text(document.html(page(seen, sheets)), encoding="utf-8")
    return out / PAGE


def record(seen: Seen) -> dict[str, Any]:
    """Everything as JSON: findings with the paths of their pictures."""
    pictures = seen.prepared.pictures
    return {
        "pictures": len(pictures),
        "labelled": len(labelled(seen.prepared)),
        "classes": list(seen.classes),
        "findings": [
            {
                "severity": one.severity,
                "code": one.code,
                "said": one.said,
                "to_do": one.to_do,
                "pictures": [str(pictures[row].path) for row in one.rows],
            }
            for one in seen.findings
        ],
        "confounds": [{**asdict(one), "chance": one.chance, "severity": one.severity} for one in seen.confounds],
        "watermarks": {one.source: {"share": one.share, "is_mark": one.is_mark} for one in seen.overlays},
        "counts": {
            table.head[0]: {row[0]: dict(zip(table.head[1:], row[1:], strict=True)) for row in table.rows}
            for table in _counts(seen)
        },
        "unreadable": [str(problem) for problem in seen.prepared.problems],
    }


def page(seen: Seen, sheets: Sequence[Plot]) -> Document:
    counts = Counter(one.severity for one in seen.findings)
    told = " and ".join(number(counts[name], name, f"{name}s") for name in SEVERITIES[:2])
    sizes = (
        f"{len(seen.prepared.pictures)} pictures, {len(labelled(seen.prepared))} of them in {len(seen.classes)} classes"
    )
    lead = [
        f"{told} in {sizes}.",
        "Errors make figures wrong or training impossible; warnings are to be known when a figure is read.",
    ]
    rows = [(one.severity, one.said, one.to_do) for one in seen.findings]
    by_name = {plot.path.stem: plot for plot in sheets}
    aside = [by_name.pop(name) for name in ("classes", "watermarks", "matched") if name in by_name]
    shown = {plot.path.stem: [plot] for plot in aside}
    return Document(
        "Audit of the pictures",
        lead,
        [
            Section("Findings", tables=[Table(("severity", "found", "what to do"), rows)]),
            Section(
                "What tells class and source without any skin",
                _EXPLAINED,
                _confound_tables(seen),
                shown.get("matched", []),
            ),
            Section(
                "Watermarks", _OVERLAYS, [_overlay_table(seen)] if seen.overlays else [], shown.get("watermarks", [])
            ),
            Section("Classes, sources and people", tables=list(_counts(seen)), plots=shown.get("classes", [])),
            Section("Pictures to look at", plots=list(by_name.values())),
        ],
    )


_EXPLAINED = (
    "Cross-validated classifiers on width, height, aspect, bytes per pixel, brightness, contrast, sharpness and border colour of "
    "whole pictures; groups are never torn apart. Balanced accuracy with its 95 % interval; whether a whole face was cut out is "
    "asked by itself only.",
)
_OVERLAYS = (
    "What all pictures of a source share in the same place of the crop, of pictures without a whole face: their mean, their "
    "deviation (dark where all are alike), and their common fine detail over its standard error.",
)


def _confound_tables(seen: Seen) -> list[Table]:
    if not seen.confounds:
        return []
    ways = list(seen.confounds[0].ways)
    names = list(seen.confounds[0].alone)
    asked = [
        (one.asked, str(one.pictures), f"{one.chance:.2f}", *(_metric(one.ways[way]) for way in ways))
        for one in seen.confounds
    ]
    alone = [(one.asked, *(f"{one.alone[name].value:.2f}" for name in names)) for one in seen.confounds]
    found = [(one.asked, name, _metric(metric)) for one in seen.confounds for name, metric in one.recalls.items()]
    return [
        Table(("asked", "pictures", "chance", *ways), asked, "Balanced accuracy of all statistics together."),
        Table(("asked", *names), alone, "Balanced accuracy of a small tree on one statistic."),
        Table(("asked", "of which", "found"), found, "Share that the better of the two ways finds."),
    ]


def _overlay_table(seen: Seen) -> Table:
    rows = [
        (one.source, str(one.pictures), f"{100 * one.share:.2f} %", "yes" if one.is_mark else "no")
        for one in seen.overlays
    ]
    return Table(("source", "pictures", "share of the crop", "watermark"), rows)


def _counts(seen: Seen) -> Iterator[Table]:
    """Pictures of each class by source, part, quality and people; the first cell of the head says what."""
    rows = labelled(seen.prepared)
    labels = [str(seen.prepared.pictures[row].label) for row in rows]
    yield _crossed("class and source", seen.classes, labels, [seen.prepared.pictures[row].source for row in rows])
    if seen.parts is not None:
        parts = [seen.parts[row] or "none" for row in rows]
        yield _crossed("class and part", seen.classes, labels, parts, order=(*PARTS, "none"))
    faults = [[has_fault(seen.prepared, row, code) for code in FAULTS] for row in rows]
    table = [
        (
            name,
            *(
                str(sum(bad[place] for bad, label in zip(faults, labels, strict=True) if label == name))
                for place in range(len(FAULTS))
            ),
        )
        for name in seen.classes
    ]
    yield Table(("class and fault", *FAULTS), table)
    for attribute, of in GROUPINGS.items():
        values = [of(seen.prepared.pictures[row]) or UNKNOWN for row in rows]
        yield _crossed(f"class and {attribute}", seen.classes, labels, values)


def _crossed(
    name: str, classes: Sequence[str], labels: Sequence[str], values: Sequence[str], order: Sequence[str] = ()
) -> Table:
    counts = Counter(zip(labels, values, strict=True))
    columns = [value for value in order if value in values] or sorted(
        set(values), key=lambda one: (one == UNKNOWN, one)
    )
    return Table((name, *columns), [(label, *(str(counts[label, value]) for value in columns)) for label in classes])


def _class_sheet(seen: Seen, out: Path) -> Iterator[Plot]:
    """Some pictures of each class, from all of its sources."""
    chosen: list[int] = []
    each = max(1, contact_sheet.MOST // max(len(seen.classes), 1))
    for name in seen.classes:
        rows = [row for row in labelled(seen.prepared) if seen.prepared.pictures[row].label == name]
        chosen += _spread(sorted(rows, key=lambda row: seen.prepared.pictures[row].source), each)
    if chosen:
        yield _drawn(seen, chosen, out / "classes.png", "Crops of each class, as a network is shown them.")


def _finding_sheets(seen: Seen, out: Path) -> Iterator[Plot]:
    for one in seen.findings:
        if one.code in SHEETS and one.rows:
            most = contact_sheet.MOST
            rows = list(one.rows[:most]) if one.code in IN_PAIRS else _spread(one.rows, most)
            yield _drawn(seen, rows, out / f"{one.code.replace(' ', '_')}.png", SHEETS[one.code])


def _drawn(seen: Seen, rows: Sequence[int], path: Path, text: str) -> Plot:
    pictures = [seen.prepared.pictures[row] for row in rows]
    titles = [f"{one.label or 'no class'}, {one.source}\n{one.path.name}" for one in pictures]
    sheet = contact_sheet.draw([seen.prepared.crops[row] for row in rows], titles)
    return Plot(contact_sheet.save(sheet, path), text)


def _overlay_sheet(seen: Seen, out: Path) -> Iterator[Plot]:
    """Three maps of each source, those with a mark first."""
    maps, titles = [], []
    for one in sorted(seen.overlays, key=lambda one: -one.share)[: contact_sheet.MOST // 3]:
        shown = {"mean": one.mean, "deviation": 3 * one.deviation, "common detail": 128 + 10 * one.detail}
        maps += [cv2.merge([np.clip(values, 0, 255).astype(np.uint8)] * 3) for values in shown.values()]
        titles += [f"{one.source}\n{text}" for text in shown]
    if maps:
        path = contact_sheet.save(contact_sheet.draw(maps, titles), out / "watermarks.png")
        yield Plot(path, "What the pictures of each source have in common; common detail shows a watermark.")


def _matched_sheet(seen: Seen, out: Path) -> Iterator[Plot]:
    """Healthy faces, below them the same made like clinical pictures, and pictures of the other classes."""
    if seen.matched is None:
        return
    before, after = seen.matched
    places = {picture.path: row for row, picture in enumerate(before.pictures)}
    others = [row for row in labelled(seen.prepared) if seen.prepared.pictures[row].label != before.pictures[0].label]
    columns = contact_sheet.COLUMNS
    chosen = _spread(range(len(after.pictures)), 2 * columns)
    crops, titles = [], []
    for rows in (chosen[:columns], chosen[columns:]):
        crops += [before.crops[places[after.pictures[row].path]] for row in rows] + [after.crops[row] for row in rows]
        titles += ["as it is"] * len(rows) + ["made like a clinical one"] * len(rows)
    strangers = _spread(others, columns)
    crops += [seen.prepared.crops[row] for row in strangers]
    titles += [str(seen.prepared.pictures[row].label) for row in strangers]
    path = contact_sheet.save(contact_sheet.draw(crops, titles), out / "matched.png")
    yield Plot(path, "Healthy faces, the same made like clinical pictures, and pictures of the other classes.")


def _spread(rows: Sequence[int], most: int) -> list[int]:
    """At most so many, evenly from first to last."""
    return (
        [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
        if rows
        else []
    )


def _metric(found: Metric) -> str:
    interval = f" ({found.interval[0]:.2f} to {found.interval[1]:.2f})" if found.interval else ""
    return f"{found.value:.2f}{interval}"
