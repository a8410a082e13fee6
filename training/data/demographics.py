"""Pictures -> what is known of the people in them: age, gender, ethnicity, Fitzpatrick type; said, or estimated and marked so.

Said is what the source's metadata gives, or a CSV beside the pictures:

    path,age,gender,ethnicity,fitzpatrick
    acne/a1.jpg,34,female,South Asian,IV

Only path is needed; empty cells are unknown. Estimated is a Fitzpatrick type from the tone in the picture: types are defined
by how skin answers to the sun, so this is a convention (`analyzer.skin_tone`) and off by a type or more under coloured light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer import skin_tone
from analyzer.preprocessing import demographics_vector
from analyzer.values import Demographics
from training.command import BadInput
from training.data.pictures import DEMOGRAPHICS, FITZPATRICK, GENDERS, Picture, Problem
from training.data.tables import columns_of, rows_of

OLDEST = 120.0  # years
UNKNOWN = "not known"
GENDER_WORDS = {"f": "female", "woman": "female", "m": "male", "man": "male", "non-binary": "nonbinary"}
TYPES = {str(number): name for number, name in enumerate(FITZPATRICK, 1)}  # 1-6 are read as I-VI


def described(pictures: Sequence[Picture], table: Path) -> tuple[list[Picture], list[Problem]]:
    """Pictures with what a CSV says of them, before what their source says; cells that say nothing known are problems.

    Args:
        pictures: of one source.
        table: the CSV; its paths are relative to its folder.

    Raises:
        BadInput: the CSV is absent, has no column path, or one that is not known.
    """
    if not table.is_file():
        raise BadInput(
            f"{table}: there is no such file; it is to say age, gender, ethnicity and fitzpatrick of pictures."
        )
    if strange := columns_of(table) - {"path", *DEMOGRAPHICS}:
        known = ", ".join(("path", *DEMOGRAPHICS))
        raise BadInput(
            f"{table}:1: unknown column {', '.join(sorted(strange))}; known are {known}: rename or remove it."
        )
    rows = {picture.path.resolve(): row for row, picture in enumerate(pictures)}
    answer, problems = list(pictures), []
    for line, cells in rows_of(table, ("path",), problems):
        row = rows.get((table.parent / cells["path"]).resolve())
        if row is None:
            problems.append(Problem(table, f"{cells['path']}: there is no such picture in this source", line))
            continue
        said: dict[str, Any] = {}
        for name in DEMOGRAPHICS:
            if cells.get(name):
                try:
                    said[name] = READINGS[name](cells[name])
                except ValueError as error:
                    problems.append(Problem(table, f"{name} {cells[name]!r}: expected {error}; taken as unknown", line))
        kept = tuple(name for name in answer[row].estimated if name not in said)
        answer[row] = replace(answer[row], **said, estimated=kept)
    return answer, problems


def estimated(picture: Picture, ita_deg: float | None) -> Picture:
    """The picture with a Fitzpatrick type from its skin's ITA in degrees, marked as estimated; what was said stays.

    The six ITA groups are read as types VI to I (`analyzer.skin_tone.FITZPATRICK`).
    """
    if ita_deg is None or (picture.fitzpatrick and "fitzpatrick" not in picture.estimated):
        return picture
    kind = skin_tone.FITZPATRICK[skin_tone.ita_group(ita_deg)]
    return replace(picture, fitzpatrick=kind, estimated=tuple(sorted({*picture.estimated, "fitzpatrick"})))


def vector(picture: Picture, *, with_estimated: bool = False) -> NDArray[np.float32]:
    """(12,) float32, as the service makes it of what people say of themselves (`analyzer.preprocessing`).

    Args:
        picture: unknown values are zero.
        with_estimated: let estimated values stand as if they were said; else they are unknown.
    """
    left_out = () if with_estimated else picture.estimated
    said = {name: getattr(picture, name) for name in DEMOGRAPHICS if name not in left_out}
    age = said.pop("age", None)
    return demographics_vector(Demographics(age=None if age is None else round(age), **said))


def sensitive_features(pictures: Sequence[Picture]) -> dict[str, list[str]]:
    """What results are to be compared over: name → value of each picture, `UNKNOWN` where there is none."""
    return {name: [of(picture) or UNKNOWN for picture in pictures] for name, of in GROUPINGS.items()}


def _fitzpatrick_group(picture: Picture) -> str | None:
    if picture.fitzpatrick and "fitzpatrick" in picture.estimated:
        return f"{picture.fitzpatrick} (estimated)"
    return picture.fitzpatrick


GROUPINGS: Mapping[str, Callable[[Picture], str | None]] = {
    "age band": lambda picture: picture.age_band,
    "gender": lambda picture: picture.gender,
    "ethnicity": lambda picture: picture.ethnicity,
    "Fitzpatrick type": _fitzpatrick_group,
}


def _age(text: str) -> float:
    try:
        years = float(text)
    except ValueError:
        years = -1.0
    if not 0 <= years <= OLDEST:
        raise ValueError(f"years from 0 to {OLDEST:g}")
    return years


def _gender(text: str) -> str:
    word = text.lower()
    name = GENDER_WORDS.get(word, word)
    if name not in GENDERS:
        raise ValueError(f"one of {', '.join(GENDERS)}")
    return name


def _fitzpatrick(text: str) -> str:
    name = TYPES.get(text, text.upper())
    if name not in FITZPATRICK:
        raise ValueError(f"one of {', '.join(FITZPATRICK)}")
    return name


READINGS: Mapping[str, Callable[[str], Any]] = {
    "age": _age,
    "gender": _gender,
    "ethnicity": str,
    "fitzpatrick": _fitzpatrick,
}
