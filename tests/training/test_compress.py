"""Int8 forms leave in f32 what they say; what is kept is taken by the service; a taught student answers like its teacher."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for package in ("tensorflow", "nncf", "sklearn"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

from analyzer import artefact, model_card  # noqa: E402
from tests.analyzer import artefacts  # noqa: E402
from tests.keras_networks import SIDE_PX, pictures, small  # noqa: E402
from training import command, compress, export  # noqa: E402
from training.compressing import compression, distillation, quantisation, student  # noqa: E402
from training.compressing.compression_measure import Line, Runnable  # noqa: E402
from training.compressing.quantisation import Form, Layer  # noqa: E402
from training.compressing.student import Course, Lesson  # noqa: E402
from training.data.mixture import Mixture  # noqa: E402
from training.data.pictures import Picture  # noqa: E402
from training.data.prepared import Prepared  # noqa: E402
from training.gathering import Pictures  # noqa: E402

CLASSES = ("acne", "eczema", "healthy", "rosacea")
EVERYTHING = quantisation.FORMS[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact of two small backbones."""
    made = tmp_path_factory.mktemp("models") / "small"
    export.export(small(), made, artefact.bare_card("0" * 64, 1, ".h5", CLASSES))
    return made


@pytest.fixture(scope="module")
def layers(folder: Path) -> list[Layer]:
    """Of pictures of which one is fifty times as bright as the others."""
    dark = [(one // 64).astype(np.uint8) for one in pictures(4)]
    return quantisation.layers_of(quantisation.graph_of(folder), [*dark, pictures(5)[4]])


def quantisers_above(graph: Any, output: str) -> int:
    above = quantisation._above(graph, output)
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    return sum(node.get_friendly_name() in above for node in nodes)


def test_layers_are_told_with_what_they_serve_and_how_far_their_inputs_go(layers: list[Layer]) -> None:
    efficientnet, resnet = artefact.MAPS[:2]
    served = [layer.backbones for layer in layers]
    assert served.count(frozenset({resnet})) == 3
    assert served.count(frozenset({efficientnet})) == len(layers) - 3 == 5
    assert sum(layer.excites for layer in layers) == 2
    raw = next(
        layer for layer in layers if layer.backbones == {resnet}
    )  # the first convolution sees the pictures themselves
    assert raw.spread == pytest.approx(255 / 3)
    assert min(layer.spread for layer in layers) >= 1


def test_layers_that_share_their_input(tmp_path: Path) -> None:
    artefacts.make(tmp_path)
    shown = np.stack([np.full((artefacts.SIDE_PX, artefacts.SIDE_PX, 3), level, np.uint8) for level in (10, 10, 40)])
    found = quantisation.layers_of(quantisation.graph_of(tmp_path), shown)
    assert sorted(layer.shape[0] for layer in found) == list(artefacts.CHANNELS)
    assert [layer.spread for layer in found] == [pytest.approx(4)] * 2


def test_a_form_leaves_what_it_does_not_take_in_f32(folder: Path, layers: list[Layer]) -> None:
    efficientnet, resnet = artefact.MAPS[:2]
    alone = next(form for form in quantisation.FORMS if form.name == "ResNet50's convolutions")
    graph = quantisation.quantised(folder, alone, layers, pictures(3))
    assert quantisers_above(graph, efficientnet) == 0
    assert quantisers_above(graph, resnet) == 3, "at the input of each convolution; kernels lie in the file as int8"
    whole = quantisation.quantised(folder, EVERYTHING, layers, pictures(3))
    assert quantisers_above(whole, efficientnet) > 0


def test_forms_that_would_be_the_same_are_made_once() -> None:
    def named(spread: float, excites: bool) -> list[str]:
        first = Layer("a", 1, (8, 1, 1) if excites else (8, 4, 4), frozenset(artefact.MAPS[:1]), 1.0)
        layers = [first, Layer("b", 2, (8, 4, 4), frozenset(artefact.MAPS[1:2]), spread)]
        return [form.name for form in quantisation.forms_for(layers)]

    assert named(1.0, False) == ["everything", "convolutions, no squeeze-excite", "ResNet50's convolutions"]
    assert named(9.0, False)[-1] == "convolutions in range"
    assert named(9.0, True) == ["everything", "convolutions, no squeeze-excite"]


def line(**changes: Any) -> Line:
    base = Line("x", {}, agreement=1.0, shift=0.0, parity=0.01, tolerance=0.02, size_mb=1.0, ms=1.0, times_as_fast=2.0)
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"parity": 0.03}, "the service would not take it"),
        ({"agreement": 0.9}, "fewer than 97% of the validation pictures"),
        ({"times_as_fast": 1.01}, "hardly faster"),
    ],
)
def test_what_is_kept(changes: dict[str, float], words: str) -> None:
    assert words in compression.verdict(line(**changes))
    assert bool(compression.verdict(line(**changes))) == bool(words)


