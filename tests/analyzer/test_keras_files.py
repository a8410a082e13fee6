"""Keras files: what is read answers as Keras does; what could harm is refused before Keras sees it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import keras_checks, keras_files, keras_graph, runtime
from analyzer.errors import BadModel
from analyzer.keras_files import KerasForm
from tests.keras_networks import SIDE_PX, keras, layers, pictures, pooling, small, squeezing, stir
from training import networks

SUFFIXES = (".keras", ".h5")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
OUTPUTS = ("features", "efficientnet_maps", "resnet_maps")


def saved(network: keras.Model, path: Path) -> bytes:
    network.save(path)
    return path.read_bytes()


def logits(form: KerasForm, picture: NDArray[np.uint8], said: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """What the service computes: graph, then head."""
    x = runtime.load(form.xml, form.weights, threads=2)(picture[None])["features"]
    x = x if said is None else np.concatenate([x, said[None]], axis=1)
    for index, (kernel, bias) in enumerate(form.head):
        x = (np.maximum(x, 0) if index else x) @ kernel + bias
    return x[0]


def softmax(x: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(x - x.max())
    return raised / raised.sum()


@pytest.fixture(scope="module")
def ensemble() -> keras.Model:
    return stir(networks.hare_run(6, side_px=SIDE_PX))


def inside(network: keras.Model) -> list[NDArray[np.float32]]:
    """Normalised pictures of both backbones, features, logits, probabilities."""
    normalised = next(layer for layer in network.layers if isinstance(layer, layers.Normalization))
    seen = [normalised, *(network.get_layer(name) for name in ("resnet_normalisation", "features", "logits"))]
    answers = keras.Model(network.input, [*(layer.output for layer in seen), network.output])
    return answers.predict(pictures().astype(np.float32), verbose=0)


@pytest.fixture(scope="module")
def told(ensemble: keras.Model) -> list[NDArray[np.float32]]:
    return inside(ensemble)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_ensemble_saved_and_read_answers_as_keras_does(
    suffix: str, ensemble: keras.Model, told: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    data = saved(ensemble, tmp_path / f"ensemble{suffix}")
    reloaded = inside(keras.saving.load_model(tmp_path / f"ensemble{suffix}", compile=False))
    for name, before, after in zip(
        ("efficientnet", "resnet", "features", "logits", "all"), told, reloaded, strict=True
    ):
        np.testing.assert_array_equal(after, before, err_msg=name)
    form = keras_files.read(data, suffix)
    got = runtime.load(form.xml, form.weights, threads=2)(pictures()[:1])
    assert [got[name].shape for name in OUTPUTS] == [(1, 3328), (1, 1, 1, 1280), (1, 1, 1, 2048)]
    assert min(got["features"][0, :1280].std(), got["features"][0, 1280:].std()) > 0.05
    np.testing.assert_allclose(got["features"], told[2][:1], atol=1e-3 * np.abs(told[2]).max())
    assert np.ptp(told[3]) > 0.1
    np.testing.assert_allclose([logits(form, picture) for picture in pictures()], told[3], atol=1e-4)


def test_normalisation_is_that_of_imagenet(told: list[NDArray[np.float32]]) -> None:
    """EfficientNet: deviations from the mean of RGB; ResNet: BGR less its mean."""
    rgb = pictures().astype(float)
    deviations = (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(told[0], deviations, atol=1e-4)
    np.testing.assert_allclose(told[1], rgb[..., ::-1] - (103.939, 116.779, 123.68), atol=1e-3)


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
    form = keras_files.read(saved(network, tmp_path / f"network{suffix}"), suffix)
    picture, said = pictures()[0], np.array([0.5, -1, 2], np.float32)[: settings.get("demographics", 0)]
    asked = [picture[None].astype(np.float32), *([said[None]] if said.size else [])]
    wanted = network.predict(asked if said.size else asked[0], verbose=0)[0]
    assert (form.demographics, form.head[0][0].shape) == (said.size, (3328 + said.size, 8))
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose(softmax(logits(form, picture, said if said.size else None)), wanted, atol=1e-5)
    features, *maps = runtime.load(form.xml, form.weights, threads=2)(picture[None]).values()
    assert (maps[0].shape, np.ptp(maps[1]) > 0.1) == ((1, 16, 16, 1280), True)
    np.testing.assert_allclose(features, np.concatenate([each.mean((1, 2)) for each in maps], axis=1), atol=1e-4)


def test_reading_leaves_no_files_and_the_service_no_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(small(), tmp_path / "network.h5")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    keras_files.read(data, ".h5")
    with pytest.raises(BadModel, match="damaged"):
        keras_files.read(data[: len(data) // 2], ".h5")
    assert list(folder.iterdir()) == []
    loaded = "import sys, application; print(sorted({'keras', 'h5py', 'tensorflow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Refused before Keras: archives


def archive(members: dict[str, bytes], *, packed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return file.getvalue()


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("keras") / "network.keras"
    small().save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(small(), tmp_path_factory.mktemp("keras") / "network.h5")


def refused(data: bytes, suffix: str) -> str:
    with pytest.raises(BadModel) as caught:
        keras_checks.check(data, suffix)
    return caught.value.message


def test_what_was_saved_passes_the_checks(members: dict[str, bytes], weights: bytes) -> None:
    keras_checks.check(archive(members), ".keras")
    keras_checks.check(archive(members, packed=True), ".keras")
    keras_checks.check(weights, ".h5")


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "assets/vocabulary.txt", "config.json/x"])
def test_archive_with_another_member(name: str, members: dict[str, bytes]) -> None:
    assert name in refused(archive({**members, name: b""}), ".keras")


def test_archive_with_a_member_missing(members: dict[str, bytes]) -> None:
    assert "one is missing" in refused(archive({"config.json": members["config.json"]}), ".keras")


def test_archive_with_a_member_twice(members: dict[str, bytes]) -> None:
    file = io.BytesIO(archive(members))
    with zipfile.ZipFile(file, "a") as out, pytest.warns(UserWarning, match="Duplicate"):
        out.writestr("config.json", b"{}")
    assert "once each" in refused(file.getvalue(), ".keras")


def test_archive_that_unpacks_to_far_more(members: dict[str, bytes]) -> None:
    data = archive({**members, "config.json": bytes(9 << 20)}, packed=True)
    assert len(data) < 2 << 20
    assert "announces 9437184 bytes" in refused(data, ".keras")


def test_archive_that_says_less_than_it_holds(members: dict[str, bytes]) -> None:
    data = archive({**members, "config.json": bytes(9 << 20)}, packed=True)
    assert "damaged" in refused(data.replace((9 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")), ".keras")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_cut_short_or_of_another_kind(suffix: str, members: dict[str, bytes], weights: bytes) -> None:
    whole = archive(members) if suffix == ".keras" else weights
    assert "damaged" in refused(whole[: len(whole) // 2], suffix)
    for other in (b"", b"GIF89a", weights if suffix == ".keras" else archive(members)):
        assert "not what its ending" in refused(other, suffix)


# Refused before Keras: configurations


def changed(config: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    document = json.loads(config)
    change(document)
    return json.dumps(document).encode()


def layer(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in document["config"]["layers"] if entry["class_name"] == name)
    return found


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda whole: whole.update(class_name="Sequential"), "one functional network"),
        (lambda whole: layer(whole, "ReLU").update(class_name="TorchModuleWrapper"), "'TorchModuleWrapper'"),
        (lambda whole: layer(whole, "ReLU").update(class_name="Functional"), "'Functional'"),
        (lambda whole: layer(whole, "ReLU").update(module="os"), "from 'os'"),
        (lambda whole: layer(whole, "ReLU").update(module="keras_evil.layers"), "from 'keras_evil.layers'"),
        (lambda whole: layer(whole, "ReLU").update(registered_name="Mine>ReLU"), "'Mine>ReLU'"),
        (lambda whole: layer(whole, "ReLU")["config"]["dtype"]["config"].update(name="float64"), "'float64'"),
        (
            lambda whole: layer(whole, "Dense")["config"].update(
                activation={
                    "module": "builtins",
                    "class_name": "function",
                    "config": "eval",
                    "registered_name": "function",
                }
            ),
            "'function'",
        ),
    ],
)
def test_configuration_that_names_what_is_not_taken(
    change: Callable[[dict[str, Any]], Any], word: str, members: dict[str, bytes]
) -> None:
    assert word in refused(archive({**members, "config.json": changed(members["config.json"], change)}), ".keras")


def test_configuration_that_is_none(members: dict[str, bytes]) -> None:
    assert "not JSON" in refused(archive({**members, "config.json": b"[" * 100_000}), ".keras")
    nested = json.loads("[" * 900 + "]" * 900)
    config = changed(members["config.json"], lambda whole: whole["config"].update(more=nested))
    assert "too deep" in refused(archive({**members, "config.json": config}), ".keras")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lambda_and_custom_layers(suffix: str, tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable(package="Mine")
    class Odd(layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    for name, odd in (("Lambda", layers.Lambda(lambda x: x * 2)), ("Odd", Odd())):
        image = keras.Input((SIDE_PX, SIDE_PX, 3))
        network = keras.Model(image, odd(layers.Rescaling(2.0)(image)))
        assert name in refused(saved(network, tmp_path / f"{name}{suffix}"), suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_raw_operations(suffix: str, tmp_path: Path) -> None:
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    network = keras.Model(image, layers.ReLU()(image)[..., ::-1])
    assert "'GetItem'" in refused(saved(network, tmp_path / f"raw{suffix}"), suffix)


# Refused before Keras: HDF5


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("added", (4,), np.uint8, external=[(str(other), 0, 4)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((4,), np.uint8)
    layout[:] = h5py.VirtualSource(str(other), "secret", (4,))
    file.create_virtual_dataset("added", layout)


def lying_deep(file: h5py.File, other: Path) -> None:
    file.create_group("/".join(["deep"] * 40))


CHANGES: dict[str, tuple[Callable[[h5py.File, Path], Any], str]] = {
    "external link": (
        lambda file, other: file.update({"added": h5py.ExternalLink(str(other), "/")}),
        "link to another",
    ),
    "soft link": (lambda file, other: file.update({"added": h5py.SoftLink("/model_weights")}), "link to another"),
    "circle": (lambda file, other: file.update({"added": file["model_weights"]}), "two names"),
    "external storage": (external_storage, "another file"),
    "virtual": (virtual, "another file"),
    "texts": (lambda file, other: file.update({"added": ["a", "b"]}), "plain numbers"),
    "references": (
        lambda file, other: file["model_weights"].attrs.update({"added": file["model_weights"].ref}),
        "something else than texts",
    ),
    "too large": (
        lambda file, other: file.create_dataset("added", (1 << 40,), np.float32, chunks=(1 << 20,)),
        "more than any ensemble",
    ),
    "packed": (
        lambda file, other: file.create_dataset("added", (64,), np.float32, compression="lzf"),
        "further software",
    ),
    "deep": (lying_deep, "too deep"),
    "no network": (lambda file, other: file.attrs.pop("model_config"), "without a network"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_hdf5_that_reaches_out_or_announces_too_much(
    name: str, weights: bytes, members: dict[str, bytes], tmp_path: Path
) -> None:
    change, words = CHANGES[name]
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(4, dtype=np.uint8)
    path = tmp_path / "changed.h5"
    path.write_bytes(weights)
    with h5py.File(path, "a") as file:
        change(file, other)
    assert words in refused(path.read_bytes(), ".h5")
    if name != "no network":
        assert words in refused(archive({**members, "model.weights.h5": path.read_bytes()}), ".keras")


# Refused after Keras: other networks


def not_taken(network: keras.Model) -> str:
    with pytest.raises(BadModel) as caught:
        keras_graph.convert(network)
    return caught.value.message


def with_head(build: Callable[[Any, Any], Any]) -> keras.Model:
    """Two true backbones; `build` makes the output of their features."""
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    first, second = (layers.GlobalAveragePooling2D()(maps) for maps in (squeezing(image), pooling(image)))
    return keras.Model(image, build(first, second))


def dense(features: Any, activation: str = "softmax") -> Any:
    return layers.Dense(3, activation=activation)(features)


def join(*features: Any) -> Any:
    return layers.Concatenate()(list(features))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda first, second: dense(join(first, second), "sigmoid"), "must end in softmax"),
        (lambda first, second: dense(layers.Dense(5, activation="tanh")(join(first, second))), "ReLU between"),
        (lambda first, second: join(first, second), "must end in dense"),
        (lambda first, second: dense(join(first, first)), "two backbones"),
        (lambda first, second: dense(join(first, layers.Dense(2048)(second))), "global averages"),
    ],
)
def test_other_heads(build: Callable[[Any, Any], Any], words: str) -> None:
    assert words in not_taken(with_head(build))


@pytest.mark.parametrize(("backbone", "width"), [(squeezing, 1280), (pooling, 2048)])
def test_one_backbone_alone_answers_as_keras_does(backbone: Callable[[Any], Any], width: int, tmp_path: Path) -> None:
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    network = stir(keras.Model(image, dense(layers.GlobalAveragePooling2D()(backbone(image)))))
    form = keras_files.read(saved(network, tmp_path / "network.keras"), ".keras")
    got = runtime.load(form.xml, form.weights, threads=2)(pictures()[:1])
    assert {name: array.shape[-1] for name, array in got.items()} == {
        "features": width,
        "efficientnet_maps" if width == 1280 else "resnet_maps": width,
    }
    wanted = network.predict(pictures().astype(np.float32), verbose=0)
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose([softmax(logits(form, picture)) for picture in pictures()], wanted, atol=1e-5)


def test_numbers_that_are_none() -> None:
    for kind in (layers.Dense, layers.Conv2D, layers.BatchNormalization):
        network = small()
        found = next(entry for entry in network.layers if isinstance(entry, kind))
        found.set_weights([np.full(weight.shape, np.nan) for weight in found.get_weights()])
        assert "not finite" in not_taken(network)


def test_a_backbone_of_another_width() -> None:
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    network = keras.Model(image, dense(layers.GlobalAveragePooling2D()(layers.Conv2D(9, 3)(image))))
    assert "1280 and 2048" in not_taken(network)


def test_settings_that_no_backbone_has() -> None:
    image = keras.Input((SIDE_PX, SIDE_PX, 3))
    first = layers.GlobalAveragePooling2D()(layers.Conv2D(1280, 1, groups=1, activation="tanh")(squeezing(image)))
    network = keras.Model(image, dense(join(first, layers.GlobalAveragePooling2D()(pooling(image)))))
    assert "settings" in not_taken(network)


def test_a_network_too_large_ends_alone(members: dict[str, bytes]) -> None:
    def grow(document: dict[str, Any]) -> None:
        layer(document, "Dense")["config"]["units"] = 1 << 31

    data = archive({**members, "config.json": changed(members["config.json"], grow)})
    with pytest.raises(BadModel, match="more memory"):
        keras_files.read(data, ".keras")
