"""Keras networks for tests, with numbers that matter everywhere: as they come, normalisations do nothing."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import runtime

openvino = runtime.openvino()  # before Keras imports it
# Keras leaves the precision to the host: one with bf16 would answer with 8 bits
openvino.compile_model = partial(openvino.compile_model, config={"INFERENCE_PRECISION_HINT": "f32"})

import keras  # noqa: E402
from keras import layers  # noqa: E402

SIDE_PX = 32


def saved(network: keras.Model, path: Path) -> bytes:
    """Return the bytes of a network saved under a path."""
    network.save(path)
    return path.read_bytes()


def members_of(network: keras.Model, path: Path) -> dict[str, bytes]:
    """Return the members of a network saved as `.keras`."""
    with zipfile.ZipFile(io.BytesIO(saved(network, path))) as file:
        return {name: file.read(name) for name in file.namelist()}


def archive(members: dict[str, bytes], *, packed: bool = False) -> bytes:
    """Return a `.keras` archive of members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return file.getvalue()


def pictures(count: int = 2, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, side_px, side_px, 3), np.uint8)


def stir(network: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a random value of a sane size; what is frozen and what stands for pictures stay."""
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if isinstance(layer, layers.BatchNormalization):
            spread = ((0.8, 1.2), (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5))
            layer.set_weights([rng.uniform(*range_, shape) for range_, shape in zip(spread, shapes, strict=True)])
        elif layer.trainable and layer.weights and not isinstance(layer, layers.Normalization):
            fan_in = [max(1, int(np.prod(shape[:-1])) if len(shape) > 1 else 100) for shape in shapes]
            numbers = [rng.normal(0, fan**-0.5, shape) for fan, shape in zip(fan_in, shapes, strict=True)]
            layer.set_weights(numbers)
    return network


def small(
    *,
    classes: int = 4,
    demographics: int = 0,
    softmax_layer: bool = True,
    resnet_first: bool = False,
    said_first: bool = False,
) -> keras.Model:
    """A network of the ensemble's structure and kinds of layers, a thousandth of its size."""
    image = keras.Input((SIDE_PX, SIDE_PX, 3), name="picture")
    features = [layers.GlobalAveragePooling2D()(maps) for maps in (squeezing(image), pooling(image))]
    features = features[::-1] if resnet_first else features
    said = [keras.Input((demographics,), name="said")] if demographics else []
    x = layers.Concatenate()([*said, *features] if said_first else [*features, *said])
    x = layers.Dropout(0.5)(layers.Dense(8, activation="relu")(x))
    x = layers.Dense(classes, activation="linear" if softmax_layer else "softmax")(x)
    return stir(keras.Model([image, *said] if said else image, layers.Softmax()(x) if softmax_layer else x))


def squeezing(image: keras.KerasTensor) -> keras.KerasTensor:
    """What EfficientNet is built of, to 1280 maps."""
    normalise = layers.Normalization()
    x = normalise(layers.Rescaling(1 / 255)(image))
    normalise.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4]), np.array(0)])
    normalise.finalize_state()
    x = layers.Rescaling([1.5, 2.0, 2.5])(x)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = before = layers.Activation("swish")(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    weight = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    weight = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="swish")(weight))
    x = layers.Add()([layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(layers.Multiply()([x, weight])), before])
    return layers.Activation("swish")(layers.BatchNormalization()(layers.Conv2D(1280, 1, use_bias=False)(x)))


def pooling(image: keras.KerasTensor) -> keras.KerasTensor:
    """What ResNet is built of, to 2048 maps."""
    mean = layers.Conv2D(3, 1, trainable=False)
    x = mean(image)
    mean.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3) / 64, -np.array([1.6, 1.8, 1.9])])
    x = layers.Conv2D(8, 7, strides=2)(layers.ZeroPadding2D(3)(x))
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1.001e-5)(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.Add()([layers.BatchNormalization()(x), x])
    return layers.Activation("relu")(layers.Conv2D(2048, 1)(x))
