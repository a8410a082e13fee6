"""Inference runtimes side by side on one small convolutional network, each in a process of its own (decision 0006).

Run:     python -m benchmarks.runtime [--calls 200]
Cost:    about 15 s.
Expects: OpenVINO; OpenCV's dnn and ONNX Runtime too where the packages onnx and onnxruntime are installed by hand.

The network has random weights: 192 × 192 × 3 in, seven 3 × 3 convolutions with ReLU, 100 million multiply-adds. Columns:
seconds of import, loading and first answer; memory beyond a process that holds numpy and OpenCV; time of one call; largest
difference from OpenVINO f32 as a part of the largest output; size of the installed package.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import runtime
from benchmarks import dataset

SIZE_PX = 192
LAYERS = ((16, 2), (32, 2), (64, 2), (64, 1), (64, 1), (128, 2), (128, 1))  # channels and stride of each convolution
ROWS = (  # runtime, precision, threads
    ("openvino", "f32", 1),
    ("openvino", "f32", 2),
    ("openvino", "bf16", 2),
    ("onnxruntime", "f32", 1),
    ("onnxruntime", "f32", 2),
    ("opencv", "f32", 1),
    ("opencv", "f32", 2),
)
PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime", "opencv": "opencv-python-headless"}
WARM_UP_CALLS = 20
Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200, help="timed calls of each runtime (default 200)")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row is not None:
        print(json.dumps(measure(*ROWS[options.row], options.folder, options.calls)))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights()
        save_openvino(weights, Path(folder))
        with_onnx = save_onnx(weights, Path(folder))
        rows = [row for row in range(len(ROWS)) if usable(ROWS[row][0], with_onnx)]
        table = [in_own_process(row, Path(folder), options.calls) for row in rows]
    print(f"{'':<26}{'cold s':>8}{'MB':>7}{'ms':>8}{'p95':>8}{'differs':>10}{'on disk MB':>12}")
    for row in table:
        print_row(row, table[0]["output"])
    for row in table:
        del row["output"]
    print(f"written to {dataset.write('runtime', {'cores': os.cpu_count(), 'rows': table})}")


def usable(name: str, with_onnx: bool) -> bool:
    return name == "openvino" or (with_onnx and (name == "opencv" or importlib.util.find_spec(name) is not None))


def random_weights() -> list[NDArray[np.float32]]:
    """(out, in, 3, 3) of each layer, scaled so that the activations keep their size."""
    rng = np.random.default_rng(0)
    channels = (3, *(count for count, _ in LAYERS))
    shapes = [(after, before, 3, 3) for before, after in pairwise(channels)]
    return [rng.normal(0, np.sqrt(2 / (9 * shape[1])), shape).astype(np.float32) for shape in shapes]


def save_openvino(weights: Sequence[NDArray[np.float32]], folder: Path) -> None:
    ov = runtime.openvino()
    image = node = ov.opset13.parameter([1, 3, SIZE_PX, SIZE_PX], np.float32, name="image")
    image.output(0).set_names({"image"})
    for (_, stride), weight in zip(LAYERS, weights, strict=True):
        node = ov.opset13.relu(ov.opset13.convolution(node, weight, [stride] * 2, [1, 1], [1, 1], [1, 1]))
    node.output(0).set_names({"map"})
    ov.serialize(ov.Model([ov.opset13.result(node)], [image], "net"), folder / "net.xml", folder / "net.bin")


def save_onnx(weights: Sequence[NDArray[np.float32]], folder: Path) -> bool:
    """The same network as ONNX; False where the package onnx is not installed."""
    try:
        from onnx import TensorProto, helper, numpy_helper, save
    except ImportError:
        return False
    nodes, name = [], "image"
    for index, (_, stride) in enumerate(LAYERS):
        after = "map" if index == len(LAYERS) - 1 else f"relu{index}"
        nodes.append(
            helper.make_node("Conv", [name, f"w{index}"], [f"c{index}"], strides=[stride] * 2, pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{index}"], [after]))
        name = after
    out_px = SIZE_PX // math.prod(stride for _, stride in LAYERS)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE_PX, SIZE_PX])
    output = helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, LAYERS[-1][0], out_px, out_px])
    constants = [numpy_helper.from_array(weight, f"w{index}") for index, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "net", [image], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, folder / "net.onnx")
    return True


def in_own_process(row: int, folder: Path, calls: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.runtime", "--row", str(row), "--folder", str(folder)]
    done = subprocess.run([*command, "--calls", str(calls)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name: str, precision: str, threads: int, folder: Path, calls: int) -> dict[str, Any]:
    image = np.random.default_rng(1).normal(size=(1, 3, SIZE_PX, SIZE_PX)).astype(np.float32)
    before_mb, start = resident_mb(), time.perf_counter()
    answer = OPENERS[name](folder, precision, threads)
    output = answer(image)
    cold_s = time.perf_counter() - start
    times_ms = [1000 * timed(answer, image) for _ in range(WARM_UP_CALLS + calls)][WARM_UP_CALLS:]
    return {
        "runtime": name,
        "version": importlib.metadata.version(PACKAGES[name]),
        "precision": precision,
        "threads": threads,
        "cold_s": cold_s,
        "memory_mb": resident_mb() - before_mb,
        "median_ms": float(np.median(times_ms)),
        "p95_ms": float(np.percentile(times_ms, 95)),
        "installed_mb": installed_mb(PACKAGES[name]),
        "output": output.ravel()[:: max(1, output.size // 1000)].tolist(),
    }


def open_openvino(folder: Path, precision: str, threads: int) -> Answer:
    files = (folder / "net.xml").read_bytes(), (folder / "net.bin").read_bytes()
    network = runtime.load(*files, threads=threads, precision=precision)
    return lambda image: network(image)["map"]


def open_onnxruntime(folder: Path, precision: str, threads: int) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "net.onnx", options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def open_opencv(folder: Path, precision: str, threads: int) -> Answer:
    cv2.setNumThreads(threads)
    network = cv2.dnn.readNetFromONNX(str(folder / "net.onnx"))

    def answer(image: NDArray[np.float32]) -> NDArray[np.float32]:
        network.setInput(image)
        return network.forward()

    return answer


OPENERS = {"openvino": open_openvino, "onnxruntime": open_onnxruntime, "opencv": open_opencv}


def timed(answer: Answer, image: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    answer(image)
    return time.perf_counter() - start


def resident_mb() -> float:
    """Memory of this process that lies in RAM (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def installed_mb(package: str) -> float:
    files = importlib.metadata.files(package) or []
    return sum(file.size or 0 for file in files) / 1e6


def print_row(row: dict[str, Any], reference: Sequence[float]) -> None:
    differs = np.abs(np.subtract(row["output"], reference)).max() / np.abs(reference).max()
    name = f"{row['runtime']} {row['precision']}, {row['threads']} thread{'s' * (row['threads'] > 1)}"
    print(
        f"{name:<26}{row['cold_s']:8.2f}{row['memory_mb']:7.0f}{row['median_ms']:8.2f}{row['p95_ms']:8.2f}"
        f"{differs:10.1e}{row['installed_mb']:12.0f}"
    )


if __name__ == "__main__":
    main()
