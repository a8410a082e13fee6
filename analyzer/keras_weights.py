"""The weights of a Keras file, found for each layer in the layouts of `.h5` and `.keras`.

`.h5` has one group for each layer of the outermost network; inside it the weights of an inner network stand in one list, those that were
to learn first. `.keras` follows the tree of layers, named by their classes and counted. Names and shapes are compared, so that an order
that differs is refused and never read as something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from analyzer.keras_checks import COPY_ANEW, SAVE_ANEW, SAVE_WHOLE, quoted, refuse
from analyzer.keras_config import Layer, Network

Numbers = NDArray[np.float32]
NAMES: Mapping[str, tuple[str, ...]] = {  # class → its weights, in order; `_has` tells which of them a layer has
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "Normalization": ("mean", "variance", "count"),
    "PReLU": ("alpha",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
SETTINGS = {
    "bias": "use_bias",
    "gamma": "scale",
    "beta": "center",
}  # weight → the setting that says whether it is there
MEASURED = ("moving_mean", "moving_variance", "mean", "variance", "count")  # what no optimiser changes
ALIASES = {("DepthwiseConv2D", "kernel"): ("kernel", "depthwise_kernel")}  # Keras 3, Keras 2
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # of the layers of a network in `.keras`: the latter in Keras 2.12
STATES = re.compile(r"seed_generator_state|StateVar|rng_state")  # weights of layers that do nothing here


class Weight(NamedTuple):
    """A weight that a layer should have. Attributes: `learns`, whether an optimiser was to change it."""

    layer: Layer
    name: str
    learns: bool


class Weights:
    """All weights of a file, read when they are asked for."""

    def __init__(self, root: h5py.Group, network: Network, *, keras: int, whole: bool) -> None:
        """Find them.

        Args:
            root: of the HDF5 file.
            network: that the file describes.
            keras: first number of the version that wrote the file, 2 or 3.
            whole: an `.h5` file of a whole network; else `model.weights.h5` of a `.keras` archive.

        Raises:
            BadModel: weights are missing, or lie otherwise than Keras writes them.
        """
        pairs = _lists(root["model_weights"], network, keras) if whole else _tree(root, network)
        self._data = {(id(weight.layer), weight.name): data for weight, data in pairs}

    def __call__(self, layer: Layer, name: str, shape: Sequence[int]) -> Numbers:
        """Return one weight as finite numbers.

        Raises:
            BadModel: it has another shape, or numbers that are not finite.
        """
        data = self._data[id(layer), name]
        if tuple(data.shape) != tuple(shape):
            wanted, got = tuple(map(int, shape)), tuple(map(int, data.shape))
            refuse(f"In {layer.title} the weight {name} has the shape {got}; its settings need {wanted}.", SAVE_ANEW)
        numbers = np.asarray(data[()], np.float32)
        if not np.isfinite(numbers).all():
            refuse(
                f"In {layer.title} numbers of the weight {name} are not finite.",
                "Save a network whose training did not diverge.",
            )
        return numbers

    def shape(self, layer: Layer, name: str) -> tuple[int, ...]:
        """Return the shape of one weight."""
        return tuple(map(int, self._data[id(layer), name].shape))


def read_text_list(group: h5py.Group, name: str) -> list[str]:
    """Return a list of texts out of attributes; Keras parts a long one into `name0`, `name1` and so on."""
    parts = [name] if name in group.attrs else [f"{name}{place}" for place in range(len(group.attrs))]
    texts = [text for part in parts if part in group.attrs for text in np.ravel(group.attrs[part])]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _weights(layer: Layer) -> list[Weight]:
    """Return the weights of one layer in the order of its file, learning ones first."""
    names = [name for name in NAMES.get(layer.kind, ()) if layer.settings.get(SETTINGS.get(name, ""), True)]
    if layer.kind == "Normalization" and layer.settings.get("mean") is not None:
        return []
    return [Weight(layer, name, layer.trainable and name not in MEASURED) for name in names]


def _lists(root: h5py.Group, network: Network, keras: int) -> Iterator[tuple[Weight, h5py.Dataset]]:
    """Yield weights with their data out of the groups of an `.h5` file."""
    for layer in network.layers:
        weights = _ordered(layer, keras)
        if not weights:
            continue
        if layer.name not in root:
            refuse(f"The file holds no weights of {layer.title}.", SAVE_WHOLE)
        names = [name for name in read_text_list(root[layer.name], "weight_names") if not STATES.match(_last(name))]
        _check_names(layer, weights, names)
        yield from zip(weights, (root[layer.name][name] for name in names), strict=True)


def _ordered(layer: Layer, keras: int) -> list[Weight]:
    """Return the weights of one group of an `.h5` file in the order in which Keras writes them."""
    if layer.network is None:
        return _weights(layer)
    if keras >= 3:
        weights = [weight for inner in layer.network.walk() for weight in _weights(inner)]
        return sorted(weights, key=lambda weight: not weight.learns) if layer.trainable else weights
    learning, measured = _parted(layer)
    return learning + measured


def _parted(layer: Layer) -> tuple[list[Weight], list[Weight]]:
    """Return learning and other weights as Keras 2 parts them: a frozen network's are all among the others."""
    if layer.network is None:
        weights = _weights(layer)
        return [weight for weight in weights if weight.learns], [weight for weight in weights if not weight.learns]
    parts = [_parted(inner) for inner in layer.network.layers]
    learning, others = ([weight for part in parts for weight in part[place]] for place in (0, 1))
    return (learning, others) if layer.trainable else ([], learning + others)


def _check_names(layer: Layer, weights: Sequence[Weight], names: Sequence[str]) -> None:
    """Compare the names in a list with those that the settings lead to expect."""
    fit = len(weights) == len(names) and all(
        _last(name) in ALIASES.get((weight.layer.kind, weight.name), (weight.name,))
        for weight, name in zip(weights, names, strict=True)
    )
    if not fit:
        refuse(
            f"The weights of {layer.title} are {len(names)} and stand in an order that Keras does not write.", SAVE_ANEW
        )


def _last(name: str) -> str:
    """Return the last part of a weight's name, without the number that TensorFlow adds."""
    return name.rsplit("/", 1)[-1].split(":")[0]


def _tree(root: h5py.Group, network: Network) -> Iterator[tuple[Weight, h5py.Dataset]]:
    """Yield weights with their data out of the tree of a `.keras` archive."""
    place = next((root[name] for name in ROOTS if name in root), root)
    counts: Counter[str] = Counter()
    for layer in network.layers:
        kind = "Functional" if layer.kind == "Model" else layer.kind
        name = _snake(kind)
        counts[name] += 1
        group = place.get(name if counts[name] == 1 else f"{name}_{counts[name] - 1}")
        if layer.network is not None and group is not None:
            yield from _tree(group, layer.network)
        elif layer.network is None:
            yield from _variables(layer, group)


def _variables(layer: Layer, group: Any) -> Iterator[tuple[Weight, h5py.Dataset]]:
    weights = _weights(layer)
    data: Any = group["vars"] if group is not None and "vars" in group else {}
    if len(data) != len(weights) and weights:
        refuse(f"The file holds {len(data)} weights of {layer.title}; its settings need {len(weights)}.", COPY_ANEW)
    saved = data.attrs.get("name", layer.name) if weights else layer.name
    if saved != layer.name:
        refuse(f"The weights of {layer.title} are those of another layer, {quoted(saved)}.", SAVE_ANEW)
    yield from ((weight, data[str(place)]) for place, weight in enumerate(weights))


def _snake(kind: str) -> str:
    """Return a class name as Keras writes it in paths."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()
