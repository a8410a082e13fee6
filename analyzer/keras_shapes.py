"""Keras' layers that pool, pad, cut, flatten and join: from maps to vectors, and from maps to other maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analyzer.keras_checks import quoted
from analyzer.keras_tensors import Maps, Source, Vector, joined, of_source
from analyzer.keras_use import LAST, Rule, Use, Value, after, node_activated, node_of, opset, padding_of, pair

CROP_FIRST = "Crop the training pictures in the data set, or use Resizing or CenterCrop, and save the network anew."
KEEP_ONE_NUMBER = "Pool the maps with GlobalAveragePooling2D, and give its numbers to dense layers."
POOLING = "pool_size strides padding data_format"
CROP = "height width data_format interpolation"


def _zero_padding(use: Use) -> Maps:
    (top, bottom), (left, right) = _margins(use, "padding")
    node = opset().pad(
        use.maps.node, np.array([0, 0, top, left]), np.array([0, 0, bottom, right]), "constant", np.float32(0)
    )
    return after(use, use.maps, node)


def _cropping(use: Use) -> Maps:
    (top, bottom), (left, right) = _margins(use, "cropping")
    height, width = use.maps.height_width
    return cropped(use, top, left, height - top - bottom, width - left - right)


def _center_crop(use: Use) -> Maps:
    """Cut the middle out."""
    (height, width), high, wide = use.maps.height_width, use.setting("height"), use.setting("width")
    if high > height or wide > width:
        use.refuse(
            f"cuts {high} × {wide} px out of {height} × {width}",
            "Give the network an input at least as large as its crop.",
        )
    return cropped(use, (height - high) // 2, (width - wide) // 2, high, wide)


def _random_crop(use: Use) -> Maps:
    """Return maps that already have the size of the crop: at inference Keras 2 resizes others, Keras 3 leaves them."""
    size = (use.setting("height"), use.setting("width"))
    if use.maps.height_width != size:
        use.refuse(
            f"crops {use.maps.height_width} px to {size}, which versions of Keras do differently at inference",
            CROP_FIRST,
        )
    return use.maps


def _resizing(use: Use) -> Maps:
    use.must(antialias=(False,), interpolation=("bilinear", "nearest"))
    high, wide = use.setting("height"), use.setting("width")
    if high != wide or len({*use.maps.height_width}) != 1:
        use.refuse("does not keep a square picture square", "Give the network square pictures.")
    mode = {"bilinear": "linear_onnx", "nearest": "nearest"}[use.setting("interpolation", "bilinear")]
    node = opset().interpolate(
        use.maps.node,
        np.array([high, wide]),
        mode,
        "sizes",
        coordinate_transformation_mode="half_pixel",
        nearest_mode="round_prefer_ceil",
        axes=np.array([2, 3]),
    )
    return after(use, use.maps, node)


def _max_pooling(use: Use) -> Maps:
    strides, size = _pool(use)
    node = opset().max_pool(use.maps.node, strides, [1, 1], [0, 0], [0, 0], size, auto_pad=padding_of(use))
    return after(use, use.maps, node.output(0))


def _average_pooling(use: Use) -> Maps:
    maps, (strides, size) = use.maps, _pool(use)
    node = opset().avg_pool(maps.node, strides, [0, 0], [0, 0], size, True, auto_pad=padding_of(use)).output(0)
    if maps.height_width == tuple(size) != (1, 1) and padding_of(use) == "valid":
        return _one_pixel(use, maps, opset().squeeze(node, np.array([2, 3])).output(0))
    return after(use, maps, node)


def _global_pooling(use: Use) -> Value:
    return pooled(use, mean="Average" in use.kind, keepdims=bool(use.setting("keepdims")))


def _flatten(use: Use) -> Value:
    value = use.tensor
    if not isinstance(value, Maps):
        return value
    if value.source is not None:
        return of_source(value.source)
    high, wide = value.height_width
    rows = opset().transpose(value.node, np.array([0, 2, 3, 1]))
    width = value.channels * high * wide
    return of_source(Source(width, value, opset().reshape(rows, np.array([1, width]), False).output(0)))


def _reshape(use: Use) -> Value:
    value, shape = use.tensor, use.setting("target_shape")
    width = value.width if isinstance(value, Vector) else 0
    if isinstance(value, Vector) and shape in ([-1], [width]):
        return value
    if isinstance(value, Vector) and shape in ([1, 1, width], [1, 1, -1]):
        source = value.sources[0] if _is_one_source(value) else None
        node = opset().unsqueeze(vector_node(use, value), np.array([2, 3])).output(0)
        return Maps(node, source.maps.kinds if source and source.maps else frozenset(), source)
    if isinstance(value, Maps) and shape in ([-1], [value.channels * int(np.prod(value.height_width))]):
        return _flatten(use)
    if isinstance(value, Maps) and shape == [*value.height_width, value.channels]:
        return value
    return use.refuse(f"brings its input into the shape {shape}, which is neither flat nor one pixel", KEEP_ONE_NUMBER)


def _concatenate(use: Use) -> Value:
    use.must(axis=LAST)
    values = use.tensors
    vectors = [value for value in values if isinstance(value, Vector)]
    maps = [value for value in values if isinstance(value, Maps)]
    if vectors and len(vectors) == len(values):
        return joined(vectors)
    if len(maps) != len(values) or use.setting("axis", -1) not in (-1, 3):
        use.refuse("joins maps with vectors, or maps otherwise than by channels", KEEP_ONE_NUMBER)
    kinds = frozenset[str]().union(*(each.kinds for each in maps))
    return Maps(opset().concat([each.node for each in maps], 1).output(0), kinds)


def pooled(use: Use, *, mean: bool, keepdims: bool) -> Value:
    """Return one number for each of the maps, its mean or its largest value; as maps of one pixel with `keepdims`."""
    maps = use.maps
    if maps.source is not None:
        answer = _one_pixel(use, maps.source.maps or maps, maps.source.node, maps.source)
    else:
        reduce = opset().reduce_mean if mean else opset().reduce_max
        answer = _one_pixel(use, maps, reduce(maps.node, np.array([2, 3]), False).output(0))
    return answer if keepdims or answer.source is None else of_source(answer.source)


def cropped(use: Use, top: int, left: int, height: int, width: int) -> Maps:
    """Return a part of maps."""
    start, end = np.array([top, left]), np.array([top + height, left + width])
    return after(use, use.maps, opset().slice(use.maps.node, start, end, np.array([1, 1]), np.array([2, 3])))


def vector_node(use: Use, vector: Vector) -> Any:
    """Return OpenVINO's output (1, N) of a vector that is needed inside a backbone."""
    if any(source.node is None for source in vector.sources):
        use.refuse("lets the second input into the backbone", KEEP_ONE_NUMBER)
    if _is_one_source(vector):
        return vector.sources[0].node
    node = opset().concat([source.node for source in vector.sources], 1).output(0)
    for kernel, bias, parts in (*vector.layers, (vector.matrix, vector.bias, (("linear", vector.width),))):
        if len(parts) != 1 or parts[0][0] == "softmax":
            use.refuse("stands on a head with several activations side by side")
        rows = opset().matmul(node, node_of(kernel.astype(np.float32)), False, False)
        node = node_activated(parts[0][0], opset().add(rows, node_of(bias[None].astype(np.float32))).output(0))
    return node


