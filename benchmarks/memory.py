"""Resident memory of the learned face stage beyond the inference runtime that it shares with other networks.

Run:     python -m benchmarks.memory
Cost:    a few seconds.
Expects: at most 30 MB beyond the runtime, which a network of one convolution has brought in before.

Linux only: reads /proc. Memory that the allocator holds but nobody uses is given back before each reading, as otherwise
the order of allocations would count.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

from analyzer import face_network, runtime, settings
from benchmarks import dataset, figures

PHOTOS = 50
TARGET_MB = 30.0


def main() -> None:
    rgb = np.ascontiguousarray(data.astronaut()[:480])
    rows: list[dict[str, Any]] = [reading("Python, NumPy, OpenCV")]
    compiled = small_network()
    compiled(np.zeros((1, 3, 32, 32), np.float32))
    rows.append(reading("the runtime with one convolution"))
    stage = face_network.load(settings.BUNDLED_MODELS / "face_geometry")
    rows.append(reading("the face stage loaded"))
    for _ in range(PHOTOS):
        stage.detect(rgb)
    rows.append(reading(f"after {PHOTOS} photos"))
    figures.print_table(rows)
    beyond = rows[-1]["resident_mb"] - rows[1]["resident_mb"]
    print(f"\nbeyond the runtime: {beyond:.1f} MB (target {TARGET_MB:.0f})")
    print(f"written to {dataset.write('memory', {'rows': rows, 'beyond_mb': beyond})}")


def small_network() -> Any:
    """A compiled network of one convolution and one activation: what every network needs of the runtime is there afterwards."""
    openvino = runtime.openvino()
    op = openvino.opset13
    picture = op.parameter([1, 3, 32, 32], np.float32)
    weights = op.constant(np.ones((8, 3, 3, 3), np.float32))
    sums = op.convolution(picture, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    model = openvino.Model([op.relu(sums)], [picture], "small")
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def reading(after: str) -> dict[str, Any]:
    """Resident memory of this process in MB."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"after": after, "resident_mb": round(pages * resource.getpagesize() / 1e6, 1)}


if __name__ == "__main__":
    main()
