"""The ensemble's runtimes side by side against plain `keras.predict` with TensorFlow, each in a process of its own.

Run:     .venv-training/bin/python -m benchmarks.ensemble_runtime [--keras-file FILE] [--rounds 10] [--calls 10]
Cost:    about three minutes.
Expects: OpenVINO f32 at least 3.5 times as fast as keras.predict, the fastest precision that passes parity at least 8 times; the
         service's own stage, from the aligned face to the prediction, at most 1.15 times the time of its runtime alone.

Needs the training environment. int8 is there where the package nncf is installed by hand, ONNX Runtime where onnxruntime and
tf2onnx are; what cannot be made is left out with the reason. Without a Keras file the network has random weights: times are the
same, differences of probabilities mean little. The processes take turns in rounds, so that a busy spell of the machine meets
all of them. Columns: seconds from start of the process to the first answer; memory of the process; time of one picture, median
and 95 %; how many times as fast as keras.predict (median of the rounds' ratios, smallest, largest); largest difference of
probabilities from keras.predict over six drawn faces.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, geometry, head, keras_files, preprocessing, roi, runtime
from analyzer.roi import Roi
from analyzer.settings import CORES
from analyzer.values import Demographics
from benchmarks import dataset

CLASSES = 6
PARITY = 0.02  # largest difference of a probability at which a faster arithmetic may serve
TARGETS = {"f32": 3.5, "fastest": 8.0}  # times as fast as keras.predict
STAGE_TARGET = 1.15  # the service's stage over its runtime alone
KERAS_FILE, PICTURES, ONNX, ARTEFACT = "network.keras", "pictures.npy", "network.onnx", "artefact"
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (side, side, 3) uint8 -> (classes,) probabilities


@dataclass(frozen=True)
class Row:
    """One line of the table: a name for people, what runs, the form that it opens, the arithmetic."""

    name: str
    runtime: str
    form: str
    precision: str = "f32"


BARE, STAGE = "OpenVINO f32, compiled form", "the service's stage, f32"
ROWS = (
    Row("keras.predict, TensorFlow", "keras", "tensorflow"),
    Row("keras.predict, OpenVINO backend", "keras", "openvino"),
    Row("OpenVINO f32, Keras' own export", "openvino", "exported"),
    Row("OpenVINO f32, read from the Keras file", "openvino", "read"),
    Row(BARE, "openvino", "network"),
    Row("OpenVINO bf16, compiled form", "openvino", "network", "bf16"),
    Row(STAGE, "stage", "network"),
    Row("OpenVINO int8", "openvino", "int8", "int8"),
    Row("ONNX Runtime f32", "onnxruntime", "onnx"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-file", type=Path, help="trained network (default: one with random weights)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=10, help="timed calls of each runtime in each round")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        MAKERS[options.make](options.folder)
    elif options.row is not None:
        serve(ROWS[options.row], options.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), options.keras_file, options.rounds, options.calls)


def compare(folder: Path, keras_file: Path | None, rounds: int, calls: int) -> None:
    if keras_file:
        (folder / KERAS_FILE).write_bytes(keras_file.read_bytes())
    if not make("tensorflow", folder):
        print("needs the training environment: make train-env")
        return
    made = {"tensorflow"} | {form for form in MAKERS if form != "tensorflow" and make(form, folder)}
    workers = [worker for row in ROWS if row.form in made and (worker := started(row, folder))]
    rows = [worker.row for worker in workers]
    times: dict[str, list[list[float]]] = {row.name: [] for row in rows}
    for _ in range(rounds):
        for row, worker in zip(rows, workers, strict=True):
            times[row.name].append(worker.times_ms(calls))
    table = [line(row, worker, times, workers[0]) for row, worker in zip(rows, workers, strict=True)]
    print_table(table)
    print(f"written to {dataset.write('ensemble_runtime', {'cores': os.cpu_count(), 'rows': table})}")


def make(form: str, folder: Path) -> bool:
    """Make one form in a process of its own; False, with the reason told, where that fails."""
    done = subprocess.run(
        own_process("--make", form, "--folder", str(folder)), env=environment(form), capture_output=True, text=True
    )
    if done.returncode:
        print(f"left out, {form}: {(done.stderr.strip().splitlines() or ['no reason'])[-1][:200]}", flush=True)
    return not done.returncode


def started(row: Row, folder: Path) -> Worker | None:
    try:
        return Worker(row, folder)
    except RuntimeError as error:
        print(f"left out, {row.name}: {error}", flush=True)
        return None


def own_process(*options: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.ensemble_runtime", *options]


def environment(form: str) -> dict[str, str]:
    backend = "openvino" if form in ("openvino", "exported") else "tensorflow"
    return {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}


# Forms, each made in a process of its own; the first one makes the Keras file where none was given


def make_keras(folder: Path) -> None:
    from training import golden, networks

    if not (folder / KERAS_FILE).is_file():
        networks.hare_run(CLASSES).save(folder / KERAS_FILE)
    np.save(folder / PICTURES, golden.golden_pictures())


def make_read(folder: Path) -> None:
    form = keras_files.read((folder / KERAS_FILE).read_bytes(), ".keras")
    (folder / "read.xml").write_bytes(form.xml)
    (folder / "read.bin").write_bytes(form.weights)


def make_network(folder: Path) -> None:
    """The whole artefact; the rows of one graph take its files from the folder above."""
    from training import export

    card = artefact.bare_card("0" * 64, 1, ".h5", [f"class {index}" for index in range(CLASSES)])
    export.export(opened(folder), folder / ARTEFACT, card)
    for name in ("network.xml", "network.bin", "head.npz"):
        (folder / name).write_bytes((folder / ARTEFACT / name).read_bytes())


def make_exported(folder: Path) -> None:
    """By Keras; what the graph gives are the probabilities."""
    opened(folder).export(str(folder / "exported.xml"), format="openvino", verbose=False)


def make_int8(folder: Path) -> None:
    """Quantised by NNCF on the drawn faces, mirrored and in three lights."""
    openvino = runtime.openvino()
    import nncf

    faces = np.load(folder / PICTURES).astype(float)
    shown = [light * faces[:, :, ::turn] for light in (1.0, 0.8, 0.6) for turn in (1, -1)]
    pictures = [face[None].astype(np.uint8) for face in np.concatenate(shown)]
    model = openvino.Core().read_model(folder / "read.xml")
    quantised = nncf.quantize(model, nncf.Dataset(pictures), preset=nncf.QuantizationPreset.MIXED)
    openvino.save_model(quantised, folder / "int8.xml")


def make_onnx(folder: Path) -> None:
    import onnxruntime  # noqa: F401  (without it the file is of no use)
    import tensorflow
    import tf2onnx

    network = opened(folder)
    given = [tensorflow.TensorSpec((1, *network.inputs[0].shape[1:]), tensorflow.float32, name="image")]
    tf2onnx.convert.from_keras(network, input_signature=given, opset=17, output_path=str(folder / ONNX))


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "tensorflow": make_keras,
    "openvino": lambda folder: None,
    "read": make_read,
    "network": make_network,
    "exported": make_exported,
    "int8": make_int8,
    "onnx": make_onnx,
}


def opened(folder: Path) -> Any:
    runtime.openvino()  # before Keras imports it, or its telemetry would speak
    import keras

    return keras.saving.load_model(folder / KERAS_FILE, compile=False)


# Runtimes: each opens its form and answers one picture


def open_keras(row: Row, folder: Path) -> Answer:
    network = opened(folder)
    return lambda picture: network.predict(picture[None].astype(np.float32), verbose=0)[0]


def open_openvino(row: Row, folder: Path) -> Answer:
    files = (folder / f"{row.form}.xml").read_bytes(), (folder / f"{row.form}.bin").read_bytes()
    if row.form == "exported":
        return open_exported(folder)
    graph = runtime.load(*files, threads=CORES, precision="bf16" if row.precision == "bf16" else "f32")
    if row.precision == "bf16" and graph.precision != "bf16":
        raise SystemExit("this host has no bf16")
    dense = head.read((folder / "head.npz").read_bytes())
    return lambda picture: artefact.probabilities(dense.logits(graph(picture[None])["features"][0]), 1.0)


def open_stage(row: Row, folder: Path) -> Answer:
    """What the pipeline does: cut the square out of the aligned face, ask the artefact."""
    served = artefact.open_folder(folder / ARTEFACT, precision="f32")
    faces = {picture.tobytes(): aligned(picture) for picture in np.load(folder / PICTURES)}

    def answer(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        told = served.predict(preprocessing.face(faces[picture.tobytes()]), Demographics())
        return np.array(list(told.probabilities.values()), np.float32)

    return answer


def aligned(picture: NDArray[np.uint8]) -> Roi:
    """An aligned face whose inner square shows the picture."""
    side, top, left = preprocessing.FACE_SIDE, preprocessing.FACE_TOP, preprocessing.FACE_LEFT
    rgb = np.zeros((geometry.SIZE, geometry.SIZE, 3), np.uint8)
    rgb[top : top + side, left : left + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return roi.from_parts(rgb, np.ones(rgb.shape[:2], bool), {})


def open_exported(folder: Path) -> Answer:
    """A graph of Keras' own: the size of its batch is open, its input has no name that `runtime` knows."""
    core = runtime.openvino().Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": CORES,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    model = core.read_model(folder / "exported.xml")
    model.reshape([1, *(size.get_length() for size in list(model.input(0).partial_shape)[1:])])
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda picture: np.array(request.infer([picture[None].astype(np.float32)])[0][0])


