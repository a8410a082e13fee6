"""Keras files that are not taken: each refusal names the cause whole, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analyzer import artefact, keras_files
from analyzer.errors import BadModel
from analyzer.keras_files import SUFFIXES
from tests.keras_answers import converted
from tests.keras_kinds import QUICK
from tests.keras_networks import archive, keras, layers, members_of, saved, small
from tests.keras_parts import base, ended, of_features, of_picture, pooled, tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
LONG_NAME = "a_layer_whose_name_is_as_long_as_people_make_them_when_they_put_the_whole_history_of_a_model_into_it"


@keras.saving.register_keras_serializable(package="Mine")
class Odd(layers.Layer):  # type: ignore[misc]
    """A layer of a person's own."""

    def call(self, inputs: Any) -> Any:
        return inputs


@keras.saving.register_keras_serializable(package="Mine")
class Own(keras.Model):  # type: ignore[misc]
    """A network of a person's own class."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.dense = layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def refusal(data: bytes, suffix: str = ".keras") -> BadModel:
    with pytest.raises(BadModel) as caught:
        converted(data, suffix)
    assert caught.value.message.endswith((".", ")"))
    assert len(caught.value.hint.split()) > 4
    return caught.value


def two_pictures(k: Any) -> Any:
    images = [k.Input((64, 64, 3)) for _ in range(2)]
    return k.Model(images, ended(k, k.layers.Concatenate()([pooled(k, image) for image in images])))


def two_outputs(k: Any) -> Any:
    image = k.Input((64, 64, 3))
    features = pooled(k, tiny(k, image))
    return k.Model(image, [ended(k, features), k.layers.Dense(1)(features)])


def mixed_pooling(k: Any, image: Any) -> Any:
    maps = tiny(k, image)
    return ended(k, k.layers.Concatenate()([pooled(k, maps), k.layers.Flatten()(maps)]))


def with_lambda(k: Any, image: Any) -> Any:
    return ended(k, pooled(k, tiny(k, k.layers.Lambda(lambda x: x / 255, name="prepare")(image))))


def with_own_layer(k: Any, image: Any) -> Any:
    return ended(k, pooled(k, tiny(k, Odd(name=LONG_NAME)(image))))


NETWORKS: dict[str, tuple[Callable[[Any], Any], str, str]] = {  # → builder, words of the cause, words of the remedy
    "lambda": (of_picture(with_lambda), "the layer 'prepare' (Lambda), which runs code", "Rescaling or Normalization"),
    "own layer": (of_picture(with_own_layer), f"the layer '{LONG_NAME}' (Mine>Odd", "Keras' own layers"),
    "own layer's class": (of_picture(with_own_layer), "(Mine>Odd", "save"),
    "two pictures": (two_pictures, "shapes (64, 64, 3) and (64, 64, 3)", "on one keras.Input"),
    "two outputs": (two_outputs, "2 outputs", "the skin classes alone"),
    "grey pictures": (
        lambda k: k.Model(image := k.Input((64, 64, 1)), ended(k, pooled(k, image))),
        "64 × 64 × 1 numbers",
        "square RGB",
    ),
    "wide pictures": (
        lambda k: k.Model(image := k.Input((64, 96, 3)), ended(k, pooled(k, image))),
        "64 × 96 × 3 numbers",
        "square RGB",
    ),
    "no picture": (
        lambda k: k.Model(vector := k.Input((12,)), ended(k, vector)),
        "inputs of the shapes (12,)",
        "square RGB picture",
    ),
    "maps at the end": (of_picture(lambda k, image: tiny(k, image)), "ends in maps", "GlobalAveragePooling2D"),
    "relu at the end": (
        of_features(lambda k, x: ended(k, x, "relu")),
        "ends in relu",
        "softmax, sigmoid or no activation",
    ),
    "softmax of one": (of_features(lambda k, x: ended(k, x, "softmax", 1)), "always 1", "one unit for each class"),
    "sum of probabilities": (
        of_features(lambda k, x: k.layers.Add()([ended(k, x), ended(k, x)])),
        "adds, scales or mixes probabilities",
        "layers.Average",
    ),
    "percentages": (
        of_features(lambda k, x: k.layers.Rescaling(100.0)(ended(k, x))),
        "adds, scales or mixes",
        "Average",
    ),
    "unknown layer": (
        of_features(lambda k, x: ended(k, k.layers.LayerNormalization(name="norm")(x))),
        "the layer 'norm' (LayerNormalization), a class that is not taken",
        "docs/keras-files.md",
    ),
    "unknown activation": (
        of_features(lambda k, x: ended(k, k.layers.Dense(5, activation="glu", name="gate")(x))),
        "The layer 'gate' (Dense) has the activation 'glu'",
        "docs/keras-files.md",
    ),
    "mixed pooling": (of_picture(mixed_pooling), "flattened and some are pooled", "flatten all of them"),
    "low precision": (
        of_features(lambda k, x: k.layers.Dense(4, dtype="float16", name="last")(x)),
        "The layer 'last' (Dense) computes in 'float16'",
        "float32, mixed_float16",
    ),
    "lower precision": (
        of_features(lambda k, x: k.layers.Dense(4, dtype="bfloat16", name="last")(x)),
        "of no plain type, such as bfloat16",
        "float32, mixed_float16 or mixed_bfloat16",
    ),
    "crop at random": (
        of_picture(lambda k, image: ended(k, pooled(k, tiny(k, k.layers.RandomCrop(40, 40)(image))))),
        "'random_crop",
        "Resizing or CenterCrop",
    ),
    "product of heads": (
        of_features(
            lambda k, x: ended(k, k.layers.Multiply(name="gate")([k.layers.Dense(3)(x), k.layers.Dense(3)(x)]))
        ),
        "The layer 'gate' (Multiply) computes Multiply of a vector and a vector",
        "as layers instead",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_are_not_taken(name: str, tmp_path: Path) -> None:
    build, cause, remedy = NETWORKS[name]
    error = refusal(saved(build(keras), tmp_path / "network.keras"))
    assert cause in error.message
    assert remedy in error.hint


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_network_of_a_class_of_its_own(suffix: str, tmp_path: Path) -> None:
    network = Own()
    network(np.zeros((1, 3), np.float32))
    if suffix == ".h5":
        network.save_weights(tmp_path / "network.weights.h5")
        data, cause = (tmp_path / "network.weights.h5").read_bytes(), "weights without a network"
    else:
        data, cause = saved(network, tmp_path / "network.keras"), "'Own', a network of a class of its own"
    assert cause in refusal(data, suffix).message


# Changes to files that would be taken


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return members_of(small(), tmp_path_factory.mktemp("keras") / "network.keras")


def layer(document: dict[str, Any], kind: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = document["config"]["layers"]
    return next(entry for entry in entries if entry["class_name"] == kind)


def nest(document: dict[str, Any]) -> None:
    for _ in range(40):
        inner = {"class_name": "Functional", "config": {**document["config"], "name": "inner"}, "inbound_nodes": []}
        document["config"] = {"name": "outer", "layers": [inner], "input_layers": [], "output_layers": []}


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "foreign package": (
        lambda whole: layer(whole, "ReLU").update(module="os"),
        "(ReLU of os), whose code is not in the file",
    ),
    "package of a similar name": (
        lambda whole: layer(whole, "ReLU").update(module="keras_evil.layers"),
        "of keras_evil",
    ),
    "registered class": (lambda whole: layer(whole, "ReLU").update(registered_name="Mine>ReLU"), "(Mine>ReLU"),
    "wrapped module": (lambda whole: layer(whole, "ReLU").update(class_name="TorchModuleWrapper"), "runs code"),
    "TensorFlow function": (
        lambda whole: layer(whole, "ReLU").update(
            class_name="TFOpLambda", config={"name": "x", "function": "io.read_file"}
        ),
        "calls the TensorFlow function 'io.read_file'",
    ),
    "activation of no list": (
        lambda whole: layer(whole, "Dense")["config"].update(
            activation={"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
        ),
        "has the activation 'eval'",
    ),
    "initialiser from elsewhere": (
        lambda whole: layer(whole, "Dense")["config"].update(
            kernel_initializer={"module": "os", "class_name": "system", "config": {}}
        ),
        "names 'system' of 'os', which is none of Keras' own parts",
    ),
    "function of Keras that is no part of a layer": (
        lambda whole: layer(whole, "Dense")["config"].update(
            kernel_regularizer={
                "module": "keras.config",
                "class_name": "function",
                "config": "enable_unsafe_deserialization",
            }
        ),
        "names 'enable_unsafe_deserialization' of 'keras.config'",
    ),
    "argument from elsewhere": (
        lambda whole: layer(whole, "ReLU")["inbound_nodes"][0]["kwargs"].update(
            mask={"module": "subprocess", "class_name": "Popen", "config": {}}
        ),
        "names 'Popen' of 'subprocess'",
    ),
    "setting of a network from elsewhere": (
        lambda whole: whole["config"].update(
            dtype={"module": "importlib", "class_name": "import_module", "config": {}}
        ),
        "names 'import_module' of 'importlib'",
    ),
    "inner network compiled with something from elsewhere": (
        lambda whole: layer(whole, "ReLU").update(
            compile_config={"loss": {"module": "keras.utils", "class_name": "function", "config": "get_file"}}
        ),
        "compiled with 'function' of 'keras.utils'",
    ),
    "registered initialiser": (
        lambda whole: layer(whole, "Dense")["config"]["kernel_initializer"].update(registered_name="Mine>Init"),
        "names 'Mine>Init'",
    ),
    "value without end": (
        lambda whole: whole["config"].update(more=json.loads("[" * 700 + "]" * 700)),
        "lies too deep",
    ),
    "setting of tomorrow": (
        lambda whole: layer(whole, "Dense")["config"].update(lora_rank=4),
        "has the setting lora_rank=4, which is not known here",
    ),
    "other axis": (
        lambda whole: layer(whole, "BatchNormalization")["config"].update(axis=2),
        "axis=2; taken is -1 or 3",
    ),
    "channels first": (
        lambda whole: layer(whole, "Conv2D")["config"].update(data_format="channels_first"),
        "has the data format channels_first",
    ),
    "more units than weights": (
        lambda whole: layer(whole, "Dense")["config"].update(units=1 << 31),
        "the weight kernel has the shape (3328, 8); its settings need (3328, 2147483648)",
    ),
    "margin without end": (
        lambda whole: layer(whole, "ZeroPadding2D")["config"].update(padding=[[0, 1 << 20], [0, 1 << 20]]),
        "makes more than 67108864 numbers",
    ),
    "call of nothing": (
        lambda whole: layer(whole, "ReLU").update(inbound_nodes=[{"args": [], "kwargs": {}}]),
        "(ReLU) takes 0 tensors",
    ),
    "circle": (
        lambda whole: layer(whole, "ReLU")["inbound_nodes"][0]["args"][0]["config"].update(
            keras_history=[layer(whole, "ReLU")["name"], 0, 0]
        ),
        "waits for a tensor that no layer gives",
    ),
    "no layers": (lambda whole: whole["config"].pop("layers"), "configuration of the network is damaged"),
    "nested without end": (nest, "too deep inside each other"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_configurations_that_are_not_taken(name: str, members: dict[str, bytes]) -> None:
    change, cause = CHANGES[name]
    document = json.loads(members["config.json"])
    change(document)
    assert cause in refusal(archive({**members, "config.json": json.dumps(document).encode()})).message


def test_configurations_that_are_none(members: dict[str, bytes]) -> None:
    for text in (b"[" * 100_000, b"{", b"[]"):
        assert "not JSON" in refusal(archive({**members, "config.json": text})).message


def test_weights_that_are_another_layers(tmp_path: Path) -> None:
    """Two convolutions of the same shape that changed places in the list of an inner network; a layer's group that is gone."""
    path = tmp_path / "network.h5"
    of_picture(lambda k, image: ended(k, pooled(k, base(k)(image))))(keras).save(path)
    with h5py.File(path, "a") as file:
        names = file["model_weights"]["base"].attrs["weight_names"]
        file["model_weights"]["base"].attrs["weight_names"] = names[::-1]
    assert "stand in an order that Keras does not write" in refusal(path.read_bytes(), ".h5").message
    with h5py.File(path, "a") as file:
        del file["model_weights"]["base"]
    assert "no weights of the layer 'base' (Functional)" in refusal(path.read_bytes(), ".h5").message


