"""The process that `analyzer.keras_files` starts: reads the Keras file of a private folder, and writes graph, head and answer beside it.

Run:     python -m analyzer.keras_reader FOLDER SUFFIX
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from analyzer import keras_checks, keras_config, keras_graph, runtime
from analyzer.errors import BadModel
from analyzer.keras_checks import SAVE_WHOLE, refuse
from analyzer.keras_files import ANSWER, HEAD, WEIGHTS, XML
from analyzer.keras_graph import Converted
from analyzer.keras_weights import Weights

SMALLER = "Use fewer or smaller dense layers: pool the maps instead of flattening them."


def main(folder: Path, suffix: str) -> None:
    """Write the answer: what the head is like, or why the file is refused and what to do."""
    try:
        data = (folder / f"network{suffix}").read_bytes()
        keras_checks.check(data, suffix)
        answer = _written(convert(data, suffix), folder)
    except BadModel as error:
        answer = {"refused": error.message, "remedy": error.hint}
    except MemoryError:
        answer = {"refused": "The network needs more memory than an ensemble may.", "remedy": SMALLER}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def convert(data: bytes, suffix: str) -> Converted:
    """Return graph and head of a checked file.

    Raises:
        BadModel: the network is not one that is taken.
    """
    if suffix == ".keras":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {entry: archive.read(entry) for entry in archive.namelist()}
        version = json.loads(members["metadata.json"]).get("keras_version")
        return _of_parts(members["config.json"], version, members["model.weights.h5"], whole=False)
    with h5py.File(io.BytesIO(data), "r") as file:
        if "model_config" not in file.attrs or "model_weights" not in file:
            refuse("The file holds weights without a network.", SAVE_WHOLE)
        config, version = file.attrs["model_config"], file.attrs.get("keras_version")
    return _of_parts(config, version, data, whole=True)


def _of_parts(config: str | bytes, version: Any, weights: bytes, *, whole: bool) -> Converted:
    described = keras_checks.configuration(config)
    network = keras_config.parse(described)
    keras_graph.check_kinds(network, described)
    keras = 2 if str(version.decode() if isinstance(version, bytes) else version).startswith(("1.", "2.")) else 3
    with h5py.File(io.BytesIO(weights), "r") as file:
        return keras_graph.convert(network, Weights(file, network, keras=keras, whole=whole), keras)


def _written(converted: Converted, folder: Path) -> dict[str, Any]:
    """Write graph and head; return what else there is to know of them."""
    runtime.openvino().serialize(converted.graph, folder / XML, folder / WEIGHTS)
    arrays: dict[str, Any] = {}
    for place, layer in enumerate(converted.head):
        arrays |= {f"{part}_{place}": array for part, array in layer._asdict().items()}
    np.savez(folder / HEAD, **arrays)
    return {name: getattr(converted, name) for name in ("demographics", "ending", "single", "keras")}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
