"""Crops of lesions -> ResNet50 in two phases: a head on the frozen backbone, then its last block `conv5` unfrozen at 1e-5.

Classes are weighed alike in both. The second phase is kept only if its class-weighed validation loss is the lower one.
Interrupted, each goes on with the epoch that was broken off.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from analyzer import preprocessing
from training import command, features, fine_tuning, heads, networks, pretext, tracking, weights
from training.command import BadInput
from training.data.augmentation import STANDARD
from training.dermaops import lesions
from training.dermaops.lesions import NETWORK, Lesions
from training.dermaops.settings import Settings
from training.heads import Indices, Recipe
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare

BACKBONE, LAST_BLOCK = "resnet", "conv5_"
UNITS, DROPOUT = (256,), (0.5,)
FROZEN, UNFROZEN = "frozen", "conv5"  # the phases; each has a folder of its own
FINETUNE_RATE, PATIENCE = 1e-5, 3
WEIGHTS_FILE = f"{BACKBONE}.weights.h5"
MACRO_F1, WEIGHTED_F1 = "macro_f1", "weighted_f1"


@dataclass(frozen=True, eq=False)
class Material:
    """What the network is trained on: (N, side, side, 3) uint8 crops of all pictures, and rows and truth of a part."""

    found: Lesions
    crops: NDArray[np.uint8]

    def of(self, part: str) -> tuple[Indices, Indices]:
        rows = self.found.rows(NETWORK, part)
        return rows, self.found.truth[rows]


def run(settings: Settings, found: Lesions) -> list[Path]:
    """Both phases; files with the weights of each, and history.json."""
    material = Material(found, lesions.crops_of(found.pictures, settings.side_px))
    network = built(settings.weights, len(found.classes), settings.side_px, backbone_file(settings, found))
    told = {FROZEN: frozen(network, material, settings)}
    made = [saved(network, settings, FROZEN)]
    if settings.finetune_epochs:
        told[UNFROZEN] = unfrozen(network, material, settings)
        made.append(saved(network, settings, UNFROZEN))
    with command.whole(settings.history) as path:
        path.write_text(json.dumps({"phases": told, "chosen": chosen(told)}, indent=1) + "\n", encoding="utf-8")
    return [*made, settings.history]


def check(choice: str) -> None:
    """See that weights can be used before anything costly is done.

    Raises:
        BadInput: the choice is neither a word that is known nor a folder with weights of ResNet50.
    """
    if choice not in (weights.IMAGENET, weights.NONE) and not (Path(choice) / WEIGHTS_FILE).is_file():
        raise BadInput(
            f"--weights {choice}: expected {Path(choice) / WEIGHTS_FILE}; name a folder with it, {weights.IMAGENET} or {weights.NONE}."
        )


def backbone_file(settings: Settings, found: Lesions) -> Path | None:
    """Weights of the backbone; those that start from nothing are learned from the training part. None: ImageNet's."""
    if settings.weights == weights.IMAGENET:
        return None
    if settings.weights != weights.NONE:
        return Path(settings.weights) / WEIGHTS_FILE
    kinds, parts = pretext.kinds_of(found.pictures), found.parts[NETWORK]
    crops = lesions.crops_of(found.pictures, preprocessing.SIDE_PX)
    home = settings.training / "backbone"
    return pretext.learn(BACKBONE, crops, kinds, parts, home, epochs=settings.pretext_epochs, seed=settings.seed)


def built(choice: str, classes: int, side_px: int, file: Path | None) -> keras.Model:
    """ResNet50 with these weights and a fresh head: `image` float32 (N, side, side, 3), RGB 0..255 -> probabilities (N, C).

    Raises:
        BadInput: the weights cannot be fetched, or are none of ResNet50.
    """
    try:
        backbone = networks.backbone(BACKBONE, side_px, weights.IMAGENET if file is None else None)
        if file is not None:
            backbone.load_weights(file)
    except Exception as error:  # Keras' loader raises a plain Exception when a download fails
        if command.is_full_disk(error):
            raise
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"--weights {choice}: cannot be used ({first:.200}); without internet use --weights {weights.NONE}, or a folder with "
            f"{WEIGHTS_FILE} of an earlier training."
        ) from error
    return headed(backbone, classes)


def headed(backbone: keras.Model, classes: int) -> keras.Model:
    """A backbone with a fresh head."""
    return keras.Model(backbone.input, networks.dense_head(backbone.output, classes, UNITS), name="dermaops")


