"""Artefact's graph + calibration pictures -> int8 forms of it, each with some layers left in f32.

Post-training quantisation by NNCF: the range of every layer's input over the calibration pictures is cut into 256 steps. One
picture on which a layer's input is far larger than usual makes these steps too coarse for all others; such layers, and those
that carry few numbers and much meaning, are what the forms differ in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, runtime
from analyzer.settings import CORES

CONVOLUTIONS = ("Convolution", "GroupConvolution")
PLAIN = ("Constant", "Convert", "Parameter", "Result", "ShapeOf")  # nothing to quantise in them
WILD = 4.0  # times its median over the calibration pictures that a layer's largest input may reach
Pictures = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution.

    Attributes:
        place: among the convolutions in the order of the flow, from 1.
        shape: (C, H, W) of its output.
        backbones: names of the outputs that it serves, of `artefact.MAPS`.
        spread: largest input of any calibration picture over the median picture's largest input.
        excites: it weighs whole maps (squeeze and excite): its output has one place.
    """

    name: str
    place: int
    shape: tuple[int, ...]
    backbones: frozenset[str]
    spread: float

    @property
    def excites(self) -> bool:
        return self.shape[1:] == (1, 1)


@dataclass(frozen=True, eq=False)
class Form:
    """One way to quantise. Attributes: `takes`, whether a layer is quantised; `others`, operations between them too."""

    name: str
    takes: Callable[[Layer], bool]
    others: bool = False


def _resnet(layer: Layer) -> bool:
    return layer.backbones == {artefact.MAPS[1]}


FORMS = (
    Form("everything", lambda layer: True, others=True),
    Form("convolutions, no squeeze-excite", lambda layer: not layer.excites),
    Form("ResNet50's convolutions", _resnet),
    Form("convolutions in range", lambda layer: not layer.excites and layer.spread < WILD),
    Form("ResNet50's convolutions in range", lambda layer: _resnet(layer) and layer.spread < WILD),
)


def graph_of(folder: Path, form: str = artefact.NETWORK) -> Any:
    """openvino.Model of one form in an artefact's folder."""
    return runtime.openvino().Core().read_model(folder / f"{form}.xml", folder / f"{form}.bin")


def layers_of(graph: Any, pictures: Pictures) -> list[Layer]:
    """The convolutions of a graph, and how far their inputs vary over (S, S, 3) uint8 pictures."""
    served = {name: _above(graph, name) for name in artefact.MAPS if name in _names(graph)}
    nodes = [node for node in graph.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
    names = [node.get_friendly_name() for node in nodes]
    return [
        Layer(
            name,
            place,
            tuple(node.output(0).shape[1:]),
            frozenset(backbone for backbone, above in served.items() if name in above),
            spread,
        )
        for place, (name, node, spread) in enumerate(
            zip(names, nodes, _spreads(graph, names, pictures), strict=True), 1
        )
    ]


def forms_for(layers: Sequence[Layer]) -> list[Form]:
    """Those of `FORMS` that quantise something, and not the same as an earlier one."""
    kept: dict[tuple[bool, tuple[bool, ...]], Form] = {}
    for form in FORMS:
        kept.setdefault((form.others, tuple(form.takes(layer) for layer in layers)), form)
    return [form for (_, taken), form in kept.items() if any(taken)]


def quantised(folder: Path, form: Form, layers: Sequence[Layer], pictures: Pictures) -> Any:
    """openvino.Model of an artefact's graph, quantised in one way."""
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = graph_of(folder)
    taken = {layer.name for layer in layers if form.takes(layer)}
    left = [node for node in graph.get_ordered_ops() if node.get_type_name() not in PLAIN]
    names = [
        node.get_friendly_name()
        for node in left
        if node.get_friendly_name() not in taken and (node.get_type_name() in CONVOLUTIONS or not form.others)
    ]
    return nncf.quantize(
        graph,
        nncf.Dataset([picture[None] for picture in pictures]),
        preset=nncf.QuantizationPreset.MIXED,  # activations that may be negative get a range of their own on either side
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(pictures),
        ignored_scope=nncf.IgnoredScope(names=names, validate=False),
    )


def save(graph: Any, folder: Path, form: str) -> None:
    """Write the two files of a form."""
    runtime.openvino().save_model(graph, folder / f"{form}.xml", compress_to_fp16=True)


def _spreads(graph: Any, names: Sequence[str], pictures: Pictures) -> list[float]:
    """Largest over median of what each layer's largest input is on one picture."""
    tapped = graph.clone()
    found = {node.get_friendly_name(): node for node in tapped.get_ordered_ops()}
    sources = [found[name].input(0).get_source_output() for name in names]
    keys = [
        (port.get_node().get_friendly_name(), port.get_index()) for port in sources
    ]  # some layers share their input
    once = dict(zip(keys, sources, strict=True))
    first = len(tapped.outputs)
    tapped.add_outputs(list(once.values()))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": CORES}
    request = runtime.openvino().Core().compile_model(tapped, "CPU", settings).create_infer_request()
    largest = np.empty((len(pictures), len(once)))
    for row, picture in enumerate(pictures):
        request.infer([picture[None]])
        largest[row] = [np.abs(request.get_output_tensor(first + place).data).max() for place in range(len(once))]
    spreads = dict(zip(once, largest.max(axis=0) / np.maximum(np.median(largest, axis=0), 1e-9), strict=True))
    return [float(spreads[key]) for key in keys]


def _names(graph: Any) -> set[str]:
    return {name for port in graph.outputs for name in port.get_names()}


def _above(graph: Any, output: str) -> set[str]:
    """Names of all operations that an output depends on."""
    found: set[str] = set()
    waiting = [graph.output(output).get_node()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found.add(node.get_friendly_name())
            waiting += [port.get_source_output().get_node() for port in node.inputs()]
    return found
