"""A trial's suggestions -> how a network is trained in it. The same parameters for every sampler, so that one study may mix them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna

from training.data.augmentation import STANDARD, Augmentation
from training.heads import Recipe
from training.recipes import Setting

RATE, DROPOUT, SMOOTHING = (
    (1e-4, 1e-2),
    (0.0, 0.6),
    (0.0, 0.1),
)  # smallest and largest; the rate is drawn by its logarithm
BATCHES = (16, 32, 64, 128)
HEADS: Mapping[str, tuple[int, ...]] = {
    "linear": (),
    "128": (128,),
    "256-128": (256, 128),
    "512-256-128": (512, 256, 128),
}
MILD = replace(STANDARD, rotation_deg=10.0, shift=0.05, zoom=(0.95, 1.1), brightness=0.08, contrast=(0.92, 1.1))
VIEWS: Mapping[str, tuple[int, Augmentation]] = {  # augmented views of each picture, and how strong
    "none": (0, STANDARD),
    "2 mild": (2, MILD),
    "2 standard": (2, STANDARD),
    "4 standard": (4, STANDARD),
}
GRID: Mapping[str, Sequence[str | float | bool]] = {  # 72 settings; twice as many with unfreezing
    "rate": (3e-4, 1e-3, 3e-3),
    "batch": (32, 128),
    "dropout": (0.3, 0.5),
    "head": ("256-128", "512-256-128"),
    "views": ("none", "2 mild", "2 standard"),
    "label_smoothing": (0.0,),
}


def suggested(trial: optuna.Trial, *, epochs: int, fine_tune: int, seed: int) -> Setting:
    """What a trial asks for.

    Args:
        epochs: most of a head.
        fine_tune: epochs on pixels where the trial unfreezes the top blocks; 0 = it is not asked.
    """
    units = HEADS[trial.suggest_categorical("head", list(HEADS))]
    views, augmentation = VIEWS[trial.suggest_categorical("views", list(VIEWS))]
    recipe = Recipe(
        units=units,
        dropout=(trial.suggest_float("dropout", *DROPOUT),) * len(units),
        rate=trial.suggest_float("rate", *RATE, log=True),
        batch=trial.suggest_categorical("batch", BATCHES),
        label_smoothing=trial.suggest_float("label_smoothing", *SMOOTHING),
        epochs=epochs,
        seed=seed,
    )
    unfreezes = bool(fine_tune) and trial.suggest_categorical("unfreeze", [False, True])
    return Setting(recipe, views, augmentation, fine_tune if unfreezes else 0)


def sampler(name: str, *, seed: int, done: int, fine_tune: int) -> optuna.samplers.BaseSampler:
    """Who chooses.

    Args:
        done: trials that there are: a study that goes on does not draw the same settings again.
    """
    if name == "grid":
        return optuna.samplers.GridSampler(_grid(fine_tune), seed=seed)
    kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    return kinds[name](seed=seed + done)


def grid_size(fine_tune: int) -> int:
    """Number of settings that the grid has."""
    return math.prod(len(values) for values in _grid(fine_tune).values())


def _grid(fine_tune: int) -> dict[str, Sequence[str | float | bool]]:
    return {**GRID, "unfreeze": (False, True)} if fine_tune else dict(GRID)


def pruner(name: str, epochs: int) -> optuna.pruners.BasePruner:
    """Who ends a trial whose best epoch so far is worse than those of others at the same epoch."""
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=min(5, epochs))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=min(3, epochs), max_resource=epochs)
    return optuna.pruners.NopPruner()
