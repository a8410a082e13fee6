"""A trained network becomes an artefact that answers as the network itself does; its map is TensorFlow's Grad-CAM."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras  # noqa: E402

from analyzer import artefact, model_card, preprocessing  # noqa: E402
from analyzer.errors import BadModel  # noqa: E402
from analyzer.preprocessing import DEMOGRAPHICS_WIDTH  # noqa: E402
from analyzer.values import Demographics  # noqa: E402
from tests import keras_kinds, keras_parts  # noqa: E402
from training import artefact_files, command, export, golden, networks  # noqa: E402

CLASSES = ("acne", "eczema", "healthy")
SIDE_PX = 64


@pytest.fixture(scope="module", params=[0, DEMOGRAPHICS_WIDTH], ids=["picture", "picture and demographics"])
def network(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(4)
    return networks.hare_run(len(CLASSES), side_px=SIDE_PX, demographics=request.param)


@pytest.fixture(scope="module")
def folder(network: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "small"
    inputs = [model_card.ModelInput("image", (1, SIDE_PX, SIDE_PX, 3), "NHWC", "uint8", "aligned-face-224")]
    if len(network.inputs) > 1:
        inputs.append(
            model_card.ModelInput("demographics", (1, DEMOGRAPHICS_WIDTH), "NC", "float32", "demographics-12")
        )
    card = artefact.bare_card("0" * 64, 1, ".h5", CLASSES)
    card = replace(card, inputs=tuple(inputs), thresholds={"probability": 0.5, "parity_probability": 0.02})
    export.export(network, made, card)
    return made


def test_artefact_answers_as_the_network_does(network: keras.Model, folder: Path) -> None:
    opened = artefact.open_folder(folder, precision="f32")
    pictures = golden.golden_pictures(SIDE_PX)
    wanted = artefact.probabilities(golden.logits_of(network, pictures), 1.0)
    for picture, shares in zip(pictures, wanted, strict=True):
        answer = opened.predict(picture, Demographics())
        assert list(answer.probabilities.values()) == pytest.approx(shares.tolist(), abs=5e-3)


def test_keras_file_belongs_to_the_artefact_and_need_not_be_there(folder: Path, tmp_path: Path) -> None:
    card = model_card.read(folder)
    assert card.files[artefact_files.KERAS_FILE].serving is False
    for name in (model_card.CARD, *(name for name, file in card.files.items() if file.serving)):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert artefact.open_folder(tmp_path, precision="f32").self_test.startswith("passed")


def test_activation_map_is_grad_cam_of_the_gradient_tape(network: keras.Model, folder: Path) -> None:
    opened = artefact.open_folder(folder, precision="f32")
    picture = golden.golden_pictures(SIDE_PX)[1]
    answer = opened.predict(picture, Demographics())
    outputs = [network.get_layer("logits").output]
    outputs += [network.get_layer(f"{name}_features").input for name in networks.BACKBONES]
    tapped = keras.Model(network.inputs, outputs)
    given = [tf.constant(picture[None].astype(np.float32))]
    given += [tf.zeros((1, port.shape[1])) for port in network.inputs[1:]]
    peaks = []
    for index, name in enumerate(CLASSES):
        with tf.GradientTape() as tape:
            logits, *maps = tapped(given if len(given) > 1 else given[0])
            wanted = logits[0, index]
        weights = [tf.reduce_mean(gradient, axis=(0, 1, 2)) for gradient in tape.gradient(wanted, maps)]
        cam = np.maximum(
            sum((one[0] * weight).numpy().sum(axis=-1) for one, weight in zip(maps, weights, strict=True)), 0
        )
        peaks.append(cam.max())
        assert answer.activation(name) == pytest.approx(cam / (cam.max() or 1), abs=1e-3)
    assert max(peaks) > 0


def test_golden_pictures_are_the_same_every_time() -> None:
    assert (golden.golden_pictures() == golden.golden_pictures()).all()
    assert len({picture.tobytes() for picture in golden.golden_pictures()}) == len(golden.golden_pictures())


# The command


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as it may come from elsewhere: `.h5`, names of its own, one backbone, compiled for training."""
    keras.utils.set_random_seed(5)
    network = drawn_network(preprocessing.SIDE_PX)
    network.compile("adam", "categorical_crossentropy", jit_compile=False)
    path = tmp_path_factory.mktemp("elsewhere") / "theirs.h5"
    network.save(path)
    return path


def drawn_network(side_px: int, classes: int = 3, demographics: int = 0) -> keras.Model:
    image = keras.Input((side_px, side_px, 3), name="picture")
    x = keras.layers.Rescaling(1 / 64)(image)
    x = keras.layers.Conv2D(1280, 8, strides=16, activation="relu", name="theirs")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    said = [keras.Input((demographics,))] if demographics else []
    x = keras.layers.Concatenate()([x, *said]) if said else x
    x = keras.layers.Dense(classes, activation="softmax")(x)
    return keras.Model([image, *said] if said else image, x)


