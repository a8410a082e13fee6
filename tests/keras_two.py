"""Files of Keras 2 without Keras 2: an `.h5` file of Keras 3, rewritten in the older dialect.

What differs was compared with files of tf_keras 2.21 (`tests/training/test_keras_files.py` reads true ones).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

FUNCTIONS = {"Add": "math.add", "Multiply": "math.multiply", "Subtract": "math.subtract", "TrueDivide": "math.truediv"}
NESTED = ("Functional", "Sequential")


def rewrite(path: Path) -> bytes:
    """Rewrite a file in place, and return its bytes."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"] = _network(config["config"])
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.15.0"
        for group in file["model_weights"].values():
            _rename(group)
    return path.read_bytes()


def _rename(group: h5py.Group) -> None:
    """Give the weights of one group the names of Keras 2."""
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs["weight_names"]]
    renamed = []
    for name in names:
        is_depthwise = name.endswith("/kernel") and "depthwise" in name.split("/")[-2]
        renamed.append(f"{name.removesuffix('kernel')}depthwise_kernel:0" if is_depthwise else f"{name}:0")
        group.move(name, renamed[-1])
    if names:
        group.attrs["weight_names"] = [name.encode() for name in renamed]


def _network(config: dict[str, Any]) -> dict[str, Any]:
    kinds = {entry["config"]["name"]: entry["class_name"] for entry in config["layers"]}
    layers = [_layer(entry, kinds) for entry in config["layers"]]
    ends = {
        name: _in_list([_moved(end, kinds) for end in _in_list(config[name])])
        for name in ("input_layers", "output_layers")
        if name in config
    }
    return {"name": config["name"], "layers": layers, **ends}


def _in_list(ends: list[Any]) -> list[Any]:
    return [ends] if isinstance(ends[0], str) else ends


def _layer(entry: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    kind, settings = entry["class_name"], dict(entry["config"])
    nodes = [
        _node(node, kinds, flat=kind in FUNCTIONS and "dtype" not in settings)
        for node in entry.get("inbound_nodes", [])
    ]
    if kind in FUNCTIONS and "dtype" not in settings:
        kind, settings = "TFOpLambda", {"name": settings["name"], "dtype": "float32", "function": FUNCTIONS[kind]}
    elif kind in NESTED:
        settings = _network(settings)
    else:
        settings = _settings(kind, settings)
    return {"class_name": kind, "config": settings, "name": settings["name"], "inbound_nodes": nodes}


def _settings(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    if isinstance(settings.get("dtype"), dict):
        settings["dtype"] = settings["dtype"]["config"]["name"]
    if "batch_shape" in settings:
        settings["batch_input_shape"] = settings.pop("batch_shape")
    if kind == "DepthwiseConv2D":
        settings["groups"] = 1
    if kind == "LeakyReLU":
        settings["alpha"] = settings.pop("negative_slope")
    if kind == "BatchNormalization":
        settings = {name: value for name, value in settings.items() if not name.startswith(("renorm", "synchronized"))}
    return {name: value for name, value in settings.items() if name not in ("optional", "quantization_config")}


def _node(node: dict[str, Any], kinds: dict[str, str], *, flat: bool) -> list[Any]:
    """Return a node as Keras 2 writes it: [[layer, call, output, keywords], …], without the outer list for an operation."""
    first, *others = node["args"]
    tensors = first if isinstance(first, list) else [first]
    keywords = {name: value for name, value in node["kwargs"].items() if name != "mask"}
    entries = [[*_moved(tensor["config"]["keras_history"], kinds), keywords] for tensor in tensors]
    if not flat:
        return entries
    value = others[0]
    entries[0][3] = {"y": value["config"]["value"] if isinstance(value, dict) else value, "name": None}
    return entries[0]


def _moved(end: list[Any], kinds: dict[str, str]) -> list[Any]:
    """Return a reference with the call counted that built an inner network."""
    name, call, output = end
    return [name, call + (kinds[name] in NESTED), output]
