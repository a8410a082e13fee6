"""Look at pictures before anything is learned from them: one report on what is wrong with them, and a list of what to leave out.

Run:     python -m training.audit DATA --out DIR [--drop duplicates,blurred] [--split FILE] [--limit N] [--seed N] [--cache DIR]
Cost:    0.1 s a picture on 2 cores, once: facts and crops are kept in the cache, which training uses too; then about two minutes.
Result:  in DIR: audit.html and audit.json with findings, worst first, and what to do about each; contact sheets as PNG;
         unreadable.csv, and with --drop dropped.csv.

Found are pictures that cannot be read, are blurred, dark, small, or show no face; copies, and pictures under two labels; subjects
on two sides of the split; classes that are too small or uneven; and by what class and source could be told without looking at the
skin: sizes, light, sharpness, borders, crops, watermarks.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training import command

if TYPE_CHECKING:
    from training.auditing.audit_findings import Finding
    from training.auditing.confounds import Confound
    from training.auditing.watermarks import Overlay
    from training.data.pictures import Picture, Problem
    from training.data.prepared import Prepared

DROPPED = "dropped.csv"
KINDS = ("duplicates", "blurred", "unreadable", "small", "dark", "faceless")


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        findings: errors first.
        confounds: what picture statistics tell.
        overlays: what the pictures of each source have in common.
        page: the report, inside a folder with its sheets and tables.
    """

    findings: list[Finding]
    confounds: list[Confound]
    overlays: list[Overlay]
    page: Path


@dataclass(frozen=True)
class Dropped:
    """A picture that was left out: which of `KINDS`, and why."""

    path: Path
    kind: str
    reason: str


def main() -> None:
    options = parsed()
    from training.data import mixture
    from training.data.prepared import prepare

    given = mixture.read(options.data, limit=options.limit)
    options.out.mkdir(parents=True, exist_ok=True)  # where that cannot be, it is told before the pictures are read
    prepared = prepare(given.pictures, options.cache / "pictures", given.problems)
    if options.drop:
        prepared, left_out = dropped(prepared, options.drop)
        write_dropped(left_out, options.out / DROPPED)
        counts = Counter(one.kind for one in left_out)
        print(f"left out: {', '.join(f'{count} {kind}' for kind, count in counts.items()) or 'nothing'}")
    parts = parts_of(options.split, prepared.pictures) if options.split else new_parts(prepared, options.seed)
    made = audit(prepared, given.classes, parts, options.out, seed=options.seed)
    for finding in made.findings:
        print(f"{finding.severity}: {finding.said} {finding.to_do}")
    print(f"report: {made.page}")


def parsed() -> argparse.Namespace:
    parser = command.options(__doc__)
    add = parser.add_argument
    add("--drop", type=kinds, default=(), metavar="KINDS", help=f"what to leave out: some of {','.join(KINDS)}")
    add(
        "--split",
        type=Path,
        metavar="FILE",
        help="split.json of a run, or a CSV with path and part (default: a new split)",
    )
    add("--cache", type=Path, help="what is kept of pictures; several runs may share it (default: DIR/cache)")
    options = parser.parse_args()
    options.cache = options.cache or options.out / "cache"
    return options


def kinds(text: str) -> tuple[str, ...]:
    """Some of `KINDS`, separated by commas, as an option's type."""
    named = tuple(word.strip() for word in text.split(",") if word.strip())
    if strange := [name for name in named if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"{strange[0]!r} is none of {', '.join(KINDS)}")
    return named


def audit(
    prepared: Prepared,
    classes: Sequence[str],
    parts: Sequence[str | None] | None,
    out: Path,
    *,
    seed: int = command.SEED,
) -> Audit:
    """Look at everything and write the report.

    Args:
        parts: of each picture; None in it for those in no part, None where there is no split.
        out: folder of the report.
    """
    from training.auditing import audit_balance, audit_findings, audit_page, audit_sources, confounds, watermarks

    own = prepared.subset(audit_findings.labelled(prepared))
    asked = confounds.all_of(own.pictures, own.facts, seed=seed)
    overlays = watermarks.of_sources(prepared)
    matched = audit_sources.matched(prepared, seed)
    copies = audit_findings.copies(prepared)
    found = [
        *audit_sources.of_classes(prepared),
        *audit_sources.of_confounds(asked),
        *audit_sources.of_crops(prepared, asked),
        *audit_sources.of_overlays(prepared, overlays),
        *(audit_sources.of_matched(matched[2], asked) if matched else ()),
        *audit_findings.of_copies(prepared, copies),
        *(audit_findings.of_parts(prepared, parts, copies) if parts else ()),
        *audit_balance.of_sizes(prepared, classes, parts),
        *audit_findings.of_quality(prepared),
        *audit_balance.of_people(prepared),
    ]
    found.sort(key=lambda finding: audit_findings.SEVERITIES.index(finding.severity))
    everything = [*asked, matched[2]] if matched else asked
    seen = audit_page.Seen(prepared, classes, parts, found, everything, overlays, matched[:2] if matched else None)
    return Audit(found, everything, overlays, audit_page.write(seen, out))


