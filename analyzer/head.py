"""The dense head of the ensemble in NumPy: logits from features, and the gradient that explains them.

Beside the backbones it costs nothing, and unlike a compiled graph it can be differentiated: Grad-CAM needs no TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import activations
from analyzer.errors import BadModel

Array = NDArray[np.float32]
Names = NDArray[np.str_]
HINT = "Fetch the artefact again, or make it anew with its training script."


@dataclass(frozen=True, eq=False)
class Head:
    """Dense layers with activations between them; the last one gives logits.

    Attributes:
        kernels: (inputs, outputs) float32 of each layer.
        biases: (outputs,) float32 of each layer.
        activations: names (`analyzer.activations`) behind each layer but the last: one for all outputs, or one for each.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]
    activations: tuple[Names, ...]

    @property
    def inputs(self) -> int:
        return int(self.kernels[0].shape[0])

    @property
    def classes(self) -> int:
        return int(self.kernels[-1].shape[1])

    def logits(self, known: Array) -> Array:
        """(classes,) float32 of one face.

        Args:
            known: (inputs,) float32: features, and demographics where the head takes them.
        """
        return self._sums(known)[-1]

    def gradient(self, known: Array, index: int) -> Array:
        """(inputs,) float32: how the logit of one class changes with each input."""
        sums = self._sums(known)
        gradient = self.kernels[-1][:, index]
        for kernel, total, names in zip(self.kernels[-2::-1], sums[-2::-1], self.activations[::-1], strict=True):
            gradient = kernel @ _by_name(activations.backward, names, total, gradient)
        return np.asarray(gradient, np.float32)

    def _sums(self, known: Array) -> list[Array]:
        """Return the outputs of each layer before its activation."""
        sums = [known @ self.kernels[0] + self.biases[0]]
        for kernel, bias, names in zip(self.kernels[1:], self.biases[1:], self.activations, strict=True):
            sums.append(_by_name(activations.apply, names, sums[-1]) @ kernel + bias)
        return sums


def activation_map(maps: Sequence[Array], gradient: Array) -> Array:
    """Return Grad-CAM over the last feature maps of all backbones, (H, W) float32 in 0..1, of the finest maps' size.

    Each map weighs as much as the mean, over its places, of the gradient of the logit by the map (Selvaraju et al., ICCV 2017, eq. 1
    and 2). Where a feature is the mean or the largest value of a map, that is the gradient by the feature over the number of places;
    where each place is a feature, the mean of their gradients. The largest value is 1, or all are 0.

    Args:
        maps: (H, W, channels) float32 of each backbone, in the order of the features.
        gradient: of the logit by the features, (sum of channels,) float32; (sum of H · W · channels,) where each place is a
            feature; or longer.
    """
    is_flat = gradient.size >= sum(each.size for each in maps)
    height, width = max(each.shape[:2] for each in maps)
    evidence, start = np.zeros((height, width), np.float32), 0
    for each in maps:
        places, channels = each.shape[0] * each.shape[1], each.shape[2]
        count = places * channels if is_flat else channels
        weights = gradient[start : start + count].reshape(-1, channels).sum(axis=0) / np.float32(places)
        evidence += cv2.resize(each @ weights, (width, height), interpolation=cv2.INTER_LINEAR)
        start += count
    evidence = np.maximum(evidence, np.float32(0))
    peak = float(evidence.max())
    return np.asarray(evidence / peak if peak > 0 else evidence, np.float32)


def of_layers(layers: Sequence[tuple[Array, Array]], names: Sequence[Names] = ()) -> Head:
    """Return a head of (kernel, bias) pairs.

    Args:
        layers: in order.
        names: of the activations between them; empty = ReLU.

    Raises:
        BadModel: they do not fit each other, or hold numbers that are not finite.
    """
    kernels = tuple(np.ascontiguousarray(kernel, np.float32) for kernel, _ in layers)
    biases = tuple(np.ascontiguousarray(bias, np.float32) for _, bias in layers)
    if not layers or any(kernel.ndim != 2 for kernel in kernels):
        raise BadModel("The head of the network has no dense layers.", HINT)
    widths = [kernel.shape for kernel in kernels]
    chained = all(before[1] == after[0] for before, after in pairwise(widths))
    if not chained or any(bias.shape != (kernel.shape[1],) for kernel, bias in zip(kernels, biases, strict=True)):
        raise BadModel("The layers of the network's head do not fit each other.", HINT)
    if not all(np.isfinite(array).all() for array in (*kernels, *biases)):
        raise BadModel("The head of the network holds numbers that are not finite.", HINT)
    between = tuple(names) or (np.array(["relu"]),) * (len(layers) - 1)
    if len(between) != len(layers) - 1 or not all(map(_fits, between, kernels)):
        raise BadModel("The activations of the network's head are not known, or do not fit its layers.", HINT)
    return Head(kernels, biases, between)


def read(data: bytes) -> Head:
    """Return the head in the bytes of `head.npz`: kernel_0, bias_0, kernel_1, … of any float type; activation_0, … if not ReLU.

    Raises:
        BadModel: it holds something else.
    """
    arrays = read_arrays(data, "head.npz")
    count = sum(name.startswith("kernel_") for name in arrays)
    try:
        layers = [(arrays[f"kernel_{place}"], arrays[f"bias_{place}"]) for place in range(count)]
        return of_layers(layers, [arrays[name] for place in range(count) if (name := f"activation_{place}") in arrays])
    except KeyError as error:
        raise BadModel(f"head.npz has no {error.args[0]}.", HINT) from None


def _by_name(function: Callable[..., Array], names: Names, *numbers: Array) -> Array:
    """Return what a function of a name and numbers makes of the outputs of each activation."""
    if names.size == 1:
        return function(str(names[0]), *numbers)
    answer = np.empty_like(numbers[0])
    for name in np.unique(names):
        places = names == name
        answer[places] = function(str(name), *(each[places] for each in numbers))
    return answer


def _fits(names: Names, kernel: Array) -> bool:
    known = all(activations.is_known(str(name)) for name in np.unique(names))
    return names.ndim == 1 and names.size in (1, kernel.shape[1]) and known


def read_arrays(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz`; nothing that would have to be unpickled.

    Raises:
        BadModel: it is no such file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile, AttributeError):
        raise BadModel(f"{name} is no file of plain arrays.", HINT) from None
