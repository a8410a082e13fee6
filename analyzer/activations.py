"""Activations of dense layers and their slopes, in NumPy.

All but softmax work on each number by itself. A name may carry a number behind a colon: ``"leaky_relu:0.2"`` has the slope 0.2 below
zero. Formulas are those of `keras.activations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit, logit

Array = NDArray[np.float32]
SOFTMAX = "softmax"  # the one that binds numbers together
LEAST_SHARE = 1e-7  # of a probability whose logit is taken
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al., NeurIPS 2017
TANH_GELU, TANH_GELU_CUBE = (2 / np.pi) ** 0.5, 0.044715  # Hendrycks & Gimpel, arXiv 1606.08415


class Activation(NamedTuple):
    """A function of (array, number) and its derivative, elementwise."""

    value: Callable[[Array, float], Any]
    slope: Callable[[Array, float], Any]


def apply(name: str, x: Array) -> Array:
    """Return the activation of each number.

    Args:
        name: of `ACTIVATIONS`, with a number where it has one.
        x: of any shape, float32.
    """
    function, number = _parsed(name)
    return np.asarray(function.value(x, number), np.float32)


def slope(name: str, x: Array) -> Array:
    """Return the derivative of the activation at each number; 0 at the edge of a ReLU."""
    function, number = _parsed(name)
    return np.asarray(function.slope(x, number), np.float32)


def backward(name: str, x: Array, gradient: Array) -> Array:
    """Return the gradient by the numbers before an activation, (N,), from that by the numbers behind it."""
    if name.startswith(SOFTMAX):
        share = _softmax(x, 0)
        return np.asarray(share * (gradient - (gradient * share).sum()), np.float32)
    return gradient * slope(name, x)


def is_known(name: str) -> bool:
    """Return whether a name can be computed."""
    base, colon, number = name.partition(":")
    return base in ACTIVATIONS and (not colon or number.replace(".", "", 1).replace("e-", "", 1).isdigit())


def _parsed(name: str) -> tuple[Activation, float]:
    base, _, number = name.partition(":")
    return ACTIVATIONS[base], float(number or 0)


def _softmax(x: Array, _: float) -> Array:
    """Return the softmax of all numbers; that behind the colon of its name only tells one softmax of a layer from another."""
    raised = np.exp(x - x.max())
    return np.asarray(raised / raised.sum())


def _sigmoid(x: Array, _: float) -> Array:
    return np.asarray(expit(x))


def _inside(x: Array) -> Array:
    return np.clip(x, LEAST_SHARE, 1 - LEAST_SHARE)


def _silu_slope(x: Array, _: float) -> Array:
    share = expit(x)
    return np.asarray(share * (1 + x * (1 - share)))


def _gelu_slope(x: Array, _: float) -> Array:
    return np.asarray((1 + erf(x / 2**0.5)) / 2 + x * np.exp(-x * x / 2) / (2 * np.pi) ** 0.5)


def _tanh_gelu(x: Array, _: float) -> Array:
    return np.asarray(x * (1 + np.tanh(TANH_GELU * (x + TANH_GELU_CUBE * x**3))) / 2)


def _tanh_gelu_slope(x: Array, _: float) -> Array:
    bent = np.tanh(TANH_GELU * (x + TANH_GELU_CUBE * x**3))
    return np.asarray((1 + bent) / 2 + x * (1 - bent**2) * TANH_GELU * (1 + 3 * TANH_GELU_CUBE * x**2) / 2)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _elu_slope(x: Array, alpha: float) -> Array:
    return np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def _softplus(x: Array, _: float) -> Array:
    return np.asarray(np.logaddexp(0, x))


def _mish_slope(x: Array, _: float) -> Array:
    bent = np.tanh(np.logaddexp(0, x))
    return np.asarray(bent + x * (1 - bent**2) * expit(x))


def _hard_sigmoid(x: Array, steepness: float) -> Array:
    return np.clip(steepness * x + 0.5, 0, 1)


def _hard_sigmoid_slope(x: Array, steepness: float) -> Array:
    return np.where(np.abs(steepness * x) < 0.5, steepness, 0)


def _hard_silu_slope(x: Array, _: float) -> Array:
    return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5))


ACTIVATIONS: Mapping[str, Activation] = {
    "clipped_relu": Activation(lambda x, top: np.clip(x, 0, top), lambda x, top: (x > 0) & (x < top)),
    "elu": Activation(_elu, _elu_slope),
    "exponential": Activation(lambda x, _: np.exp(x), lambda x, _: np.exp(x)),
    "gelu": Activation(lambda x, _: x * (1 + erf(x / 2**0.5)) / 2, _gelu_slope),
    "hard_sigmoid": Activation(_hard_sigmoid, _hard_sigmoid_slope),
    "hard_silu": Activation(lambda x, _: x * np.clip(x / 6 + 0.5, 0, 1), _hard_silu_slope),
    "leaky_relu": Activation(
        lambda x, below: np.where(x > 0, x, below * x), lambda x, below: np.where(x > 0, 1, below)
    ),
    "linear": Activation(lambda x, _: x, lambda x, _: np.ones_like(x)),
    "log": Activation(
        lambda x, _: np.log(np.maximum(x, LEAST_SHARE)), lambda x, _: (x > LEAST_SHARE) / np.maximum(x, LEAST_SHARE)
    ),
    "logit": Activation(
        lambda x, _: logit(_inside(x)), lambda x, _: (x == _inside(x)) / (_inside(x) * (1 - _inside(x)))
    ),
    "mish": Activation(lambda x, _: x * np.tanh(np.logaddexp(0, x)), _mish_slope),
    "relu": Activation(lambda x, _: np.maximum(x, 0), lambda x, _: x > 0),
    "selu": Activation(
        lambda x, _: SELU_SCALE * _elu(x, SELU_ALPHA), lambda x, _: SELU_SCALE * _elu_slope(x, SELU_ALPHA)
    ),
    "sigmoid": Activation(_sigmoid, lambda x, _: expit(x) * (1 - expit(x))),
    "silu": Activation(lambda x, _: x * expit(x), _silu_slope),
    SOFTMAX: Activation(_softmax, lambda x, _: _softmax(x, 0) * (1 - _softmax(x, 0))),
    "softplus": Activation(_softplus, _sigmoid),
    "softsign": Activation(lambda x, _: x / (1 + np.abs(x)), lambda x, _: 1 / (1 + np.abs(x)) ** 2),
    "tanh": Activation(lambda x, _: np.tanh(x), lambda x, _: 1 - np.tanh(x) ** 2),
    "tanh_gelu": Activation(_tanh_gelu, _tanh_gelu_slope),
}
