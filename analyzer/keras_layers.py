"""Keras' layers as OpenVINO's operations on maps (1, C, H, W), and as steps of a dense head on vectors.

Each rule has the settings that it understands; all others are refused, so that nothing is taken by half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analyzer.keras_checks import quoted
from analyzer.keras_tensors import Maps, Source, Vector, joined, of_source
from analyzer.keras_use import Use, Value, node_activated, opset

SMALLEST_DIVISOR = 1e-7  # of Keras' Normalization
LAST = (-1, 3, [-1], [3], 1, [1])  # axes of the channels in maps and vectors
CHANNELS_FIRST = "Save the network with data_format channels_last."
CROP_FIRST = "Crop the training pictures in the data set, or use Resizing or CenterCrop, and save the network anew."
KEEP_ONE_NUMBER = "Pool the maps with GlobalAveragePooling2D, and give its numbers to dense layers."
Rule = Callable[[Use], Value]


def _convolution(use: Use) -> Maps:
    maps, (high, wide), filters = use.maps, use.setting("kernel_size"), use.setting("filters")
    groups = use.setting("groups", 1)
    kernel = use.weight("kernel", high, wide, maps.channels // groups, filters).transpose(3, 2, 0, 1)
    if groups == 1:
        node = opset().convolution(maps.node, _array(kernel), *_window(use), auto_pad=_padding(use))
    else:
        kernel = kernel.reshape(groups, filters // groups, *kernel.shape[1:])
        node = opset().group_convolution(maps.node, _array(kernel), *_window(use), auto_pad=_padding(use))
    return _biased(use, maps, node, filters)


def _depthwise(use: Use) -> Maps:
    maps = use.maps
    node, width = _depthwise_node(use, maps, "kernel")
    return _biased(use, maps, node, width)


def _separable(use: Use) -> Maps:
    maps, filters = use.maps, use.setting("filters")
    node, width = _depthwise_node(use, maps, "depthwise_kernel")
    kernel = use.weight("pointwise_kernel", 1, 1, width, filters).transpose(3, 2, 0, 1)
    node = opset().convolution(node, _array(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
    return _biased(use, maps, node, filters)


def _depthwise_node(use: Use, maps: Maps, weight: str) -> tuple[Any, int]:
    use.must(groups=(1,))  # Keras 2 writes it
    (high, wide), multiplier = use.setting("kernel_size"), use.setting("depth_multiplier", 1)
    kernel = use.weight(weight, high, wide, maps.channels, multiplier).transpose(2, 3, 0, 1)[:, :, None]
    node = opset().group_convolution(maps.node, _array(kernel), *_window(use), auto_pad=_padding(use))
    return node, maps.channels * multiplier


def _dense(use: Use) -> Value:
    value, units = use.tensor, use.setting("units")
    if isinstance(value, Vector):
        vector = value.dense(use.weight("kernel", value.width, units), use.bias(units))
        return vector.activated((use.activation(), units))
    kernel = use.weight("kernel", use.maps.channels, units).T[:, :, None, None]
    return _biased(
        use, use.maps, opset().convolution(use.maps.node, _array(kernel), [1, 1], [0, 0], [0, 0], [1, 1]), units
    )


def _batch_normalization(use: Use) -> Value:
    use.must(axis=LAST)
    value = use.tensor
    width = value.channels if isinstance(value, Maps) else value.width if isinstance(value, Vector) else 0
    mean, variance = (use.weight(name, width).astype(float) for name in ("moving_mean", "moving_variance"))
    scale = (use.weight("gamma", width) if use.setting("scale", True) else 1) / np.sqrt(
        np.maximum(variance, 0) + use.setting("epsilon", 1e-3)
    )
    return scaled(use, value, scale, (use.weight("beta", width) if use.setting("center", True) else 0) - mean * scale)


def _normalization(use: Use) -> Value:
    use.must("invert", axis=LAST)
    if use.setting("mean") is not None:
        mean, variance = (np.ravel(use.setting(name)).astype(float) for name in ("mean", "variance"))
    else:
        shape = use.weights.shape(use.layer, "mean")
        mean, variance = (use.weight(name, *shape).astype(float).ravel() for name in ("mean", "variance"))
    scale = 1 / np.maximum(np.sqrt(np.maximum(variance, 0)), SMALLEST_DIVISOR)
    return scaled(use, use.tensor, scale, -mean * scale)


def _rescaling(use: Use) -> Value:
    scale, offset = (
        np.ravel(use.setting(name, usual)).astype(float) for name, usual in (("scale", 1.0), ("offset", 0.0))
    )
    return scaled(use, use.tensor, scale, offset)


def _activation(use: Use) -> Value:
    return activated(use, use.tensor, use.activation_layer(use.kind, use.layer.settings))


def _p_relu(use: Use) -> Maps:
    maps, shape = use.maps, use.weights.shape(use.layer, "alpha")
    if shape != (1, 1, maps.channels):
        use.refuse(
            "has a slope for each pixel; taken is one for each channel", "Set shared_axes=[1, 2], train and save anew."
        )
    return after(use, maps, opset().prelu(maps.node, use.weight("alpha", *shape).ravel()))


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
    use.must("antialias", interpolation=("bilinear", "nearest"))
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
    node = opset().max_pool(use.maps.node, strides, [1, 1], [0, 0], [0, 0], size, auto_pad=_padding(use))
    return after(use, use.maps, node.output(0))


def _average_pooling(use: Use) -> Maps:
    maps, (strides, size) = use.maps, _pool(use)
    node = opset().avg_pool(maps.node, strides, [0, 0], [0, 0], size, True, auto_pad=_padding(use)).output(0)
    if maps.height_width == tuple(size) != (1, 1) and _padding(use) == "valid":
        return _one_pixel(use, maps, opset().squeeze(node, np.array([2, 3])).output(0))
    return after(use, maps, node)


def _global_pooling(use: Use) -> Value:
    maps = use.maps
    if maps.source is not None:
        pooled = _one_pixel(use, maps.source.maps or maps, maps.source.node, maps.source)
    else:
        reduce = opset().reduce_mean if "Average" in use.kind else opset().reduce_max
        pooled = _one_pixel(use, maps, reduce(maps.node, np.array([2, 3]), False).output(0))
    return pooled if use.setting("keepdims") or pooled.source is None else of_source(pooled.source)


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
        source = value.sources[0] if _is_untouched(value) else None
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


def _pass(use: Use) -> Value:
    """Return what a layer that does nothing at inference was given."""
    return use.tensor


def scaled(use: Use, value: Value, scale: Any, offset: Any) -> Value:
    """Return maps by channels, or a vector by numbers, times a scale plus an offset."""
    if isinstance(value, Vector):
        return value.scaled(scale, offset)
    if not isinstance(value, Maps) or max(np.size(scale), np.size(offset)) not in (1, value.channels):
        use.refuse("scales something else than the channels of maps or the numbers of a vector")
    node = opset().add(opset().multiply(value.node, _channels(scale)), _channels(offset)).output(0)
    return Maps(node, value.kinds)


def activated(use: Use, value: Value, name: str) -> Value:
    """Return a value behind an activation."""
    if isinstance(value, Vector):
        return value.activated((name, value.width))
    if not isinstance(value, Maps) or name == "softmax":
        use.refuse(f"takes {name} of maps")
    return after(use, value, node_activated(name, value.node))


def after(use: Use, maps: Maps, node: Any) -> Maps:
    """Return maps that a layer made of others."""
    return Maps(node if hasattr(node, "get_node") else node.output(0), maps.kinds | {use.kind})


def cropped(use: Use, top: int, left: int, height: int, width: int) -> Maps:
    """Return a part of maps."""
    start, end = np.array([top, left]), np.array([top + height, left + width])
    return after(use, use.maps, opset().slice(use.maps.node, start, end, np.array([1, 1]), np.array([2, 3])))


def vector_node(use: Use, vector: Vector) -> Any:
    """Return OpenVINO's output (1, N) of a vector that is needed inside a backbone."""
    if any(source.node is None for source in vector.sources):
        use.refuse("lets the second input into the backbone", KEEP_ONE_NUMBER)
    if _is_untouched(vector):
        return vector.sources[0].node
    node = opset().concat([source.node for source in vector.sources], 1).output(0)
    for kernel, bias, parts in (*vector.layers, (vector.matrix, vector.bias, (("linear", vector.width),))):
        if len(parts) != 1 or parts[0][0] == "softmax":
            use.refuse("stands on a head with several activations side by side")
        rows = opset().matmul(node, _array(kernel.astype(np.float32)), False, False)
        node = node_activated(parts[0][0], opset().add(rows, _array(bias[None].astype(np.float32))).output(0))
    return node


