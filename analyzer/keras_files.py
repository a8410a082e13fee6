"""Keras files, `.keras` and `.h5` of Keras 2 and 3: the OpenVINO graph and the dense head that serving needs of them.

They are read without Keras and TensorFlow, in a process of their own: its memory and time are bounded and given back, and a file that
brings it down takes nothing else with it (decision 0017). docs/keras-files.md lists what is taken.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analyzer import bounded_process
from analyzer.bounded_process import Limits, ProcessFailed
from analyzer.errors import BadModel, ModelUnavailable

SUFFIXES = (".keras", ".h5")
MOST_BYTES = (
    1 << 30
)  # of a file, and that all its numbers may announce; the ensemble has 0.12 GB, with an optimiser 0.36
TIME_S = 120  # that reading may take; it takes 2 s on two cores
MEMORY_BYTES = 4 << 30  # the ensemble needs 0.8 GB
XML, WEIGHTS, HEAD, ANSWER = "network.xml", "network.bin", "head.npz", "answer.json"
READER = "analyzer.keras_reader"
TOO_LARGE = "Save the network without its optimiser: network.save(path, include_optimizer=False)."
REPORT = "See docs/keras-files.md for what is taken; if the file is of that kind, report it with this sentence."


class DenseNumbers(NamedTuple):
    """A dense layer. Attributes: `kernel` (in, out) and `bias` (out,) float32; `activation`, names for all or each of the outputs."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class KerasForm:
    """What a Keras file holds.

    Attributes:
        xml, weights: OpenVINO's two files, f32. Input `image` uint8 (1, S, S, 3) RGB; outputs float32 `features` (1, D), and for
            each backbone in the order of its features `<name>_maps` (1, H, W, C), such as `efficientnet_maps` and `resnet_maps`.
            Features are one number for each map, or every number of the maps, rows before columns before channels.
        head: (kernel (in, out), bias (out,)) float32 of each dense layer, the last one gives the logits. The rows of the first
            kernel: features as above, then demographics.
        demographics: width of the second input; 0 = none.
        activations: between the layers, as `analyzer.head.Head` has them; empty = ReLU.
        ending: ``"softmax"``, ``"sigmoid"`` or ``"linear"``: what the network makes of its logits.
        single: the network has one output, which has become the logits of two classes, absent and present.
        keras: first number of the version that wrote the file, 2 or 3.
    """

    xml: bytes
    weights: bytes
    head: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    demographics: int
    activations: tuple[NDArray[np.str_], ...] = ()
    ending: str = "softmax"
    single: bool = False
    keras: int = 3

    @property
    def is_multilabel(self) -> bool:
        """Whether each class has a probability of its own, so that they do not sum to 1."""
        return self.ending == "sigmoid" and not self.single


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
        raise BadModel(f"A Keras file ends in {' or '.join(SUFFIXES)} and has at most {MOST_BYTES} bytes.", TOO_LARGE)
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
    limits = Limits(MEMORY_BYTES, 2 * TIME_S, TIME_S)
    try:
        bounded_process.run(READER, str(folder), suffix, folder=folder, limits=limits)
    except ProcessFailed as failure:
        if failure.is_late:
            raise BadModel(f"The Keras file was not read within {TIME_S} s.", REPORT) from failure
        cause = failure.last_line or failure.signal or "no reason was given"
        raise BadModel(f"Reading the Keras file ended early: {cause}", REPORT) from failure


def _form(folder: Path) -> KerasForm:
    """Return what the reader left in the folder."""
    answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    if "refused" in answer:
        raise BadModel(answer["refused"], answer["remedy"])
    with np.load(folder / HEAD) as arrays:
        count = len(arrays.files) // len(DenseNumbers._fields)
        head, activations = (
            [tuple(arrays[f"{part}_{place}"] for part in parts) for place in range(count)]
            for parts in (("kernel", "bias"), ("activation",))
        )
    return KerasForm(
        xml=(folder / XML).read_bytes(),
        weights=(folder / WEIGHTS).read_bytes(),
        head=tuple(head),
        activations=tuple(names for (names,) in activations[:-1]),
        **{name: answer[name] for name in ("demographics", "ending", "single", "keras")},
    )


def reason(error: BaseException) -> str:
    """Return the first line of an exception's text."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:500]
