"""Bounds of the fields of a card, and the strict reading of JSON by them.

A field's annotation says its type and, as `Annotated`, its bounds. What is not annotated has the bounds of its type: no text, list or
mapping of a card is without an end, and no text holds what cannot be seen.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

from analyzer.errors import BadModel

HINT = "Fetch the artefact again, or make it anew with its training script."
MOST_ENTRIES = 1000  # of a list or a mapping


@dataclass(frozen=True)
class Within:
    """A number from `least` to `most`."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"from {self.least:g} to {self.most:g}"

    def fits(self, value: Any) -> bool:
        return bool(self.least <= value <= self.most)


@dataclass(frozen=True)
class Text:
    """One line of text: visible characters and spaces, all of `pattern` where there is one."""

    most: int
    pattern: str = r".*"
    meaning: str = "one line"

    def __str__(self) -> str:
        return f"{self.meaning} of at most {self.most} characters"

    def fits(self, value: Any) -> bool:
        return len(value) <= self.most and value.isprintable() and re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class Entries:
    """A list or a mapping with at most `most` entries."""

    most: int

    def __str__(self) -> str:
        return f"at most {self.most} entries"

    def fits(self, value: Any) -> bool:
        return len(value) <= self.most


USUAL = {str: Text(2000), tuple: Entries(MOST_ENTRIES), Mapping: Entries(MOST_ENTRIES), int: Within(0, 1e15)}
Name = Annotated[str, Text(64, r"[A-Za-z0-9][A-Za-z0-9 ._+-]*", "letters, digits and ._+-")]
Label = Annotated[str, Text(64, r"\S.*", "a name")]
Sentence = Annotated[str, Text(300)]
Wording = Annotated[str, Text(300, r"[\w ,.;:!?'’\"“”()%/–-]+", "a sentence without markup")]
Size = Annotated[int, Within(1, 100_000)]
Temperature = Annotated[float, Within(0.05, 20.0)]  # training looks from exp(-2.5) to exp(2.5)
Share = Annotated[float, Within(0.0, 1.0)]
THRESHOLDS = {  # by the beginning of their names; the first that fits counts
    "probability": Within(0.0, 1.0),
    "parity_probability": Within(0.0, 0.05),  # a wide one would make the self-test say nothing
    "presence_": Within(0.0, 1.0),
    "distance": Within(0.0, 1e12),  # a Mahalanobis distance has no scale of its own
    "": Within(-1000.0, 1000.0),
}


def threshold(name: str) -> Within:
    """Return the bounds of a card's threshold."""
    return next(bounds for start, bounds in THRESHOLDS.items() if name.startswith(start))


def record(kind: type, value: object, place: str) -> Any:
    """Read a JSON object as a dataclass, every field of it there and none beside.

    Args:
        place: where the object stands, for the message.

    Raises:
        BadModel: a field is missing, unknown, of another type or out of its bounds.
    """
    if not isinstance(value, dict):
        refuse(f"{place} must be an object, not {value!r:.60}.")
    kinds = get_type_hints(kind, include_extras=True)
    names = {entry.name for entry in fields(kind)}
    for problem, odd in (("has no", names - value.keys()), ("has an unknown", value.keys() - names)):
        if odd:
            refuse(f"{place} {problem} field {sorted(odd)[0]!s:.60}.")
    return kind(**{name: _value(kinds[name], value[name], f"{place}: {name}") for name in names})


def bound(rule: Any, value: Any, place: str) -> Any:
    """Return a value that keeps to its bounds, refuse another one."""
    return value if rule.fits(value) else refuse(f"{place} must be {rule}, not {_shown(value)}.")


def refuse(message: str) -> NoReturn:
    """Raise `BadModel` with the one hint that helps."""
    raise BadModel(message, HINT)


def _value(kind: Any, value: object, place: str) -> Any:
    """A JSON value as what the field's annotation says, or a refusal that tells the place."""
    if get_origin(kind) is Annotated:
        inner, *rules = get_args(kind)
        read = _value(inner, value, place)
        return [bound(rule, read, place) for rule in rules][-1]
    if get_origin(kind) in (UnionType, Union):
        return None if value is None else _value(get_args(kind)[0], value, place)
    if is_dataclass(kind):
        return record(kind, value, place)  # type: ignore[arg-type]  # a class, not one of its objects
    return _collection(kind, value, place) if get_origin(kind) else _scalar(kind, value, place)


def _collection(kind: Any, value: object, place: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Mapping and isinstance(value, dict):
        bound(USUAL[Mapping], value, place)
        keys = [bound(USUAL[str], key, f"{place}: the name of an entry") for key in value]
        return {key: _value(inner[1], value[key], f"{place}.{key}") for key in keys}
    if origin is tuple and isinstance(value, list) and (inner[-1] is Ellipsis or len(value) == len(inner)):
        bound(USUAL[tuple], value, place)
        return tuple(_value(inner[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    return refuse(f"{place} must be {kind}, not {value!r:.60}.")


def _scalar(kind: Any, value: object, place: str) -> Any:
    if kind is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    if kind is float or type(value) is not kind:
        refuse(f"{place} must be {getattr(kind, '__name__', kind)}, not {value!r:.60}.")
    return bound(USUAL[kind], value, place) if kind in USUAL else value


def _shown(value: Any) -> str:
    return f"{value!r:.60}" if isinstance(value, int | float | str) else f"{len(value)}"
