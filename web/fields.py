"""The optional fields of an analysis: what people say about themselves, and which heavy parts they want."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from analyzer.errors import AnalyzerError
from analyzer.values import Demographics

INCLUDABLE = ("overlays", "regions", "lesions", "explanation")


class BadField(AnalyzerError):
    """An optional field has the wrong type."""

    code = "bad_json"


def _empty_to_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _roman(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _whole_number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


_Years = Annotated[int, Field(ge=0, le=120)]
_Word = Annotated[str, Field(max_length=64)]
_Text = Annotated[_Word | None, BeforeValidator(_empty_to_none)]


class DemographicsField(BaseModel):
    """Self-reported, all optional; echoed and used for wording, never guessed from the picture."""

    model_config = ConfigDict(extra="ignore", title="Demographics")

    age: Annotated[_Years | None, BeforeValidator(_whole_number), BeforeValidator(_empty_to_none)] = None
    ethnicity: _Text = None
    gender: _Text = None
    fitzpatrick: Annotated[
        Literal["I", "II", "III", "IV", "V", "VI"] | None, BeforeValidator(_roman), BeforeValidator(_empty_to_none)
    ] = None


def read_demographics(value: Any) -> Demographics:
    """Checked demographics; None or an empty text means that nothing was said.

    Raises:
        BadField: ``bad_json``; the message names the field and never repeats its value.
    """
    if value is None or value == "":
        return Demographics()
    try:
        checked = DemographicsField.model_validate(value)
    except ValidationError as error:
        place = ".".join(str(part) for part in ("demographics", *error.errors(include_input=False)[0]["loc"]))
        raise BadField(
            f"The field {place} has a value of the wrong type or range.", "Correct it or leave it out."
        ) from None
    return Demographics(**checked.model_dump())


def read_include(value: Any) -> frozenset[str]:
    """Wanted heavy parts out of `INCLUDABLE`; unknown ones are ignored. A comma-separated text is taken too.

    Raises:
        BadField: ``bad_json``: neither a list nor a text.
    """
    if value is None:
        return frozenset()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list):
        raise BadField("The field include must be a list of words.", f"Choose out of {', '.join(INCLUDABLE)}.")
    return frozenset(part for part in INCLUDABLE if part in value)
