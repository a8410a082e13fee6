"""Artefacts opened: a new one first in a bounded process of its own, then in the process that serves it.

What a graph does when it is compiled and run is native code of the inference runtime: it can divide by zero, read beyond its memory, take
all of it, or never end. The trial does everything with an artefact that serving does, so that this happens to the trial's process.

Run:     python -m analyzer.opening FOLDER, by `analyzer.bounded_process`
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyzer import bounded_process, preprocessing
from analyzer.bounded_process import Limits, ProcessFailed
from analyzer.errors import BadModel, CrashingModel, ModelUnavailable
from analyzer.values import Demographics, Rgb

if TYPE_CHECKING:
    from analyzer.artefact import Artefact

TRIAL = "analyzer.opening"
LIMITS = Limits(memory_bytes=2 << 30, cpu_s=60, wall_s=300.0)  # the bundled artefact takes 0.5 GB and 1 s on two cores
REQUEST, ANSWER = "request.json", "answer.json"
HINT = "Publish another version; see docs/deploy.md."
ROOM_HINT = "Make room in memory and in TMPDIR; it is tried again at the next look."
ALLOCATION = ("Failed to allocate", "bad_alloc", "bad allocation")  # words of failed allocations
SEED = 0  # of the noise that is shown in a trial


@dataclass(frozen=True)
class Source:
    """What is to be opened, and how.

    Attributes:
        path: folder with a card, or a bare Keras file.
        sha256: of a bare file, else None.
        classes: names of a bare file's outputs, in their order.
        precision: one of `analyzer.settings.MODEL_PRECISIONS`.
    """

    path: Path
    sha256: str | None
    classes: Sequence[str]
    precision: str


def open_artefact(source: Source) -> Artefact:
    """Open an artefact in this process; the inference runtime is loaded now and not before.

    Raises:
        ModelUnavailable: (or BadModel) it is missing, damaged, of another shape, or fails its self-test.
    """
    from analyzer import artefact

    if source.sha256 is None:
        return artefact.open_folder(source.path, precision=source.precision)
    data = source.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise BadModel(f"{source.path.name} changed after it was verified.", HINT)
    return artefact.open_bare(data, source.path.suffix, source.sha256, source.classes, precision=source.precision)


def try_artefact(source: Source, stopped: threading.Event | None = None) -> str:
    """Open an artefact in a process of its own and let it answer to pictures.

    Args:
        stopped: set when this process stops, to give the trial up.

    Returns:
        What the self-test showed, and the precision that passed.

    Raises:
        CrashingModel: it ended the process, or needs more memory or time than an artefact may.
        BadModel: it cannot be opened, or fails its self-test.
        ModelUnavailable: it could not be tried now.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="trial-") as name:
            folder = Path(name)
            (folder / REQUEST).write_text(json.dumps(_document(source)), encoding="utf-8")
            bounded_process.run(TRIAL, name, folder=folder, limits=LIMITS, stopped=stopped)
            answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    except ProcessFailed as failure:
        raise _translated(failure) from failure
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"The artefact cannot be tried now ({type(error).__name__}).", ROOM_HINT) from error
    if "refused" in answer:
        raise (CrashingModel if answer["crashed"] else BadModel)(answer["refused"], answer["remedy"])
    return str(answer["passed"])


def _translated(failure: ProcessFailed) -> ModelUnavailable:
    """A trial that did not end well: what is the artefact's fault, and what may be that of a machine that is short of something."""
    if failure.signal == "SIGXCPU":
        return CrashingModel(f"The artefact had not answered after {LIMITS.cpu_s} s of processor time.", HINT)
    if failure.is_late:
        return ModelUnavailable("The trial of the artefact did not end in time, or the service stopped.", ROOM_HINT)
    if failure.signal == "SIGKILL":
        return ModelUnavailable("The trial of the artefact was killed; perhaps memory ran out.", ROOM_HINT)
    if failure.signal:
        return CrashingModel(f"The artefact crashes ({failure.signal}).", HINT)
    return BadModel(f"The artefact cannot be tried ({failure.last_line or 'no reason was given'}).", HINT)


def _document(source: Source) -> dict[str, Any]:
    return {
        "path": str(source.path.resolve()),
        "sha256": source.sha256,
        "classes": list(source.classes),
        "precision": source.precision,
    }


def main(folder: Path) -> None:
    """Do the trial that is asked for in a folder, and write its answer there."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    source = Source(**{**request, "path": Path(request["path"])})
    (folder / ANSWER).write_text(json.dumps(_verdict(source)), encoding="utf-8")


def _verdict(source: Source) -> dict[str, Any]:
    try:
        opened = open_artefact(source)
        for picture in _extreme_pictures(opened):
            opened.predict(picture, Demographics())
        return {"passed": f"{opened.self_test}, precision {opened.precision}"}
    except Exception as error:  # whatever it is, the artefact is not fit to serve
        remedy = error.hint if isinstance(error, ModelUnavailable) else HINT
        return {"refused": _reason(error), "remedy": remedy, "crashed": _lacks_memory(error)}


def _reason(error: Exception) -> str:
    if _lacks_memory(error):
        return f"The artefact needs more than {LIMITS.memory_bytes >> 20} MiB of memory."
    return (
        error.message
        if isinstance(error, ModelUnavailable)
        else f"The artefact cannot be opened ({type(error).__name__})."
    )


def _lacks_memory(error: BaseException) -> bool:
    """Whether a failure is that of an allocation; the runtime raises its own kind, which a refusal may have as its cause."""
    texts = (str(error), str(error.__cause__))
    return isinstance(error, MemoryError) or any(word in text for text in texts for word in ALLOCATION)


def _extreme_pictures(opened: Artefact) -> list[Rgb]:
    """Pictures beside the golden ones, at which a graph may fail: black, white, noise."""
    side = next(iter(opened.network.inputs.values()))[0][1] or preprocessing.SIDE_PX
    noise = np.random.default_rng(SEED).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return [np.zeros_like(noise), np.full_like(noise, 255), noise]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
