"""Parts of the networks that people bring, for Keras 3 and tf_keras (Keras 2) alike: backbones, preprocessing, the usual head.

Each function takes the module, `keras` or `tf_keras`. All weights are random and of a sane size, so that each of them matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
CLASSES = 4
Builder = Callable[[Any], Any]


def pictures(count: int = 2, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """Return (count, side, side, 3) smooth random pictures."""
    coarse = np.random.default_rng(5).uniform(0, 256, (count, 8, 8, 3))
    return np.kron(coarse, np.ones((1, -(-side_px // 8), -(-side_px // 8), 1)))[:, :side_px, :side_px].astype(np.uint8)


def leaves(network: Any) -> Iterator[Any]:
    """Yield the layers of a network and of the networks inside it."""
    for layer in network.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else [layer]


def stir(network: Any, seed: int = 0, gain: tuple[float, float] = (0.8, 1.2)) -> Any:
    """Give every weight a random value; what was adapted to pictures stays.

    Args:
        network: of Keras 2 or 3.
        seed: of the values.
        gain: range of the scales of normalisations; small ones keep deep networks from magnifying rounding.
    """
    rng = np.random.default_rng(seed)
    for layer in leaves(network):
        kind, shapes = type(layer).__name__, [tuple(weight.shape) for weight in layer.weights]
        if kind == "BatchNormalization":
            spread = [gain] * layer.scale + [(-0.3, 0.3)] * layer.center + [(-0.3, 0.3), (0.5, 1.5)]
            layer.set_weights([rng.uniform(*limits, shape) for limits, shape in zip(spread, shapes, strict=True)])
        elif shapes and kind in ("Conv2D", "Dense", "DepthwiseConv2D", "SeparableConv2D", "PReLU"):
            layer.set_weights([rng.normal(0, _size(kind, shape), shape) for shape in shapes])
    return network


def _size(kind: str, shape: tuple[int, ...]) -> float:
    if len(shape) < 2:
        return 0.1
    fan_in = int(np.prod(shape[:2])) if "Depthwise" in kind else int(np.prod(shape[:-1]))
    return float((2 / fan_in) ** 0.5)


def tiny(k: Any, x: Any, name: str = "tiny") -> Any:
    """Return what backbones are built of, in little: convolutions, squeeze and excitation, a residual."""
    x = k.layers.Conv2D(8, 3, strides=4, padding="same", use_bias=False, name=f"{name}_stem")(x)
    x = before = k.layers.Activation("swish", name=f"{name}_swish")(k.layers.BatchNormalization(name=f"{name}_bn")(x))
    x = k.layers.DepthwiseConv2D(3, padding="same", name=f"{name}_depthwise")(x)
    squeezed = k.layers.Reshape((1, 1, 8), name=f"{name}_pixel")(
        k.layers.GlobalAveragePooling2D(name=f"{name}_squeeze")(x)
    )
    excited = k.layers.Conv2D(8, 1, activation="sigmoid", name=f"{name}_excite")(squeezed)
    x = k.layers.Add(name=f"{name}_add")([k.layers.Multiply(name=f"{name}_multiply")([x, excited]), before])
    x = k.layers.Conv2D(24, 1, name=f"{name}_top")(x)
    return k.layers.ReLU(6.0, name=f"{name}_relu6")(k.layers.BatchNormalization(name=f"{name}_top_bn")(x))


def base(k: Any, side_px: int = SIDE_PX, name: str = "base") -> Any:
    """Return `tiny` as a network of its own."""
    image = k.Input((side_px, side_px, 3))
    return k.Model(image, tiny(k, image, name), name=name)


def application(k: Any, name: str, **settings: Any) -> Any:
    """Return one of Keras' own backbones without its top."""
    settings = {"input_shape": (SIDE_PX, SIDE_PX, 3), **settings}
    return getattr(k.applications, name)(include_top=False, weights=None, **settings)


def pooled(k: Any, maps: Any) -> Any:
    return k.layers.GlobalAveragePooling2D()(maps)


def ended(k: Any, features: Any, activation: str | None = "softmax", classes: int = CLASSES) -> Any:
    return k.layers.Dense(classes, activation=activation, dtype="float32")(features)


def of_picture(build: Callable[[Any, Any], Any], side_px: int | None = SIDE_PX) -> Builder:
    """Return a builder of a network on one picture."""

    def builder(k: Any) -> Any:
        image = k.Input((side_px, side_px, 3))
        return k.Model(image, build(k, image))

    return builder


def of_features(build: Callable[[Any, Any], Any]) -> Builder:
    """Return a builder of a head on the pooled maps of `tiny`."""
    return of_picture(lambda k, image: build(k, pooled(k, tiny(k, k.layers.Rescaling(1 / 127.5, -1)(image)))))


def caffe(k: Any, image: Any) -> Any:
    return k.applications.resnet50.preprocess_input(image)


def minus_one_to_one(k: Any, image: Any) -> Any:
    return k.applications.mobilenet_v2.preprocess_input(image)


def flipped_by_slice(k: Any, image: Any) -> Any:
    return image[..., ::-1] / 255.0 - 0.5


def augmentation(k: Any) -> Any:
    chosen = [
        k.layers.RandomFlip("horizontal"),
        k.layers.RandomRotation(0.1),
        k.layers.RandomZoom(0.1),
        k.layers.RandomContrast(0.2),
        k.layers.RandomTranslation(0.1, 0.1),
    ]
    return k.Sequential(chosen, name="augmentation")
