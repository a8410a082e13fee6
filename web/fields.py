"""The optional fields of an analysis: what people say about themselves, and which heavy parts they want."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from analyzer.errors import AnalyzerError
from analyzer.values import Demographics
from analyzer.vocabulary import ErrorCode, Fitzpatrick
from web.json_texts import parse_option
from web.vocabulary import DemographicName

NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")
ROMAN: Mapping[float, Fitzpatrick] = dict(enumerate(Fitzpatrick, start=1))
INCLUDABLE = ("overlays", "regions", "lesions", "explanation", "landmarks")  # the last by the face detection alone


class BadField(AnalyzerError):
    """An optional field has the wrong type."""

    code = ErrorCode.BAD_JSON


def _empty_to_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _number(value: Any) -> Any:
    """Finite numbers, and texts that hold nothing but one, as a number; everything else as it is."""
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return float(value)
    return value


def _roman(value: Any) -> Any:
    value = _number(value)
    if isinstance(value, int | float):
        return ROMAN.get(value) or value
    return value.strip().upper() if isinstance(value, str) else value


def _whole_years(value: Any) -> Any:
    value = _number(value)
    return math.floor(value) if isinstance(value, float) and math.isfinite(value) else value


_Years = Annotated[int, Field(ge=0, le=120)]
_Word = Annotated[str, Field(max_length=64)]
_Text = Annotated[_Word | None, BeforeValidator(_empty_to_none)]


class DemographicsField(BaseModel):
    """Self-reported, all optional; echoed and used for wording, never guessed from the picture.

    A value that cannot be used is left out and named in `demographics_ignored`; it never costs the analysis.
    """

    model_config = ConfigDict(extra="ignore", title="Demographics")

    age: Annotated[_Years | None, BeforeValidator(_whole_years), BeforeValidator(_empty_to_none)] = None
    ethnicity: _Text = None
    gender: _Text = None
    fitzpatrick: Annotated[Fitzpatrick | None, BeforeValidator(_roman), BeforeValidator(_empty_to_none)] = None


def read_demographics(value: Any) -> tuple[Demographics, tuple[DemographicName, ...]]:
    """Return what can be used of the demographics, and the names of what cannot; None or an empty text says nothing.

    A value of a wrong type or out of its range is left out; of one that is neither an object nor the JSON of one, all.
    """
    value = parse_option(value)
    if value is None or value == "":
        return Demographics(), ()
    if not isinstance(value, dict):
        return Demographics(), (DemographicName.DEMOGRAPHICS,)
    ignored = _unusable(value)
    usable = {name: said for name, said in value.items() if name not in ignored}
    return Demographics(**DemographicsField.model_validate(usable).model_dump()), ignored


def _unusable(said: dict[str, Any]) -> tuple[DemographicName, ...]:
    try:
        DemographicsField.model_validate(said)
    except ValidationError as error:
        named = {found["loc"][0] for found in error.errors(include_input=False, include_context=False)}
        return tuple(name for name in DemographicName if name in named)
    return ()


def read_include(value: Any) -> frozenset[str]:
    """Return the wanted heavy parts out of `INCLUDABLE`; others are ignored. A comma-separated text is taken, and JSON.

    Raises:
        BadField: ``bad_json``: neither a list nor a text.
    """
    value = parse_option(value)
    if value is None:
        return frozenset()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list):
        raise BadField("The field include must be a list of words.", f"Choose out of {', '.join(INCLUDABLE)}.")
    return frozenset(part for part in INCLUDABLE if part in value)
