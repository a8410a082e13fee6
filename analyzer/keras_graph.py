"""A Keras network -> OpenVINO's graph of its backbones and the numbers of its dense head. Knows layers, not backends.

Keras' own export follows its layout of pictures, which costs time (decision 0008); here every map is (1, C, H, W) from the start.
The structure is recognised, not the names: backbones with global averages of 1280 or 2048 numbers, two or one of them, dense
layers, softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analyzer import runtime
from analyzer.keras_checks import refuse
from analyzer.keras_layers import EMITTED, Numbers, activation, kind, numbers, ops

WIDTHS = {1280: "efficientnet", 2048: "resnet"}  # features of a backbone → its name, in the order of the answer


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
    said = [tensor for tensor in sources if _is_input(tensor, producers)]
    found = {WIDTHS.get(tensor.shape[-1], ""): tensor for tensor in sources if not _is_input(tensor, producers)}
    averages = {name: found[name] for name in WIDTHS.values() if name in found}
    if not averages or len(sources) != len(averages) + len(said) or len(said) > 1:
        refuse(
            "The dense head must stand on 1280 and 2048 averages of two backbones, or of one of them, and on one further input "
            "at most."
        )
    kernel, bias = head[0]
    first = _reordered(kernel, sources, [*averages.values(), *said])
    maps = {name: _below(producers[id(tensor)])[0] for name, tensor in averages.items()}
    return Taken(_graph(network, averages, maps), ((first, bias), *head[1:]), said[0].shape[-1] if said else 0)


def _head(output: Any, producers: Mapping[int, Any]) -> tuple[tuple[tuple[Numbers, Numbers], ...], Any]:
    """Dense layers from the features to the logits, and the tensor below the first of them."""
    layer = producers[id(output)]
    last = "linear" if _is_softmax(layer) else "softmax"
    if last == "linear":
        layer = producers[id(layer.input)]
    dense: list[tuple[Numbers, Numbers]] = []
    while kind(layer) in ("Dense", "Dropout"):
        if kind(layer) == "Dense":
            if activation(layer) != ("relu" if dense else last):
                refuse("The dense head must end in softmax, with ReLU between its layers.")
            dense.insert(0, (numbers(layer.kernel), _bias(layer, layer.units)))
        layer = producers[id(layer.input)]
    if not dense:
        refuse("The network must end in dense layers and softmax.")
    return tuple(dense), layer.output


def _sources(tensor: Any, producers: Mapping[int, Any]) -> list[Any]:
    """What is laid side by side below the head, in order: averages and inputs."""
    layer = producers[id(tensor)]
    if kind(layer) == "Dropout":
        return _sources(layer.input, producers)
    if kind(layer) == "Concatenate" and layer.axis in (-1, 1) and len(_below(layer)) > 1:
        return [source for below in _below(layer) for source in _sources(below, producers)]
    if len(tensor.shape) != 2 or kind(layer) not in ("GlobalAveragePooling2D", "InputLayer"):
        refuse("The dense head must stand on global averages of the backbones.")
    return [tensor]


def _reordered(kernel: Numbers, sources: list[Any], order: list[Any]) -> Numbers:
    """Rows of the first kernel as if the features came in `order`."""
    ends = np.cumsum([source.shape[-1] for source in sources])
    blocks = {id(source): kernel[end - source.shape[-1] : end] for source, end in zip(sources, ends, strict=True)}
    return np.ascontiguousarray(np.concatenate([blocks[id(tensor)] for tensor in order]))


def _graph(network: Any, averages: Mapping[str, Any], maps: Mapping[str, Any]) -> Any:
    """openvino.Model: `image` uint8 (1, S, S, 3) → `features`, and `efficientnet_maps`, `resnet_maps` of the backbones it has."""
    picture = _picture(network.inputs)
    image = ops().parameter([1, *picture.shape[1:]], np.uint8, name="image")
    image.output(0).set_names({"image"})
    nodes = {id(picture): ops().transpose(ops().convert(image, "f32"), np.array([0, 3, 1, 2]))}
    for layer in network.layers:  # in the order of the flow; what stands on the other input or in the head is left out
        below = _below(layer)
        if kind(layer) in EMITTED and all(id(tensor) in nodes for tensor in below):
            nodes[id(layer.output)] = EMITTED[kind(layer)](layer, [nodes[id(tensor)] for tensor in below])
    wanted = list(averages.values())
    if not all(id(tensor) in nodes for tensor in wanted):
        refuse("The backbones hold a layer that EfficientNet and ResNet do not have.")
    answers = {"features": ops().concat([nodes[id(tensor)] for tensor in wanted], 1)}
    for name in averages:
        answers[f"{name}_maps"] = ops().transpose(nodes[id(maps[name])], np.array([0, 2, 3, 1]))
    for name, node in answers.items():
        node.output(0).set_names({name})
    return runtime.openvino().Model([ops().result(node) for node in answers.values()], [image], "hare_run")


def _picture(inputs: Sequence[Any]) -> Any:
    pictures = [tensor for tensor in inputs if len(tensor.shape) == 4]
    if len(pictures) != 1 or None in pictures[0].shape[1:] or pictures[0].shape[1:] != (*pictures[0].shape[1:2] * 2, 3):
        refuse("The network must take one square RGB picture of fixed size.")
    return pictures[0]


def _bias(layer: Any, width: int) -> Numbers:
    return numbers(layer.bias) if layer.use_bias else np.zeros(width, np.float32)


def _is_input(tensor: Any, producers: Mapping[int, Any]) -> bool:
    return kind(producers[id(tensor)]) == "InputLayer"


def _is_softmax(layer: Any) -> bool:
    return (kind(layer) == "Softmax" and layer.axis == -1) or (
        kind(layer) == "Activation" and activation(layer) == "softmax"
    )


def _below(layer: Any) -> list[Any]:
    """Tensors that a layer takes."""
    return layer.input if isinstance(layer.input, list) else [layer.input]
