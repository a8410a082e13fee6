"""What Ray's workers run in tests: scorers and heads that can be watched, waited for and killed. Importable on every node."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from analyzer.values import ModelState
from training.command import BadInput
from training.scoring import photo_rows, scorer
from training.scoring.archive import Photo
from training.scoring.photo_rows import Row
from training.scoring.scorer import Job, Scorer

POISON, PAUSE_S = "poison.jpg", 0.05


class Watched(Scorer):
    """The real one; it leaves a file named after its process, in which its photos stand."""

    notes: Path

    def __call__(self, photo: Photo) -> Row:
        with (self.notes / str(os.getpid())).open("a") as file:
            file.write(f"{photo.path}\n")
        return super().__call__(photo)


def watched(notes: Path, job: Job) -> Scorer:
    Watched.notes = notes
    return scorer.agreeing(job, Watched)


class Quick:
    """No scorer at all: rows without a picture, and one photo on which the process ends."""

    model = ModelState(False, "a test")

    def __call__(self, photo: Photo) -> Row:
        time.sleep(PAUSE_S)
        if photo.path == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return photo_rows.failed(photo, None, "no_face", "A test.", self.model)


def quick(job: Job) -> Quick:
    return Quick()


class Patient(Quick):
    """Begins once a scorer was made on a certain node."""

    def __init__(self, notes: Path, node: str) -> None:
        import ray

        self._note = notes / node
        if ray.get_runtime_context().get_node_id() == node:
            self._note.touch()

    def __call__(self, photo: Photo) -> Row:
        while not self._note.exists():
            time.sleep(PAUSE_S)
        return super().__call__(photo)


def patient(notes: Path, node: str, job: Job) -> Patient:
    return Patient(notes, node)


def slow_square(notes: Path, number: int) -> int:
    """A task that leaves its process id."""
    (notes / f"{number}-{os.getpid()}").write_text("begun\n")
    time.sleep(0.2)
    return number * number


def failing(shared: None, number: int) -> int:
    raise BadInput(f"{number} is no good.")