def dropped(prepared: Prepared, wanted: Sequence[str]) -> tuple[Prepared, list[Dropped]]:
    """What is left without some of `KINDS`, and what was left out.

    Of copies one is kept, with a label before without; of copies under two labels none is, since one label is wrong.
    Spoiled pictures are left out where they have a label. Unreadable ones never come this far; they are only listed.

    Raises:
        BadInput: a class would have no picture left.
    """
    from training.auditing import audit_findings

    reasons: dict[int, Dropped] = {}
    if "duplicates" in wanted:
        for rows in audit_findings.copies(prepared):
            reasons |= _copies_too_many(prepared, rows)
    for row in audit_findings.labelled(prepared):
        for code, fault in audit_findings.FAULTS.items():
            if code in wanted and row not in reasons and audit_findings.has_fault(prepared, row, code):
                reasons[row] = Dropped(prepared.pictures[row].path, code, f"one of the pictures that {fault.said}")
    left = prepared.subset([row for row in range(len(prepared.pictures)) if row not in reasons])
    before, after = (Counter(one.label for one in those.pictures if one.label) for those in (prepared, left))
    if lost := sorted(set(before) - set(after)):
        raise command.BadInput(
            f"--drop {','.join(wanted)} leaves no picture of class {lost[0]} ({before[lost[0]]} before); drop less, or add pictures."
        )
    unread = [Dropped(one.path, "unreadable", one.reason) for one in _unread(prepared.problems, wanted)]
    return left, [*(reasons[row] for row in sorted(reasons)), *unread]


def write_dropped(left_out: Sequence[Dropped], path: Path) -> None:
    """CSV with path, kind, reason."""
    with command.whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "kind", "reason"))
        rows.writerows((one.path, one.kind, one.reason) for one in left_out)


def parts_of(path: Path, pictures: Sequence[Picture]) -> list[str | None]:
    """The part of each picture by a file: split.json of a run, or a CSV whose paths are absolute or relative to its folder.

    Raises:
        BadInput: the file is neither, or knows none of the pictures.
    """
    from training.data.split_file import by_group, by_path

    known = by_group(path, pictures) if path.suffix.lower() == ".json" else by_path(path, pictures)
    if not any(known):
        raise command.BadInput(
            f"{path}: knows none of the {len(pictures)} pictures of DATA; name the split of these pictures."
        )
    return known


def new_parts(prepared: Prepared, seed: int) -> list[str] | None:
    """A split as training makes it; None where a class is too small for one, which is among the findings."""
    from training.data import partition

    try:
        return partition.parts(prepared.pictures, seed=seed)
    except partition.TooFewGroups:
        return None


def _copies_too_many(prepared: Prepared, rows: Sequence[int]) -> dict[int, Dropped]:
    from training.auditing import audit_findings

    labels = [label for label in audit_findings.labels_of(prepared, rows) if label is not None]
    kept = min(rows, key=lambda row: (prepared.pictures[row].label is None, row))
    if len(labels) > 1:
        told = dict.fromkeys(rows, f"one picture under several labels: {' and '.join(labels)}")
    else:
        told = {row: f"a copy of {prepared.pictures[kept].path}" for row in rows if row != kept}
    return {row: Dropped(prepared.pictures[row].path, "duplicates", why) for row, why in told.items()}


def _unread(problems: Sequence[Problem], wanted: Sequence[str]) -> Sequence[Problem]:
    return problems if "unreadable" in wanted else ()


if __name__ == "__main__":
    command.run(main)
