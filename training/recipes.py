"""A search's best setting <-> best.json, which `train_hare_run --recipe` takes: recipe of the head, views, augmentation, fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from training import command
from training.command import BadInput
from training.data.augmentation import STANDARD, Augmentation
from training.heads import Recipe

PARTS: Mapping[str, type] = {"recipe": Recipe, "augmentation": Augmentation}


@dataclass(frozen=True)
class Setting:
    """How a network is trained.

    Attributes:
        recipe: of the head.
        views: augmented ones of each training picture.
        augmentation: of those.
        fine_tune: epochs on pixels with the top blocks unfrozen; 0 = none.
    """

    recipe: Recipe = field(default_factory=Recipe)
    views: int = 2
    augmentation: Augmentation = STANDARD
    fine_tune: int = 0


def write(setting: Setting, path: Path, found: Mapping[str, object]) -> None:
    """Write a setting, and beside it what is `found` out about it, for people: nothing of that is read again."""
    text = json.dumps({**asdict(setting), "found": found}, indent=1, ensure_ascii=False)
    with command.whole(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Setting:
    """The setting in a file; what it does not name keeps its default.

    Raises:
        BadInput: the file holds something else; the message names the field.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: expected JSON as training.tune writes it ({error}).") from error
    if not isinstance(document, dict):
        raise BadInput(f"{path}: expected an object as training.tune writes it.")
    document.pop("found", None)
    parts = {name: _record(kind, document.pop(name), path, name) for name, kind in PARTS.items() if name in document}
    plain = _record(Setting, document, path, "setting")
    answer = Setting(**{**{name: getattr(plain, name) for name in document}, **parts})
    if len(answer.recipe.units) != len(answer.recipe.dropout):
        raise BadInput(f"{path}: recipe: units and dropout must have one number for each layer.")
    return answer


def _record(kind: type, document: Any, path: Path, place: str) -> Any:
    """A frozen record of a JSON object: known fields only, each of its default's type."""
    if not isinstance(document, dict):
        raise BadInput(f"{path}: {place} must be an object.")
    defaults = {one.name: one.default for one in fields(kind)}
    for name, value in document.items():
        if name not in defaults:
            raise BadInput(f"{path}: {place} has an unknown field {name}; known are {', '.join(defaults)}.")
        if not _fits(value, defaults[name]):
            raise BadInput(f"{path}: {place}: {name} must be like {json.dumps(defaults[name])}, not {value!r:.60}.")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in document.items()})


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list) and all(_fits(one, default[0]) for one in value)
    if isinstance(default, float):
        return type(value) in (int, float) and abs(value) < float("inf")
    return type(value) is type(default)