def frozen(network: keras.Model, material: Material, settings: Settings) -> list[Row]:
    """Phase 1: the head learns from features of the frozen backbone, computed once; the network gets that head."""
    opened = features.opened(network, settings.cache)
    shelf = settings.cache / "features"
    rows, truth = material.of("train")
    told_rows, told = material.of("validation")
    learned, known = (
        features.of_crops(opened, [material.crops[row] for row in some], views, STANDARD, shelf)
        for some, views in ((rows, settings.views), (told_rows, 0))
    )
    recipe = Recipe(
        units=UNITS,
        dropout=DROPOUT,
        rate=settings.rate,
        batch=settings.batch,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    fitted = heads.fit(
        learned,
        truth,
        known,
        told,
        recipe,
        material.found.classes,
        work=settings.training / FROZEN,
        metrics=f1_scores(),
        callbacks=[tracking.Bar("frozen", settings.epochs)],
    )
    networks.take_head(network, heads.chain_of(fitted.model))
    return fitted.history


def unfrozen(network: keras.Model, material: Material, settings: Settings) -> list[Row]:
    """Phase 2: head and `conv5` learn from pixels, in small steps; the network gets the best epoch's weights."""
    work = settings.training / UNFROZEN
    rows, truth = material.of("train")
    told_rows, told = material.of("validation")
    given = [hashlib.sha256(np.ascontiguousarray(one)).hexdigest() for one in network.get_weights()]
    told_settings = {name: value for name, value in asdict(settings).items() if name in ("batch", "seed", "side_px")}
    asked = [given, rows.tolist(), told_rows.tolist(), told_settings, settings.finetune_epochs]
    prepare(work, hashlib.sha256(json.dumps(asked).encode()).hexdigest())
    keras.utils.set_random_seed(settings.seed)
    unfreeze(network)
    classes = len(material.found.classes)
    stream, known = (
        fine_tuning.Pixels(
            material.crops,
            some,
            *fine_tuning.balanced(labels, classes),
            settings.seed,
            moves=moves,
            batch=settings.batch,
        )
        for some, labels, moves in ((rows, truth, True), (told_rows, told, False))
    )
    logits = keras.Model(network.inputs[0], network.get_layer("logits").output)
    best = Best(work, PATIENCE)
    if not (work / FINISHED).is_file():
        logits.compile(
            keras.optimizers.Adam(FINETUNE_RATE),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=f1_scores(),
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
        logits.fit(
            stream,
            validation_data=known,
            epochs=settings.finetune_epochs,
            shuffle=False,  # the stream has an order of its own, which a resumed training finds again
            callbacks=[Paced(stream), best, backup(work / BACKUP), Told(settings.finetune_epochs)],
            verbose=0,
        )
        with command.whole(work / FINISHED) as path:
            path.write_text("{}")
    logits.load_weights(work / BEST)
    return best.history


def unfreeze(network: keras.Model) -> list[str]:
    """Let head and last block learn; names of the layers that do. Batch normalisations keep their means and variances."""
    for layer in network.layers:
        wanted = layer.name.startswith((LAST_BLOCK, "head_", "logits"))
        layer.trainable = wanted and not isinstance(layer, layers.BatchNormalization)
    return [layer.name for layer in network.layers if layer.trainable and layer.weights]


class Told(tracking.Bar):
    """A bar of the second phase, whose epochs are long: each is told."""

    def __init__(self, epochs: int) -> None:
        super().__init__(UNFROZEN, epochs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        super().on_epoch_end(epoch, logs)
        print(self._last, flush=True)


def f1_scores() -> list[keras.metrics.Metric]:
    """Of the most probable class, over unweighed pictures."""
    return [keras.metrics.F1Score("macro", name=MACRO_F1), keras.metrics.F1Score("weighted", name=WEIGHTED_F1)]


def chosen(phases: Mapping[str, Sequence[Row]]) -> str:
    """The phase with the lower class-weighed validation loss in its best epoch; the first one of equals."""
    return min(phases, key=lambda phase: min(row["val_loss"] for row in phases[phase]))


def weights_of(settings: Settings, phase: str) -> Path:
    return settings.training / f"{phase}.weights.h5"


def saved(network: keras.Model, settings: Settings, phase: str) -> Path:
    with command.whole(weights_of(settings, phase)) as path:
        network.save_weights(path)
    return weights_of(settings, phase)


def restored(settings: Settings, classes: int, phase: str) -> keras.Model:
    """The network as a phase left it."""
    network = headed(networks.backbone(BACKBONE, settings.side_px), classes)
    network.load_weights(weights_of(settings, phase))
    return network


def forget(settings: Settings) -> None:
    """Take away what trainings left, so that the next one begins anew."""
    shutil.rmtree(settings.training, ignore_errors=True)
