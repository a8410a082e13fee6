"""Keras files that are taken: what is read answers as Keras does, in both dialects, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import artefact, keras_files, runtime
from analyzer.errors import BadModel
from analyzer.keras_files import SUFFIXES, KerasForm
from analyzer.values import Demographics
from tests import keras_two
from tests.keras_answers import answers_of, converted
from tests.keras_kinds import QUICK
from tests.keras_networks import SIDE_PX, keras, layers, pictures, saved, small, stir
from tests.keras_parts import pictures as larger_pictures
from tests.keras_parts import stir as stir_kind
from training import networks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
OUTPUTS = ("features", "efficientnet_maps", "resnet_maps")
EXACT = 1e-4  # largest difference of a probability
KINDS = (  # some of each family; tests/training/test_keras_files.py tries all of them with TensorFlow
    "augmentation",
    "branches",
    "demographics",
    "ending: sigmoid",
    "ending: sigmoid of one",
    "frozen in part",
    "normalised head",
    "preprocessing: minus one to one",
    "sequence",
)
BEYOND_KERAS_2 = ("normalised head",)  # kinds that the rewriting in tests/keras_two.py does not know


def logits(
    form: KerasForm, picture: NDArray[np.uint8], demographics: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return what the service computes: graph, then head."""
    x = runtime.load(form.xml, form.weights, threads=2)(picture[None])["features"]
    x = x if demographics is None else np.concatenate([x, demographics[None]], axis=1)
    for index, (kernel, bias) in enumerate(form.head):
        x = (np.maximum(x, 0) if index else x) @ kernel + bias
    return x[0]


@pytest.fixture(scope="module")
def ensemble() -> keras.Model:
    return stir(networks.hare_run(6, side_px=SIDE_PX))


def inside(network: keras.Model) -> list[NDArray[np.float32]]:
    """Return normalised pictures of both backbones, features, logits, probabilities."""
    normalised = next(layer for layer in network.layers if isinstance(layer, layers.Normalization))
    tapped = [normalised, *(network.get_layer(name) for name in ("resnet_normalisation", "features", "logits"))]
    answers = keras.Model(network.input, [*(layer.output for layer in tapped), network.output])
    return answers.predict(pictures().astype(np.float32), verbose=0)


