"""A Keras network as the service computes it: OpenVINO's graph of its backbones, and the numbers of its dense head.

The network is followed from the picture to the answer. Maps become operations of the graph; from the pooling on, steps are collected as one
chain of dense layers, into which normalisations are folded. Backbones are told apart by their order, not by their width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analyzer import runtime
from analyzer.keras_checks import quoted, refuse
from analyzer.keras_config import FUNCTIONAL, INPUT, INPUT_SHAPES, Layer, Network, Reference, references
from analyzer.keras_files import DenseNumbers, reason
from analyzer.keras_head import head_of
from analyzer.keras_layers import CHANNELS_FIRST, IDLE, LAYERS
from analyzer.keras_operations import AS_LAYERS, OPERATIONS
from analyzer.keras_parts import check_parts
from analyzer.keras_shapes import KEEP_ONE_NUMBER
from analyzer.keras_tensors import Maps, Source, Vector, of_source
from analyzer.keras_use import OTHER_LAYERS, Use, Value, kind_of, opset
from analyzer.keras_weights import Weights
from analyzer.preprocessing import SIDE_PX

MOST_SIDE_PX = 1024  # of the picture that a network takes
MOST_NUMBERS = 1 << 26  # of one output inside the graph; the ensemble has 3 million
MOST_USES = 20_000  # of layers; the ensemble has 430
RUNS_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
NO_CODE = (
    "Replace it by Keras' own layers (preprocessing: Rescaling or Normalization, or preprocess_input on the tensor itself), "
    "and save the network anew."
)
ONE_INPUT = (
    "Build the network on one keras.Input of a square RGB picture, with all preprocessing inside, and save it anew."
)
ONE_OUTPUT = "Save keras.Model(inputs, outputs) with the output of the skin classes alone."


class Converted(NamedTuple):
    """A network as it is served; the attributes are explained at `analyzer.keras_files.KerasForm`. `graph` is an openvino.Model."""

    graph: Any
    head: tuple[DenseNumbers, ...]
    demographics: int
    ending: str
    single: bool
    keras: int


def convert(network: Network, weights: Weights, keras: int) -> Converted:
    """Convert a network.

    Args:
        network: as its configuration describes it.
        weights: of the same file.
        keras: first number of the version that wrote it, 2 or 3.

    Raises:
        BadModel: it has another structure, or something that is not taken; the message names the layer.
    """
    shapes = [_shape(layer) for layer in _inputs(network)]
    image, inputs = _input_values(shapes)
    answers = _Evaluation(weights, keras).run(network, inputs)
    if len(answers) != 1:
        refuse(f"The network has {len(answers)} outputs; one is taken.", ONE_OUTPUT)
    if not isinstance(answers[0], Vector):
        refuse("The network ends in maps, not in one number for each class.", KEEP_ONE_NUMBER)
    pooled = [source for source in answers[0].sources if source.maps is not None]
    vectors = [source for source in answers[0].sources if source.maps is None]
    if not pooled:
        refuse("The answer of the network does not depend on the picture.", ONE_INPUT)
    if len({source.is_flat for source in pooled if source.maps and source.maps.height_width != (1, 1)}) > 1:
        refuse("Some maps are flattened and some are pooled.", "Pool all of them, or flatten all of them.")
    head, ending = head_of(answers[0], [*pooled, *vectors])
    demographics = sum(source.width for source in vectors)
    return Converted(_graph(image, pooled), head, demographics, ending, answers[0].width == 1, keras)


def check_kinds(network: Network, config: Mapping[str, Any]) -> None:
    """Refuse what is not known, before weights are looked for.

    Args:
        network: with all its layers.
        config: from which it was parsed.

    Raises:
        BadModel: a layer runs code, is of a class that is not taken, or has parts that are not Keras' own.
    """
    for layer in network.walk():
        kind = kind_of(layer)
        if kind in RUNS_CODE:
            refuse(f"The network has {layer.title}, which runs code that came with the file.", NO_CODE)
        if kind in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
            function = layer.settings.get("function", layer.name)
            refuse(
                f"The network calls the TensorFlow function {quoted(function)} in {layer.title}, which is not taken.",
                AS_LAYERS,
            )
        if layer.network is None and kind not in (INPUT, *LAYERS, *OPERATIONS, *IDLE):
            refuse(f"The network has {layer.title}, a class that is not taken.", OTHER_LAYERS)
    check_parts(config.get("config"), {layer.kind for layer in network.walk()})


class _Evaluation:
    """One pass through a network, inner networks included."""

    def __init__(self, weights: Weights, keras: int) -> None:
        self._weights, self._keras = weights, keras
        self._uses = 0

    def run(self, network: Network, inputs: Sequence[Value]) -> list[Value]:
        """Return the outputs for the values of the inputs."""
        if len(inputs) != len(network.inputs):
            refuse(f"An inner network takes {len(network.inputs)} tensors and is given {len(inputs)}.", FUNCTIONAL)
        values = {(reference.layer, 0): [value] for reference, value in zip(network.inputs, inputs, strict=True)}
        waiting = [
            (layer, place) for layer in network.layers if layer.kind != INPUT for place in range(len(layer.calls))
        ]
        while waiting:
            before = len(waiting)
            waiting = [use for use in waiting if not self._evaluated(*use, values)]
            if len(waiting) == before:
                refuse(f"{waiting[0][0].title} waits for a tensor that no layer gives.", FUNCTIONAL)
        return [values[reference.layer, reference.call][reference.output] for reference in network.outputs]

    def _evaluated(self, layer: Layer, place: int, values: dict[tuple[str, int], list[Value]]) -> bool:
        """Apply a layer if all that it takes is there; return whether it was."""
        call = layer.calls[place]
        if not all((each.layer, each.call) in values for each in references(list(call))):
            return False
        arguments, keywords = (_resolved(part, values) for part in call)
        use = Use(layer, arguments, keywords, self._weights, self._keras)
        self._uses += 1
        if self._uses > MOST_USES:
            refuse(f"The network applies layers more than {MOST_USES} times.", FUNCTIONAL)
        values[layer.name, place] = self._applied(use)
        return True

    def _applied(self, use: Use) -> list[Value]:
        layer, kind = use.layer, use.kind
        if (
            self._keras == 2
            and use.keywords.get("training")
            and (layer.network or kind in (*IDLE, "BatchNormalization"))
        ):
            use.refuse(
                "is called with training=True, which Keras 2 keeps at inference",
                "Call it with training=False, and save anew.",
            )
        if layer.network is not None:
            return self.run(layer.network, use.tensors)
        if kind in IDLE:
            return [use.tensor]
        if use.setting("data_format") == "channels_first":
            use.refuse("has the data format channels_first", CHANNELS_FIRST)
        rule, names = LAYERS[kind] if kind in LAYERS else OPERATIONS[kind]
        use.check_settings(names.split())
        try:
            value = rule(use)
        except (RuntimeError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            use.refuse(f"cannot be applied: {type(error).__name__}, {reason(error)}")
        if isinstance(value, Maps) and np.prod([int(side) for side in value.node.get_shape()]) > MOST_NUMBERS:
            use.refuse(
                f"makes more than {MOST_NUMBERS} numbers of one picture", "Use a smaller picture or fewer channels."
            )
        return [value]


def _inputs(network: Network) -> list[Layer]:
    layers = {layer.name: layer for layer in network.layers}
    return [layers[reference.layer] for reference in network.inputs]


def _shape(layer: Layer) -> list[int | None]:
    shape = next((layer.settings[name] for name in INPUT_SHAPES if layer.settings.get(name)), None)
    if not shape:
        refuse("Nothing says how large a picture the network takes.", ONE_INPUT)
    return list(shape)[1:]


def _input_values(shapes: Sequence[list[int | None]]) -> tuple[Any, list[Value]]:
    """Return the graph's input, uint8 (1, S, S, 3), and the value of each input of the network."""
    pictures = [shape for shape in shapes if len(shape) == 3]
    vectors = [shape for shape in shapes if len(shape) == 1]
    if len(pictures) != 1 or len(vectors) > 1 or len(shapes) != len(pictures) + len(vectors):
        listed = " and ".join(str(tuple(shape)) for shape in shapes)
        refuse(
            f"The network takes inputs of the shapes {listed}; taken are one picture, and one vector beside it.",
            ONE_INPUT,
        )
    height, width, channels = (size or usual for size, usual in zip(pictures[0], (SIDE_PX, SIDE_PX, 3), strict=True))
    if height != width or channels != 3 or not 1 < height <= MOST_SIDE_PX:
        refuse(
            f"The network takes pictures of {height} × {width} × {channels} numbers, not square RGB ones.", ONE_INPUT
        )
    image = opset().parameter([1, height, width, 3], np.uint8, name="image")
    image.output(0).set_names({"image"})
    node = opset().transpose(opset().convert(image, "f32"), np.array([0, 3, 1, 2])).output(0)
    values: list[Value] = [Maps(node) if len(shape) == 3 else of_source(Source(shape[0] or 0)) for shape in shapes]
    return image, values


