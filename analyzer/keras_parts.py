"""What stands in a configuration beside layers: initialisers, policies and the like, and who may have written them.

The service never builds them. Keras does, where `training.export` opens a file that was read here before, and would import what they name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from analyzer.keras_checks import SAVE_ANEW, quoted, refuse

PACKAGES = ("keras", "tf_keras", "builtins")  # whose classes are taken for Keras' own
PARTS = frozenset(
    [
        *("__keras_tensor__", "__tensor__", "__numpy__", "__tuple__", "__slice__", "__ellipsis__", "TensorShape"),
        *("DTypePolicy", "FloatDTypePolicy", "Policy"),
        *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer"),
        *(
            "LecunNormal",
            "LecunUniform",
            "Ones",
            "Orthogonal",
            "OrthogonalInitializer",
            "RandomNormal",
            "RandomUniform",
        ),
        *("TruncatedNormal", "VarianceScaling", "Zeros"),
        *("L1", "L2", "L1L2", "OrthogonalRegularizer", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
    ]
)
FUNCTION = "function"  # class of a function that is named, such as an activation
FUNCTION_MODULES = (None, "builtins", "keras.activations")  # Keras looks in its own lists alone
COMPILE = "compile_config"  # of an inner network, which was compiled before it went into another
COMPILE_MODULES = (
    "builtins",
    "keras",
    "keras.losses",
    "keras.metrics",
    "keras.optimizers",
    "keras.optimizers.schedules",
)
MOST_DEPTH = 200  # of values in each other
OWN_PARTS = f"Use Keras' own initialisers, regularisers, constraints and activations. {SAVE_ANEW}"


def check_parts(value: Any, kinds: Collection[str], depth: int = 0) -> None:
    """Check that a configuration names nothing but layers of these kinds and Keras' own parts.

    Args:
        value: a configuration, or a part of it.
        kinds: classes of layers, operations and networks.
        depth: in which it lies.

    Raises:
        BadModel: something else is named, or from elsewhere.
    """
    if depth > MOST_DEPTH:
        refuse("The configuration of the network lies too deep.", SAVE_ANEW)
    if isinstance(value, dict):
        if "class_name" in value:
            _check_part(value, kinds)
        for key, part in value.items():
            _check_compiled(part, depth) if key == COMPILE else check_parts(part, kinds, depth + 1)
    elif isinstance(value, list):
        for part in value:
            check_parts(part, kinds, depth + 1)


def _check_part(part: dict[str, Any], kinds: Collection[str]) -> None:
    name, module, registered = part["class_name"], part.get("module"), part.get("registered_name")
    if name == FUNCTION:
        fits = module in FUNCTION_MODULES and str(part.get("config")).isidentifier()
    else:
        package = str(module or "keras").split(".")[0]
        fits = name in PARTS or name in kinds
        fits = fits and package in PACKAGES and registered in (None, name)
    if not fits:
        title = part.get("config") if name == FUNCTION else registered or name
        refuse(
            f"The network names {quoted(title)} of {quoted(module)}, which is none of Keras' own parts of layers.",
            OWN_PARTS,
        )


def _check_compiled(value: Any, depth: int) -> None:
    """Check losses, metrics and optimisers of an inner network: they are Keras' own, whatever they are."""
    if depth > MOST_DEPTH:
        refuse("The configuration of the network lies too deep.", SAVE_ANEW)
    if isinstance(value, dict):
        own = value.get("module", "builtins") in COMPILE_MODULES and ">" not in str(value.get("registered_name"))
        if "class_name" in value and not own:
            refuse(
                f"An inner network was compiled with {quoted(value['class_name'])} of {quoted(value.get('module'))}.",
                "Build the inner network anew without compiling it, copy its weights, and save the whole network anew.",
            )
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_compiled(part, depth + 1)
