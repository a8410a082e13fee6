"""The dense head of a Keras network: from the vector that it ends in to the layers that the service computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyzer.keras_checks import refuse
from analyzer.keras_files import DenseNumbers
from analyzer.keras_tensors import DenseLayer, Doubles, Source, Vector

ENDINGS = ("softmax", "sigmoid", "linear")  # activations of the last layer
INVERSES = {"softmax": "log", "sigmoid": "logit"}  # what gives logits back from a mean of probabilities
ROUNDING = 1e-5  # of weights of a mean, which sum to 1
PLAIN_END = "End the network in a Dense layer of one unit for each class with softmax, sigmoid or no activation."
AVERAGE = (
    "Average the probabilities of the branches (layers.Average), or let the network end in their softmax or sigmoid."
)


def head_of(vector: Vector, order: Sequence[Source]) -> tuple[tuple[DenseNumbers, ...], str]:
    """Return the dense layers to the logits, and the activation behind them (`ENDINGS`).

    One number becomes the logits of two classes. A mean of probabilities becomes their logits, so that the activation gives it back.

    Args:
        vector: the output of the network.
        order: its sources as the service gives them.

    Raises:
        BadModel: the network does not end in probabilities or logits.
    """
    layers, ending = _ended(vector)
    if layers[-1].bias.size == 1:
        if ending == "softmax":
            refuse("The network ends in a softmax of one number, which is always 1.", PLAIN_END)
        last = layers.pop()
        doubled = np.concatenate([np.zeros_like(last.kernel), last.kernel], axis=1)
        layers.append(_linear(doubled, np.array([0.0, last.bias[0]])))
    layers[0] = layers[0]._replace(kernel=_reordered(layers[0].kernel, vector.sources, order))
    return tuple(map(_numbers, layers)), ending


def _ended(vector: Vector) -> tuple[list[DenseLayer], str]:
    layers = list(vector.layers)
    names = {name for name, _ in layers[-1].activations} if layers else set()
    if layers and not vector.has_step:
        ending = names.pop() if len(names) == 1 and len(layers[-1].activations) == 1 else "several activations"
        if ending not in ENDINGS:
            refuse(f"The network ends in {ending}, which gives no probabilities.", PLAIN_END)
        return [*layers[:-1], _linear(layers[-1].kernel, layers[-1].bias)], ending
    if names and names <= INVERSES.keys() and _is_selection(vector):
        return _averaged(vector, names)
    return [*layers, _linear(vector.matrix, vector.bias)], "linear"


def _is_selection(vector: Vector) -> bool:
    """Return whether each number of the last layer goes into one output at the most, as of a sum of branches."""
    return bool(((vector.matrix != 0).sum(axis=1) <= 1).all())


def _averaged(vector: Vector, names: set[str]) -> tuple[list[DenseLayer], str]:
    """Return the layers of a network that ends in a mean of probabilities."""
    weights, name = vector.matrix, names.pop()
    is_mean = (weights >= 0).all() and np.allclose(weights.sum(axis=0), 1, atol=ROUNDING) and not vector.bias.any()
    if names or not is_mean:
        refuse("The network adds, scales or mixes probabilities, which gives none.", AVERAGE)
    averaged = DenseLayer(weights, vector.bias, ((INVERSES[name], vector.width),))
    return [*vector.layers, averaged, _linear(np.eye(vector.width), np.zeros(vector.width))], name


def _linear(kernel: Doubles, bias: Doubles) -> DenseLayer:
    return DenseLayer(kernel, bias, (("linear", bias.size),))


def _reordered(kernel: Doubles, sources: Sequence[Source], order: Sequence[Source]) -> Doubles:
    """Return the rows of the first kernel as if the sources came in `order`."""
    ends = np.cumsum([source.width for source in sources])
    blocks = {id(source): kernel[end - source.width : end] for source, end in zip(sources, ends, strict=True)}
    return np.concatenate([blocks[id(source)] for source in order])


def _numbers(layer: DenseLayer) -> DenseNumbers:
    """Return a layer as arrays; each softmax gets a number of its own, since it binds its outputs together."""
    kernel, bias = (np.ascontiguousarray(array, np.float32) for array in (layer.kernel, layer.bias))
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        refuse("Numbers of the head are not finite.", "Save a network whose training did not diverge.")
    names = [f"softmax:{place}" if name == "softmax" else name for place, (name, _) in enumerate(layer.activations)]
    each = np.repeat(names, [count for _, count in layer.activations])
    return DenseNumbers(kernel, bias, each[:1] if len(set(names)) == 1 else each)
