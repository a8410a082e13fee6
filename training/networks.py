"""The Hare Run network: two backbones, their features side by side, one dense head. Built of layers only.

Layers only - no raw operations, no Lambda - so that `.keras` and `.h5` both reload anywhere, with or without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from analyzer.preprocessing import SIDE_PX

NAME = "hare_run_v6_facial"
BACKBONES = ("efficientnet", "resnet")  # in the order of their features
HEAD = (512, 256, 128)  # units of each dense layer
DROPOUT = (0.5, 0.5, 0.3)  # after each of them; further layers have none
TOP_BLOCKS = {  # beginnings of the names of their layers
    "efficientnet": ("block7", "top_"),
    "resnet": ("conv5_block3_",),
    "resnet101": ("conv5_block3_",),
    "convnext": ("convnext_tiny_stage_3_block_2",),
}
# pixels of ImageNet: in 0..1 for EfficientNetB0's own normalisation; 0..255, blue first, for ResNet50
UNIT_MEAN, UNIT_VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)
BGR_MEAN = (103.939, 116.779, 123.68)


def hare_run(
    classes: int,
    *,
    weights: str | None = None,
    side_px: int = SIDE_PX,
    demographics: int = 0,
    units: Sequence[int] = HEAD,
) -> keras.Model:
    """EfficientNetB0 and ResNet50 on one picture, 3328 features, dense head, softmax.

    Args:
        classes: width of the softmax.
        weights: of both backbones: ``"imagenet"`` by Keras' own loader (needs internet) or None for random ones.
        side_px: side of the square input, 32 px or more.
        demographics: width of the second input; 0 = none.
        units: of each dense layer of the head.

    Returns:
        Flat functional graph. Input `image` float32 (N, side, side, 3), RGB 0..255, and where wanted `demographics`
        float32 (N, width); output float32 (N, classes), probabilities.
    """
    picture = keras.Input((side_px, side_px, 3), name="image")
    features = layers.Concatenate(name="features")([_features(name, picture, weights) for name in BACKBONES])
    if not demographics:
        return keras.Model(picture, dense_head(features, classes, units), name=NAME)
    said = keras.Input((demographics,), name="demographics")
    known = layers.Concatenate(name="features_and_demographics")([features, said])
    return keras.Model([picture, said], dense_head(known, classes, units), name=NAME)


def dense_head(features: keras.KerasTensor, classes: int, units: Sequence[int] = HEAD) -> keras.KerasTensor:
    """Probabilities from features: dense layers with dropout, logits, softmax."""
    x = features
    for index, (width, dropout) in enumerate(zip_longest(units, DROPOUT[: len(units)], fillvalue=0.0)):
        x = layers.Dense(width, activation="relu", name=f"head_{index}")(x)
        x = layers.Dropout(dropout, name=f"head_{index}_dropout")(x)
    return layers.Softmax(name="probabilities")(layers.Dense(classes, name="logits")(x))


def backbone(name: str, side_px: int = SIDE_PX, weights: str | None = None) -> keras.Model:
    """One backbone of `TOP_BLOCKS`: (N, side, side, 3) RGB 0..255 -> (N, D) global-average features.

    D is 1280 of EfficientNetB0, 2048 of ResNet50 and ResNet101, 768 of ConvNeXtTiny.
    """
    picture = keras.Input((side_px, side_px, 3), name="image")
    return keras.Model(picture, _features(name, picture, weights), name=name)


def take_weights(network: keras.Model, files: Mapping[str, Path]) -> None:
    """Give a `hare_run` the weights of backbones that were trained alone (backbone's name → file by `save_weights`)."""
    for name, path in files.items():
        keras.Model(network.inputs[0], network.get_layer(f"{name}_features").output).load_weights(path)


def take_head(network: keras.Model, chain: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
    """Give a `hare_run` the (kernel, bias) of each dense layer of its head, the logits last."""
    names = [*(f"head_{place}" for place in range(len(chain) - 1)), "logits"]
    for name, layer in zip(names, chain, strict=True):
        network.get_layer(name).set_weights(layer)


def head_of(network: keras.Model) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """(kernel, bias) of each dense layer of a `hare_run`'s head, the logits last."""
    dense = [layer for layer in network.layers if isinstance(layer, layers.Dense)]
    return [(kernel, bias) for kernel, bias in (layer.get_weights() for layer in dense)]


def take_backbones(network: keras.Model, other: keras.Model) -> None:
    """Give a `hare_run` the backbones of another one, whatever classes and head that has.

    Raises:
        ValueError: the other network has no such backbones.
    """
    for name in BACKBONES:
        given, taken = (
            keras.Model(one.inputs[0], one.get_layer(f"{name}_features").output) for one in (other, network)
        )
        taken.set_weights(given.get_weights())


def unfreeze_top(network: keras.Model) -> list[str]:
    """Let a `hare_run` learn in its head and in the top blocks of its backbones; names of the layers that do.

    Batch normalisations stay frozen and go on with the means and variances that they have.
    """
    beginnings = (*(start for starts in TOP_BLOCKS.values() for start in starts), "head_", "logits")
    for layer in network.layers:
        layer.trainable = layer.name.startswith(beginnings) and not isinstance(layer, layers.BatchNormalization)
    return [layer.name for layer in network.layers if layer.trainable and layer.weights]


def _features(name: str, picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    makers = {"efficientnet": _efficientnet, "resnet": _resnet, "resnet101": _resnet101, "convnext": _convnext}
    taken = makers[name](picture, weights)
    return layers.GlobalAveragePooling2D(name=f"{name}_features")(taken)


def _efficientnet(picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    """Its graph begins with its own rescaling and normalisation, which come with the ImageNet weights."""
    network = keras.applications.EfficientNetB0(include_top=False, weights=weights, input_tensor=picture)
    if weights is None:
        for layer in network.layers:
            if isinstance(layer, layers.Normalization):
                layer.set_weights([np.array(UNIT_MEAN), np.array(UNIT_VARIANCE), np.array(0)])
                layer.finalize_state()
    return network.output


def _resnet(picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    return keras.applications.ResNet50(include_top=False, weights=weights, input_tensor=_caffe(picture)).output


def _resnet101(picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    return keras.applications.ResNet101(include_top=False, weights=weights, input_tensor=_caffe(picture)).output


def _convnext(picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    """Its graph begins with its own normalisation, of fixed numbers."""
    return keras.applications.ConvNeXtTiny(include_top=False, weights=weights, input_tensor=picture).output


def _caffe(picture: keras.KerasTensor) -> keras.KerasTensor:
    """Red and blue change places and the mean is taken off in a frozen 1 × 1 convolution."""
    caffe = layers.Conv2D(3, 1, trainable=False, name="resnet_normalisation")
    swapped = caffe(picture)
    caffe.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(BGR_MEAN)])
    return swapped