def test_weights_of_a_layer_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    members = members_of(QUICK["branches"](keras), tmp_path / "network.keras")
    path.write_bytes(members["model.weights.h5"])
    with h5py.File(path, "a") as file:
        file["layers"]["depthwise_conv2d"]["vars"].attrs["name"] = "another"
    error = refusal(archive({**members, "model.weights.h5": path.read_bytes()}))
    assert "are those of another layer, 'another'" in error.message


@pytest.mark.parametrize("kind", ["Dense", "Conv2D", "BatchNormalization"])
def test_numbers_that_are_none(kind: str, tmp_path: Path) -> None:
    network = small()
    layer = next(layer for layer in network.layers if type(layer).__name__ == kind)
    layer.set_weights([np.full(weight.shape, np.nan) for weight in layer.get_weights()])
    error = refusal(saved(network, tmp_path / "network.keras"))
    assert f"'{layer.name}' ({kind}) numbers of the weight" in error.message
    assert "did not diverge" in error.hint


def test_the_cause_and_the_remedy_come_out_of_the_reading_process(tmp_path: Path) -> None:
    with pytest.raises(BadModel) as caught:
        keras_files.read(saved(of_picture(with_own_layer)(keras), tmp_path / "network.keras"), ".keras")
    assert caught.value.message.endswith("whose code is not in the file.")
    assert caught.value.hint.startswith("Use Keras' own layers.")


def test_a_network_of_imagenet_s_classes_is_refused_as_such(tmp_path: Path) -> None:
    data = saved(of_features(lambda k, x: ended(k, x, classes=1000))(keras), tmp_path / "network.keras")
    with pytest.raises(BadModel, match="answers 1000 classes, those of ImageNet, and 2 are named") as caught:
        artefact.open_bare(data, ".keras", "0" * 64, ("acne", "healthy"))
    assert "include_top=False" in caught.value.hint


def test_a_second_input_that_the_service_cannot_fill(tmp_path: Path) -> None:
    data = saved(small(demographics=3), tmp_path / "network.keras")
    with pytest.raises(BadModel, match="The head takes 3331 numbers and there are 3328 features") as caught:
        artefact.open_bare(data, ".keras", "0" * 64, ("a", "b", "c", "d"))
    assert "12 numbers" in caught.value.hint
