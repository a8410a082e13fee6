"""The Hare Run network: two backbones, their features side by side, one dense head. Built of layers only.

Layers only - no raw operations, no Lambda - so that `.keras` and `.h5` both reload anywhere, with or without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers

from analyzer.preprocessing import SIDE_PX

NAME = "hare_run_v6_facial"
BACKBONES = ("efficientnet", "resnet")  # in the order of their features
HEAD = ((512, 0.5), (256, 0.5), (128, 0.3))  # units of each dense layer and the dropout after it
# pixels of ImageNet: in 0..1 for EfficientNetB0's own normalisation; 0..255, blue first, for ResNet50
UNIT_MEAN, UNIT_VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)
BGR_MEAN = (103.939, 116.779, 123.68)


def hare_run(classes: int, *, weights: str | None = None, side_px: int = SIDE_PX, demographics: int = 0) -> keras.Model:
    """EfficientNetB0 and ResNet50 on one picture, 3328 features, dense head, softmax.

    Args:
        classes: width of the softmax.
        weights: of both backbones: ``"imagenet"`` by Keras' own loader (needs internet) or None for random ones.
        side_px: side of the square input, 32 px or more.
        demographics: width of the second input; 0 = none.

    Returns:
        Flat functional graph. Input `image` float32 (N, side, side, 3), RGB 0..255, and where wanted `demographics`
        float32 (N, width); output float32 (N, classes), probabilities.
    """
    picture = keras.Input((side_px, side_px, 3), name="image")
    features = layers.Concatenate(name="features")([_features(name, picture, weights) for name in BACKBONES])
    if not demographics:
        return keras.Model(picture, dense_head(features, classes), name=NAME)
    said = keras.Input((demographics,), name="demographics")
    known = layers.Concatenate(name="features_and_demographics")([features, said])
    return keras.Model([picture, said], dense_head(known, classes), name=NAME)


def dense_head(features: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Probabilities from features: dense layers with dropout, logits, softmax."""
    x = features
    for index, (units, dropout) in enumerate(HEAD):
        x = layers.Dense(units, activation="relu", name=f"head_{index}")(x)
        x = layers.Dropout(dropout, name=f"head_{index}_dropout")(x)
    return layers.Softmax(name="probabilities")(layers.Dense(classes, name="logits")(x))


def backbone(name: str, side_px: int = SIDE_PX, weights: str | None = None) -> keras.Model:
    """One backbone: (N, side, side, 3) RGB 0..255 -> (N, 1280) or (N, 2048) global-average features."""
    picture = keras.Input((side_px, side_px, 3), name="image")
    return keras.Model(picture, _features(name, picture, weights), name=name)


def take_weights(network: keras.Model, files: Mapping[str, Path]) -> None:
    """Give a `hare_run` the weights of backbones that were trained alone (backbone's name → file by `save_weights`)."""
    for name, path in files.items():
        keras.Model(network.inputs[0], network.get_layer(f"{name}_features").output).load_weights(path)


def _features(name: str, picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    taken = {"efficientnet": _efficientnet, "resnet": _resnet}[name](picture, weights)
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
    """Red and blue change places and the mean is taken off in a frozen 1 × 1 convolution."""
    caffe = layers.Conv2D(3, 1, trainable=False, name="resnet_normalisation")
    swapped = caffe(picture)
    caffe.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(BGR_MEAN)])
    return keras.applications.ResNet50(include_top=False, weights=weights, input_tensor=swapped).output
