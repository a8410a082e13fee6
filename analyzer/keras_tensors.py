"""Values that flow through a Keras network while it is read: maps of a picture, one of their channels, and vectors of a dense head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analyzer.keras_checks import refuse

Doubles = NDArray[np.float64]
MERGE_EARLIER = "Merge the branches before the first activation of the head, or give them heads of the same layers."


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps of one picture.

    Attributes:
        node: OpenVINO's output (1, C, H, W).
        kinds: classes of the layers that it came through.
        source: the features that the maps are, laid out as maps of one pixel.
    """

    node: Any
    kinds: frozenset[str] = frozenset()
    source: Source | None = None

    @property
    def channels(self) -> int:
        """Number of maps."""
        return int(self.node.get_shape()[1])

    @property
    def height_width(self) -> tuple[int, int]:
        """Pixels of each map."""
        height, width = self.node.get_shape()[2:]
        return int(height), int(width)


class Plane(NamedTuple):
    """One channel of maps, (1, H, W) in Keras."""

    maps: Maps
    channel: int


@dataclass(frozen=True, eq=False)
class Source:
    """What a dense head stands on.

    Attributes:
        width: how many numbers.
        maps: that they are pooled from; None of the second input.
        node: OpenVINO's output (1, width); None of the second input.
    """

    width: int
    maps: Maps | None = None
    node: Any = None

    @property
    def is_flat(self) -> bool:
        """Whether every pixel of the maps is a feature, and not one number for each map."""
        return self.maps is not None and self.width != self.maps.channels


class DenseLayer(NamedTuple):
    """A dense layer. Attributes: `kernel` (inputs, outputs), `bias` (outputs,), `activations` (name, number of outputs) in order."""

    kernel: Doubles
    bias: Doubles
    activations: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Vector:
    """Numbers that a chain of dense layers makes of its sources.

    Attributes:
        sources: what the first kernel's rows stand on, in order.
        layers: with their activations.
        kernel, bias: linear step behind them: (inputs, outputs), or (outputs,) where each number is only scaled.
    """

    sources: tuple[Source, ...]
    layers: tuple[DenseLayer, ...]
    kernel: Doubles
    bias: Doubles

    @property
    def width(self) -> int:
        """How many numbers."""
        return int(self.bias.size)

    @property
    def has_step(self) -> bool:
        """Whether the linear step changes anything."""
        return self.kernel.ndim > 1 or bool((self.kernel != 1).any() or self.bias.any())

    @property
    def matrix(self) -> Doubles:
        """The linear step as a matrix."""
        return np.diag(self.kernel) if self.kernel.ndim == 1 else self.kernel

    def dense(self, kernel: NDArray[Any], bias: NDArray[Any]) -> Vector:
        """Return the vector behind a dense layer without activation."""
        kernel = np.asarray(kernel, float)
        merged = self.kernel[:, None] * kernel if self.kernel.ndim == 1 else self.kernel @ kernel
        return replace(self, kernel=merged, bias=self.bias @ kernel + bias)

    def scaled(self, scale: Any, offset: Any) -> Vector:
        """Return the vector times a scale plus an offset, number by number."""
        kernel, bias = self.kernel * np.asarray(scale, float), self.bias * scale + offset
        return replace(self, kernel=kernel, bias=np.asarray(bias, float))

    def activated(self, *activations: tuple[str, int]) -> Vector:
        """Return the vector behind activations: (name, for how many numbers), in order."""
        if all(name == "linear" for name, _ in activations):
            return self
        return self._closed(activations)

    def _closed(self, activations: tuple[tuple[str, int], ...]) -> Vector:
        layer = DenseLayer(self.matrix, self.bias, activations)
        return replace(self, layers=(*self.layers, layer), kernel=np.ones(self.width), bias=np.zeros(self.width))

    def padded(self, depth: int) -> Vector:
        """Return the same numbers behind `depth` layers; those added do nothing."""
        vector = self
        while len(vector.layers) < depth:
            vector = vector._closed((("linear", vector.width),))
        return vector


def of_source(source: Source) -> Vector:
    """Return a source as it is."""
    return Vector((source,), (), np.ones(source.width), np.zeros(source.width))


def joined(vectors: Sequence[Vector]) -> Vector:
    """Return vectors laid side by side, as one chain: blocks of zeros stand where they share nothing."""
    if len(vectors) == 1:
        return vectors[0]
    depth = max(len(vector.layers) for vector in vectors)
    vectors = [vector.padded(depth) for vector in vectors]
    sources = tuple({id(source): source for vector in vectors for source in vector.sources}.values())
    layers = [
        DenseLayer(
            _blocks([vector.layers[level].kernel for vector in vectors], sources if not level else (), vectors),
            np.concatenate([vector.layers[level].bias for vector in vectors]),
            tuple(part for vector in vectors for part in vector.layers[level].activations),
        )
        for level in range(depth)
    ]
    bias = np.concatenate([vector.bias for vector in vectors])
    repeated = not depth and len(sources) < sum(len(vector.sources) for vector in vectors)
    if not repeated and all(vector.kernel.ndim == 1 for vector in vectors):
        kernel = np.concatenate([vector.kernel for vector in vectors])
    else:
        kernel = _blocks([vector.matrix for vector in vectors], () if depth else sources, vectors)
    return Vector(sources, tuple(layers), kernel, bias)


def total(vectors: Sequence[Vector], share: float = 1.0) -> Vector:
    """Return the sum of vectors of the same width, times `share`."""
    width = vectors[0].width
    if any(vector.width != width for vector in vectors):
        refuse("The network adds vectors of different lengths.", MERGE_EARLIER)
    return joined(vectors).dense(share * np.tile(np.eye(width), (len(vectors), 1)), np.zeros(width))


def _blocks(kernels: Sequence[Doubles], sources: Sequence[Source], vectors: Sequence[Vector]) -> Doubles:
    """Return kernels side by side: each below the last, or, of a first layer, each on the rows of its own sources."""
    heights = [kernel.shape[0] for kernel in kernels]
    starts = dict(zip(map(id, sources), np.cumsum([0] + [source.width for source in sources]), strict=False))
    places = [
        np.concatenate([starts[id(source)] + np.arange(source.width) for source in vector.sources])
        if sources
        else np.arange(height) + sum(heights[:place])
        for place, (vector, height) in enumerate(zip(vectors, heights, strict=True))
    ]
    rows = sum(source.width for source in sources) if sources else sum(heights)
    whole = np.zeros((rows, sum(kernel.shape[1] for kernel in kernels)))
    column = 0
    for kernel, rows_of in zip(kernels, places, strict=True):
        whole[rows_of, column : column + kernel.shape[1]] = kernel
        column += kernel.shape[1]
    return whole