def _resolved(part: Any, values: dict[tuple[str, int], list[Value]]) -> Any:
    """Return arguments with values in place of references."""
    if isinstance(part, Reference):
        return values[part.layer, part.call][part.output]
    if isinstance(part, list):
        return [_resolved(each, values) for each in part]
    return {key: _resolved(each, values) for key, each in part.items()} if isinstance(part, dict) else part


def _graph(image: Any, pooled: Sequence[Source]) -> Any:
    """Return the openvino.Model: `image` → `features`, and the maps of each backbone, with rows before columns before channels."""
    answers = {"features": opset().concat([source.node for source in pooled], 1)}
    for name, source in zip(_names(pooled), pooled, strict=True):
        answers[name] = opset().transpose(source.maps.node, np.array([0, 2, 3, 1]))  # type: ignore[union-attr]
    for name, node in answers.items():
        node.output(0).set_names({name})
    return runtime.openvino().Model([opset().result(node) for node in answers.values()], [image], "hare_run")


def _names(pooled: Iterable[Source]) -> list[str]:
    """Return a name for the maps of each source, after the family of their layers; a second one of a family is counted."""
    names: list[str] = []
    for source in pooled:
        family = _family(source.maps.kinds if source.maps else frozenset())
        count = sum(name.startswith(family) for name in names)
        names.append(f"{family}_{count + 1}_maps" if count else f"{family}_maps")
    return names


def _family(kinds: frozenset[str]) -> str:
    if "DepthwiseConv2D" in kinds:
        return "efficientnet" if "Multiply" in kinds else "mobilenet"
    return "resnet" if "Add" in kinds else "network"
