"""Stage 3: the parts of the pictures -> the baseline's answers, and the weights of both phases of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.dermaops import baseline, checkpoints, finetune, lesions
from training.dermaops.settings import Settings

VERSION = 1  # of what is made here
SAID = ("side_px", "views", "epochs", "finetune_epochs", "batch", "rate", "pretext_epochs", "repeats", "seed")


def inputs(settings: Settings) -> str:
    finetune.check(settings.weights)
    file = Path(settings.weights) / finetune.WEIGHTS_FILE
    known = checkpoints.content(file) or settings.weights
    return checkpoints.fingerprint(VERSION, known, {name: getattr(settings, name) for name in SAID})


def run(settings: Settings) -> Sequence[Path]:
    """Fit the random forest on both splits, then train the network.

    Raises:
        BadInput: the weights cannot be used.
    """
    found = lesions.read(settings.lesions)
    colours = np.load(settings.colours)
    told = baseline.run(found, colours, settings.forest, repeats=settings.repeats, seed=settings.seed)
    return [told, *finetune.run(settings, found)]


def forget(settings: Settings) -> None:
    finetune.forget(settings)
    settings.forest.unlink(missing_ok=True)
