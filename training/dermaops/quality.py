"""The rows of HAM10000_metadata.csv -> what a person must know of the data before anything is learned: counts, gaps, imbalance, copies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.reporting.document import Table

DIAGNOSES = {
    "akiec": "actinic keratosis / Bowen",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic naevus",
    "vasc": "vascular lesion",
}
COLUMNS = ("lesion_id", "image_id", "dx")  # that every row must fill
PUBLISHED = {
    "pictures": 10015,
    "lesions": 7470,
    "diagnoses": 7,
    "missing ages": 57,
    "imbalance": 58.3,
}  # Tschandl et al. 2018
NUMBER = re.compile(r"\d+(\.\d+)?")
UNSAID = ("", "unknown")


@dataclass(frozen=True)
class Quality:
    """What the table of a data set holds.

    Attributes:
        pictures, lesions: rows, and lesions that they show.
        several: lesions with more than one picture.
        diagnoses: diagnosis → pictures, most frequent first.
        lesions_of: diagnosis → lesions.
        ways: how the diagnosis was confirmed → pictures.
        missing: column → rows in which nothing, or "unknown", is said.
        imbalance: pictures of the most frequent diagnosis for one of the rarest.
        torn: lesions whose pictures have different diagnoses.
        copies: pictures whose file is the same as another's.
        left_out: rows of the table that are of no use: incomplete, or of a picture that is not there or was named before.
        unreadable: pictures, among those above, that cannot be read and are left out, too.
    """

    pictures: int
    lesions: int
    several: int
    diagnoses: Mapping[str, int]
    lesions_of: Mapping[str, int]
    ways: Mapping[str, int]
    missing: Mapping[str, int]
    imbalance: float
    torn: int
    copies: int
    left_out: int
    unreadable: int


def measured(
    rows: Sequence[Mapping[str, str]], digests: Sequence[str], left_out: int = 0, unreadable: int = 0
) -> Quality:
    """Quality of the rows of the table.

    Args:
        rows: column → cell, of each picture.
        digests: sha256 of each picture that could be read.
        left_out, unreadable: see `Quality`.
    """
    counts = Counter(row["dx"] for row in rows)
    of_lesion: dict[str, set[str]] = {}
    for row in rows:
        of_lesion.setdefault(row["lesion_id"], set()).add(row["dx"])
    sizes = Counter(row["lesion_id"] for row in rows)
    return Quality(
        pictures=len(rows),
        lesions=len(of_lesion),
        several=sum(size > 1 for size in sizes.values()),
        diagnoses=dict(counts.most_common()),
        lesions_of=dict(Counter(name for names in of_lesion.values() for name in names)),
        ways=dict(Counter(row.get("dx_type", "") for row in rows).most_common()),
        missing={"age": sum(not NUMBER.fullmatch(row.get("age", "")) for row in rows)}
        | {name: sum(row.get(name, "") in UNSAID for row in rows) for name in ("sex", "localization")},
        imbalance=round(max(counts.values()) / min(counts.values()), 1),
        torn=sum(len(names) > 1 for names in of_lesion.values()),
        copies=len(digests) - len(set(digests)),
        left_out=left_out,
        unreadable=unreadable,
    )


def table(found: Quality) -> Table:
    """The measured figures beside the published ones."""
    rows = [
        ("pictures", found.pictures, "pictures"),
        ("lesions", found.lesions, "lesions"),
        ("lesions with several pictures", found.several, None),
        ("diagnoses", len(found.diagnoses), "diagnoses"),
        ("imbalance, most frequent to rarest", found.imbalance, "imbalance"),
        ("missing ages", found.missing["age"], "missing ages"),
        ("sex not said", found.missing["sex"], None),
        ("place on the body not said", found.missing["localization"], None),
        ("lesions of two diagnoses", found.torn, None),
        ("files that are there twice", found.copies, None),
        ("pictures that cannot be read, left out", found.unreadable, None),
        ("rows of the table that are of no use, left out", found.left_out, None),
    ]
    cells = [(name, _told(value), "" if key is None else _told(PUBLISHED[key])) for name, value, key in rows]
    return Table(["", "found", "published"], cells)


def distribution(found: Quality) -> Table:
    """Pictures and lesions of each diagnosis."""
    rows = [
        (name, DIAGNOSES.get(name, name), str(count), f"{count / found.pictures:.2%}", str(found.lesions_of[name]))
        for name, count in found.diagnoses.items()
    ]
    return Table(["diagnosis", "name", "pictures", "share", "lesions"], rows)


def _told(value: float) -> str:
    return f"{value:.1f} : 1" if isinstance(value, float) else str(value)
