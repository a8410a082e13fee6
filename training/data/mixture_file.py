"""A YAML of `training/configs` -> the sources that it names, or one sentence with file and line of what is wrong in it.

root: ../pictures             # optional; relative to this file. Else the argument, else SKIN_DATA, else ../shared/data
classes: [acne, healthy]      # optional; else every class that a source gives, by name
sources:
  - name: clinic              # unique; groups and reports name it
    kind: folders             # one of training.data.sources.READERS
    path: clinic_pictures     # relative to the root; default: the name
    licence: CC BY 4.0
    classes:                  # folder (or kind) -> class; null: none of the classes, kept to learn features from; absent: left out
      acne_vulgaris: acne
      melasma: null
    cap: 200                  # most pictures of one class; of pictures without a class, of one kind
    balance: ethnicity        # the cap holds for each ethnicity (gender, age_band, fitzpatrick) apart
    extra: 500                # pictures over the cap or without a class that are kept to learn features from
    optional: true            # left out where its folder is absent
    demographics: people.csv  # default: demographics.csv in the folder, where there is one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.command import BadInput
from training.data.sources import READERS

FILE_KEYS = ("root", "classes", "sources")
SOURCE_KEYS = (
    "name",
    "kind",
    "path",
    "licence",
    "classes",
    "cap",
    "balance",
    "extra",
    "optional",
    "demographics",
)
BALANCES = ("ethnicity", "gender", "age_band", "fitzpatrick")
Node = Any  # of PyYAML, which ships no types


@dataclass(frozen=True)
class Source:
    """One entry of `sources`; see the head of this file.

    Attributes:
        path: as written, relative to the root.
        classes: folder or kind → class or None; None altogether: the source's own labels.
        place: file and line, to begin a sentence with.
    """

    name: str
    kind: str
    path: Path
    licence: str = "not stated"
    classes: Mapping[str, str | None] | None = None
    cap: int | None = None
    balance: str | None = None
    extra: int | None = None
    optional: bool = False
    demographics: Path | None = None
    place: str = ""


@dataclass(frozen=True)
class MixtureFile:
    """What a file says."""

    sources: tuple[Source, ...]
    classes: tuple[str, ...] | None = None
    root: Path | None = None


class _Wrong(Exception):
    """A node does not say what it must."""

    def __init__(self, node: Node, reason: str) -> None:
        super().__init__(reason)
        self.line = node.start_mark.line + 1


def read(path: Path) -> MixtureFile:
    """Read a mixture file.

    Raises:
        BadInput: it is absent, no YAML, or says something unknown, twice or wrong; with its line.
    """
    import yaml

    try:
        top = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if top is None:
            raise BadInput(
                f"{path}: the file is empty; expected a list of sources, as in training/configs/facial.yaml."
            )
        return _mixture(top, path)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path}:{line}: no valid YAML: {error.problem}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: no valid YAML: {error}.") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); name a YAML file or a folder.") from error
    except _Wrong as error:
        raise BadInput(f"{path}:{error.line}: {error}.") from error


def _mixture(top: Node, path: Path) -> MixtureFile:
    entries = _entries(top, FILE_KEYS, ("sources",))
    classes = tuple(_texts(entries["classes"])) if "classes" in entries else None
    if classes and len(set(classes)) < len(classes):
        raise _Wrong(entries["classes"], "a class is named twice")
    if entries["sources"].id != "sequence" or not entries["sources"].value:
        raise _Wrong(entries["sources"], "sources must be a list of at least one source")
    sources = tuple(_source(node, path, classes) for node in entries["sources"].value)
    names: set[str] = set()
    for node, source in zip(entries["sources"].value, sources, strict=True):
        if source.name in names:
            raise _Wrong(node, f"two sources are named {source.name}; give each its own name")
        names.add(source.name)
    root = path.parent / _text(entries["root"]) if "root" in entries else None
    return MixtureFile(sources, classes, root)


def _source(node: Node, path: Path, classes: tuple[str, ...] | None) -> Source:
    entries = _entries(node, SOURCE_KEYS, ("name", "kind"))
    name = _text(entries["name"])
    kind = _one_of(entries["kind"], tuple(READERS))
    said: dict[str, Any] = {"path": Path(_text(entries["path"])) if "path" in entries else Path(name)}
    if "classes" in entries:
        said["classes"] = _class_map(entries["classes"], classes)
    for key in {"cap", "extra"} & entries.keys():
        said[key] = _count(entries[key], least=1 if key == "cap" else 0)
    if "balance" in entries:
        said["balance"] = _one_of(entries["balance"], BALANCES)
        if "cap" not in entries:
            raise _Wrong(entries["balance"], "balance says for whom the cap holds apart; give a cap as well")
    if "optional" in entries:
        said["optional"] = _one_of(entries["optional"], ("true", "false")) == "true"
    if "licence" in entries:
        said["licence"] = _text(entries["licence"])
    if "demographics" in entries:
        said["demographics"] = Path(_text(entries["demographics"]))
    return Source(name, kind, place=f"{path}:{node.start_mark.line + 1}", **said)


def _entries(node: Node, known: tuple[str, ...] | None, needed: tuple[str, ...] = ()) -> dict[str, Node]:
    """Key → value of a mapping; unknown, doubled and missing keys are wrong."""
    if node.id != "mapping":
        raise _Wrong(node, f"expected keys with values ({', '.join(known or ('folder: class',))})")
    found: dict[str, Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if known is not None and name not in known:
            raise _Wrong(key, f"unknown key {name}; known are {', '.join(known)}")
        if name in found:
            raise _Wrong(key, f"{name} is there twice")
        found[name] = value
    for name in needed:
        if name not in found:
            raise _Wrong(node, f"{name} is missing")
    return found


def _class_map(node: Node, classes: tuple[str, ...] | None) -> dict[str, str | None]:
    answer: dict[str, str | None] = {}
    for folder, value in _entries(node, None).items():
        answer[folder] = None if _is_null(value) else _text(value)
        if classes and answer[folder] not in (None, *classes):
            raise _Wrong(value, f"{answer[folder]} is none of the classes {', '.join(classes)}")
    return answer


def _texts(node: Node) -> list[str]:
    if node.id != "sequence" or not node.value:
        raise _Wrong(node, "expected a list of names, such as [acne, healthy]")
    return [_text(one) for one in node.value]


def _text(node: Node) -> str:
    if node.id != "scalar" or _is_null(node) or not node.value.strip():
        raise _Wrong(node, "expected a text")
    return str(node.value)


def _one_of(node: Node, known: tuple[str, ...]) -> str:
    if node.id != "scalar" or node.value not in known:
        raise _Wrong(node, f"expected one of {', '.join(known)}")
    return str(node.value)


def _count(node: Node, least: int) -> int:
    if node.id != "scalar" or not node.value.isdecimal() or int(node.value) < least:
        raise _Wrong(node, f"expected a whole number from {least}")
    return int(node.value)


def _is_null(node: Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")