def open_onnxruntime(row: Row, folder: Path) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(folder / ONNX, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture[None].astype(np.float32)})[0][0]


OPENERS = {"keras": open_keras, "openvino": open_openvino, "stage": open_stage, "onnxruntime": open_onnxruntime}


# The process of one row, and what the parent knows of it


def serve(row: Row, folder: Path) -> None:
    """First answers, then times of as many calls as each line of the input asks for, then memory."""
    pictures = np.load(folder / PICTURES)
    answer = OPENERS[row.runtime](row, folder)
    answers = [answer(picture).tolist() for picture in pictures[:1]]
    print(json.dumps({"first": True}), flush=True)
    answers += [answer(picture).tolist() for picture in pictures[1:]]
    print(json.dumps({"probabilities": answers}), flush=True)
    for text in sys.stdin:
        times = [timed_ms(answer, pictures[call % len(pictures)]) for call in range(int(text))]
        print(json.dumps({"times_ms": times, "memory_mb": resident_mb()}), flush=True)


def timed_ms(answer: Answer, picture: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    answer(picture)
    return 1000 * (time.perf_counter() - start)


def resident_mb() -> float:
    """Memory of this process that lies in RAM (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith("VmRSS")) / 1024


class Worker:
    """A row's process from the parent's side; started, asked one at a time."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row = row
        self.complaints = folder / f"row_{ROWS.index(row)}.txt"
        options = own_process("--row", str(ROWS.index(row)), "--folder", str(folder))
        start = time.perf_counter()
        with self.complaints.open("w") as complaints:
            self.process = subprocess.Popen(
                options,
                env=environment(row.form),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
        self.told()
        self.cold_s = time.perf_counter() - start
        self.probabilities = np.array(self.told()["probabilities"])
        self.memory_mb = 0.0
        self.times_ms(3)

    def times_ms(self, calls: int) -> list[float]:
        assert self.process.stdin is not None
        print(calls, file=self.process.stdin, flush=True)
        told = self.told()
        self.memory_mb = told["memory_mb"]
        return told["times_ms"]

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            if text.startswith("{"):
                return json.loads(text)
        self.process.wait()
        raise RuntimeError((self.complaints.read_text().strip().splitlines() or ["no reason"])[-1][:200])


def line(row: Row, worker: Worker, times: Mapping[str, Sequence[Sequence[float]]], reference: Worker) -> dict[str, Any]:
    all_ms = np.concatenate(times[row.name])
    plain = np.median(times[ROWS[0].name], axis=1)
    ratios = plain / np.median(times[row.name], axis=1)
    return {
        "name": row.name,
        "precision": row.precision,
        "cold_s": worker.cold_s,
        "memory_mb": worker.memory_mb,
        "median_ms": float(np.median(all_ms)),
        "p95_ms": float(np.percentile(all_ms, 95)),
        "times_as_fast": [float(value) for value in (np.median(ratios), ratios.min(), ratios.max())],
        "difference": float(np.abs(worker.probabilities - reference.probabilities).max()),
    }


def print_table(table: Sequence[dict[str, Any]]) -> None:
    print(f"{'':<40}{'cold s':>8}{'MB':>7}{'ms':>8}{'p95':>8}{'times as fast':>22}{'differs':>10}")
    for row in table:
        ratio, least, most = row["times_as_fast"]
        print(
            f"{row['name']:<40}{row['cold_s']:8.2f}{row['memory_mb']:7.0f}{row['median_ms']:8.1f}{row['p95_ms']:8.1f}"
            f"{ratio:10.1f} ({least:.1f}–{most:.1f}){row['difference']:10.1e}"
        )
    compiled = [row for row in table if "Keras" not in row["name"] and row["name"].startswith("OpenVINO")]
    passing = [row for row in compiled if row["difference"] <= PARITY]
    for what, rows in (("f32", [row for row in compiled if row["precision"] == "f32"]), ("fastest", passing)):
        if rows:
            best = max(rows, key=lambda row: row["times_as_fast"][0])
            reached = best["times_as_fast"][0]
            print(
                f"{what}: {best['name']}, {reached:.1f} times (target {TARGETS[what]}: {'met' if reached >= TARGETS[what] else 'missed'})"
            )

    stage, bare = (next((row for row in table if row["name"] == name), None) for name in (STAGE, BARE))
    if stage and bare:
        over = stage["median_ms"] / bare["median_ms"]
        print(f"the service's stage takes {over:.2f} times as long as its runtime alone (target {STAGE_TARGET})")


if __name__ == "__main__":
    main()
