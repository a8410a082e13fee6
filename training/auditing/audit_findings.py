"""Prepared pictures and their parts -> findings about single pictures: unreadable, spoiled, doubled, torn apart by the split.

Rows count in the prepared pictures. Quality is about labelled pictures; copies are looked for among all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.data import duplicates
from training.data.prepared import Prepared, alike

SEVERITIES = ("error", "warning", "note")
MANY = 0.10  # share of a class from which a fault is a warning
NAMED = 5  # at most, of what a sentence lists

Parts = Sequence[str | None]


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        severity: one of `SEVERITIES`.
        code: stable word, such as ``"blurred"``.
        said: one sentence: what was found.
        to_do: one sentence: what to do.
        rows: the pictures that it is about; empty where it is about all.
    """

    severity: str
    code: str
    said: str
    to_do: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What one picture may suffer from: how a sentence puts it, and what to do."""

    said: str
    to_do: str


FAULTS: Mapping[str, Fault] = {  # by what --drop calls it
    "faceless": Fault(
        "show no whole face that the service would cut out, but a close-up or another part of the body",
        "Report figures with and without a face apart, since the service is only shown faces, or leave them out: --drop faceless.",
    ),
    "blurred": Fault(
        "are more blurred than the service takes",
        "Use sharper originals; left in, blur can tell classes apart, left out (--drop blurred), check that no class shrinks too far.",
    ),
    "dark": Fault("are too dark to see the skin", "Look at dark.png and leave them out: --drop dark."),
    "small": Fault(
        "are enlarged more than twice for the network",
        "Use larger originals, or leave them out: --drop small.",
    ),
}


def labelled(prepared: Prepared) -> list[int]:
    return [row for row, picture in enumerate(prepared.pictures) if picture.label is not None]


def has_fault(prepared: Prepared, row: int, code: str) -> bool:
    """Whether a picture suffers from one of `FAULTS`."""
    known = prepared.facts[row]
    return not known.has_face if code == "faceless" else code in known.failed


def of_quality(prepared: Prepared) -> Iterator[Finding]:
    """What could not be read, and what each of `FAULTS` concerns."""
    if prepared.problems:
        yield Finding(
            "warning",
            "unreadable",
            f"{number(len(prepared.problems), 'file or line', 'files or lines')} could not be taken, the first: {prepared.problems[0]}.",
            "Mend or remove them; unreadable.csv lists all with their reasons.",
        )
    rows = labelled(prepared)
    sizes = Counter(str(prepared.pictures[row].label) for row in rows)
    for code, fault in FAULTS.items():
        hit = tuple(row for row in rows if has_fault(prepared, row, code))
        counts = Counter(str(prepared.pictures[row].label) for row in hit)
        shares = {name: counts[name] / size for name, size in sizes.items()}
        if hit:
            severity = "warning" if max(shares.values()) >= MANY else "note"
            said = f"{len(hit)} of {len(rows)} labelled pictures {fault.said} ({in_percent(shares)})."
            yield Finding(severity, code, said, fault.to_do, hit)


def copies(prepared: Prepared) -> list[tuple[int, ...]]:
    """Rows that show one picture, two or more each, in order."""
    ties = duplicates.ties_of([one.sha256 for one in prepared.facts])
    ties += [(first, second) for first, second, _ in alike(prepared.facts, duplicates.COPY)]
    held: dict[int, list[int]] = defaultdict(list)
    for row, first in enumerate(duplicates.united(len(prepared.pictures), ties).tolist()):
        held[first].append(row)
    return [tuple(rows) for rows in held.values() if len(rows) > 1]


def labels_of(prepared: Prepared, rows: Iterable[int]) -> list[str | None]:
    """The different labels of some pictures, in order, None last."""
    return sorted({prepared.pictures[row].label for row in rows}, key=lambda one: (one is None, one or ""))


def of_copies(prepared: Prepared, found: Sequence[tuple[int, ...]]) -> Iterator[Finding]:
    """Exact and near copies, those under two labels, and other pictures of likely the same person or lesion."""
    exact = [rows for rows in found if len({prepared.facts[row].sha256 for row in rows}) < len(rows)]
    near = [rows for rows in found if len({prepared.facts[row].sha256 for row in rows}) > 1]
    to_do = "Nothing is torn apart by them; to count each picture once, leave the copies out: --drop duplicates."
    for code, sets, how in (
        ("exact duplicates", exact, "byte by byte the same"),
        ("near duplicates", near, "the same but for size, light, compression or a mirror"),
    ):
        if sets:
            extra = sum(map(len, sets)) - len(sets)
            said = (
                f"{number(len(sets), 'set', 'sets')} of pictures are {how}: {number(extra, 'copy', 'copies')} too many."
            )
            yield Finding("warning", code, said, to_do, flat(sets))
    apart = [rows for rows in found if len(labels_of(prepared, rows)) > 1]
    if torn := [rows for rows in apart if None not in labels_of(prepared, rows) or len(labels_of(prepared, rows)) > 2]:
        pairs = Counter(" and ".join(str(one) for one in labels_of(prepared, rows)) for rows in torn)
        said = f"{number(len(torn), 'picture stands', 'pictures stand')} under two labels ({counted(pairs)})."
        yield Finding(
            "error",
            "two labels",
            said,
            "Find out which label is right, or leave them out: --drop duplicates.",
            flat(torn),
        )
    if half := [rows for rows in apart if rows not in torn]:
        said = f"{number(len(half), 'picture has', 'pictures have')} a class in one place and none in another."
        yield Finding("note", "label and none", said, "Remove the one that is wrong.", flat(half))
    together = {row: number for number, rows in enumerate(found) for row in rows}
    same = [
        (first, second)
        for first, second, _ in alike(prepared.facts, duplicates.SAME)
        if together.get(first, -1) != together.get(second, -2)
        and prepared.pictures[first].group == prepared.pictures[second].group
    ]
    if same:
        said = f"{number(len(same), 'pair', 'pairs')} of other pictures likely show one person or lesion twice."
        yield Finding(
            "note", "same subject", said, "Nothing: they were put into one group and stay in one part.", flat(same)
        )


def of_parts(prepared: Prepared, parts: Parts, found: Sequence[tuple[int, ...]]) -> Iterator[Finding]:
    """What lies on two sides of a split: groups, copies, file names; or that nothing does."""
    names = [duplicates.shared_name(picture.path) for picture in prepared.pictures]
    together: dict[str, Iterable[Sequence[int]]] = {
        "groups (persons, lesions, runs of pictures)": _by([picture.group for picture in prepared.pictures]),
        "sets of copies": found,
        "file names": _by(names),
    }
    torn = {
        what: [rows for rows in sets if len({parts[row] for row in rows if parts[row] is not None}) > 1]
        for what, sets in together.items()
    }
    for what, sets in torn.items():
        if sets:
            rows = flat(sets)
            said = f"{len(sets)} {what} lie in several parts of the split, such as {_names(prepared, sets[0], parts)}."
            to_do = "Split by group: leave --split out, or move all pictures of a group into one part; figures on such a test are too high."
            yield Finding("error", "torn apart", said, to_do, rows)
    counts = Counter(str(part) for part in parts if part is not None)
    if not any(torn.values()):
        said = f"No group, copy or file name lies in two parts of the split ({counted(counts)})."
        yield Finding("note", "split", said, "Nothing.")
    if strange := sum(part is None for part in parts):
        said = f"{number(strange, 'picture is', 'pictures are')} in no part of the split."
        yield Finding("warning", "no part", said, "Add them to the file of the split, or leave --split out.")


def _by(keys: Sequence[str | None]) -> list[list[int]]:
    held: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        if key is not None:
            held[key].append(row)
    return [rows for rows in held.values() if len(rows) > 1]


def flat(sets: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(row for rows in sets for row in rows))


def number(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def in_percent(shares: Mapping[str, float]) -> str:
    """Largest first: ``eczema 97 %, acne 40 %``."""
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in _largest(shares))


def counted(counts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} {count}" for name, count in _largest(counts)[:NAMED])
    return listed + (f" and {len(counts) - NAMED} more" if len(counts) > NAMED else "")


def _largest(values: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))


def _names(prepared: Prepared, rows: Sequence[int], parts: Parts) -> str:
    seen: dict[str | None, int] = {}
    for row in rows:
        seen.setdefault(parts[row], row)
    told = [f"{prepared.pictures[row].path.name} ({part})" for part, row in seen.items() if part is not None]
    return " and ".join(told[:2])
