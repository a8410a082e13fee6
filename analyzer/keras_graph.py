"""A Keras network -> OpenVINO's graph of its backbones and the numbers of its dense head. Knows layers, not backends.

Keras' own export follows its layout of pictures, which costs time (decision 0008); here every map is (1, C, H, W) from the start.
The structure is recognised, not the names: two backbones, global averages of 1280 and 2048 numbers, dense layers, softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analyzer import runtime
from analyzer.keras_checks import refuse

WIDTHS = {1280: "efficientnet", 2048: "resnet"}  # features of a backbone → its name, in the order of the answer
SMALLEST_DIVISOR = 1e-7  # of Keras' Normalization
Numbers = NDArray[np.float32]


class Taken(NamedTuple):
    """Attributes: `graph`, an openvino.Model; `head`, (kernel, bias) of each dense layer; `demographics`, width of the second input."""

    graph: Any
    head: tuple[tuple[Numbers, Numbers], ...]
    demographics: int


def convert(network: Any) -> Taken:
    """Take a network apart.

    Args:
        network: keras.Model, functional, of the layers in `EMITTED` and those of a dense head.

    Raises:
        BadModel: it has another structure, or numbers that are not finite.
    """
    producers = {id(layer.output): layer for layer in network.layers}
    if len(network.outputs) != 1:
        refuse("The network must have one output, its probabilities.")
    head, joined = _head(network.outputs[0], producers)
    sources = _sources(joined, producers)
    averages = {
        WIDTHS[tensor.shape[-1]]: tensor
        for tensor in sources
        if tensor.shape[-1] in WIDTHS and not _is_input(tensor, producers)
    }
    said = [tensor for tensor in sources if _is_input(tensor, producers)]
    if len(averages) != len(WIDTHS) or len(sources) != len(WIDTHS) + len(said) or len(said) > 1:
        refuse(
            "The dense head must stand on 1280 and 2048 averages of two backbones, and on one further input at most."
        )
    order = [*(averages[name] for name in WIDTHS.values()), *said]
    kernel, bias = head[0]
    head = ((_reordered(kernel, sources, order), bias), *head[1:])
    maps = {name: _only(producers[id(tensor)].input) for name, tensor in averages.items()}
    return Taken(_graph(network, averages, maps), head, said[0].shape[-1] if said else 0)


def _head(output: Any, producers: Mapping[int, Any]) -> tuple[tuple[tuple[Numbers, Numbers], ...], Any]:
    """Dense layers from the features to the logits, and the tensor below the first of them."""
    layer = producers[id(output)]
    if _is_softmax(layer):
        layer = producers[id(layer.input)]
        last = "linear"
    else:
        last = "softmax"
    dense: list[tuple[Numbers, Numbers]] = []
    while _kind(layer) in ("Dense", "Dropout"):
        if _kind(layer) == "Dense":
            if _activation(layer) != ("relu" if dense else last):
                refuse("The dense head must end in softmax, with ReLU between its layers.")
            dense.insert(0, (_checked(layer.kernel), _bias(layer, layer.units)))
        below = layer.input
        if id(below) not in producers:
            break
        layer = producers[id(below)]
    if not dense:
        refuse("The network must end in dense layers and softmax.")
    return tuple(dense), layer.output


def _sources(tensor: Any, producers: Mapping[int, Any]) -> list[Any]:
    """What is laid side by side below the head, in order: averages and inputs."""
    layer = producers[id(tensor)]
    if _kind(layer) == "Dropout":
        return _sources(layer.input, producers)
    if _kind(layer) == "Concatenate" and layer.axis in (-1, 1) and isinstance(layer.input, list):
        return [source for below in layer.input for source in _sources(below, producers)]
    if len(tensor.shape) != 2 or _kind(layer) not in ("GlobalAveragePooling2D", "InputLayer"):
        refuse("The dense head must stand on global averages of the backbones.")
    return [tensor]


def _reordered(kernel: Numbers, sources: list[Any], order: list[Any]) -> Numbers:
    """Rows of the first kernel as if the features came in `order`."""
    ends = np.cumsum([source.shape[-1] for source in sources])
    blocks = {id(source): kernel[end - source.shape[-1] : end] for source, end in zip(sources, ends, strict=True)}
    return np.ascontiguousarray(np.concatenate([blocks[id(tensor)] for tensor in order]))


def _graph(network: Any, averages: Mapping[str, Any], maps: Mapping[str, Any]) -> Any:
    """openvino.Model: `image` uint8 (1, S, S, 3) → `features`, `efficientnet_maps`, `resnet_maps`."""
    ops = runtime.openvino().opset13
    picture = [tensor for tensor in network.inputs if len(tensor.shape) == 4]
    if (
        len(picture) != 1
        or None in picture[0].shape[1:]
        or picture[0].shape[3] != 3
        or picture[0].shape[1] != picture[0].shape[2]
    ):
        refuse("The network must take one square RGB picture of fixed size.")
    image = ops.parameter([1, *picture[0].shape[1:]], np.uint8, name="image")
    image.output(0).set_names({"image"})
    nodes = {id(picture[0]): ops.transpose(ops.convert(image, "f32"), np.array([0, 3, 1, 2]))}
    wanted = [averages[name] for name in WIDTHS.values()]
    for layer in network.layers:
        below = layer.input if isinstance(layer.input, list) else [layer.input]
        if _kind(layer) != "InputLayer" and all(id(tensor) in nodes for tensor in below) and _kind(layer) in EMITTED:
            nodes[id(layer.output)] = EMITTED[_kind(layer)](layer, [nodes[id(tensor)] for tensor in below])
    if not all(id(tensor) in nodes for tensor in (*wanted, *maps.values())):
        refuse("The backbones hold a layer that EfficientNet and ResNet do not have.")
    answers = {"features": ops.concat([nodes[id(tensor)] for tensor in wanted], 1)}
    answers |= {
        f"{name}_maps": ops.transpose(nodes[id(maps[name])], np.array([0, 2, 3, 1])) for name in WIDTHS.values()
    }
    for name, node in answers.items():
        node.output(0).set_names({name})
    return runtime.openvino().Model([ops.result(node) for node in answers.values()], [image], "hare_run")


def _convolution(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.groups == 1 and layer.data_format == "channels_last", layer)
    kernel = _checked(layer.kernel).transpose(3, 2, 0, 1)
    node = _ops().convolution(nodes[0], np.ascontiguousarray(kernel), *_window(layer), auto_pad=_padding(layer))
    return _activated(_shifted(node, layer), layer)


def _depthwise(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.depth_multiplier == 1 and layer.data_format == "channels_last", layer)
    kernel = _checked(layer.kernel).transpose(2, 3, 0, 1)[:, :, None]
    node = _ops().group_convolution(nodes[0], np.ascontiguousarray(kernel), *_window(layer), auto_pad=_padding(layer))
    return _activated(_shifted(node, layer), layer)


def _batch_normalization(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.axis in (-1, 3, [3], (3,)), layer)
    mean, variance = _checked(layer.moving_mean).astype(float), _checked(layer.moving_variance).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / np.sqrt(variance + layer.epsilon)
    scale = scale * (_checked(layer.gamma) if layer.scale else 1)
    return _affine(nodes[0], scale, (_checked(layer.beta) if layer.center else 0) - mean * scale)


def _normalization(layer: Any, nodes: list[Any]) -> Any:
    """From its weights, not from what Keras made of them at load: that state is lost by some of its versions."""
    _must(not layer.invert and tuple(np.atleast_1d(layer.axis)) in ((-1,), (3,)), layer)
    given = layer.input_mean is not None
    mean = np.ravel(layer.input_mean if given else _checked(layer.adapt_mean)).astype(float)
    variance = np.ravel(layer.input_variance if given else _checked(layer.adapt_variance)).astype(float)
    with np.errstate(invalid="ignore"):
        scale = 1 / np.maximum(np.sqrt(variance), SMALLEST_DIVISOR)
    return _affine(nodes[0], scale, -mean * scale)


def _rescaling(layer: Any, nodes: list[Any]) -> Any:
    return _affine(nodes[0], np.ravel(layer.scale), np.ravel(layer.offset))


def _zero_padding(layer: Any, nodes: list[Any]) -> Any:
    (top, bottom), (left, right) = layer.padding
    _must(layer.data_format == "channels_last" and min(top, bottom, left, right) >= 0, layer)
    zero = np.array(0, np.float32)
    return _ops().pad(nodes[0], np.array([0, 0, top, left]), np.array([0, 0, bottom, right]), "constant", zero)


def _max_pooling(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.data_format == "channels_last", layer)
    strides, size = list(layer.strides), list(layer.pool_size)
    node = _ops().max_pool(nodes[0], strides, [1, 1], [0, 0], [0, 0], size, auto_pad=_padding(layer))
    return node.output(0)


def _average(layer: Any, nodes: list[Any]) -> Any:
    _must(layer.data_format == "channels_last", layer)
    return _ops().reduce_mean(nodes[0], np.array([2, 3]), layer.keepdims)


def _reshape(layer: Any, nodes: list[Any]) -> Any:
    """Only averages that become a map of one pixel, as in EfficientNet's blocks."""
    width = layer.input.shape[-1]
    _must(len(layer.input.shape) == 2 and tuple(layer.target_shape) == (1, 1, width), layer)
    return _ops().unsqueeze(nodes[0], np.array([2, 3]))


