"""Keras' layers as OpenVINO's operations on maps (1, C, H, W), and as steps of a dense head on vectors.

Each rule has the settings that it understands; all others are refused, so that nothing is taken by half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analyzer.keras_shapes import SHAPES
from analyzer.keras_tensors import Maps, Vector
from analyzer.keras_use import LAST, Rule, Use, Value, after, node_activated, node_of, opset, padding_of, pair

SMALLEST_DIVISOR = 1e-7  # of Keras' Normalization
CHANNELS_FIRST = "Save the network with data_format channels_last."


def _convolution(use: Use) -> Maps:
    maps, (high, wide), filters = use.maps, use.setting("kernel_size"), use.setting("filters")
    groups = use.setting("groups", 1)
    kernel = use.weight("kernel", high, wide, maps.channels // groups, filters).transpose(3, 2, 0, 1)
    if groups == 1:
        node = opset().convolution(maps.node, node_of(kernel), *_window(use), auto_pad=padding_of(use))
    else:
        kernel = kernel.reshape(groups, filters // groups, *kernel.shape[1:])
        node = opset().group_convolution(maps.node, node_of(kernel), *_window(use), auto_pad=padding_of(use))
    return _biased(use, maps, node, filters)


def _depthwise(use: Use) -> Maps:
    maps = use.maps
    node, width = _depthwise_node(use, maps, "kernel")
    return _biased(use, maps, node, width)


def _separable(use: Use) -> Maps:
    maps, filters = use.maps, use.setting("filters")
    node, width = _depthwise_node(use, maps, "depthwise_kernel")
    kernel = use.weight("pointwise_kernel", 1, 1, width, filters).transpose(3, 2, 0, 1)
    node = opset().convolution(node, node_of(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
    return _biased(use, maps, node, filters)


def _depthwise_node(use: Use, maps: Maps, weight: str) -> tuple[Any, int]:
    use.must(groups=(1,))  # Keras 2 writes it
    (high, wide), multiplier = use.setting("kernel_size"), use.setting("depth_multiplier", 1)
    kernel = use.weight(weight, high, wide, maps.channels, multiplier).transpose(2, 3, 0, 1)[:, :, None]
    node = opset().group_convolution(maps.node, node_of(kernel), *_window(use), auto_pad=padding_of(use))
    return node, maps.channels * multiplier


def _dense(use: Use) -> Value:
    value, units = use.tensor, use.setting("units")
    if isinstance(value, Vector):
        vector = value.dense(use.weight("kernel", value.width, units), use.bias(units))
        return vector.activated((use.activation(), units))
    kernel = use.weight("kernel", use.maps.channels, units).T[:, :, None, None]
    return _biased(
        use, use.maps, opset().convolution(use.maps.node, node_of(kernel), [1, 1], [0, 0], [0, 0], [1, 1]), units
    )


def _batch_normalization(use: Use) -> Value:
    use.must(axis=LAST)
    value = use.tensor
    width = value.channels if isinstance(value, Maps) else value.width if isinstance(value, Vector) else 0
    mean, variance = (use.weight(name, width).astype(float) for name in ("moving_mean", "moving_variance"))
    scale = (use.weight("gamma", width) if use.setting("scale", True) else 1) / np.sqrt(
        np.maximum(variance, 0) + use.setting("epsilon", 1e-3)
    )
    return scaled(use, value, scale, (use.weight("beta", width) if use.setting("center", True) else 0) - mean * scale)


def _normalization(use: Use) -> Value:
    use.must(invert=(False,), axis=LAST)
    if use.setting("mean") is not None:
        mean, variance = (np.ravel(use.setting(name)).astype(float) for name in ("mean", "variance"))
    else:
        shape = use.weights.shape(use.layer, "mean")
        mean, variance = (use.weight(name, *shape).astype(float).ravel() for name in ("mean", "variance"))
    scale = 1 / np.maximum(np.sqrt(np.maximum(variance, 0)), SMALLEST_DIVISOR)
    return scaled(use, use.tensor, scale, -mean * scale)


def _rescaling(use: Use) -> Value:
    scale, offset = (
        np.ravel(use.setting(name, usual)).astype(float) for name, usual in (("scale", 1.0), ("offset", 0.0))
    )
    return scaled(use, use.tensor, scale, offset)


def _activation(use: Use) -> Value:
    return activated(use, use.tensor, use.activation_layer(use.kind, use.layer.settings))


def _p_relu(use: Use) -> Maps:
    maps, shape = use.maps, use.weights.shape(use.layer, "alpha")
    if shape != (1, 1, maps.channels):
        use.refuse(
            "has a slope for each pixel; taken is one for each channel", "Set shared_axes=[1, 2], train and save anew."
        )
    return after(use, maps, opset().prelu(maps.node, use.weight("alpha", *shape).ravel()))


def scaled(use: Use, value: Value, scale: Any, offset: Any) -> Value:
    """Return maps by channels, or a vector by numbers, times a scale plus an offset."""
    if isinstance(value, Vector):
        return value.scaled(scale, offset)
    if not isinstance(value, Maps) or max(np.size(scale), np.size(offset)) not in (1, value.channels):
        use.refuse("scales something else than the channels of maps or the numbers of a vector")
    node = opset().add(opset().multiply(value.node, _channels(scale)), _channels(offset)).output(0)
    return Maps(node, value.kinds)


def activated(use: Use, value: Value, name: str) -> Value:
    """Return a value behind an activation."""
    if isinstance(value, Vector):
        return value.activated((name, value.width))
    if not isinstance(value, Maps) or name == "softmax":
        use.refuse(f"takes {name} of maps")
    return after(use, value, node_activated(name, value.node))


def _biased(use: Use, maps: Maps, node: Any, width: int) -> Maps:
    node = opset().add(node, _channels(use.bias(width))) if use.setting("use_bias", True) else node
    return activated(use, after(use, maps, node), use.activation())  # type: ignore[return-value]


def _window(use: Use) -> tuple[list[int], list[int], list[int], list[int]]:
    return list(pair(use.setting("strides", 1))), [0, 0], [0, 0], list(pair(use.setting("dilation_rate", 1)))


def _channels(numbers: Any) -> Any:
    return node_of(np.asarray(numbers, np.float32).reshape(1, -1, 1, 1))


CONVOLUTION = "kernel_size strides padding data_format dilation_rate activation use_bias groups rank"
LAYERS: Mapping[str, tuple[Rule, str]] = {  # class → rule, and the settings that it reads
    **SHAPES,
    "Activation": (_activation, "activation"),
    "BatchNormalization": (_batch_normalization, "axis epsilon scale center"),
    "Conv2D": (_convolution, f"{CONVOLUTION} filters"),
    "Dense": (_dense, "units activation use_bias"),
    "DepthwiseConv2D": (_depthwise, f"{CONVOLUTION} depth_multiplier"),
    "ELU": (_activation, "alpha"),
    "LeakyReLU": (_activation, "alpha negative_slope"),
    "Normalization": (_normalization, "axis mean variance invert"),
    "PReLU": (_p_relu, "shared_axes"),
    "ReLU": (_activation, "max_value negative_slope threshold"),
    "Rescaling": (_rescaling, "scale offset data_format"),
    "SeparableConv2D": (_separable, f"{CONVOLUTION} filters depth_multiplier"),
    "Softmax": (_activation, "axis function"),
}
IDLE = frozenset(  # do nothing at inference
    [
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AugMix", "CutMix", "MixUp", "RandAugment"),
        *(
            "RandomBrightness",
            "RandomColorDegeneration",
            "RandomColorJitter",
            "RandomContrast",
            "RandomElasticTransform",
        ),
        *("RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue"),
        *("RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation"),
        *("RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom"),
    ]
)
