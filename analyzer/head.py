"""Features -> logits, and the gradient that explains them: the dense head of the ensemble, in NumPy.

Beside the backbones it costs nothing, and unlike a compiled graph it can be differentiated: Grad-CAM needs no TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from analyzer.errors import BadModel

Array = NDArray[np.float32]
HINT = "Fetch the artefact again, or make it anew with its training script."


@dataclass(frozen=True, eq=False)
class Head:
    """Dense layers with ReLU between them; the last one gives logits.

    Attributes:
        kernels: (inputs, outputs) float32 of each layer.
        biases: (outputs,) float32 of each layer.
    """

    kernels: tuple[Array, ...]
    biases: tuple[Array, ...]

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
        return self._activations(known)[-1]

    def gradient(self, known: Array, index: int) -> Array:
        """(inputs,) float32: how the logit of one class changes with each input."""
        activations = self._activations(known)
        gradient = self.kernels[-1][:, index]
        for kernel, activation in zip(self.kernels[-2::-1], activations[-2::-1], strict=True):
            gradient = kernel @ np.where(activation > 0, gradient, np.float32(0))
        return np.asarray(gradient, np.float32)

    def _activations(self, known: Array) -> list[Array]:
        """What each layer gives: after ReLU, the last one as it is."""
        given, answers = known, []
        last = len(self.kernels) - 1
        for place, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            given = given @ kernel + bias
            if place < last:
                given = np.maximum(given, np.float32(0))
            answers.append(given)
        return answers


def activation_map(maps: Sequence[Array], gradient: Array) -> Array:
    """(H, W) float32 in 0..1: Grad-CAM over the last feature maps of all backbones.

    The features are the means of the maps, so that the gradient of a logit by a place in a map is the gradient by the feature
    over the number of places, everywhere alike (Selvaraju et al., ICCV 2017, eq. 1 and 2). The largest value is 1, or all are 0.

    Args:
        maps: (H, W, channels) float32 of each backbone, in the order of the features.
        gradient: of the logit by the features, (sum of channels,) float32 or longer.
    """
    stacked = np.concatenate(maps, axis=-1)
    height, width, channels = stacked.shape
    map_ = np.maximum(stacked @ (gradient[:channels] / np.float32(height * width)), np.float32(0))
    peak = float(map_.max())
    return np.asarray(map_ / peak if peak > 0 else map_, np.float32)


def of_layers(layers: Sequence[tuple[Array, Array]]) -> Head:
    """A head of (kernel, bias) pairs.

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
    return Head(kernels, biases)


def read(data: bytes) -> Head:
    """The head in the bytes of `head.npz`: kernel_0, bias_0, kernel_1, … of any float type.

    Raises:
        BadModel: it holds something else.
    """
    arrays = read_arrays(data, "head.npz")
    count = sum(name.startswith("kernel_") for name in arrays)
    try:
        return of_layers([(arrays[f"kernel_{place}"], arrays[f"bias_{place}"]) for place in range(count)])
    except KeyError as error:
        raise BadModel(f"head.npz has no {error.args[0]}.", HINT) from None


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
