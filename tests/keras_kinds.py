"""Kinds of networks that people bring: name → builder, for Keras 3 and tf_keras (Keras 2) alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analyzer.keras_layers import IDLE
from tests.keras_heads import (
    branches,
    classifier_inside,
    hidden,
    noisy_head,
    normalised_head,
    voting,
    voting_by,
    with_demographics,
)
from tests.keras_parts import (
    CLASSES,
    SIDE_PX,
    Builder,
    application,
    augmentation,
    base,
    caffe,
    ended,
    flipped_by_slice,
    minus_one_to_one,
    of_features,
    of_picture,
    pictures,
    pooled,
    tiny,
)

WITHOUT_NUMBER = (
    "ActivityRegularization",
    "AugMix",
    "CutMix",
    "Identity",
    "MixUp",
    "RandAugment",
    "RandomErasing",
    "RandomFlip",
)


def nested(name: str, prepare: Callable[[Any, Any], Any] | None = None, **call: Any) -> Builder:
    """Return a builder with one of Keras' backbones inside: base(inputs, training=False)."""

    def build(k: Any, image: Any) -> Any:
        x = prepare(k, image) if prepare else image
        x = k.layers.Dropout(0.3)(pooled(k, application(k, name)(x, **{"training": False, **call})))
        return ended(k, x)

    return of_picture(build)


def by_functions(k: Any, image: Any) -> Any:
    """Return preprocessing and pooling by functions of Keras 3, or of TensorFlow in Keras 2."""
    if hasattr(k, "ops"):
        x = k.ops.flip(k.ops.subtract(k.ops.divide(k.ops.cast(image, "float32"), 127.5), 1.0), axis=-1)
        return ended(k, k.ops.mean(tiny(k, k.ops.relu(x)), axis=(1, 2)))
    import tensorflow as tf

    x = tf.reverse(tf.subtract(tf.math.divide(tf.cast(image, tf.float32), 127.5), 1.0), axis=[-1])
    return ended(k, tf.reduce_mean(tiny(k, tf.nn.relu(x)), [1, 2]))


def called_twice(k: Any, image: Any) -> Any:
    """Return a network whose inner one looks at two versions of the picture."""
    inner, x = base(k), k.layers.Rescaling(1 / 255)(image)
    return ended(k, k.layers.Average()([pooled(k, inner(x)), pooled(k, inner(x * 0.5))]))


def every_augmentation(k: Any, image: Any) -> Any:
    """Return a network behind all layers of the module that do nothing at inference."""
    x = image
    for name in sorted(
        IDLE - {"SpatialDropout1D", "SpatialDropout3D", "RandomHeight", "RandomWidth", "RandomPosterization"}
    ):
        if hasattr(k.layers, name):
            number = () if name in WITHOUT_NUMBER else (0.2, 0.2) if name == "RandomTranslation" else (0.2,)
            x = getattr(k.layers, name)(*number)(x)
    return ended(k, pooled(k, tiny(k, k.layers.Rescaling(1 / 255)(x))))


def augmented(k: Any, image: Any) -> Any:
    return ended(k, pooled(k, base(k)(k.layers.Rescaling(1 / 255)(augmentation(k)(image)), training=False)))


def pair(first: str, second: str) -> Builder:
    """Return a builder of two backbones inside one network, the second with its own preprocessing."""

    def build(k: Any, image: Any) -> Any:
        features = pooled(k, application(k, first)(image, training=False))
        others = pooled(k, application(k, second)(minus_one_to_one(k, image), training=False))
        return ended(k, k.layers.Dense(32, activation="relu")(k.layers.Concatenate()([features, others])))

    return of_picture(build)


def flat_pair(k: Any) -> Any:
    """Return two backbones whose layers lie in the outer network."""
    image = k.Input((SIDE_PX, SIDE_PX, 3))
    efficientnet = application(k, "EfficientNetB0", input_tensor=image, input_shape=None)
    resnet = application(k, "ResNet50", input_tensor=caffe(k, image), input_shape=None)
    features = k.layers.Concatenate()([pooled(k, efficientnet.output), pooled(k, resnet.output)])
    x = k.layers.Dropout(0.5)(k.layers.Dense(64, activation="relu")(features))
    return k.Model(image, ended(k, x))


