"""Artefacts with a sound card whose native code crashes, takes all memory, or never ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analyzer import model_card, runtime
from tests.analyzer import artefacts

HUGE = 1 << 22  # copies of a picture: 48 GiB as float32


def make(folder: Path, kind: str, version: str = "6.6.6", **changes: Any) -> Path:
    """Write an artefact of the served shape; what `kind` names is added to its features as nothing.

    Args:
        kind: one of `KINDS`.
        changes: as for `artefacts.make`.
    """
    artefacts.make(folder, version=version, **changes)
    card = model_card.read(folder)
    openvino = runtime.openvino()
    sound = [
        (folder / name).read_bytes() for name in ("network.xml", "network.bin")
    ]  # not mapped while they are rewritten
    graph = openvino.Core().read_model(model=sound[0], weights=sound[1])
    picture = graph.inputs[0]
    (features,) = (result for result in graph.get_results() if "features" in result.input_value(0).names)
    poison = KINDS[kind](openvino, openvino.opset13, picture)
    value = features.input_value(0)
    value.set_names(set())
    sum_of = openvino.opset13.add(value, openvino.opset13.multiply(poison, np.float32(0)))
    sum_of.output(0).set_names({"features"})
    features.input(0).replace_source_output(sum_of.output(0))
    openvino.serialize(graph, folder / "network.xml", folder / "network.bin")
    model_card.write(card, folder, list(card.files))
    return folder


def division_while_compiling(ov: Any, ops: Any, picture: Any) -> Any:
    """SIGFPE: a remainder of constants, folded when the graph is compiled."""
    remainder = ops.mod(ops.constant(np.int32(5)), ops.constant(np.int32(0)))
    return ops.convert(remainder, "f32")


def division_while_answering(ov: Any, ops: Any, picture: Any) -> Any:
    """SIGFPE: a range whose step is zero for every picture."""
    steps = ops.range(ops.constant(np.int32(0)), _sum(ops, picture), _zero(ops, picture), "i32")
    return ops.convert(ops.reduce_sum(steps, np.array([0])), "f32")


def division_at_white(ov: Any, ops: Any, picture: Any) -> Any:
    """SIGFPE: a range whose step is zero where every value of a picture is 255."""
    step = ops.subtract(ops.reduce_min(ops.convert(picture, "i32"), np.array([0, 1, 2, 3])), np.int32(255))
    steps = ops.range(ops.constant(np.int32(0)), np.int32(-9), step, "i32")
    return ops.convert(ops.reduce_sum(steps, np.array([0])), "f32")


def reading_beyond(ov: Any, ops: Any, picture: Any) -> Any:
    """SIGSEGV: a place gigabytes beyond the picture is read."""
    flat = ops.reshape(ops.convert(picture, "f32"), np.array([-1]), False)
    place = ops.reshape(ops.add(_zero(ops, picture), np.int32(1 << 30)), np.array([1, 1]), False)
    return ops.reduce_sum(ops.gather_nd(flat, place, 0), np.array([0]))


def endless_memory(ov: Any, ops: Any, picture: Any) -> Any:
    """More memory than a machine has: a picture repeated as often as another number says."""
    count = ops.reshape(ops.add(_zero(ops, picture), np.int32(HUGE)), np.array([1]), False)
    repeats = ops.concat([count, ops.constant(np.array([1, 1, 1], np.int32))], 0)
    return ops.reduce_sum(ops.tile(ops.convert(picture, "f32"), repeats), np.array([0, 1, 2, 3]))


def endless_loop(ov: Any, ops: Any, picture: Any) -> Any:
    """A loop without a limit, whose condition stays true."""
    state = ops.parameter([1], np.float32, name="state")
    condition, following = ops.constant(np.array([True])), ops.add(state, np.float32(1e-9))
    loop = ops.loop(ops.constant(np.int64(-1)), ops.constant(np.array(True)))
    loop.set_function(ov.Model([ops.result(condition), ops.result(following)], [state], "body"))
    loop.set_special_body_ports([-1, 0])
    begin = ops.reshape(ops.convert(_sum(ops, picture), "f32"), np.array([1]), False)
    body = loop.get_function()
    loop.set_merged_input(body.get_parameters()[0], begin.output(0), body.get_results()[1].output(0))
    return loop.get_iter_value(body.get_results()[1].output(0), -1)


KINDS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "division while compiling": division_while_compiling,
    "division while answering": division_while_answering,
    "division at white": division_at_white,
    "reading beyond": reading_beyond,
    "endless memory": endless_memory,
    "endless loop": endless_loop,
}


def _sum(ops: Any, picture: Any) -> Any:
    return ops.reduce_sum(ops.convert(picture, "i32"), np.array([0, 1, 2, 3]))


def _zero(ops: Any, picture: Any) -> Any:
    """0 as int32, which no compiler knows before there is a picture."""
    return ops.minimum(_sum(ops, picture), np.int32(0))
