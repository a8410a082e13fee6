"""Options of .ebextensions, and what is wrong with them by the documented table of eb_options.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TABLE = json.loads(Path(__file__).with_suffix(".json").read_text())
ANY_NAME = "*"  # of an option; the environment decides what they are called
Options = dict[tuple[str, str], str]


def read(folder: Path) -> Options:
    """(namespace, option) -> value of all files, the later file winning as on the platform."""
    found: Options = {}
    for file in sorted(folder.glob("*.config")):
        settings = yaml.safe_load(file.read_text())["option_settings"]
        for namespace, options in settings.items():
            found |= {(namespace, name): value for name, value in options.items()}
    return found


def problems(options: Options) -> Iterator[str]:
    """One sentence for each option that the platform would refuse."""
    for (namespace, name), value in options.items():
        if not isinstance(value, str):
            yield f"{namespace} {name}: write {value!r} in quotation marks"
        elif (rule := _rule(namespace, name)) is None:
            yield f"{namespace} {name}: no such option is documented"
        elif not _allowed(value, rule):
            yield f"{namespace} {name}: {value!r} is not among {rule}"


def _rule(namespace: str, name: str) -> dict[str, Any] | None:
    options = TABLE["namespaces"].get(namespace, {})
    rule: dict[str, Any] | None = options.get(name, options.get(ANY_NAME))
    return rule


def _allowed(value: str, rule: dict[str, Any]) -> bool:
    if "values" in rule:
        return value in rule["values"]
    if "range" in rule:
        least, most = rule["range"]
        return bool(re.fullmatch(r"\d+(\.\d+)?", value)) and least <= float(value) <= most
    return bool(re.fullmatch(rule["pattern"], value))
