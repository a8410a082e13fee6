"""One sidecar of the set shine-skin-collective, already parsed -> what it says of its picture, in our words; what is odd about it.

Three generations. v0: `annotations`, no targets, no demographics. v1: seven targets, severities and demographics. v2: four targets,
`prompt_used`, the skin tone with its Fitzpatrick type. Missing targets are filled from `skin_condition` and `severity`; missing keys
of given targets mean "not there". Nothing here opens a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.data.pictures import FITZPATRICK

CONDITIONS = ("acne", "aging", "fine_lines_wrinkles", "hyperpigmentation", "pore_size", "redness", "textured_skin")
HEALTHY = "healthy"
MOST_SEVERE = 3
GRADES: Mapping[str, int] = {
    "none": 0,
    "clear_skin": 0,
    "mild": 1,
    "slight": 1,
    "early_signs": 1,
    "moderate": 2,
    "severe": 3,
    "advanced": 3,
}
USUAL_WORDS: Mapping[str, tuple[str, ...]] = dict.fromkeys(CONDITIONS, ("mild", "moderate", "severe")) | {
    "aging": ("early_signs", "moderate", "advanced"),
    "textured_skin": ("slight", "moderate", "severe"),
    HEALTHY: ("clear_skin", "none"),
}
AGES: Mapping[
    str, Mapping[str, tuple[int, int]]
] = {  # generation → group → first and last year; the last open one ends at 90
    "v1": {
        "young_adult": (18, 25),
        "adult": (26, 40),
        "middle_aged": (41, 60),
        "senior": (60, 69),
        "elderly": (70, 90),
    },
    "v2": {"young adult": (18, 25), "adult": (26, 35), "middle-aged": (36, 50), "mature": (51, 65)},
}
TONES = ("very fair", "fair", "light", "medium", "olive", "tan", "tan brown", "brown", "deep brown", "dark")
TONE = re.compile(rf"({'|'.join(TONES)}) skin tone(?: \(Fitzpatrick ({'|'.join(FITZPATRICK)})\))?")
GENDER_OF: Mapping[str, str | None] = {
    "female": "female",
    "male": "male",
    "non-binary": "nonbinary",
    "person": None,  # v2's word where no gender was asked for
}


@dataclass(frozen=True)
class Said:
    """What a sidecar says.

    Attributes:
        generation: ``"v0"``, ``"v1"`` or ``"v2"``.
        condition: one of `CONDITIONS` or `HEALTHY`; None where it names none that is known.
        severity: of that condition, 0..3; None where it names none that is known.
        targets: whether each of `CONDITIONS` is there.
        severities: 0..3 of each of `CONDITIONS`; None where nothing usable is said.
        usable: it says something of the skin: targets, or a condition that is known.
        is_flipped: it calls its picture a mirrored copy.
        oddities: (code, what was found and what was expected).
    """

    generation: str
    condition: str | None
    severity: int | None
    targets: tuple[bool, ...]
    severities: tuple[int | None, ...]
    usable: bool
    is_flipped: bool
    age: float | None = None
    gender: str | None = None
    skin_tone: str | None = None
    fitzpatrick: str | None = None
    oddities: tuple[tuple[str, str], ...] = ()


@dataclass
class Notes:
    """Oddities while one sidecar is read."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, code: str, sentence: str) -> None:
        self.found.append((code, sentence))


def read(sidecar: Mapping[str, Any]) -> Said:
    """What a sidecar says; whatever it holds, this ends well."""
    notes, generation = Notes(), generation_of(sidecar)
    condition, severity = _condition(sidecar.get("skin_condition"), notes), _grade(sidecar.get("severity"), notes)
    if condition in USUAL_WORDS and severity is not None and sidecar["severity"] not in USUAL_WORDS[condition]:
        usual = ", ".join(USUAL_WORDS[condition])
        notes.add(
            "stray_severity",
            f"severity {sidecar['severity']!r} of {condition}; expected one of {usual}; read as {severity}",
        )
    targets = _targets(sidecar.get("classification_targets"), condition, notes)
    severities = _severities(sidecar.get("severity_targets"), targets, (condition, severity), notes)
    people = _demographics(sidecar.get("demographics"), generation, notes)
    return Said(
        generation,
        condition,
        severity,
        targets,
        severities,
        usable=condition is not None or _names_targets(sidecar.get("classification_targets")),
        is_flipped=sidecar.get("is_flipped") is True,
        **people,
        oddities=tuple(notes.found),
    )


def generation_of(sidecar: Mapping[str, Any]) -> str:
    """By what it holds: only v2 has its prompt at the top, only v0 neither targets nor v1's annotations."""
    if "prompt_used" in sidecar:
        return "v2"
    return "v0" if "annotations" in sidecar and "training_annotations" not in sidecar else "v1"


def _condition(word: object, notes: Notes) -> str | None:
    if word in CONDITIONS or word == HEALTHY:
        return str(word)
    notes.add("unknown_vocabulary", f"skin_condition {word!r}; expected {HEALTHY} or one of {', '.join(CONDITIONS)}")
    return None


