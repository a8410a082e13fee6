"""Features of pictures and their views -> a dense head that answers conditions and severities, trained in seconds, resumed after any end.

Every epoch sees each training picture once, in one of its views. The epoch with the best macro-F1 on validation is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer.severity import GRADES, presence
from training import command, heads
from training.heads import Chain, Floats
from training.multilabel import objective, thresholds
from training.multilabel.objective import Aim, Labels
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare

MACRO_F1 = "val_macro_f1"  # with the best threshold of each condition
PRESENT, SEVERITY = "present", "severity"  # the last two layers


@dataclass(frozen=True)
class Recipe:
    """How a head is trained, with AdamW (Loshchilov & Hutter, ICLR 2019) and a rate that falls to nothing as a cosine.

    Attributes:
        units: of each dense layer.
        dropout: after each of them.
        decay: of the weights, as a part of them and of the rate.
        patience: epochs without a better macro-F1 on validation after which the training ends.
    """

    aim: Aim = field(default_factory=Aim)
    units: tuple[int, ...] = (256,)
    dropout: float = 0.4
    rate: float = 1e-3
    decay: float = 1e-2
    batch: int = 32
    epochs: int = 100
    patience: int = 15
    seed: int = command.SEED


@dataclass(frozen=True, eq=False)
class Known:
    """Pictures that are trained on or decide. Attributes: `features`, (N, V, D), the first view is the picture itself; `labels`."""

    features: NDArray[np.floating]
    labels: Labels


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained head: its dense layers, features (N, D) -> outputs of `objective`, and a row for each epoch."""

    chain: Chain
    history: list[Row]


