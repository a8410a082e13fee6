"""A setting -> how well a network that was trained so does on validation. The part "test" never comes here."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import optuna
from numpy.typing import NDArray

from analyzer.artefact import EARNED
from training import evaluate, features, fine_tuning, heads, networks
from training.cluster import HERE, Pool
from training.data.prepared import Prepared
from training.evaluation.scores import BALANCED
from training.recipes import Setting

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Material:
    """What every trial is made of.

    Attributes:
        prepared: all pictures.
        rows: part → labelled pictures, of "train" and "validation" only.
        truth: part → (N,) index of the class.
        network: with the backbones, its head untrained.
        backbones: the same, compiled; None where features are given.
        cache: folder of the kept features.
    """

    classes: tuple[str, ...]
    prepared: Prepared | None
    rows: Mapping[str, Rows]
    truth: Mapping[str, Rows]
    network: keras.Model | None
    backbones: features.Backbones | None
    cache: Path

    @property
    def digest(self) -> str:
        """Tells whether two searches can be compared: same pictures, parts, classes and backbones."""
        pictures = {name: [self.prepared.facts[row].sha256 for row in rows] for name, rows in self.rows.items()}
        text = json.dumps([self.classes, pictures, self.backbones.digest])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def known(self, setting: Setting, pool: Pool = HERE) -> dict[str, NDArray[np.float16]]:
        """Part → features; what is not kept is computed in the pool."""
        return {part: self.of(part, setting, pool) for part in ("train", "validation")}

    def of(self, part: str, setting: Setting, pool: Pool = HERE) -> NDArray[np.float16]:
        """(N, 1 + views, 3328) features of a part; validation has no views."""
        views = setting.views if part == "train" else 0
        rows = self.rows[part]
        augmentation = setting.augmentation
        return features.features_of(self.backbones, self.prepared, rows, views, augmentation, self.cache, pool=pool)

    def sent(self, *, pixels: bool) -> Material:
        """What another machine needs beside features: the pictures only for trials that unfreeze."""
        return replace(self, backbones=None) if pixels else replace(self, backbones=None, network=None, prepared=None)


@dataclass(frozen=True, eq=False)
class Objective:
    """What is to be as high as possible: `name` of the figure, and how it is told of (N,) answers to the validation pictures."""

    name: str
    measure: Callable[[Rows], float]


def objective(material: Material) -> Objective:
    """Source-matched balanced accuracy where several sources hold several classes, else balanced accuracy."""
    truth = material.truth["validation"]
    sources = np.array([material.prepared.pictures[row].source for row in material.rows["validation"]])
    everyone = np.arange(len(truth))
    several = [one for one in np.unique(sources) if len(np.unique(truth[sources == one])) > 1]
    if len(several) > 1:
        return Objective(EARNED, lambda told: evaluate.source_matched(truth, told, sources)(everyone))
    return Objective(BALANCED, lambda told: evaluate.balanced_accuracy(truth, told)(everyone))


class Pruning(keras.callbacks.Callback):
    """Reports every epoch's balanced accuracy on validation; ends the trial when the study says so.

    Validation counts every class alike (`heads.Recipe.class_weights`), so that its accuracy is the balanced one.

    Raises:
        optuna.TrialPruned: at the end of an epoch.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.trial.report(float((logs or {})["val_accuracy"]), epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def value_of(
    trial: optuna.Trial,
    setting: Setting,
    material: Material,
    known: Mapping[str, NDArray[np.float16]],
    aim: Objective,
    work: Path,
) -> float:
    """Train as a setting says; the objective. What an earlier, killed trial of the same setting left in `work` is gone on with.

    Args:
        known: `material.known` of the setting.

    Raises:
        optuna.TrialPruned: it had no hope.
    """
    folder = work / hashlib.sha256(json.dumps(asdict(setting)).encode()).hexdigest()[:16]
    try:
        fitted = heads.fit(
            known["train"],
            material.truth["train"],
            known["validation"],
            material.truth["validation"],
            setting.recipe,
            material.classes,
            work=folder / "head",
            callbacks=[Pruning(trial)],
        )
    except optuna.TrialPruned:
        shutil.rmtree(folder)
        raise
    chain = heads.chain_of(fitted.model)
    logits = heads.logits_of(chain, known["validation"][:, 0])
    if setting.fine_tune:
        logits = _unfrozen(chain, setting, material, folder)
    trial.set_user_attr("epochs", len(fitted.history))
    shutil.rmtree(folder)
    return aim.measure(logits.argmax(axis=1))


def _unfrozen(chain: heads.Chain, setting: Setting, material: Material, folder: Path) -> NDArray[np.float32]:
    """(N, C) what the network answers to the validation pictures once its top blocks were trained on."""
    network = networks.hare_run(len(material.classes), units=setting.recipe.units)
    networks.take_backbones(network, material.network)
    networks.take_head(network, chain)
    crops = material.prepared.crops
    parts = [(material.rows[part], material.truth[part]) for part in ("train", "validation")]
    tuned, _ = fine_tuning.tuned(
        network,
        crops,
        *parts,
        epochs=setting.fine_tune,
        seed=setting.recipe.seed,
        label_smoothing=setting.recipe.label_smoothing,
        work=folder / "fine_tuning",
    )
    shown = crops[material.rows["validation"]].astype(np.float32)
    return np.asarray(tuned.predict(shown, batch_size=16, verbose=0), np.float32)