def test_what_is_kept_is_what_the_service_takes(folder: Path, layers: list[Layer], tmp_path: Path) -> None:
    first = next(layer.name for layer in layers if layer.backbones == {artefact.MAPS[0]})
    gentle = Form("one convolution", lambda layer: layer.name == first)
    compression.with_form(folder, tmp_path / "made", gentle, layers, list(pictures(6)))
    run = Runnable("int8", folder, tmp_path / "made" / artefact.INT8)
    assert 0 < run.parity <= run.tolerance
    compression.adopt(folder, run, tmp_path / "kept", line())
    opened = artefact.open_folder(tmp_path / "kept")
    assert opened.precision == "int8"
    assert opened.self_test.startswith("passed: 6 golden pictures")
    assert "int8 form (int8): 100.0% of the validation pictures keep their class" in opened.card.notes[-1]
    served = opened.network(pictures(1)[:1])[artefact.FEATURES]
    np.testing.assert_allclose(served, run.network(pictures(1)[:1])[artefact.FEATURES], atol=1e-5)


def test_a_form_is_not_made_twice(
    folder: Path, layers: list[Layer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list(pictures(2))
    compression.with_form(folder, tmp_path, quantisation.FORMS[2], layers, shown)
    written = (tmp_path / f"{artefact.INT8}.bin").read_bytes()
    monkeypatch.setattr(quantisation, "quantised", lambda *_: pytest.fail("made again"))
    compression.with_form(folder, tmp_path, quantisation.FORMS[2], layers, shown)
    assert (tmp_path / f"{artefact.INT8}.bin").read_bytes() == written
    with pytest.raises(pytest.fail.Exception, match="made again"):
        compression.with_form(folder, tmp_path, quantisation.FORMS[2], layers, shown[:1])


def drawn(count: int = 60) -> Pictures:
    """Pictures of which two in three are of the first class; every third is a test picture."""
    labels = [CLASSES[0] if row % 3 else CLASSES[1 + row // 3 % 3] for row in range(count)]
    held = [Picture(Path(f"{row}.png"), "one", label, str(row)) for row, label in enumerate(labels)]
    crops = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, SIDE_PX, SIDE_PX, 3), np.uint8)
    parts = [("train", "train", "validation", "test")[row % 4] for row in range(count)]
    return Pictures(Mixture(CLASSES, held, [], {}), Prepared(held, [], crops, []), parts)


def test_ranges_come_from_training_pictures_of_all_classes() -> None:
    given = drawn()
    shown = [int(one[0, 0, 0]) for one in compression.calibration(given, 8, seed=1)]
    assert {given.parts[row] for row in shown} == {"train"}
    labels = [given.prepared.pictures[row].label for row in shown]
    assert {name: labels.count(name) for name in CLASSES} == dict.fromkeys(CLASSES, 2)
    assert shown != [int(one[0, 0, 0]) for one in compression.calibration(given, 8, seed=2)]


def lesson(rng: np.random.Generator, count: int, teacher: np.ndarray) -> Lesson:
    """Features, a teacher that is a linear function of them, labels that are its own with much noise."""
    features = rng.normal(size=(count, 2, student.WIDTH))
    taught = features @ teacher
    truth = np.where(rng.random(count) < 0.5, taught[:, 0].argmax(axis=1), rng.integers(0, len(CLASSES), count))
    crops = np.zeros((count, 8, 8, 3), np.uint8)
    return Lesson(features.astype(np.float16), taught.astype(np.float32), truth, crops)


def test_the_taught_student_answers_more_like_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    teacher = np.zeros((student.WIDTH, len(CLASSES)))
    teacher[:20] = rng.normal(0, 1, (20, len(CLASSES)))
    train, validation = (lesson(rng, count, teacher) for count in (400, 200))
    agreement = {}
    for teaching in (0.0, 0.9):
        course = Course(teaching=teaching, epochs=5)
        chain, history = student.fit_head(train, validation, len(CLASSES), course, tmp_path / f"{teaching}")
        logits = student.heads.logits_of(chain, validation.features[:, 0])
        agreement[teaching] = np.mean(logits.argmax(axis=1) == validation.taught[:, 0].argmax(axis=1))
        assert 1 <= len(history) <= 5
    assert agreement[0.9] > agreement[0.0] + 0.05
    monkeypatch.setattr(student.keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    again, _ = student.fit_head(train, validation, len(CLASSES), course, tmp_path / "0.9")
    assert all((one == other).all() for one, other in zip(chain[0], again[0], strict=True))


def test_targets_hold_labels_and_what_the_teacher_answers() -> None:
    taught = np.log(np.array([[[0.7, 0.2, 0.1]], [[0.1, 0.1, 0.8]]], np.float32))
    given = Lesson(np.zeros((2, 1, 1), np.float16), taught, np.array([1, 2]), np.zeros((2, 1, 1, 3), np.uint8))
    wanted = student.targets(given, 3, Course(temperature=1.0))
    np.testing.assert_allclose(wanted[0, 0], [0, 1, 0, 0.7, 0.2, 0.1], atol=1e-6)
    loss = student.Distillation(Course(teaching=0.5, temperature=1.0))(wanted[:, 0], taught[:, 0])
    entropy = [-sum(one * np.log(one) for one in row) for row in ((0.7, 0.2, 0.1), (0.1, 0.1, 0.8))]
    expected = [0.5 * -np.log(0.2) + 0.5 * entropy[0], 0.5 * -np.log(0.8) + 0.5 * entropy[1]]
    assert float(loss) == pytest.approx(np.mean(expected), abs=1e-5)


def sentence(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["compress", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        command.run(compress.main)
    return str(caught.value)


def test_what_cannot_be_used_ends_in_a_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for name in ("acne", "wrinkles"):
        (data / name).mkdir(parents=True)
        (data / name / "1.png").write_bytes(b"")
    out = tmp_path / "out"
    assert "no split of the artefact's training; name the split.json" in sentence(
        monkeypatch, folder, data, "--out", out
    )
    (tmp_path / "split.json").write_text(json.dumps({"seed": 6, "groups": {}}))
    told = sentence(monkeypatch, folder, data, "--out", out, "--split", tmp_path / "split.json")
    assert "has the classes acne, wrinkles; the artefact has acne, eczema, healthy, rosacea" in told
    assert "no artefact data" in sentence(monkeypatch, data, data, "--out", out)
    artefacts.make_graded(tmp_path / "graded")
    assert "only one_class can be compressed" in sentence(monkeypatch, tmp_path / "graded", data, "--out", out)
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    for name, file in model_card.read(folder).files.items():
        if file.serving:
            (lonely / name).write_bytes((folder / name).read_bytes())
    (lonely / model_card.CARD).write_bytes((folder / model_card.CARD).read_bytes())
    with pytest.raises(command.BadInput, match="its Keras file is not there"):
        distillation.teacher_of(lonely)


def of_run(counts: dict[str, int]) -> model_card.ModelCard:
    card = artefact.bare_card("0" * 64, 1, ".h5", CLASSES)
    return replace(card, split=replace(card.split, counts=counts))


def test_a_split_of_another_training_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    given, path = drawn(), Path("split.json")
    counts = {part: len(rows) for part, rows in given.rows.items()}
    compression.check_split(given, of_run(counts), path)
    compression.check_split(given, of_run({}), path)
    assert not capsys.readouterr().err
    compression.check_split(given, of_run({**counts, "test": 14}), path)
    assert "puts 15 pictures in the part test, the artefact's card counts 14 there" in capsys.readouterr().err
    learned = Pictures(given.given, given.prepared, ["train"] * len(given.parts))
    with pytest.raises(command.BadInput, match="puts no picture of acne in the part validation; name the split"):
        compression.check_split(learned, of_run({}), path)


def test_pictures_that_had_no_part_in_the_training_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = drawn()
    facts: list[Any] = [None] * len(given.parts)
    monkeypatch.setattr(compression.mixture, "read", lambda *_, **__: given.given)
    monkeypatch.setattr(compression, "prepare", lambda *_: replace(given.prepared, facts=facts))
    groups = {one.group: part for one, part in zip(given.prepared.pictures, given.parts, strict=True)}
    dropped = [groups.pop(str(row)) for row in (0, 1)]
    split, other = tmp_path / "split.json", tmp_path / "other.json"
    split.write_text(json.dumps({"seed": 6, "groups": groups}))
    other.write_text(json.dumps({"seed": 6, "groups": {**groups, "0": "test"}}))
    options = argparse.Namespace(data=Path("x"), limit=None, split=split, seed=6, out=tmp_path / "out", cache=tmp_path)
    found = compression.gathered(options, of_run({}))
    assert len(dropped) == 2
    assert list(found.parts) == given.parts[2:]
    assert "left out: 2 pictures" in capsys.readouterr().out
    assert (tmp_path / "out" / "split.json").read_text() == split.read_text()
    options.split = other
    with pytest.raises(command.BadInput, match="holds figures of another split"):
        compression.gathered(options, of_run({}))


def test_both_ways_are_gone_unless_one_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def parsed(*more: str) -> argparse.Namespace:
        monkeypatch.setattr(sys, "argv", ["compress", str(tmp_path), str(tmp_path), "--out", "x", *more])
        return compress.parsed()

    assert [(one.int8, one.distil) for one in (parsed(), parsed("--int8"), parsed("--distil"))] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert parsed().split == tmp_path.parent / "split.json"