@pytest.fixture(scope="module")
def wanted(ensemble: keras.Model) -> list[NDArray[np.float32]]:
    return inside(ensemble)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_ensemble_saved_and_read_answers_as_keras_does(
    suffix: str, ensemble: keras.Model, wanted: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    form = keras_files.read(saved(ensemble, tmp_path / f"ensemble{suffix}"), suffix)
    got = runtime.load(form.xml, form.weights, threads=2)(pictures()[:1])
    assert [got[name].shape for name in OUTPUTS] == [(1, 3328), (1, 1, 1, 1280), (1, 1, 1, 2048)]
    assert min(got["features"][0, :1280].std(), got["features"][0, 1280:].std()) > 0.05
    np.testing.assert_allclose(got["features"], wanted[2][:1], atol=1e-3 * np.abs(wanted[2]).max())
    assert np.ptp(wanted[3]) > 0.1
    np.testing.assert_allclose([logits(form, picture) for picture in pictures()], wanted[3], atol=1e-4)


def test_normalisation_is_that_of_imagenet(wanted: list[NDArray[np.float32]]) -> None:
    """EfficientNet: deviations from the mean of RGB; ResNet: BGR less its mean."""
    rgb = pictures().astype(float)
    deviations = (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(wanted[0], deviations, atol=1e-4)
    np.testing.assert_allclose(wanted[1], rgb[..., ::-1] - (103.939, 116.779, 123.68), atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "settings"),
    [
        (".keras", {"softmax_layer": False}),
        (".h5", {"softmax_layer": False, "resnet_first": True}),
        (".keras", {"demographics": 3, "said_first": True, "resnet_first": True}),
        (".h5", {"demographics": 3}),
    ],
)
def test_structure_counts_not_names_and_order(suffix: str, settings: dict[str, Any], tmp_path: Path) -> None:
    network = small(**settings)
    form = converted(saved(network, tmp_path / f"network{suffix}"), suffix)
    shown, demographics = pictures(1), np.array([[0.5, -1, 2]], np.float32)[:, : settings.get("demographics", 0)]
    inputs = [shown.astype(np.float32), demographics] if demographics.size else shown.astype(np.float32)
    expected = network.predict(inputs, verbose=0)
    assert (form.demographics, form.head[0].kernel.shape) == (demographics.size, (3328 + demographics.size, 8))
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(answers_of(form, shown, demographics), expected, atol=EXACT)
    first = (
        ["resnet_maps", "efficientnet_maps"] if settings.get("resnet_first") else ["efficientnet_maps", "resnet_maps"]
    )
    assert [output.any_name for output in form.graph.outputs] == ["features", *first]


@pytest.fixture(scope="module")
def kinds() -> dict[str, tuple[keras.Model, NDArray[np.float32], NDArray[np.float32]]]:
    """Return networks, second inputs and Keras' own answers, by kind."""
    answers = {}
    for name in KINDS:
        network = stir_kind(QUICK[name](keras))
        demographics = np.random.default_rng(2).normal(size=(2, 12 * (len(network.inputs) - 1))).astype(np.float32)
        shown = larger_pictures().astype(np.float32)
        answers[name] = (
            network,
            demographics,
            network.predict([shown, demographics] if demographics.size else shown, verbose=0),
        )
    return answers


@pytest.mark.parametrize("name", KINDS)
def test_what_people_bring_answers_as_keras_does(name: str, kinds: dict[str, Any], tmp_path: Path) -> None:
    network, demographics, expected = kinds[name]
    assert np.ptp(expected) > (1e-4 if expected.shape[1] == 1 else 0.03)
    for suffix in SUFFIXES:
        form = converted(saved(network, tmp_path / f"network{suffix}"), suffix)
        np.testing.assert_allclose(
            answers_of(form, larger_pictures(), demographics), expected, atol=EXACT, err_msg=suffix
        )


@pytest.mark.parametrize("name", [name for name in KINDS if name not in BEYOND_KERAS_2])
def test_the_dialect_of_keras_2_means_the_same(name: str, kinds: dict[str, Any], tmp_path: Path) -> None:
    network, demographics, expected = kinds[name]
    network.save(tmp_path / "network.h5")
    form = converted(keras_two.rewrite(tmp_path / "network.h5"), ".h5")
    np.testing.assert_allclose(answers_of(form, larger_pictures(), demographics), expected, atol=EXACT)


def test_a_file_without_a_card_is_served_as_it_answers(kinds: dict[str, Any], tmp_path: Path) -> None:
    """Probabilities of single classes, and of one output as two classes; pictures are brought to the size of the network."""
    square = np.kron(larger_pictures()[0], np.ones((4, 4, 1), np.uint8))
    for name, count, kind in (("ending: sigmoid", 4, "multilabel"), ("ending: sigmoid of one", 2, "one_class")):
        network, _, expected = kinds[name]
        data = saved(network, tmp_path / "network.h5")
        classes = ("acne", "eczema", "redness", "healthy")[:count]
        opened = artefact.open_bare(data, ".h5", "0" * 64, classes, precision="f32")
        answer = opened.predict(square, Demographics())
        shares = expected[0] if count == 4 else [1 - expected[0, 0], expected[0, 0]]
        assert answer.probabilities == pytest.approx(dict(zip(classes, map(float, shares), strict=True)), abs=EXACT)
        assert (opened.card.output_kind, answer.independent, answer.speaks) == (kind, kind == "multilabel", False)
        assert answer.activation("acne").shape == (16, 16)


def test_reading_leaves_no_files_and_no_part_of_it_needs_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(small(), tmp_path / "network.h5")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    keras_files.read(data, ".h5")
    with pytest.raises(BadModel, match="damaged"):
        keras_files.read(data[: len(data) // 2], ".h5")
    assert list(folder.iterdir()) == []
    loaded = "import sys; import {}; print(sorted({{'keras', 'h5py', 'tensorflow'}} & sys.modules.keys()))"
    for module, expected in (("application", "[]"), ("analyzer.keras_reader", "['h5py']")):
        done = subprocess.run([sys.executable, "-c", loaded.format(module)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
