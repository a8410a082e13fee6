"""Bytes of a `.keras` or `.h5` file -> what serving needs of it: an OpenVINO graph and a dense head. No TensorFlow.

Keras reads the file in a process of its own, with OpenVINO as its backend: what it costs in memory and time is bounded and given
back, a file that brings it down takes nothing else with it, and the service never imports it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer.errors import BadModel, ModelUnavailable

SUFFIXES = (".keras", ".h5")
MOST_BYTES = (
    1 << 30
)  # of a file, and that all its numbers may announce; the ensemble has 0.12 GB, with an optimiser 0.36
TIME_S = 120  # that reading may take; it takes 6 s on two cores
XML, WEIGHTS, HEAD, ANSWER = "network.xml", "network.bin", "head.npz", "answer.json"
READER = "analyzer.keras_reader"
HINT = "Save the network anew with Keras, built of its own layers only, as training/networks.py does."
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # no credentials for a process that opens files


@dataclass(frozen=True, eq=False)
class KerasForm:
    """What a Keras file holds.

    Attributes:
        xml, weights: OpenVINO's two files, f32. Input `image` uint8 (1, S, S, 3) RGB; outputs float32 `features` (1, 3328),
            `efficientnet_maps` (1, H, W, 1280), `resnet_maps` (1, H, W, 2048); of one backbone alone where there is no other.
        head: (kernel (in, out), bias (out,)) float32 of each dense layer; ReLU between, the last one gives the logits. The
            rows of the first kernel: features as above, then demographics.
        demographics: width of the second input; 0 = none.
    """

    xml: bytes
    weights: bytes
    head: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    demographics: int


def read(data: bytes, suffix: str) -> KerasForm:
    """Read a Keras file.

    Args:
        data: the whole file, its hash compared before.
        suffix: ``".keras"`` or ``".h5"``.

    Raises:
        BadModel: it is damaged, holds what may not be opened, another network, or numbers that are not finite.
        ModelUnavailable: there is no room for it on this machine.
    """
    if suffix not in SUFFIXES or len(data) > MOST_BYTES:
        raise BadModel(f"A Keras file ends in {' or '.join(SUFFIXES)} and has at most {MOST_BYTES} bytes.", HINT)
    try:
        with tempfile.TemporaryDirectory(prefix="keras-") as folder:
            (Path(folder) / f"network{suffix}").write_bytes(data)
            _in_own_process(Path(folder), suffix)
            return _form(Path(folder))
    except OSError as error:
        raise ModelUnavailable(
            f"The Keras file cannot be unpacked: {reason(error)}", "Make room on the disk."
        ) from error


def _in_own_process(folder: Path, suffix: str) -> None:
    """Run `analyzer.keras_reader` on a private folder."""
    command = [sys.executable, "-m", READER, str(folder), suffix]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"KERAS_BACKEND": "openvino", "KERAS_HOME": str(folder), "TMPDIR": str(folder)}
    home = Path(__file__).resolve().parent.parent
    try:
        subprocess.run(
            command,
            cwd=home,
            env=environment,
            timeout=TIME_S,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BadModel(f"The Keras file was not read within {TIME_S} s.", HINT) from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise BadModel(f"Reading the Keras file ended early: {(last or ['killed'])[0]:.200}", HINT) from error


def _form(folder: Path) -> KerasForm:
    """What the reader left in the folder."""
    answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    if "refused" in answer:
        raise BadModel(answer["refused"], HINT)
    with np.load(folder / HEAD) as arrays:
        head = tuple((arrays[f"kernel_{index}"], arrays[f"bias_{index}"]) for index in range(len(arrays.files) // 2))
    return KerasForm((folder / XML).read_bytes(), (folder / WEIGHTS).read_bytes(), head, answer["demographics"])


def reason(error: BaseException) -> str:
    """The first line of an exception's text, short."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
