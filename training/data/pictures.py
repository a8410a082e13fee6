"""What a loader hands on: labelled pictures, not yet opened, and what it could not take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GENDERS = ("female", "male", "nonbinary")
AGE_BANDS = ((0, "0-17"), (18, "18-29"), (30, "30-44"), (45, "45-59"), (60, "60+"))  # first year of each
FITZPATRICK = ("I", "II", "III", "IV", "V", "VI")
DEMOGRAPHICS = ("age", "gender", "ethnicity", "fitzpatrick")


@dataclass(frozen=True)
class Picture:
    """One picture with what its data set says of it.

    Attributes:
        path: of the file.
        source: name of the data set; pictures are compared within one source.
        label: class, or None where the picture belongs to none of them.
        group: pictures of one group (person, lesion, stem, near-duplicates) are never torn apart; unique over all sources.
        kind: the finest class that the source gives (its folder, severity, age band, diagnosis): what backbones that start from
            nothing learn to tell apart within one source.
        severity: grade 0..3 where the source grades.
        boxes: lesions as (x, y, width, height) in pixels of the file, where the source marks them.
        age: years.
        gender: one of `GENDERS`.
        ethnicity: as the source names it.
        fitzpatrick: one of `FITZPATRICK`.
        estimated: names of `DEMOGRAPHICS` that were estimated from the picture, not said by the source.
    """

    path: Path
    source: str
    label: str | None
    group: str
    kind: str = ""
    severity: int | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    age: float | None = None
    gender: str | None = None
    ethnicity: str | None = None
    fitzpatrick: str | None = None
    estimated: tuple[str, ...] = ()

    @property
    def age_band(self) -> str | None:
        """One of `AGE_BANDS`."""
        return None if self.age is None else next(name for first, name in reversed(AGE_BANDS) if self.age >= first)


@dataclass(frozen=True)
class Problem:
    """What a loader or a check could not take, told with file, line and what was expected."""

    path: Path
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.reason}"