def _grade(word: object, notes: Notes, place: str = "severity") -> int | None:
    if isinstance(word, str) and word in GRADES:
        return GRADES[word]
    notes.add("unknown_vocabulary", f"{place} {word!r}; expected one of {', '.join(GRADES)}; left unlabelled")
    return None


def _names_targets(given: object) -> bool:
    """Whether targets say anything of the conditions that are known."""
    return isinstance(given, Mapping) and any(name in given for name in CONDITIONS)


def _targets(given: object, condition: str | None, notes: Notes) -> tuple[bool, ...]:
    """From the given ones, or filled from the condition."""
    if not isinstance(given, Mapping):
        notes.add("filled_targets", "no classification_targets; expected 7 booleans; filled from skin_condition")
        return tuple(name == condition for name in CONDITIONS)
    _keys(given, "classification_targets", notes)
    for name in CONDITIONS:
        if name in given and not isinstance(given[name], bool):
            read_as = str(given[name] == 1).lower()
            sentence = f"classification_targets.{name} is {given[name]!r}; expected true or false; read as {read_as}"
            notes.add("bad_value", sentence)
    targets = tuple(given.get(name) == 1 for name in CONDITIONS)
    named = tuple(name == condition for name in CONDITIONS)
    if condition is not None and (not any(targets) if any(named) else any(targets)):
        notes.add(
            "contradiction", f"classification_targets do not fit skin_condition {condition!r}; the targets are taken"
        )
    return targets


def _severities(
    given: object, targets: tuple[bool, ...], said: tuple[str | None, int | None], notes: Notes
) -> tuple[int | None, ...]:
    """Of each condition: 0 where it is not there; None where it is there and nothing usable is said of how much."""
    if not isinstance(given, Mapping):
        notes.add("filled_severities", "no severity_targets; expected 7 words; filled from skin_condition and severity")
        given = {}
        graded: dict[str, int | None] = {str(said[0]): said[1]}
    else:
        _keys(given, "severity_targets", notes)
        graded = {name: _grade(given[name], notes, f"severity_targets.{name}") for name in CONDITIONS if name in given}
    answer: list[int | None] = []
    for name, there in zip(CONDITIONS, targets, strict=True):
        grade = graded.get(name, None if there else 0)
        if grade is not None and (grade > 0) != there:
            notes.add(
                "contradiction",
                f"{name} is {there} and its severity is {grade}; expected 1 to 3 where true, else 0; left unlabelled",
            )
            grade = None
        answer.append(grade)
    return tuple(answer)


def _keys(given: Mapping[str, object], place: str, notes: Notes) -> None:
    missing = [name for name in CONDITIONS if name not in given]
    if missing:
        notes.add("missing_keys", f"{place} without {', '.join(missing)}; expected 7 keys; taken as not there")
    for name in sorted(str(key) for key in given.keys() - set(CONDITIONS)):
        notes.add("unknown_vocabulary", f"{place} names {name!r}; expected one of {', '.join(CONDITIONS)}; ignored")


def _demographics(given: object, generation: str, notes: Notes) -> dict[str, Any]:
    """Age, gender, tone and skin type in our words; nothing where nothing is said."""
    if not isinstance(given, Mapping):
        if generation != "v0":
            notes.add("missing_demographics", "no demographics; expected age_group, skin_tone and gender")
        return {}
    age = _age(given, generation, notes)
    gender = given.get("gender")
    if gender not in GENDER_OF:
        notes.add("unknown_vocabulary", f"gender {gender!r}; expected one of {', '.join(GENDER_OF)}; left out")
    tone, fitzpatrick = _tone(given.get("skin_tone"), notes)
    return {"age": age, "gender": GENDER_OF.get(str(gender)), "skin_tone": tone, "fitzpatrick": fitzpatrick}


def _age(given: Mapping[str, Any], generation: str, notes: Notes) -> float | None:
    """Middle of the group's years."""
    groups = AGES.get(generation, AGES["v1"])
    word = given.get("age_group")
    if word not in groups:
        notes.add("unknown_vocabulary", f"age_group {word!r}; expected one of {', '.join(groups)}; left out")
        return None
    first, last = groups[word]
    told = re.fullmatch(r"(\d+)(?:-(\d+)|\+)", str(given.get("age_range", f"{first}+")))
    if not told or int(told[1]) != first or (told[2] and int(told[2]) != last):
        notes.add(
            "unknown_vocabulary",
            f"age_range {given['age_range']!r} of {word}; expected {first}-{last}; age_group is taken",
        )
    return (first + last) / 2


def _tone(word: object, notes: Notes) -> tuple[str | None, str | None]:
    named = TONE.fullmatch(str(word))
    if not named:
        notes.add("unknown_vocabulary", f"skin_tone {word!r}; expected '<{'|'.join(TONES)}> skin tone'; left out")
        return None, None
    return named[1], named[2]