def fit(
    train: Known,
    validation: Known,
    recipe: Recipe,
    work: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Train a head; one that was finished in `work` with the same data and recipe is given back at once."""
    prepare(work, _fingerprint(recipe, train, validation))
    keras.utils.set_random_seed(recipe.seed)
    scaling = heads.usual_range(train.features.reshape(-1, train.features.shape[2]))
    given = keras.Input((train.features.shape[2],), name="features")
    model = keras.Model(given, layers_on(given, train.labels.present.shape[1], recipe))
    stream = Views(train, scaling, recipe)
    checked = heads.scaled(validation.features[:, 0], *scaling)
    judged = Judged(lambda one: heads.logits_of(chain_of(one), checked), validation.labels)
    best = Best(work, recipe.patience, MACRO_F1, highest=True)
    if not (work / FINISHED).is_file():
        rate = keras.optimizers.schedules.CosineDecay(recipe.rate, recipe.epochs * len(stream))
        model.compile(
            keras.optimizers.AdamW(rate, weight_decay=recipe.decay),
            loss=objective.Loss(recipe.aim),
            jit_compile=False,  # compiling ahead takes longer than the whole training
        )
        with heads.keeping_memory():
            model.fit(
                stream,
                validation_data=(checked, targets_of(validation.labels)),
                validation_batch_size=512,
                epochs=recipe.epochs,
                shuffle=False,  # the stream has an order of its own, which a resumed training finds again
                callbacks=[Paced(stream), judged, best, backup(work / BACKUP), *callbacks],
                verbose=0,
            )
        with command.whole(work / FINISHED) as path:
            path.write_text(json.dumps({"epochs": len(best.history)}))
    model.load_weights(work / BEST)
    return Fitted(_unscaled(chain_of(model), scaling), best.history)


class Views(keras.utils.PyDataset):
    """Batches of one random view of every picture, in an order of their own; the same for the same epoch and seed."""

    def __init__(self, known: Known, scaling: tuple[Floats, Floats], recipe: Recipe) -> None:
        super().__init__(workers=0)
        self.known, self.scaling, self.batch = known, scaling, recipe.batch
        self.targets = targets_of(known.labels)
        self.seed, self.epoch = recipe.seed, 0

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch)

    def __getitem__(self, index: int) -> tuple[Floats, Floats]:
        count, views = self.known.features.shape[:2]
        rng = np.random.default_rng((self.seed, self.epoch))
        order, view = rng.permutation(count), rng.integers(0, views, count)
        rows = order[index * self.batch : (index + 1) * self.batch]
        return heads.scaled(self.known.features[rows, view[rows]], *self.scaling), self.targets[rows]


class Judged(keras.callbacks.Callback):
    """Tells every epoch's macro-F1 on validation, with the best threshold of each condition, as `MACRO_F1`.

    Args:
        outputs: of a model to the validation pictures.
    """

    def __init__(self, outputs: Callable[[keras.Model], Floats], labels: Labels) -> None:
        super().__init__()
        self.outputs, self.labels = outputs, labels

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        shares = presence(self.outputs(self.model), self.labels.present.shape[1], 1.0)
        told = {} if logs is None else logs
        told[MACRO_F1] = thresholds.best_macro_f1(shares, self.labels.present)


def targets_of(labels: Labels) -> Floats:
    return objective.packed(labels, objective.severity_weights(labels.severity))


def layers_on(given: keras.KerasTensor, conditions: int, recipe: Recipe) -> keras.KerasTensor:
    """(N, C (1 + S)) outputs of features."""
    x = given
    for place, units in enumerate(recipe.units):
        x = keras.layers.Dense(units, activation="relu", name=f"head_{place}")(x)
        x = keras.layers.Dropout(recipe.dropout, name=f"head_{place}_dropout")(x)
    if recipe.aim.severity == "coral":
        how_much = objective.Cumulative(conditions, name=f"head_{SEVERITY}")(x)
    else:
        how_much = keras.layers.Dense(conditions * GRADES, name=f"head_{SEVERITY}")(x)
    present = keras.layers.Dense(conditions, name=f"head_{PRESENT}")(x)
    return keras.layers.Concatenate(name="logits")([present, how_much])


def chain_of(model: keras.Model) -> Chain:
    """The head of a model as plain dense layers, the last one wide enough for all outputs."""
    hidden = [layer for layer in model.layers if layer.name.startswith("head_") and layer.name[5:].isdigit()]
    inner = [tuple(layer.get_weights()) for layer in hidden]
    kernel, bias = model.get_layer(f"head_{PRESENT}").get_weights()
    graded, shifts = model.get_layer(f"head_{SEVERITY}").get_weights()
    each = len(shifts) // graded.shape[1]  # 3 of a shared kernel, 1 of a dense layer
    last = np.concatenate([kernel, np.repeat(graded, each, axis=1)], axis=1), np.concatenate([bias, shifts])
    return (*inner, last)  # type: ignore[return-value]  # pairs


def take_chain(model: keras.Model, chain: Chain, conditions: int) -> None:
    """Give a model's head the numbers of `chain_of`."""
    for place, layer in enumerate(chain[:-1]):
        model.get_layer(f"head_{place}").set_weights(layer)
    kernel, bias = chain[-1]
    model.get_layer(f"head_{PRESENT}").set_weights([kernel[:, :conditions], bias[:conditions]])
    severity = model.get_layer(f"head_{SEVERITY}")
    each = GRADES - 1 if isinstance(severity, objective.Cumulative) else 1
    severity.set_weights([kernel[:, conditions::each], bias[conditions:]])


def _unscaled(chain: Chain, scaling: tuple[Floats, Floats]) -> Chain:
    """The first layer takes over the scaling, so that the network needs no layer for it."""
    (kernel, bias), *rest = chain
    middle, spread = scaling
    own = kernel / spread[:, None]
    return ((own, bias - middle @ own), *rest)


def _fingerprint(recipe: Recipe, *given: Known) -> str:
    digest = hashlib.sha256(json.dumps(asdict(recipe)).encode())
    for known in given:
        for array in (known.features, known.labels.present, known.labels.severity):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