def sequence(k: Any) -> Any:
    return k.Sequential(
        [
            k.Input((SIDE_PX, SIDE_PX, 3)),
            augmentation(k),
            k.layers.Rescaling(1 / 255),
            base(k),
            k.layers.GlobalAveragePooling2D(),
            k.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def sequence_without_input(k: Any) -> Any:
    return k.Sequential([base(k), k.layers.Flatten(), k.layers.Dense(CLASSES, activation="softmax")])


def sequence_inside(k: Any, image: Any) -> Any:
    inner = k.Sequential([k.layers.Rescaling(1 / 255), base(k), k.layers.GlobalAveragePooling2D()], name="inner")
    return ended(k, inner(image))


def partly_frozen(k: Any, image: Any) -> Any:
    """Return a network whose inner one learned in its upper half: weights in `.h5` change places."""
    inner = base(k)
    inner.trainable = True
    for layer in inner.layers[:6]:
        layer.trainable = False
    return ended(k, pooled(k, inner(k.layers.Rescaling(1 / 255)(image), training=False)))


def frozen(k: Any, image: Any) -> Any:
    inner = base(k)
    inner.trainable = False
    inner.layers[-2].trainable = True
    return ended(k, pooled(k, inner(k.layers.Rescaling(1 / 255)(image), training=False)))


def adapted(k: Any, image: Any) -> Any:
    normalise = k.layers.Normalization()
    normalise.adapt(pictures(8).astype(np.float32))
    return ended(k, pooled(k, tiny(k, normalise(image))))


def given(k: Any, image: Any) -> Any:
    normalise = k.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0, 2500.0, 2000.0])
    return ended(k, pooled(k, tiny(k, normalise(image))))


def own_layers(k: Any, image: Any) -> Any:
    """Return a network of a person's own, of other layers than backbones have."""
    x = k.layers.Resizing(48, 48)(image)
    x = k.layers.CenterCrop(40, 40)(k.layers.Rescaling([1 / 255] * 3, [0.0, -0.1, 0.1])(x))
    x = k.layers.LeakyReLU()(k.layers.Conv2D(8, 3, padding="same")(x))
    x = k.layers.PReLU(shared_axes=[1, 2])(k.layers.SeparableConv2D(12, 3, strides=2, activation="elu")(x))
    x = k.layers.Concatenate()([k.layers.AveragePooling2D(2)(x), k.layers.MaxPooling2D(2)(x)])
    x = k.layers.Conv2D(12, 3, groups=2, dilation_rate=2)(k.layers.SpatialDropout2D(0.2)(x))
    x = k.layers.Cropping2D(((1, 0), (0, 1)))(k.layers.ZeroPadding2D(1)(x))
    return ended(k, k.layers.Dense(9, activation="tanh")(pooled(k, x)))


def attention(k: Any, image: Any) -> Any:
    """Return a network that weighs its last maps by dense layers of their means."""
    maps = tiny(k, k.layers.Rescaling(1 / 255)(image))
    shares = k.layers.Dense(24, activation="sigmoid")(k.layers.Dense(6, activation="relu")(pooled(k, maps)))
    return ended(k, pooled(k, k.layers.Multiply()([maps, k.layers.Reshape((1, 1, 24))(shares)])))


def under_policy(policy: str) -> Builder:
    def builder(k: Any) -> Any:
        k.mixed_precision.set_global_policy(policy)
        try:
            return of_features(lambda k, x: ended(k, k.layers.Dense(12, activation="relu")(x)))(k)
        finally:
            k.mixed_precision.set_global_policy("float32")

    return builder


def compiled(k: Any) -> Any:
    """Return a network that learned for a step, so that its optimiser has a state."""
    network = of_features(lambda k, x: ended(k, x))(k)
    network.compile("adam", "categorical_crossentropy")
    shown = pictures(4).astype(np.float32)
    network.fit(shown, np.eye(CLASSES)[np.arange(4) % CLASSES], verbose=0)
    return network


