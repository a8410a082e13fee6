"""A backbone and its head + pixels -> both with the top blocks trained on: slow, small steps; whether that helps is asked afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from training import command, networks
from training.fine_tuning import BATCH, PATIENCE, RATE, Pixels
from training.heads import Chain, Indices
from training.multilabel import objective, severity_head
from training.multilabel.objective import Labels
from training.multilabel.severity_head import MACRO_F1, Judged, Recipe
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures of a part. Attributes: `rows`, of all crops; `labels`, of these."""

    rows: Indices
    labels: Labels


@dataclass(frozen=True, eq=False)
class Tuned:
    """A backbone whose top blocks were trained on, its head, and a row for each epoch."""

    backbone: keras.Model
    chain: Chain
    history: list[Row]


def tuned(
    backbone: keras.Model,
    chain: Chain,
    crops: NDArray[np.uint8],
    train: Shown,
    validation: Shown,
    recipe: Recipe,
    epochs: int,
    work: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Tuned:
    """Copies of a backbone and its head as they were best on validation; an interrupted training in `work` goes on."""
    prepare(work, _fingerprint(backbone, chain, crops, train, validation, recipe, epochs))
    keras.utils.set_random_seed(recipe.seed)
    network = joined(backbone, chain, train.labels.present.shape[1], recipe)
    networks.unfreeze_top(network)
    stream, checked = (
        Pixels(
            crops,
            part.rows,
            severity_head.targets_of(part.labels),
            np.ones(len(part.rows), np.float32),
            recipe.seed,
            moves=moves,
        )
        for part, moves in ((train, True), (validation, False))
    )
    judged = Judged(lambda one: np.asarray(one.predict(checked, verbose=0)), validation.labels)
    best = Best(work, PATIENCE, MACRO_F1, highest=True)
    if not (work / FINISHED).is_file():
        network.compile(
            keras.optimizers.AdamW(RATE, weight_decay=recipe.decay), objective.Loss(recipe.aim), jit_compile=False
        )
        network.fit(
            stream,
            validation_data=checked,
            epochs=epochs,
            shuffle=False,  # the stream has an order of its own, which a resumed training finds again
            callbacks=[Paced(stream), judged, best, backup(work / BACKUP), *callbacks],
            verbose=0,
        )
        with command.whole(work / FINISHED) as path:
            path.write_text(json.dumps({"epochs": len(best.history), "batch": BATCH}))
    network.load_weights(work / BEST)
    features = network.get_layer(f"{backbone.name}_features").output
    return Tuned(
        keras.Model(network.input, features, name=backbone.name), severity_head.chain_of(network), best.history
    )


def joined(backbone: keras.Model, chain: Chain, conditions: int, recipe: Recipe) -> keras.Model:
    """A copy: picture (N, S, S, 3) RGB 0..255 -> outputs (N, C (1 + S))."""
    copy = networks.backbone(backbone.name, backbone.input.shape[1])
    copy.set_weights(backbone.get_weights())
    answer = keras.Model(copy.input, severity_head.layers_on(copy.output, conditions, recipe))
    severity_head.take_chain(answer, chain, conditions)
    return answer


def _fingerprint(
    backbone: keras.Model,
    chain: Chain,
    crops: NDArray[np.uint8],
    train: Shown,
    validation: Shown,
    recipe: Recipe,
    epochs: int,
) -> str:
    digest = hashlib.sha256(json.dumps([asdict(recipe), epochs]).encode())
    parts = [
        array for one in (train, validation) for array in (crops[one.rows], one.labels.present, one.labels.severity)
    ]
    for array in (*backbone.get_weights(), *(one for layer in chain for one in layer), *parts):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