def exported(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    command.run(export.main)


def test_a_file_from_elsewhere_is_served_and_stays_silent(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(monkeypatch, foreign, "--out", tmp_path / "theirs", "--classes", "acne,eczema,healthy")
    assert "served as experimental: It was not measured" in capsys.readouterr().out
    opened = artefact.open_folder(tmp_path / "theirs", precision="f32")
    assert opened.self_test.startswith("passed: 6 golden pictures")
    assert (opened.card.name, opened.card.metrics.overall, opened.distribution) == ("theirs", {}, None)
    picture = golden.golden_pictures()[0]
    answer = opened.predict(picture, Demographics())
    wanted = keras.models.load_model(foreign, compile=False).predict(picture[None].astype(np.float32), verbose=0)[0]
    assert answer.probabilities == pytest.approx(dict(zip(CLASSES, wanted.tolist(), strict=True)), abs=2e-3)
    assert (answer.speaks, answer.activation(answer.top).shape) == (False, (14, 14))


def test_a_card_that_is_taken_over_keeps_its_figures_for_its_own_file_alone(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(monkeypatch, foreign, "--out", tmp_path / "first", "--classes", "acne,eczema,healthy")
    card = model_card.read(tmp_path / "first")
    figure = {artefact.EARNED: model_card.Metric(0.9, (0.8, 1.0), 50)}
    card = replace(card, metrics=model_card.Measured(figure, {}, {}), calibration=model_card.Calibration(2.0, 0.1))
    model_card.write(card, tmp_path / "first", [name for name, file in card.files.items()])
    own = tmp_path / "first" / "best_facial_model.h5"
    exported(monkeypatch, own, "--card", tmp_path / "first", "--out", tmp_path / "second")
    drawn_network(SIDE_PX).save(tmp_path / "other.keras")
    exported(monkeypatch, tmp_path / "other.keras", "--card", tmp_path / "first", "--out", tmp_path / "third")
    same, other = (model_card.read(tmp_path / name) for name in ("second", "third"))
    assert (same.metrics.overall, same.calibration) == (figure, model_card.Calibration(2.0, 0.1))
    assert (other.metrics.overall, other.calibration, other.classes) == ({}, None, card.classes)
    assert export.OTHER_WEIGHTS in other.notes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing says their names; add --classes"),
        (("--classes", "acne,eczema"), "answers 3 classes; named were 2"),
        (("--classes", "acne,acne,healthy"), "given once"),
        (("--classes", "Acne,eczema,healthy"), "small letters"),
        (("--card", "nowhere"), "no artefact nowhere"),
    ],
)
def test_what_cannot_be_used_ends_in_a_sentence(
    arguments: tuple[str, ...], words: str, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=words):
        exported(monkeypatch, foreign, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_a_network_that_the_service_cannot_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_network(SIDE_PX, demographics=3).save(tmp_path / "odd.keras")
    with pytest.raises(SystemExit, match="takes 3 numbers"):
        exported(monkeypatch, tmp_path / "odd.keras", "--out", tmp_path / "out", "--classes", "acne,eczema,healthy")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize(
    ("module", "suffix", "name", "count"),
    [
        ("keras", ".keras", "normalised head", 4),
        ("keras", ".h5", "ending: sigmoid", 4),
        ("tf_keras", ".h5", "preprocessing: caffe", 4),
        ("tf_keras", ".h5", "activation gelu", 4),
        ("tf_keras", ".keras", "ending: logits of one", 2),
    ],
)
def test_what_people_bring_becomes_an_artefact_that_answers_as_their_keras_does(
    module: str, suffix: str, name: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    k = pytest.importorskip(module, reason="Keras 2 is in the training environment only: make train-env")
    network = keras_parts.stir(keras_kinds.QUICK[name](k))
    network.save(tmp_path / f"theirs{suffix}")
    classes = ("acne", "eczema", "redness", "healthy")[:count]
    exported(monkeypatch, tmp_path / f"theirs{suffix}", "--out", tmp_path / "out", "--classes", ",".join(classes))
    opened = artefact.open_folder(tmp_path / "out", precision="f32")
    assert opened.self_test.startswith("passed: 6 golden pictures")
    kept = f"best_facial_model{suffix}"
    assert (tmp_path / "out" / kept).read_bytes() == (tmp_path / f"theirs{suffix}").read_bytes()
    assert (opened.side_px, opened.card.inputs[0].preprocessing) == (64, "aligned-face-64")
    assert opened.card.output_kind == ("multilabel" if name == "ending: sigmoid" else "one_class")
    picture = keras_parts.pictures(1)
    wanted = network.predict(picture.astype(np.float32), verbose=0)[0]
    shares = wanted if count == 4 else [1 - 1 / (1 + np.exp(-wanted[0])), 1 / (1 + np.exp(-wanted[0]))]
    given = list(opened.predict(picture[0], Demographics()).probabilities.values())
    assert given == pytest.approx(list(map(float, shares)), abs=2e-3)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name, words in (("absent.keras", "no such file"), ("half.h5", "damaged"), ("x.onnx", "ends in .keras or .h5")):
        with pytest.raises(SystemExit, match=words):
            exported(monkeypatch, tmp_path / name, "--out", tmp_path / "out", "--classes", "acne,eczema")


def test_an_artefact_that_would_not_be_served_leaves_the_earlier_one(folder: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "kept"
    shutil.copytree(folder, earlier)
    card = replace(model_card.read(folder), classes=model_card.read(folder).classes[:2])
    with pytest.raises(BadModel, match="2 are named"):
        export.export(drawn_network(SIDE_PX), earlier, card)
    assert {path.name for path in tmp_path.iterdir()} == {"kept"}
    assert artefact.open_folder(earlier, precision="f32").self_test.startswith("passed")
