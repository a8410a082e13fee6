"""Cards are read strictly, and no byte of a file is used that was not compared with its card."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyzer import model_card
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_card import (
    Calibration,
    Measured,
    Metric,
    ModelCard,
    ModelClass,
    ModelInput,
    ModelOutput,
    Split,
    TrainingSource,
)
from analyzer.wording import SEE_A_PROFESSIONAL
from training import cards

GRAPH = b"<net/>" * 100
WEIGHTS = bytes(range(256)) * 40


def card() -> ModelCard:
    recall = {"recall": Metric(0.5, (0.4, 0.6), 200)}
    return ModelCard(
        name="spots",
        version="1.2.0",
        task="spots on skin",
        output_kind="one_class",
        classes=(ModelClass(0, "clear", None), ModelClass(1, "spot", "Have this looked at by a professional.")),
        inputs=(ModelInput("image", (1, None, None, 3), "NHWC", "uint8", "srgb-uint8"),),
        outputs=(ModelOutput("probabilities", (1, 2), "softmax over the classes"),),
        thresholds={"spot": 0.5, "abstain": 1},
        decision_rule="spot where its probability is at least the threshold",
        training_data=(TrainingSource("generated", 1000, "CC0", ("no faces",)),),
        split=Split("by hash of the person", ("person",), {"training": 800, "held out": 200}),
        metrics=Measured(recall, {"spot": recall}, {"dark": {"recall": Metric(0.45, None, 80)}}),
        baselines={"picture statistics": recall},
        calibration=Calibration(1.5, 0.03),
        notes=("a sentence",),
        commit="0" * 40,
        created="2026-01-31T12:00:00+00:00",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artefact with its card and two files."""
    folder = tmp_path / "spots"
    folder.mkdir()
    (folder / "spots.xml").write_bytes(GRAPH)
    (folder / "spots.bin").write_bytes(WEIGHTS)
    model_card.write(card(), folder, ["spots.xml", "spots.bin"])
    return folder


def document(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> bytes:
    content = document(folder)
    change(content)
    return json.dumps(content).encode()


def test_card_that_was_written_is_the_card_that_is_read(folder: Path) -> None:
    read = model_card.read(folder)
    assert replace(read, files={}) == card()
    assert read.files["spots.bin"].sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert read.files["spots.bin"].size_bytes == len(WEIGHTS)
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "spots.bin", "spots.xml"]


def test_card_may_say_that_there_is_nothing_to_say(folder: Path) -> None:
    plain = replace(card(), classes=(), thresholds={}, baselines={}, calibration=None, notes=())
    assert model_card.write(plain, folder, ["spots.xml"]) == model_card.read(folder)
    assert model_card.read(folder).calibration is None


def test_verified_bytes_are_the_bytes_of_the_file(folder: Path) -> None:
    read = model_card.read(folder)
    model_card.verify(read, folder)
    assert model_card.verified_bytes(read, folder, "spots.xml") == GRAPH
    assert model_card.verified_bytes(read, folder, "spots.bin") == WEIGHTS


def test_folder_without_a_card_holds_no_artefact(tmp_path: Path) -> None:
    for empty in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModelUnavailable, match="no artefact") as caught:
            model_card.read(empty)
        assert not isinstance(caught.value, BadModel)


def test_card_that_is_no_file_or_endless_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder" / "card.json").mkdir(parents=True)
    (tmp_path / "endless").mkdir()
    (tmp_path / "endless" / "card.json").symlink_to("/dev/zero")
    for name in ("folder", "endless"):
        with pytest.raises(BadModel, match=rf"{name}/card\.json"):
            model_card.read(tmp_path / name)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": 2'])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(BadModel, match="not JSON"):
        model_card.parse(data)


@pytest.mark.parametrize("data", [b"[]", b"null", b"1", b'"card"'])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(BadModel, match="must be an object"):
        model_card.parse(data)


@pytest.mark.parametrize("schema", [0, 1, "2", None, 2.5])
def test_other_schema_is_refused_by_name(folder: Path, schema: object) -> None:
    with pytest.raises(BadModel, match="must have schema 2, not") as caught:
        model_card.parse(changed(folder, lambda content: content.update(schema=schema)))
    assert repr(schema) in caught.value.message