QUICK: dict[str, Builder] = {
    "activation ELU": hidden("ELU", alpha=0.7),
    "activation LeakyReLU": hidden("LeakyReLU"),
    "activation exponential": hidden("exponential"),
    "activation gelu": hidden("gelu"),
    "activation hard sigmoid": hidden("hard_sigmoid"),
    "activation mish": hidden("mish"),
    "activation relu6": hidden("relu6"),
    "activation softplus": hidden("softplus"),
    "activation softsign": hidden("softsign"),
    "activation swish": hidden("swish"),
    "activation tanh": hidden("tanh"),
    "augmentation": of_picture(augmented),
    "augmentation: every layer": of_picture(every_augmentation),
    "attention": of_picture(attention),
    "branches": of_picture(branches),
    "called twice": of_picture(called_twice),
    "classifier inside": of_picture(classifier_inside),
    "demographics": with_demographics,
    "ending: logits": of_features(lambda k, x: ended(k, x, None)),
    "ending: logits of one": of_features(lambda k, x: ended(k, x, None, 1)),
    "ending: sigmoid": of_features(lambda k, x: ended(k, x, "sigmoid")),
    "ending: sigmoid of one": of_features(lambda k, x: ended(k, x, "sigmoid", 1)),
    "ending: softmax activation": of_features(lambda k, x: k.layers.Activation("softmax")(ended(k, x, None))),
    "frozen": of_picture(frozen),
    "frozen in part": of_picture(partly_frozen),
    "functions": of_picture(by_functions),
    "hidden linear layers": of_features(lambda k, x: ended(k, k.layers.Dense(7)(k.layers.Dense(9)(x)))),
    "mixed bfloat16": under_policy("mixed_bfloat16"),
    "mixed float16": under_policy("mixed_float16"),
    "noise": of_features(noisy_head),
    "normalisation adapted": of_picture(adapted),
    "normalisation given": of_picture(given),
    "normalised head": of_features(normalised_head),
    "optimiser": compiled,
    "other layers": of_picture(own_layers),
    "picture of any size": of_picture(lambda k, image: ended(k, pooled(k, tiny(k, image / 255.0))), None),
    "pooling: average and largest": of_picture(
        lambda k, image: ended(
            k,
            k.layers.Concatenate()(
                [pooled(k, maps := tiny(k, k.layers.Rescaling(1 / 255)(image))), k.layers.GlobalMaxPooling2D()(maps)]
            ),
        )
    ),
    "pooling: average, then flat": of_picture(
        lambda k, image: ended(k, k.layers.Flatten()(k.layers.AveragePooling2D(16)(tiny(k, image / 255.0))))
    ),
    "pooling: flat": of_picture(lambda k, image: ended(k, k.layers.Flatten()(tiny(k, image / 255.0)))),
    "pooling: largest": of_picture(
        lambda k, image: ended(
            k, k.layers.Flatten()(k.layers.GlobalMaxPooling2D(keepdims=True)(tiny(k, image / 255.0)))
        )
    ),
    "preprocessing: caffe": of_picture(lambda k, image: ended(k, pooled(k, tiny(k, caffe(k, image) / 64.0)))),
    "preprocessing: minus one to one": of_picture(
        lambda k, image: ended(k, pooled(k, tiny(k, minus_one_to_one(k, image))))
    ),
    "preprocessing: slice": of_picture(lambda k, image: ended(k, pooled(k, tiny(k, flipped_by_slice(k, image))))),
    "sequence": sequence,
    "sequence inside": of_picture(sequence_inside),
    "sequence without input": sequence_without_input,
    "voting": of_picture(voting),
    "voting by probabilities": of_picture(voting_by("softmax", lambda k, shares: k.layers.Average()(shares))),
    "voting by sigmoids": of_picture(voting_by("sigmoid", lambda k, shares: k.layers.Average()(shares))),
    "voting by weights": of_picture(voting_by("softmax", lambda k, shares: 0.3 * shares[0] + 0.7 * shares[1])),
}
WHOLE: dict[str, Builder] = {
    "EfficientNetB0": nested("EfficientNetB0"),
    "EfficientNetB0 and MobileNetV2": pair("EfficientNetB0", "MobileNetV2"),
    "EfficientNetB0 and ResNet50, flat": flat_pair,
    "EfficientNetV2B0": nested("EfficientNetV2B0"),
    "EfficientNetV2B0 and EfficientNetB0": pair("EfficientNetV2B0", "EfficientNetB0"),
    "EfficientNetB0 with a top of its own": lambda k: k.applications.EfficientNetB0(
        weights=None, classes=CLASSES, input_shape=(SIDE_PX, SIDE_PX, 3)
    ),
    "MobileNetV2": nested("MobileNetV2", minus_one_to_one),
    "MobileNetV2 and ResNet50V2": pair("MobileNetV2", "ResNet50V2"),
    "ResNet50": nested("ResNet50", caffe),
    "ResNet50V2": nested("ResNet50V2", minus_one_to_one),
}
