"""Heads of the networks that people bring, for Keras 3 and tf_keras (Keras 2) alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.keras_parts import CLASSES, SIDE_PX, Builder, ended, of_features, pooled, tiny


def hidden(activation: Any, **settings: Any) -> Builder:
    """Return a builder of a head with one hidden layer."""

    def build(k: Any, x: Any) -> Any:
        layer = getattr(k.layers, activation)(**settings) if settings or activation[0].isupper() else activation
        if isinstance(layer, str):
            return ended(k, k.layers.Dense(12, activation=layer)(x))
        return ended(k, layer(k.layers.Dense(12)(x)))

    return of_features(build)


def normalised_head(k: Any, x: Any) -> Any:
    """Return a head with a normalisation in every place where people put one."""
    x = k.layers.BatchNormalization()(x)
    x = k.layers.BatchNormalization()(k.layers.Dense(16, activation="relu")(x))
    x = k.layers.Activation("relu")(k.layers.BatchNormalization()(k.layers.Dense(12, use_bias=False)(x)))
    x = k.layers.Dropout(0.5)(x)
    return k.layers.Softmax()(k.layers.BatchNormalization(scale=False)(k.layers.Dense(CLASSES)(x)))


def noisy_head(k: Any, x: Any) -> Any:
    for layer in (k.layers.GaussianNoise(0.1), k.layers.GaussianDropout(0.1), k.layers.ActivityRegularization(1e-4)):
        x = layer(x)
    return ended(k, k.layers.AlphaDropout(0.1)(k.layers.Dense(12, activation="selu", kernel_regularizer="l2")(x)))


def branches(k: Any, image: Any) -> Any:
    """Return a head whose branches have layers of their own before they meet."""
    x = k.layers.Rescaling(1 / 255)(image)
    first = k.layers.BatchNormalization()(pooled(k, tiny(k, x, "first")))
    second = k.layers.Dense(10, activation="gelu")(pooled(k, tiny(k, x, "second")))
    return ended(k, k.layers.Dense(12, activation="relu")(k.layers.Concatenate()([first, second])))


def voting(k: Any, image: Any) -> Any:
    """Return the mean of the logits of two heads."""
    x = k.layers.Rescaling(1 / 255)(image)
    logits = [
        k.layers.Dense(CLASSES)(k.layers.Dense(9, activation="relu")(pooled(k, tiny(k, x, name))))
        for name in ("first", "second")
    ]
    return k.layers.Softmax()(k.layers.Average()(logits))


def voting_by(activation: str, merge: Callable[[Any, list[Any]], Any]) -> Callable[[Any, Any], Any]:
    """Return a builder of two networks whose probabilities are merged."""

    def build(k: Any, image: Any) -> Any:
        x = k.layers.Rescaling(1 / 255)(image)
        return merge(k, [ended(k, pooled(k, tiny(k, x, name)), activation) for name in ("first", "second")])

    return build


def classifier_inside(k: Any, image: Any) -> Any:
    """Return a head on the probabilities of a whole classifier."""
    inner = k.Input((SIDE_PX, SIDE_PX, 3))
    classifier = k.Model(inner, ended(k, pooled(k, tiny(k, inner)), classes=20), name="classifier")
    return ended(k, classifier(k.layers.Rescaling(1 / 255)(image)))


def with_demographics(k: Any) -> Any:
    image, demographics = k.Input((SIDE_PX, SIDE_PX, 3)), k.Input((12,))
    features = pooled(k, tiny(k, k.layers.Rescaling(1 / 255)(image)))
    joined = k.layers.Concatenate()([k.layers.Dense(6, activation="relu")(demographics), features])
    return k.Model([image, demographics], ended(k, k.layers.Dense(12, activation="relu")(joined)))