def _activation_layer(layer: Any, nodes: list[Any]) -> Any:
    return _activated(nodes[0], layer)


def _relu(layer: Any, nodes: list[Any]) -> Any:
    _must(not layer.negative_slope and not layer.threshold, layer)
    return _ops().relu(nodes[0]) if layer.max_value is None else _ops().clamp(nodes[0], 0.0, float(layer.max_value))


EMITTED: Mapping[str, Callable[[Any, list[Any]], Any]] = {
    "Activation": _activation_layer,
    "Add": lambda layer, nodes: _folded(_ops().add, nodes),
    "BatchNormalization": _batch_normalization,
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "Dropout": lambda layer, nodes: nodes[0],
    "GlobalAveragePooling2D": _average,
    "MaxPooling2D": _max_pooling,
    "Multiply": lambda layer, nodes: _folded(_ops().multiply, nodes),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "ZeroPadding2D": _zero_padding,
}
ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "linear": lambda node: node,
    "relu": lambda node: _ops().relu(node),
    "sigmoid": lambda node: _ops().sigmoid(node),
    "silu": lambda node: _ops().swish(node),
}


def _ops() -> Any:
    return runtime.openvino().opset13


def _folded(operation: Callable[[Any, Any], Any], nodes: list[Any]) -> Any:
    node = nodes[0]
    for other in nodes[1:]:
        node = operation(node, other)
    return node


