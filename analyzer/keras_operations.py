"""Arithmetic on tensors in Keras files, such as `preprocess_input` leaves behind: scales, offsets, and channels that change places.

Keras 3 writes operations under names of its own, Keras 2 as calls of TensorFlow functions. Only those named here are taken; none is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from analyzer.keras_checks import quoted
from analyzer.keras_layers import activated, scaled
from analyzer.keras_shapes import pooled
from analyzer.keras_tensors import Maps, Plane, Vector, total
from analyzer.keras_use import Rule, Use, Value, opset

KEYWORDS = ("x", "x1", "value", "values", "tensors", "y", "x2", "bias")  # of operands, in their order
AS_LAYERS = "Write it as layers instead (Rescaling, Normalization, Concatenate, Activation), and save the network anew."
ACTIVATIONS = {  # class of an operation → the activation
    "Elu": "elu:1",
    "Relu": "relu",
    "Relu6": "clipped_relu:6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softplus": "softplus",
    "Tanh": "tanh",
}


def _folded(use: Use) -> Value:
    kind, operands = use.kind, list(_operands(use))
    if len(operands) < 2:
        use.refuse(f"computes {kind} of {len(operands)} operands", AS_LAYERS)
    value = operands[0]
    for other in operands[1:]:
        value = _of_two(use, kind, value, other)
    return value


def _of_two(use: Use, kind: str, first: Any, second: Any) -> Value:
    if isinstance(first, Maps) and isinstance(second, Maps):
        names = {
            "Add": "add",
            "Subtract": "subtract",
            "Multiply": "multiply",
            "Maximum": "maximum",
            "Minimum": "minimum",
        }
        if kind in names:
            node = getattr(opset(), names[kind])(first.node, second.node).output(0)
            return Maps(node, first.kinds | second.kinds | {kind})
    elif isinstance(first, Vector) and isinstance(second, Vector):
        if kind in ("Add", "Subtract"):
            return total([first, second.scaled(-1, 0) if kind == "Subtract" else second])
    elif isinstance(first, Maps | Vector) and not isinstance(second, Maps | Vector | Plane):
        number = _numbers(use, second)
        steps = {"Add": (1, number), "Subtract": (1, -number), "Multiply": (number, 0)}
        steps |= dict.fromkeys(("TrueDivide", "Divide"), (1 / number, 0))
        if kind in steps:
            return scaled(use, first, *map(np.asarray, steps[kind]))
    elif isinstance(second, Maps | Vector):
        number = _numbers(use, first)
        steps = {"Add": (1, number), "Subtract": (-1, number), "Multiply": (number, 0)}
        if kind in steps:
            return scaled(use, second, *map(np.asarray, steps[kind]))
    return use.refuse(f"computes {kind} of {_word(first)} and {_word(second)}, which is not known here", AS_LAYERS)


def _average(use: Use) -> Value:
    values = use.tensors
    vectors = [value for value in values if isinstance(value, Vector)]
    if len(vectors) == len(values):
        return total(vectors, 1 / len(vectors))
    whole = _folded(replace(use, layer=replace(use.layer, kind="Add")))
    return scaled(use, whole, 1 / len(values), 0)


def _mean(use: Use) -> Value:
    axis, keepdims = (use.keywords.get(name, use.setting(name)) for name in ("axis", "keepdims"))
    if axis not in ([1, 2], [2, 1]):
        use.refuse(f"takes a mean along the axis {quoted(axis)}, which is not that over the pixels of maps", AS_LAYERS)
    return pooled(use, mean=True, keepdims=bool(keepdims))


def _item(use: Use) -> Value:
    """Return channels in another order, or one of them: `x[..., ::-1]`, `x[..., 2]`."""
    maps = use.tensor
    choice = use.keywords.get("slice_spec", use.keywords.get("key", use.arguments[-1]))
    key = choice if isinstance(choice, list) else [choice]
    leading, last = key[:-1], key[-1]
    whole = all(part is ... or part == slice(None) for part in leading) and (... in leading or len(leading) == 3)
    if not isinstance(maps, Maps) or not whole or not isinstance(last, slice | int):
        use.refuse("takes a part of a tensor that is not a choice of channels", AS_LAYERS)
    if isinstance(last, int):
        return Plane(maps, range(maps.channels)[last])
    return _chosen(maps, list(range(maps.channels))[last])


def _flip(use: Use) -> Value:
    axis, maps = use.keywords.get("axis", use.setting("axis")), use.tensor
    if not isinstance(maps, Maps) or axis not in (-1, 3, [-1], [3]):
        use.refuse(f"turns a tensor along the axis {quoted(axis)}, which is not that of the channels", AS_LAYERS)
    return _chosen(maps, list(range(maps.channels))[::-1])


def _stack(use: Use) -> Value:
    planes, axis = use.tensors, use.keywords.get("axis", use.setting("axis"))
    of = {id(plane.maps): plane.maps for plane in planes if isinstance(plane, Plane)}
    if axis not in (-1, 3) or len(of) != 1 or not all(isinstance(plane, Plane) for plane in planes):
        use.refuse("stacks something else than the channels of a picture", AS_LAYERS)
    return _chosen(next(iter(of.values())), [plane.channel for plane in planes if isinstance(plane, Plane)])


def _cast(use: Use) -> Value:
    kind = str(use.keywords.get("dtype", use.setting("dtype", "")))
    if "float" not in kind:
        use.refuse(f"turns numbers into {quoted(kind)}, which rounds them", AS_LAYERS)
    return use.tensor


def _gelu(use: Use) -> Value:
    approximate = use.keywords.get("approximate", use.setting("approximate", True))
    return activated(use, use.tensor, "tanh_gelu" if approximate else "gelu")


def _activation(use: Use) -> Value:
    return activated(use, use.tensor, ACTIVATIONS[use.kind])


def _chosen(maps: Maps, channels: list[int]) -> Maps:
    return Maps(opset().gather(maps.node, np.array(channels), np.array(1)).output(0), maps.kinds)


def _operands(use: Use) -> Iterator[Any]:
    """Yield tensors and constants in order; a list of tensors is that of a merging layer."""
    for argument in use.arguments:
        if isinstance(argument, list) and any(isinstance(part, Maps | Vector | Plane) for part in argument):
            yield from argument
        else:
            yield argument
    yield from (use.keywords[name] for name in KEYWORDS if name in use.keywords)


def _numbers(use: Use, value: Any) -> Any:
    """Return a constant operand: one number, or one for each channel."""
    numbers = np.asarray(value, float)
    if numbers.size != max(numbers.shape, default=1) or (numbers.ndim and numbers.shape[-1] != numbers.size):
        use.refuse(f"has a constant of the shape {numbers.shape}, which is not one number for each channel", AS_LAYERS)
    return numbers.ravel()


def _word(value: Any) -> str:
    return {Maps: "maps", Vector: "a vector", Plane: "a channel"}.get(type(value), "a constant")


OPERATIONS: Mapping[str, tuple[Rule, str]] = {  # class of Keras 3 → rule, and the settings that it reads
    **dict.fromkeys(
        ("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum"), (_folded, "function")
    ),
    **dict.fromkeys(ACTIVATIONS, (_activation, "function")),
    "Average": (_average, ""),
    "Cast": (_cast, "function dtype"),
    "Flip": (_flip, "function axis"),
    "Gelu": (_gelu, "approximate"),
    "GetItem": (_item, "function"),
    "Mean": (_mean, "function axis keepdims"),
    "Stack": (_stack, "function axis"),
}
