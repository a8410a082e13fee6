"""What an artefact says of itself: `card.json` in its folder, read strictly; its files, verified before anything opens them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from analyzer import card_fields
from analyzer.card_fields import (
    HINT,
    Entries,
    Label,
    Name,
    Sentence,
    Share,
    Size,
    Temperature,
    Wording,
    refuse,
)
from analyzer.errors import ModelUnavailable
from analyzer.vocabulary import EnsembleKind

CARD = "card.json"
SCHEMA = 2  # of the fields below; a card of another schema is refused
ONE_CLASS, MULTILABEL, FACES = EnsembleKind.ONE_CLASS, EnsembleKind.MULTILABEL, "faces"
SEVERITIES = EnsembleKind.MULTILABEL_SEVERITY
OUTPUT_KINDS = (
    ONE_CLASS,
    MULTILABEL,
    SEVERITIES,
    FACES,
)  # what an artefact answers: docs/ensemble.md, analyzer/severity.py, face_network.py
MOST_CARD_BYTES = 4 * 1024 * 1024
MOST_CLASSES = 100
PLAIN_NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*"
)  # no folders, no hidden files, nothing that could leave the folder
SHA256 = re.compile(r"[0-9a-f]{64}")
Shape = Annotated[tuple[Size | None, ...], Entries(8)]


@dataclass(frozen=True)
class ModelClass:
    """One class: its index in the output, its name, and what is said of it to a person (None: nothing)."""

    index: int
    name: Label
    wording: Wording | None


@dataclass(frozen=True)
class ModelInput:
    """One input: shape with None where any size fits, layout such as NHWC, id of the preprocessing that feeds it."""

    name: Label
    shape: Shape
    layout: Label
    dtype: Label
    preprocessing: Label


@dataclass(frozen=True)
class ModelOutput:
    """One output and what its numbers mean."""

    name: Label
    shape: Shape
    meaning: Sentence


@dataclass(frozen=True)
class TrainingSource:
    """Pictures that it learned from; flags say what a reader must know of them."""

    source: str
    count: int
    licence: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """How pictures were parted, what kept them together, and how many each part holds."""

    method: str
    group_keys: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Metric:
    """One measured number, its 95 % interval where there is one, and the number of cases behind it."""

    value: float
    interval: tuple[float, float] | None
    count: int


Metrics = Mapping[str, Metric]  # by the metric's name, with its unit


@dataclass(frozen=True)
class Measured:
    """Metrics on pictures that were not trained on: of all, of each class, of each group of people or views."""

    overall: Metrics
    classes: Mapping[str, Metrics]
    groups: Mapping[str, Metrics]


@dataclass(frozen=True)
class Calibration:
    """Temperature that the logits are divided by, and the expected calibration error with it."""

    temperature: Temperature
    ece: Share


@dataclass(frozen=True)
class ModelFile:
    """What a file must be; `serving` ones are needed to serve, others (the Keras file) need not lie in the folder."""

    sha256: str
    size_bytes: int
    serving: bool = True


@dataclass(frozen=True)
class ModelCard:
    """A whole card. Every field stands in the file; None or an empty list says that there is nothing to say.

    Attributes:
        output_kind: one of `OUTPUT_KINDS`: how its answers are read.
        thresholds: numbers that the decision rule compares with, by name.
        baselines: what simpler methods reach on the same pictures, by method.
        commit: of the sources that trained it.
        created: ISO 8601 with its time zone.
        files: by plain name, all in the card's folder.
    """

    name: Name
    version: Name
    task: Sentence
    output_kind: str
    classes: Annotated[tuple[ModelClass, ...], Entries(MOST_CLASSES)]
    inputs: Annotated[tuple[ModelInput, ...], Entries(16)]
    outputs: Annotated[tuple[ModelOutput, ...], Entries(16)]
    thresholds: Mapping[str, float]
    decision_rule: str
    training_data: tuple[TrainingSource, ...]
    split: Split
    metrics: Measured
    baselines: Mapping[str, Metrics]
    calibration: Calibration | None
    notes: tuple[str, ...]
    commit: Label
    created: str
    files: Annotated[Mapping[str, ModelFile], Entries(64)] = field(default_factory=dict)
    schema: int = SCHEMA


def read(folder: Path) -> ModelCard:
    """The card of an artefact's folder. Its files are not looked at; see `verified_bytes` and `verify`.

    Raises:
        ModelUnavailable: there is no card.
        BadModel: the card is malformed, of another schema, or names files outside its folder.
    """
    try:
        with (folder / CARD).open("rb") as file:
            data = file.read(MOST_CARD_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelUnavailable(f"There is no artefact {folder.name}: it has no {CARD}.", HINT) from None
    except OSError as error:
        refuse(f"{folder.name}/{CARD} cannot be read: {error.strerror}.")
    if len(data) > MOST_CARD_BYTES:
        refuse(f"{folder.name}/{CARD} has more than {MOST_CARD_BYTES} bytes.")
    return parse(data)


def parse(data: bytes) -> ModelCard:
    """The card in the bytes of `card.json`.

    Raises:
        BadModel: a field is missing, unknown, of a wrong type or out of its bounds, or the schema is another one.
    """
    try:
        document = json.loads(data, parse_constant=lambda word: refuse(f"{CARD} holds {word}, which is no number."))
    except (ValueError, RecursionError):
        refuse(f"{CARD} is not JSON in UTF-8.")
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        refuse(f"{CARD} must have schema {SCHEMA}, not {document.get('schema')!r:.60}.")
    card: ModelCard = card_fields.record(ModelCard, document, CARD)
    _check(card)
    return card


def verify(card: ModelCard, folder: Path) -> None:
    """Read all files of a card once and compare them; those that serving does not need may be absent.

    Raises:
        BadModel: a file is missing, lies elsewhere, or differs in size or sha256.
    """
    for name, file in card.files.items():
        if file.serving or os.path.lexists(folder / name):
            verified_bytes(card, folder, name)


def verified_bytes(card: ModelCard, folder: Path, name: str) -> bytes:
    """The bytes of one file: read once, compared, and these very bytes returned.

    Raises:
        BadModel: as `verify`, or the card names no such file.
    """
    wanted = card.files.get(name) or refuse(f"{CARD} of {card.name} names no file {name}.")
    data = _bytes(folder, name, wanted.size_bytes)
    if len(data) != wanted.size_bytes:
        size = f"more than {wanted.size_bytes}" if len(data) > wanted.size_bytes else len(data)
        refuse(f"{folder.name}/{name} must have {wanted.size_bytes} bytes and has {size}.")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != wanted.sha256:
        refuse(f"{folder.name}/{name} must have sha256 {wanted.sha256} and has {sha256}.")
    return data


def write(card: ModelCard, folder: Path, names: Iterable[str], optional: Iterable[str] = ()) -> ModelCard:
    """Write `card.json` beside the files that it describes; the card with their sizes and sha256.

    Args:
        names: files that serving needs.
        optional: files that belong to the artefact and are not needed to serve it.

    Raises:
        BadModel: what would be written could not be read again.
    """
    files = {
        name: ModelFile(hashlib.sha256(data).hexdigest(), len(data), serving)
        for serving, group in ((True, names), (False, optional))
        for name, data in ((name, (folder / name).read_bytes()) for name in group)
    }
    text = json.dumps(asdict(replace(card, files=files)), indent=1, ensure_ascii=False) + "\n"
    written = parse(text.encode())
    verify(written, folder)
    unfinished = folder / f".{CARD}.part"
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(folder / CARD)
    return written


def _bytes(folder: Path, name: str, size_bytes: int) -> bytes:
    """At most one byte more than a file should have."""
    try:
        path = (folder / name).resolve(strict=True) if PLAIN_NAME.fullmatch(name) else None
        if path is None or path.parent != folder.resolve():
            refuse(f"{folder.name}/{name} must lie in the folder of its card and leads out of it.")
        if not path.is_file():
            refuse(f"{folder.name}/{name} must be a file.")
        with path.open("rb") as file:
            return file.read(size_bytes + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        missing = isinstance(error, FileNotFoundError)
        refuse(f"{folder.name}/{name} " + ("is missing." if missing else "cannot be read."))


def _check(card: ModelCard) -> None:
    """What types alone do not say."""
    if card.output_kind not in OUTPUT_KINDS:
        refuse(f"{CARD}: output_kind must be one of {', '.join(OUTPUT_KINDS)}, not {card.output_kind!r:.60}.")
    if [entry.index for entry in card.classes] != list(range(len(card.classes))):
        refuse(f"{CARD}: classes must stand in the order of their indices, from 0, none left out.")
    if len({entry.name for entry in card.classes}) < len(card.classes):
        refuse(f"{CARD}: two classes have one name.")
    for name, number in card.thresholds.items():
        card_fields.bound(card_fields.threshold(name), number, f"{CARD}: thresholds.{name}")
    for name, file in card.files.items():
        if not PLAIN_NAME.fullmatch(name):
            refuse(f"{CARD}: the file name {name!r} could lead out of the folder.")
        if not SHA256.fullmatch(file.sha256):
            refuse(f"{CARD}: {name} must have a sha256 of 64 small hexadecimal digits.")
    if not card.files:
        refuse(f"{CARD} names no files.")
    try:
        zone = datetime.fromisoformat(card.created).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        refuse(f"{CARD}: created must be a time as 2026-01-31T12:00:00+00:00, not {card.created!r}.")
