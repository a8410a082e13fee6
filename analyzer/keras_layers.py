"""One Keras layer -> OpenVINO's operations on maps (1, C, H, W) and averages (1, C).

Each has the settings that EfficientNet and ResNet give it; others are refused, so that nothing is taken half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer import runtime
from analyzer.keras_checks import refuse

SMALLEST_DIVISOR = 1e-7  # of Keras' Normalization
Numbers = NDArray[np.float32]


def _convolution(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.groups == 1 and layer.data_format == "channels_last", layer)
    kernel = numbers(layer.kernel).transpose(3, 2, 0, 1)
    node = ops().convolution(nodes[0], np.ascontiguousarray(kernel), *_window(layer), auto_pad=_padding(layer))
    return _activated(_shifted(node, layer), layer)


def _depthwise(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.depth_multiplier == 1 and layer.data_format == "channels_last", layer)
    kernel = numbers(layer.kernel).transpose(2, 3, 0, 1)[:, :, None]
    node = ops().group_convolution(nodes[0], np.ascontiguousarray(kernel), *_window(layer), auto_pad=_padding(layer))
    return _activated(_shifted(node, layer), layer)


def _batch_normalization(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.axis in (-1, 3, [3], (3,)), layer)
    mean, variance = numbers(layer.moving_mean).astype(float), numbers(layer.moving_variance).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / np.sqrt(variance + layer.epsilon)
    scale = scale * (numbers(layer.gamma) if layer.scale else 1)
    return _affine(nodes[0], scale, (numbers(layer.beta) if layer.center else 0) - mean * scale)


def _normalization(layer: Any, nodes: list[Any]) -> Any:
    """From its weights, not from what Keras made of them at load: that state is lost by some of its versions."""
    _must(not layer.invert and tuple(np.atleast_1d(layer.axis)) in ((-1,), (3,)), layer)
    given = layer.input_mean is not None
    mean = np.ravel(layer.input_mean if given else numbers(layer.adapt_mean)).astype(float)
    variance = np.ravel(layer.input_variance if given else numbers(layer.adapt_variance)).astype(float)
    with np.errstate(invalid="ignore"):
        scale = 1 / np.maximum(np.sqrt(variance), SMALLEST_DIVISOR)
    return _affine(nodes[0], scale, -mean * scale)


def _rescaling(layer: Any, nodes: list[Any]) -> Any:
    return _affine(nodes[0], np.ravel(layer.scale), np.ravel(layer.offset))


def _zero_padding(layer: Any, nodes: list[Any]) -> Any:
    (top, bottom), (left, right) = layer.padding
    _must(layer.data_format == "channels_last" and min(top, bottom, left, right) >= 0, layer)
    zero = np.array(0, np.float32)
    return ops().pad(nodes[0], np.array([0, 0, top, left]), np.array([0, 0, bottom, right]), "constant", zero)


def _max_pooling(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.data_format == "channels_last", layer)
    strides, size = list(layer.strides), list(layer.pool_size)
    node = ops().max_pool(nodes[0], strides, [1, 1], [0, 0], [0, 0], size, auto_pad=_padding(layer))
    return node.output(0)


def _average(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.data_format == "channels_last", layer)
    return ops().reduce_mean(nodes[0], np.array([2, 3]), layer.keepdims)


def _reshape(layer: Any, nodes: list[Any]) -> Any:
    """Only averages that become a map of one pixel, as in EfficientNet's blocks."""
    width = layer.input.shape[-1]
    _must(len(layer.input.shape) == 2 and tuple(layer.target_shape) == (1, 1, width), layer)
    return ops().unsqueeze(nodes[0], np.array([2, 3]))


def _activation_layer(layer: Any, nodes: list[Any]) -> Any:
    return _activated(nodes[0], layer)


def _relu(layer: Any, nodes: list[Any]) -> Any:
    _must(not layer.negative_slope and not layer.threshold, layer)
    return ops().relu(nodes[0]) if layer.max_value is None else ops().clamp(nodes[0], 0.0, float(layer.max_value))


EMITTED: Mapping[str, Callable[[Any, list[Any]], Any]] = {
    "Activation": _activation_layer,
    "Add": lambda layer, nodes: _folded(ops().add, nodes),
    "BatchNormalization": _batch_normalization,
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "Dropout": lambda layer, nodes: nodes[0],
    "GlobalAveragePooling2D": _average,
    "MaxPooling2D": _max_pooling,
    "Multiply": lambda layer, nodes: _folded(ops().multiply, nodes),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "ZeroPadding2D": _zero_padding,
}
ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "linear": lambda node: node,
    "relu": lambda node: ops().relu(node),
    "sigmoid": lambda node: ops().sigmoid(node),
    "silu": lambda node: ops().swish(node),
}


def ops() -> Any:
    """OpenVINO's operations."""
    return runtime.openvino().opset13


def _folded(operation: Callable[[Any, Any], Any], nodes: list[Any]) -> Any:
    node = nodes[0]
    for other in nodes[1:]:
        node = operation(node, other)
    return node


def _affine(node: Any, scale: Any, offset: Any) -> Any:
    return ops().add(ops().multiply(node, _channels(scale)), _channels(offset))


def _shifted(node: Any, layer: Any) -> Any:
    return ops().add(node, _channels(numbers(layer.bias))) if layer.use_bias else node


def _activated(node: Any, layer: Any) -> Any:
    name = activation(layer)
    _must(name in ACTIVATIONS, layer)
    return ACTIVATIONS[name](node)


def activation(layer: Any) -> str:
    """Name of a layer's activation; what has two names in Keras has one here."""
    name = getattr(layer.activation, "__name__", "")
    return {"swish": "silu"}.get(name, name)


def _window(layer: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    return list(layer.strides), [0, 0], [0, 0], list(layer.dilation_rate)


def _padding(layer: Any) -> str:
    _must(layer.padding in ("valid", "same"), layer)
    return {"valid": "valid", "same": "same_upper"}[layer.padding]


def _channels(array: Any) -> Numbers:
    return finite(np.asarray(array, np.float32)).reshape(1, -1, 1, 1)


def numbers(variable: Any) -> Numbers:
    """A weight as finite numbers, whatever backend holds it."""
    return finite(np.array(variable.numpy(), np.float32))


def finite(array: Numbers) -> Numbers:
    """The same array, or a refusal."""
    if not np.isfinite(array).all():
        refuse("Weights of the network are not finite numbers.")
    return array


def kind(layer: Any) -> str:
    """Name of a layer's class."""
    return type(layer).__name__


def _must(holds: bool, layer: Any) -> None:
    if not holds:
        refuse(f"The layer {layer.name!r:.60} ({kind(layer)}) has settings that EfficientNet and ResNet do not have.")