def _is_untouched(vector: Vector) -> bool:
    plain = not vector.layers and vector.kernel.ndim == 1 and len(vector.sources) == 1
    return plain and bool((vector.kernel == 1).all()) and not vector.bias.any()


def _one_pixel(use: Use, maps: Maps, numbers: Any, source: Source | None = None) -> Maps:
    """Return pooled numbers as maps of one pixel that know their source."""
    node = opset().unsqueeze(numbers, np.array([2, 3])).output(0)
    return Maps(node, maps.kinds, source or Source(int(numbers.get_shape()[1]), maps, numbers))


def _biased(use: Use, maps: Maps, node: Any, width: int) -> Maps:
    node = opset().add(node, _channels(use.bias(width))) if use.setting("use_bias", True) else node
    return activated(use, after(use, maps, node), use.activation())  # type: ignore[return-value]


def _window(use: Use) -> tuple[list[int], list[int], list[int], list[int]]:
    return list(_pair(use.setting("strides", 1))), [0, 0], [0, 0], list(_pair(use.setting("dilation_rate", 1)))


def _pool(use: Use) -> tuple[list[int], list[int]]:
    size = use.setting("pool_size", [2, 2])
    return list(_pair(use.setting("strides") or size)), list(_pair(size))


def _margins(use: Use, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    first, second = _pair(use.setting(name))
    (top, bottom), (left, right) = _pair(first), _pair(second)
    if min(top, bottom, left, right) < 0:
        use.refuse(f"has the setting {name}={quoted(use.setting(name))}, which is negative")
    return (top, bottom), (left, right)


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def _padding(use: Use) -> str:
    use.must(padding=("valid", "same"))
    return {"valid": "valid", "same": "same_upper"}[use.setting("padding", "valid")]


def _channels(numbers: Any) -> Any:
    return _array(np.asarray(numbers, np.float32).reshape(1, -1, 1, 1))


def _array(numbers: Any) -> Any:
    """Return a constant; left to itself OpenVINO makes a list of all numbers first."""
    return opset().constant(np.ascontiguousarray(numbers, np.float32))


POOLING = "pool_size strides padding data_format"
CONVOLUTION = "kernel_size strides padding data_format dilation_rate activation use_bias groups rank"
CROP = "height width data_format interpolation"
LAYERS: Mapping[str, tuple[Rule, str]] = {  # class → rule, and the settings that it reads
    "Activation": (_activation, "activation"),
    "AveragePooling2D": (_average_pooling, POOLING),
    "BatchNormalization": (_batch_normalization, "axis epsilon scale center"),
    "CenterCrop": (_center_crop, CROP),
    "Concatenate": (_concatenate, "axis"),
    "Conv2D": (_convolution, f"{CONVOLUTION} filters"),
    "Cropping2D": (_cropping, "cropping data_format"),
    "Dense": (_dense, "units activation use_bias"),
    "DepthwiseConv2D": (_depthwise, f"{CONVOLUTION} depth_multiplier"),
    "ELU": (_activation, "alpha"),
    "Flatten": (_flatten, "data_format"),
    "GlobalAveragePooling2D": (_global_pooling, "data_format keepdims"),
    "GlobalMaxPooling2D": (_global_pooling, "data_format keepdims"),
    "LeakyReLU": (_activation, "alpha negative_slope"),
    "MaxPooling2D": (_max_pooling, POOLING),
    "Normalization": (_normalization, "axis mean variance invert"),
    "PReLU": (_p_relu, "shared_axes"),
    "RandomCrop": (_random_crop, CROP),
    "ReLU": (_activation, "max_value negative_slope threshold"),
    "Rescaling": (_rescaling, "scale offset data_format"),
    "Reshape": (_reshape, "target_shape"),
    "Resizing": (
        _resizing,
        "height width interpolation antialias data_format crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value",
    ),
    "SeparableConv2D": (_separable, f"{CONVOLUTION} filters depth_multiplier"),
    "Softmax": (_activation, "axis function"),
    "ZeroPadding2D": (_zero_padding, "padding data_format"),
}
IDLE = frozenset(  # do nothing at inference
    [
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AugMix", "CutMix", "MixUp", "RandAugment"),
        *(
            "RandomBrightness",
            "RandomColorDegeneration",
            "RandomColorJitter",
            "RandomContrast",
            "RandomElasticTransform",
        ),
        *("RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHeight", "RandomHue"),
        *("RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation"),
        *("RandomSharpness", "RandomShear", "RandomTranslation", "RandomWidth", "RandomZoom"),
    ]
)