@pytest.mark.parametrize("name", sorted(model_card.ModelCard.__dataclass_fields__))
def test_every_missing_field_is_named(folder: Path, name: str) -> None:
    with pytest.raises(BadModel, match="must have schema" if name == "schema" else f"no field {name}"):
        model_card.parse(changed(folder, lambda content: content.pop(name)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(author="x"), "unknown field author"),
        (lambda c: c["split"].pop("method"), "split has no field method"),
        (lambda c: c["inputs"][0].update(colour="bgr"), r"inputs\[0\] has an unknown field colour"),
        (lambda c: c.update(name=3), "name must be str, not 3"),
        (lambda c: c.update(output_kind="boxes"), "output_kind must be one of one_class, .* not .boxes."),
        (lambda c: c.update(name=None), "name must be str, not None"),
        (lambda c: c.update(notes="one"), "notes must be"),
        (lambda c: c.update(files=[]), "files must be"),
        (lambda c: c.update(files={}), "names no files"),
        (lambda c: c["inputs"][0].update(shape=[1, "H", 3]), r"shape\[1\] must be int, not 'H'"),
        (lambda c: c["classes"][1].update(index=True), "index must be int, not True"),
        (lambda c: c["classes"][1].update(index=2), "order of their indices"),
        (lambda c: c["thresholds"].update(spot="high"), r"thresholds\.spot must be float"),
        (lambda c: c["thresholds"].update(spot=True), r"thresholds\.spot must be float"),
        (lambda c: c["thresholds"].update(spot=10**400), r"thresholds\.spot must be float"),
        (lambda c: c["metrics"]["overall"]["recall"].update(interval=[0.1]), "interval must be"),
        (lambda c: c["metrics"]["overall"]["recall"].update(count=1.5), "count must be int"),
        (lambda c: c["metrics"]["overall"]["recall"].update(value=float("nan")), "NaN"),
        (lambda c: c["metrics"]["groups"].update(dark=0.4), r"groups\.dark must be"),
        (lambda c: c.update(calibration={"temperature": 1.0}), "calibration has no field ece"),
        (lambda c: c.update(created="yesterday"), "created must be a time"),
        (lambda c: c.update(created="2026-01-31T12:00:00"), "created must be a time"),
        (lambda c: c["files"]["spots.bin"].update(sha256="ABC"), "64 small hexadecimal digits"),
        (lambda c: c["calibration"].update(temperature=0.0), r"temperature must be from 0\.05 to 20, not 0\.0"),
        (lambda c: c["calibration"].update(temperature=-2.0), "temperature must be from"),
        (lambda c: c["calibration"].update(temperature=1e300), "temperature must be from"),
        (lambda c: c["calibration"].update(ece=1.5), "ece must be from 0 to 1"),
        (lambda c: c["thresholds"].update(parity_probability=1.0), r"parity_probability must be from 0 to 0\.05"),
        (lambda c: c["thresholds"].update(probability=-0.1), r"thresholds\.probability must be from 0 to 1"),
        (lambda c: c["thresholds"].update(presence_acne=2.0), r"presence_acne must be from 0 to 1"),
        (lambda c: c["thresholds"].update(distance=-1.0), r"thresholds\.distance must be from 0"),
        (lambda c: c["thresholds"].update(spot=1e9), r"thresholds\.spot must be from -1000"),
        (lambda c: c["classes"][1].update(wording="x" * 301), "wording must be a sentence"),
        (lambda c: c["classes"][1].update(wording="<b>see</b>"), "wording must be a sentence"),
        (lambda c: c["classes"][1].update(wording="two\nlines"), "wording must be a sentence|one line"),
        (lambda c: c["classes"][1].update(wording="turned \u202e around"), "wording must be a sentence|one line"),
        (lambda c: c["classes"][1].update(wording=""), "wording must be a sentence"),
        (lambda c: c["classes"][1].update(name="clear"), "two classes have one name"),
        (lambda c: c["classes"][1].update(name="a" * 65), "name must be a name of at most 64"),
        (
            lambda c: c.update(classes=[{"index": i, "name": f"c{i}", "wording": None} for i in range(101)]),
            "100 entries",
        ),
        (lambda c: c.update(version="6.1\n"), "version must be"),
        (lambda c: c.update(version="../6"), "version must be letters"),
        (lambda c: c.update(task="x" * 301), "task must be one line of at most 300"),
        (lambda c: c.update(notes=["x"] * 1001), "at most 1000 entries, not 1001"),
        (lambda c: c.update(notes=["x" * 2001]), r"notes\[0\] must be one line of at most 2000"),
        (lambda c: c["metrics"]["overall"].update({"a\tb": c["metrics"]["overall"]["recall"]}), "the name of an entry"),
        (lambda c: c["metrics"]["overall"]["recall"].update(count=-1), "count must be from 0"),
        (lambda c: c["inputs"][0].update(shape=[1] * 9), "shape must be at most 8 entries"),
        (lambda c: c["inputs"][0].update(shape=[0, 3]), r"shape\[0\] must be from 1"),
        (lambda c: c["files"]["spots.bin"].update(size_bytes=-1), "size_bytes must be from 0"),
    ],
)
def test_wrong_field_is_named(folder: Path, change: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(BadModel, match=said):
        model_card.parse(changed(folder, change))


def test_bounds_of_training_fit_into_those_of_a_card() -> None:
    """What training may fit or write can be read again."""
    coldest, hottest = (float(np.exp(edge)) for edge in (-2.5, 2.5))  # of training.evaluate.temperature
    assert replace_and_read(calibration=Calibration(round(coldest, 4), 0.0)).calibration is not None
    assert replace_and_read(calibration=Calibration(round(hottest, 4), 1.0)).calibration is not None
    for sentence in (*cards.WORDING.values(), SEE_A_PROFESSIONAL):
        assert replace_and_read(classes=(ModelClass(0, "spot", sentence),)).classes[0].wording == sentence


def replace_and_read(**changes: Any) -> ModelCard:
    """A card with other fields, written and read."""
    files = {"a.bin": model_card.ModelFile("0" * 64, 1)}
    return model_card.parse(json.dumps(asdict(replace(card(), files=files, **changes))).encode())


def test_number_beyond_all_floats_is_refused(folder: Path) -> None:
    text = (folder / "card.json").read_bytes().replace(b'"temperature": 1.5', b'"temperature": 1e999')
    with pytest.raises(BadModel, match="temperature must be float"):
        model_card.parse(text)


@pytest.mark.parametrize("name", ["../spots.bin", "/etc/passwd", "a/b", "..", ".hidden", "a\\b", "", "a\0b", "a\n"])
def test_names_that_could_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["files"][name] = content["files"].pop("spots.bin")

    with pytest.raises(BadModel, match=r"could lead out of the folder|the name of an entry must be one line"):
        model_card.parse(changed(folder, rename))
    read = model_card.read(folder)
    forged = replace(read, files={name: read.files["spots.bin"]})
    (folder.parent / "spots.bin").write_bytes(WEIGHTS)
    with pytest.raises(BadModel, match="leads out of it"):
        model_card.verified_bytes(forged, folder, name)


def test_link_out_of_the_folder_is_refused_though_its_content_is_right(folder: Path) -> None:
    (folder / "spots.bin").rename(folder.parent / "elsewhere.bin")
    (folder / "spots.bin").symlink_to(folder.parent / "elsewhere.bin")
    with pytest.raises(BadModel, match=r"spots/spots\.bin must lie in the folder"):
        model_card.verify(model_card.read(folder), folder)


def test_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder.parent / "current").symlink_to(folder)
    current = folder.parent / "current"
    assert model_card.verified_bytes(model_card.read(current), current, "spots.bin") == WEIGHTS


