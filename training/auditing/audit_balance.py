"""Prepared pictures and classes -> findings about classes and groups of people: too few, too uneven, known of some only."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from training.auditing.audit_findings import Finding, Parts, counted, labelled, number
from training.data import partition
from training.data.demographics import GROUPINGS
from training.data.pictures import Picture
from training.data.prepared import Prepared
from training.evaluate import TOO_FEW

UNEVEN = 3.0  # times as many pictures in the largest class as in the smallest
KNOWN, UNKNOWN = 0.5, 0.05  # shares of a class of which something is said, and of which it is as good as not said


def of_sizes(prepared: Prepared, classes: Sequence[str], parts: Parts | None) -> Iterator[Finding]:
    """Classes that are empty, of one subject, too small to be split or measured, and uneven ones."""
    rows = labelled(prepared)
    members = {name: [row for row in rows if prepared.pictures[row].label == name] for name in classes}
    for name, held in members.items():
        groups = len({prepared.pictures[row].group for row in held})
        yield from _of_class(name, len(held), groups, [parts[row] for row in held] if parts else None)
    sizes = {name: len(held) for name, held in members.items() if held}
    if sizes and max(sizes.values()) > UNEVEN * min(sizes.values()):
        few, many = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
        said = f"Class {many} has {sizes[many] / sizes[few]:.0f} times as many pictures as {few} ({sizes[many]} and {sizes[few]})."
        yield Finding(
            "warning",
            "uneven classes",
            said,
            f"Train with class weights (the default), read balanced accuracy, and cap {many} in the mixture if it still rules.",
        )


def _of_class(name: str, count: int, groups: int, parts: Parts | None) -> Iterator[Finding]:
    needed = math.ceil(TOO_FEW / partition.SHARES["test"])
    if not count:
        said, to_do = f"Class {name} has no pictures.", "Add pictures to it, or remove the class."
        yield Finding("error", "empty class", said, to_do)
    elif groups == 1:
        said = (
            f"All {count} pictures of class {name} are of one subject."
            if count > 1
            else f"Class {name} has one picture."
        )
        yield Finding(
            "error", "one subject", said, "Add pictures of other people: one person can stand in one part only."
        )
    elif groups < partition.LEAST_GROUPS:
        said = f"Class {name} has {groups} subjects or groups of pictures; {partition.LEAST_GROUPS} are the least, one for each part."
        yield Finding("error", "too few groups", said, "Add pictures of other people, or leave the class out.")
    elif parts is not None and (absent := [part for part in partition.PARTS if part not in parts]):
        said = f"Class {name} has no picture in {' and '.join(absent)}."
        yield Finding("error", "absent from a part", said, "Split again, by group and stratified: leave --split out.")
    elif count < needed:
        tested = round(count * partition.SHARES["test"])
        said = f"Class {name} has {number(count, 'picture', 'pictures')}; about {tested} of them are tested on."
        yield Finding(
            "warning",
            "small class",
            said,
            f"Add pictures until there are {needed}: figures of fewer than {TOO_FEW} say little.",
        )


def of_people(prepared: Prepared) -> Iterator[Finding]:
    """What is known of people in some classes only, and groups of people too small to be measured."""
    rows = labelled(prepared)
    pictures = [prepared.pictures[row] for row in rows]
    for attribute, of in GROUPINGS.items():
        shares = {
            name: sum(of(one) is not None for one in held) / len(held) for name, held in by_class(pictures).items()
        }
        told = sorted(name for name, share in shares.items() if share >= KNOWN)
        untold = sorted(name for name, share in shares.items() if share < UNKNOWN)
        if told and untold:
            said = f"{attribute.capitalize()} is known of {', '.join(told)} but not of {', '.join(untold)}."
            to_do = (
                "Compare groups of people within a class only, and hide it from training where it would tell the class."
            )
            yield Finding("warning", "known of some classes", said, to_do)
        counts = Counter(value for value in map(of, pictures) if value is not None)
        if few := {value: count for value, count in counts.items() if count < TOO_FEW}:
            said = f"{attribute.capitalize()}: too few pictures for figures of {counted(Counter(few))}."
            yield Finding(
                "note", "few people", said, f"Add pictures of these people; groups under {TOO_FEW} get no figure."
            )
        if not counts:
            said = f"{attribute.capitalize()} is known of no picture."
            yield Finding(
                "note", "unknown people", said, "Add a demographics.csv to the sources to have groups compared."
            )


def by_class(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    held: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        held[str(picture.label)].append(picture)
    return held
