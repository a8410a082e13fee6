"""One use of a Keras layer: its inputs, settings and weights, and refusals that name the layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from analyzer import activations, runtime
from analyzer.keras_checks import FULL_PRECISION, quoted, refuse
from analyzer.keras_config import Layer, constant
from analyzer.keras_tensors import Maps, Plane, Vector
from analyzer.keras_weights import Numbers, Weights

Value = Maps | Plane | Vector
Rule = Callable[["Use"], Value]
LAST = (-1, 3, [-1], [3], 1, [1])  # axes of the channels in maps and vectors
PRECISIONS = ("float32", "float64", "mixed_float16", "mixed_bfloat16")  # their weights are float32 or better
OTHER_LAYERS = "Rebuild the network without it, from the layers that docs/keras-files.md lists, and save it anew."
UNUSED = re.compile(  # settings that change nothing of what a saved network answers
    r"(name|trainable|dtype|autocast|sparse|ragged|seed|momentum|synchronized|fused|renorm\w*|rng_type|virtual_batch_size|adjustment)$"
    r"|\w+_(initializer|regularizer|constraint|shape)$"
)
SAME = {  # names of Keras for activations that have another name, or a number, here
    "elu": "elu:1",
    "hard_swish": "hard_silu",
    "leaky_relu": "leaky_relu:0.2",
    "relu6": "clipped_relu:6",
    "swish": "silu",
}
FUNCTIONS: Mapping[str, str] = {  # TensorFlow's, as Keras 2 writes them → class of the operation in Keras 3
    "__operators__.add": "Add",
    "__operators__.getitem": "GetItem",
    "__operators__.mul": "Multiply",
    "__operators__.sub": "Subtract",
    "__operators__.truediv": "TrueDivide",
    "cast": "Cast",
    "identity": "Identity",
    "math.add": "Add",
    "math.divide": "TrueDivide",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.multiply": "Multiply",
    "math.reduce_mean": "Mean",
    "math.sigmoid": "Sigmoid",
    "math.subtract": "Subtract",
    "math.tanh": "Tanh",
    "math.truediv": "TrueDivide",
    "nn.bias_add": "Add",
    "nn.elu": "Elu",
    "nn.relu": "Relu",
    "nn.relu6": "Relu6",
    "nn.selu": "Selu",
    "nn.sigmoid": "Sigmoid",
    "nn.silu": "Silu",
    "nn.softmax": "Softmax",
    "nn.softplus": "Softplus",
    "nn.tanh": "Tanh",
    "reverse": "Flip",
    "stack": "Stack",
}
STEEPNESS = {2: "0.2", 3: "0.16666667"}  # of the hard sigmoid in Keras 2 and 3


@dataclass(frozen=True, eq=False)
class Use:
    """A layer that is applied.

    Attributes:
        layer: which.
        arguments, keywords: values in place of references; constants as they are.
        weights: of the file.
        keras: first number of the version that wrote the file, 2 or 3.
    """

    layer: Layer
    arguments: list[Any]
    keywords: Mapping[str, Any]
    weights: Weights
    keras: int

    @property
    def kind(self) -> str:
        """The class of the layer, or of the operation as Keras 3 names it."""
        return kind_of(self.layer)

    @property
    def tensors(self) -> list[Value]:
        """All values among the arguments, in order."""
        return list(_values([self.arguments, self.keywords]))

    @property
    def tensor(self) -> Value:
        """The only value among the arguments."""
        values = self.tensors
        if len(values) != 1:
            self.refuse(f"takes {len(values)} tensors")
        return values[0]

    @property
    def maps(self) -> Maps:
        """The only value, which must be maps."""
        value = self.tensor
        if not isinstance(value, Maps):
            self.refuse("stands where no maps of a picture are")
        return value

    def setting(self, name: str, usual: Any = None) -> Any:
        """Return a setting; arrays as lists."""
        return constant(self.layer.settings.get(name, usual))

    def check_settings(self, names: Sequence[str]) -> None:
        """Refuse settings that are not among `names` and may change an answer, and arithmetic of low precision."""
        for name, value in self.layer.settings.items():
            if name not in names and not UNUSED.match(name) and value not in (None, False, [], {}):
                self.refuse(f"has the setting {name}={quoted(value)}, which is not known here")
        policy = self.layer.settings.get("dtype") or "float32"
        precision = policy.get("config", {}).get("name") if isinstance(policy, dict) else policy
        if precision not in PRECISIONS:
            self.refuse(f"computes in {quoted(precision)}, and its numbers must be float32", FULL_PRECISION)

    def must(self, **choices: Sequence[Any]) -> None:
        """Refuse settings whose value is not among the choices; absent ones are taken."""
        for name, values in choices.items():
            value = self.setting(name)
            if value is not None and value not in values:
                listed = " or ".join(map(repr, values))
                self.refuse(f"has the setting {name}={quoted(value)}; taken is {listed}")

    def refuse(self, what: str, remedy: str = OTHER_LAYERS) -> NoReturn:
        """Raise `BadModel`; `what` goes on after the layer's name and class."""
        title = self.layer.title
        refuse(f"{title[0].upper()}{title[1:]} {what}.", remedy)

    def weight(self, name: str, *shape: int) -> Numbers:
        """Return a weight of this shape."""
        return self.weights(self.layer, name, shape)

    def bias(self, width: int) -> Numbers:
        """Return the bias, zeros where the layer has none."""
        return self.weight("bias", width) if self.setting("use_bias", True) else np.zeros(width, np.float32)

    def activation(self, usual: str = "linear") -> str:
        """Return the layer's activation by its name in `analyzer.activations`, or ``"softmax"``."""
        return self._activation(self.layer.settings.get("activation") or usual)

    def _activation(self, value: Any) -> str:
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            return self.activation_layer(str(value.get("class_name")), value["config"])
        name = str(value.get("config", value) if isinstance(value, dict) else value)
        name = f"hard_sigmoid:{STEEPNESS[self.keras]}" if name == "hard_sigmoid" else SAME.get(name, name)
        return self._checked(name)

    def activation_layer(self, kind: str, settings: Mapping[str, Any]) -> str:
        """Return the activation of a layer that is nothing else, by its class and settings."""
        read = {key: constant(value) for key, value in settings.items()}
        if kind == "Activation":
            return self._activation(settings.get("activation"))
        if kind == "Softmax" and read.get("axis", -1) in (-1, 1, [-1], [1]):
            return "softmax"
        if kind == "LeakyReLU":
            return self._checked(f"leaky_relu:{read.get('negative_slope', read.get('alpha', 0.3)):.8g}")
        if kind == "ELU":
            return self._checked(f"elu:{read.get('alpha', 1.0):.8g}")
        if kind == "ReLU" and not read.get("threshold"):
            top, below = read.get("max_value"), read.get("negative_slope") or 0.0
            if not below:
                return "relu" if top is None else self._checked(f"clipped_relu:{top:.8g}")
            if top is None:
                return self._checked(f"leaky_relu:{below:.8g}")
        return self.refuse(f"has the activation {kind} with the settings {quoted(read)}, which is not known here")

    def _checked(self, name: str) -> str:
        if name != "softmax" and not activations.is_known(name):
            self.refuse(f"has the activation {quoted(name)}, which is not known here")
        return name


