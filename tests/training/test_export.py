"""A trained network becomes an artefact that answers as the network itself does; its map is TensorFlow's Grad-CAM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras  # noqa: E402

from analyzer import artefact, model_card  # noqa: E402
from analyzer.preprocessing import DEMOGRAPHICS_WIDTH  # noqa: E402
from analyzer.values import Demographics  # noqa: E402
from training import export, networks  # noqa: E402

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
    pictures = export.golden_pictures(SIDE_PX)
    wanted = artefact.probabilities(export.logits_of(network, pictures), 1.0)
    for picture, shares in zip(pictures, wanted, strict=True):
        answer = opened.predict(picture, Demographics())
        assert list(answer.probabilities.values()) == pytest.approx(shares.tolist(), abs=5e-3)


def test_keras_file_belongs_to_the_artefact_and_need_not_be_there(folder: Path, tmp_path: Path) -> None:
    card = model_card.read(folder)
    assert card.files[export.KERAS_FILE].serving is False
    for name in (model_card.CARD, *(name for name, file in card.files.items() if file.serving)):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert artefact.open_folder(tmp_path, precision="f32").self_test.startswith("passed")


def test_activation_map_is_grad_cam_of_the_gradient_tape(network: keras.Model, folder: Path) -> None:
    opened = artefact.open_folder(folder, precision="f32")
    picture = export.golden_pictures(SIDE_PX)[1]
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
    assert (export.golden_pictures() == export.golden_pictures()).all()
    assert len({picture.tobytes() for picture in export.golden_pictures()}) == len(export.golden_pictures())
