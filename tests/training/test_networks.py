"""The Hare Run network under TensorFlow, and what is saved there read without it; needs the training environment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

from analyzer import keras_files, runtime
from tests.keras_networks import SIDE_PX, keras, pictures, small, stir
from training import networks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own


def answer(form: keras_files.KerasForm, said: np.ndarray) -> np.ndarray:
    """(N, classes) probabilities by graph and head, as the service computes them."""
    graph = runtime.load(form.xml, form.weights, threads=2)
    x = np.concatenate([np.concatenate([graph(one[None])["features"] for one in pictures()]), said], axis=1)
    for index, (kernel, bias) in enumerate(form.head):
        x = (np.maximum(x, 0) if index else x) @ kernel + bias
    raised = np.exp(x - x.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def ensemble() -> keras.Model:
    assert keras.backend.backend() == "tensorflow"
    return stir(networks.hare_run(6, side_px=SIDE_PX, demographics=3))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saved_under_tensorflow_reads_the_same_with_and_without_it(
    suffix: str, ensemble: keras.Model, tmp_path: Path
) -> None:
    path = tmp_path / f"ensemble{suffix}"
    ensemble.save(path)
    said = np.array([[0.3, 1, 0], [0, 0, 0]], np.float32)
    batch = [pictures().astype(np.float32), said]
    wanted = ensemble(batch, training=False).numpy()
    reloaded = keras.saving.load_model(path, compile=False)
    np.testing.assert_array_equal(reloaded(batch, training=False).numpy(), wanted)
    form = keras_files.read(path.read_bytes(), suffix)
    assert form.demographics == 3
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose(answer(form, said), wanted, atol=1e-5)


def test_a_compiled_network_with_the_state_of_its_optimiser_is_read(tmp_path: Path) -> None:
    network = small()
    network.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    network.fit(pictures().astype(np.float32), np.array([0, 1]), verbose=0)
    for suffix in (".keras", ".h5"):
        network.save(tmp_path / f"trained{suffix}")
        form = keras_files.read((tmp_path / f"trained{suffix}").read_bytes(), suffix)
        wanted = network(pictures().astype(np.float32), training=False).numpy()
        np.testing.assert_allclose(answer(form, np.zeros((2, 0), np.float32)), wanted, atol=1e-5)


def test_backbones_trained_alone_lend_their_weights(ensemble: keras.Model, tmp_path: Path) -> None:
    alone = stir(networks.backbone("efficientnet", SIDE_PX), seed=3)
    alone.save_weights(tmp_path / "efficientnet.weights.h5")
    networks.take_weights(ensemble, {"efficientnet": tmp_path / "efficientnet.weights.h5"})
    batch = pictures().astype(np.float32)
    features = keras.Model(ensemble.input, ensemble.get_layer("features").output)
    given = features([batch, np.zeros((2, 3), np.float32)], training=False).numpy()[:, :1280]
    np.testing.assert_allclose(given, alone(batch, training=False).numpy(), atol=1e-5)


def test_the_mean_of_pictures_stays_frozen_when_the_network_is_trained(ensemble: keras.Model) -> None:
    assert not ensemble.get_layer("resnet_normalisation").trainable
    assert all("resnet_normalisation" not in weight.path for weight in ensemble.trainable_weights)


def test_a_head_of_other_widths_is_taken_and_given_back() -> None:
    network = networks.hare_run(3, side_px=SIDE_PX, units=(24, 10))
    rng = np.random.default_rng(1)
    shapes = ((3328, 24), (24, 10), (10, 3))
    chain = [
        (rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32)) for shape in shapes
    ]
    networks.take_head(network, chain)
    for given, taken in zip(chain, networks.head_of(network), strict=True):
        np.testing.assert_array_equal(given[0], taken[0])
        np.testing.assert_array_equal(given[1], taken[1])
    assert [layer.rate for layer in network.layers if layer.name.endswith("dropout") and "head" in layer.name] == [
        0.5,
        0.5,
    ]


def test_backbones_of_another_network_are_taken_whatever_its_head(ensemble: keras.Model) -> None:
    other = networks.hare_run(2, side_px=SIDE_PX, units=(8,))
    networks.take_backbones(other, ensemble)
    batch = pictures().astype(np.float32)
    features = [keras.Model(one.inputs[0], one.get_layer("features").output) for one in (other, ensemble)]
    np.testing.assert_array_equal(*(one(batch, training=False).numpy() for one in features))


def test_only_the_top_learns_and_normalisations_stay_as_they_are() -> None:
    network = networks.hare_run(2, side_px=SIDE_PX, units=(8,))
    named = networks.unfreeze_top(network)
    assert {"top_conv", "block7a_project_conv", "conv5_block3_3_conv", "head_0", "logits"} <= set(named)
    assert not any(name.startswith(("block6", "conv5_block2", "stem", "resnet_norm")) for name in named)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.get_weights() for layer in norms]
    network.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    kernel = network.get_layer("top_conv").get_weights()[0]
    network.fit(pictures().astype(np.float32), np.array([0, 1]), verbose=0)
    assert (network.get_layer("top_conv").get_weights()[0] != kernel).any()
    for layer, values in zip(norms, before, strict=True):
        for one, other in zip(layer.get_weights(), values, strict=True):
            np.testing.assert_array_equal(one, other)
