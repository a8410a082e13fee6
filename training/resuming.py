"""A training that may end at any moment -> one that goes on as if it had not: its state, its best weights, its decisions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from training import command

FINISHED, HISTORY, BEST, BACKUP = "finished.json", "history.json", "best.weights.h5", "backup"
Row = dict[str, float]


class Stream(Protocol):
    """Batches that depend on nothing but a seed and the epoch."""

    seed: int
    epoch: int


def prepare(work: Path, fingerprint: str, results: Sequence[Path] = ()) -> None:
    """Take away what an earlier training left in its folder, and its results, unless it is the very same one."""
    kept = work / "fingerprint"
    if not kept.is_file() or kept.read_text() != fingerprint:
        for path in (work / FINISHED, work / HISTORY, work / BEST, *results):
            path.unlink(missing_ok=True)
        shutil.rmtree(work / BACKUP, ignore_errors=True)
        with command.whole(kept) as path:
            path.write_text(fingerprint)


def backup(folder: Path) -> keras.callbacks.BackupAndRestore:
    """Keras' backup after every epoch, kept twice; one that a sudden end left half written is put in order first."""
    metadata, weights = folder / "training_metadata.json", folder / "latest.weights.h5"
    try:
        if weights.exists():
            json.loads(metadata.read_text())
    except (OSError, ValueError):
        for path in (metadata, weights):
            earlier = path.with_name(f"{path.name}.bkp")
            path.unlink(missing_ok=True)
            if earlier.exists():
                shutil.copy(earlier, path)
    return keras.callbacks.BackupAndRestore(str(folder), double_checkpoint=True)


class Paced(keras.callbacks.Callback):
    """Tells a stream which epoch it is, and makes the dropout of an epoch depend on nothing else: backups lack its state."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.stream.epoch = epoch
        for place, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                layer.seed_generator.state.assign([self.stream.seed + epoch, place])


class Best(keras.callbacks.Callback):
    """Keeps the history and the weights of the best epoch, and ends the training when nothing gets better.

    Its state is the history alone, which lies in a file: a resumed training decides as an unbroken one would.

    Args:
        figure: what decides; the lower the better, or the higher where `highest`.
    """

    def __init__(self, work: Path, patience: int, figure: str = "val_loss", *, highest: bool = False) -> None:
        super().__init__()
        self.work, self.patience, self.figure, self.sign = work, patience, figure, -1 if highest else 1
        path = work / HISTORY
        self.history: list[Row] = json.loads(path.read_text()) if path.is_file() else []

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        del self.history[epoch:]  # an epoch that was not backed up is done again

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        row = {name: float(value) for name, value in (logs or {}).items()} | {"epoch": epoch, "learning_rate": rate}
        losses = [self.sign * one[self.figure] for one in self.history]
        loss = self.sign * row[self.figure]
        if not losses or loss < min(losses):
            with command.whole(self.work / BEST) as path:
                self.model.save_weights(path)
        self.history.append(row)
        with command.whole(self.work / HISTORY) as path:
            path.write_text(json.dumps(self.history))
        if waited([*losses, loss]) >= self.patience:
            self.model.stop_training = True


def waited(losses: Sequence[float]) -> int:
    """Epochs since the lowest loss."""
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0
