"""The process that `analyzer.keras_files` starts: Keras file in a private folder -> graph, head and answer beside it.

Run:     python -m analyzer.keras_reader FOLDER SUFFIX, with KERAS_BACKEND=openvino
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from analyzer import runtime
from analyzer.errors import BadModel
from analyzer.keras_files import ANSWER, HEAD, TIME_S, WEIGHTS, XML, reason

MEMORY_BYTES = 6 << 30  # of addresses, most of which the threads of its libraries only reserve


def main(folder: Path, suffix: str) -> None:
    """Write the answer: the width of the second input, or the sentence why the file is refused."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * TIME_S, 2 * TIME_S))
    try:
        answer: dict[str, object] = {"demographics": _convert(folder, folder / f"network{suffix}")}
    except BadModel as error:
        answer = {"refused": error.message}
    except MemoryError:
        answer = {"refused": "The network needs more memory than an ensemble may."}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _convert(folder: Path, path: Path) -> int:
    """Graph and head of a checked file; the width of the second input."""
    from analyzer import keras_checks

    keras_checks.check(path.read_bytes(), path.suffix)
    openvino = runtime.openvino()  # before Keras imports it, or its telemetry would speak
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # where it is installed, Keras would look at it
    import keras

    from analyzer import keras_graph

    try:
        taken = keras_graph.convert(keras.saving.load_model(path, compile=False, safe_mode=True))
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RuntimeError, OSError) as error:
        keras_checks.refuse(f"Keras cannot read the file as an ensemble: {reason(error)}")
    openvino.serialize(taken.graph, folder / XML, folder / WEIGHTS)
    arrays: dict[str, Any] = {}
    for index, (kernel, bias) in enumerate(taken.head):
        arrays |= {f"kernel_{index}": kernel, f"bias_{index}": bias}
    np.savez(folder / HEAD, **arrays)
    return taken.demographics


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