def _affine(node: Any, scale: Any, offset: Any) -> Any:
    return _ops().add(_ops().multiply(node, _channels(scale)), _channels(offset))


def _shifted(node: Any, layer: Any) -> Any:
    return _ops().add(node, _channels(_checked(layer.bias))) if layer.use_bias else node


def _activated(node: Any, layer: Any) -> Any:
    name = _activation(layer)
    _must(name in ACTIVATIONS, layer)
    return ACTIVATIONS[name](node)


def _activation(layer: Any) -> str:
    name = getattr(layer.activation, "__name__", "")
    return {"swish": "silu"}.get(name, name)


def _window(layer: Any) -> tuple[list[int], list[int], list[int], list[int]]:
    return list(layer.strides), [0, 0], [0, 0], list(layer.dilation_rate)


def _padding(layer: Any) -> str:
    _must(layer.padding in ("valid", "same"), layer)
    return {"valid": "valid", "same": "same_upper"}[layer.padding]


def _channels(numbers: Any) -> Numbers:
    return _finite(np.asarray(numbers, np.float32)).reshape(1, -1, 1, 1)


def _bias(layer: Any, width: int) -> Numbers:
    return _checked(layer.bias) if layer.use_bias else np.zeros(width, np.float32)


def _checked(variable: Any) -> Numbers:
    """A weight as finite numbers, whatever backend holds it."""
    return _finite(np.array(variable.numpy(), np.float32))


def _finite(numbers: Numbers) -> Numbers:
    if not np.isfinite(numbers).all():
        refuse("Weights of the network are not finite numbers.")
    return numbers


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _is_input(tensor: Any, producers: Mapping[int, Any]) -> bool:
    return _kind(producers[id(tensor)]) == "InputLayer"


def _is_softmax(layer: Any) -> bool:
    return (_kind(layer) == "Softmax" and layer.axis == -1) or (
        _kind(layer) == "Activation" and _activation(layer) == "softmax"
    )


def _only(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, list) else tensors


def _must(holds: bool, layer: Any) -> None:
    if not holds:
        refuse(f"The layer {layer.name!r:.60} ({_kind(layer)}) has settings that EfficientNet and ResNet do not have.")