def test_missing_file_is_named(folder: Path) -> None:
    (folder / "spots.bin").unlink()
    with pytest.raises(BadModel, match=r"spots/spots\.bin is missing"):
        model_card.verify(model_card.read(folder), folder)


def test_what_is_no_file_is_refused_without_waiting(folder: Path) -> None:
    for make in (Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)):
        (folder / "spots.bin").unlink(missing_ok=True)
        make(folder / "spots.bin")
        with pytest.raises(BadModel, match=r"spots/spots\.bin (must be a file|cannot be read)"):
            model_card.verify(model_card.read(folder), folder)
        if (folder / "spots.bin").is_dir():
            (folder / "spots.bin").rmdir()


@pytest.mark.parametrize("size", [0, 1, len(WEIGHTS) - 1])
def test_short_file_tells_both_sizes(folder: Path, size: int) -> None:
    (folder / "spots.bin").write_bytes(WEIGHTS[:size])
    with pytest.raises(BadModel, match=rf"must have {len(WEIGHTS)} bytes and has {size}\."):
        model_card.verified_bytes(model_card.read(folder), folder, "spots.bin")


def test_long_file_is_not_read_to_its_end(folder: Path) -> None:
    os.truncate(folder / "spots.bin", 1 << 42)  # a hole of 4 TiB: reading it all would not end
    with pytest.raises(BadModel, match=rf"must have {len(WEIGHTS)} bytes and has more than {len(WEIGHTS)}"):
        model_card.verified_bytes(model_card.read(folder), folder, "spots.bin")


@pytest.mark.parametrize("place", [0, 5000, len(WEIGHTS) - 1])
def test_one_flipped_bit_tells_both_sums(folder: Path, place: int) -> None:
    damaged = bytearray(WEIGHTS)
    damaged[place] ^= 1
    (folder / "spots.bin").write_bytes(damaged)
    with pytest.raises(BadModel, match=r"spots/spots\.bin must have sha256") as caught:
        model_card.verified_bytes(model_card.read(folder), folder, "spots.bin")
    assert hashlib.sha256(WEIGHTS).hexdigest() in caught.value.message
    assert hashlib.sha256(damaged).hexdigest() in caught.value.message


def test_file_that_the_card_does_not_name_is_never_given(folder: Path) -> None:
    (folder / "other.bin").write_bytes(WEIGHTS)
    with pytest.raises(BadModel, match=r"names no file other\.bin"):
        model_card.verified_bytes(model_card.read(folder), folder, "other.bin")


def test_card_that_could_not_be_read_again_is_not_written(folder: Path) -> None:
    before = (folder / "card.json").read_bytes()
    for wrong in (replace(card(), created="today"), replace(card(), thresholds={"spot": float("inf")})):
        with pytest.raises(BadModel):
            model_card.write(wrong, folder, ["spots.xml"])
    with pytest.raises(BadModel, match="names no files"):
        model_card.write(card(), folder, [])
    assert (folder / "card.json").read_bytes() == before