def _is_one_source(vector: Vector) -> bool:
    return not vector.layers and not vector.has_step and len(vector.sources) == 1


def _one_pixel(use: Use, maps: Maps, numbers: Any, source: Source | None = None) -> Maps:
    """Return pooled numbers as maps of one pixel that know their source."""
    node = opset().unsqueeze(numbers, np.array([2, 3])).output(0)
    return Maps(node, maps.kinds, source or Source(int(numbers.get_shape()[1]), maps, numbers))


def _pool(use: Use) -> tuple[list[int], list[int]]:
    size = use.setting("pool_size", [2, 2])
    return list(pair(use.setting("strides") or size)), list(pair(size))


def _margins(use: Use, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    first, second = pair(use.setting(name))
    (top, bottom), (left, right) = pair(first), pair(second)
    if min(top, bottom, left, right) < 0:
        use.refuse(f"has the setting {name}={quoted(use.setting(name))}, which is negative")
    return (top, bottom), (left, right)


SHAPES: Mapping[str, tuple[Rule, str]] = {  # class → rule, and the settings that it reads
    "AveragePooling2D": (_average_pooling, POOLING),
    "CenterCrop": (_center_crop, CROP),
    "Concatenate": (_concatenate, "axis"),
    "Cropping2D": (_cropping, "cropping data_format"),
    "Flatten": (_flatten, "data_format"),
    "GlobalAveragePooling2D": (_global_pooling, "data_format keepdims"),
    "GlobalMaxPooling2D": (_global_pooling, "data_format keepdims"),
    "MaxPooling2D": (_max_pooling, POOLING),
    "RandomCrop": (_random_crop, CROP),
    "Reshape": (_reshape, "target_shape"),
    "Resizing": (
        _resizing,
        "height width interpolation antialias data_format crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value",
    ),
    "ZeroPadding2D": (_zero_padding, "padding data_format"),
}