def kind_of(layer: Layer) -> str:
    """Return the class of a layer; of a call of TensorFlow in Keras 2, that of the same operation in Keras 3."""
    is_call = layer.kind in ("TFOpLambda", "SlicingOpLambda")
    return FUNCTIONS.get(str(layer.settings.get("function")), layer.kind) if is_call else layer.kind


def node_activated(name: str, node: Any) -> Any:
    """Return OpenVINO's output behind an activation of `analyzer.activations`."""
    ops, (base, _, text) = opset(), name.partition(":")
    number = float(text or 0)
    simple = {
        "relu": "relu",
        "sigmoid": "sigmoid",
        "silu": "swish",
        "tanh": "tanh",
        "exponential": "exp",
        "mish": "mish",
    }
    simple |= {"softplus": "softplus", "softsign": "softsign", "hard_silu": "hswish"}
    if base in simple:
        return getattr(ops, simple[base])(node).output(0)
    makers = {
        "linear": lambda: node,
        "clipped_relu": lambda: ops.clamp(node, 0.0, number).output(0),
        "elu": lambda: ops.elu(node, number).output(0),
        "gelu": lambda: ops.gelu(node, "erf").output(0),
        "tanh_gelu": lambda: ops.gelu(node, "tanh").output(0),
        "hard_sigmoid": lambda: ops.hard_sigmoid(node, np.float32(number), np.float32(0.5)).output(0),
        "leaky_relu": lambda: ops.prelu(node, np.array([number], np.float32)).output(0),
        "selu": lambda: ops.selu(node, np.float32(activations.SELU_ALPHA), np.float32(activations.SELU_SCALE)).output(
            0
        ),
    }
    return makers[base]()


def opset() -> Any:
    """Return OpenVINO's operations."""
    return runtime.openvino().opset13


def _values(argument: Any) -> Iterator[Value]:
    if isinstance(argument, Maps | Vector | Plane):
        yield argument
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _values(part)
    elif isinstance(argument, dict):
        yield from _values(list(argument.values()))


def after(use: Use, maps: Maps, node: Any) -> Maps:
    """Return maps that a layer made of others."""
    return Maps(node if hasattr(node, "get_node") else node.output(0), maps.kinds | {use.kind})


def pair(value: Any) -> tuple[Any, Any]:
    """Return a setting for rows and for columns, which may stand alone."""
    return (value[0], value[1]) if isinstance(value, list) else (value, value)


def padding_of(use: Use) -> str:
    """Return the padding as OpenVINO names it."""
    use.must(padding=("valid", "same"))
    return {"valid": "valid", "same": "same_upper"}[use.setting("padding", "valid")]


def node_of(numbers: Any) -> Any:
    """Return a constant; left to itself OpenVINO makes a list of all numbers first."""
    return opset().constant(np.ascontiguousarray(numbers, np.float32))
