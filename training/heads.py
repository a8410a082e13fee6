"""Features of pictures and their views -> a dense head that answers logits, trained in seconds, resumed after any end.

Every epoch sees each training picture once, in one of its views. The best epoch on validation is kept; all that a later
call needs to go on lies in the folder `work`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from training import command
from training.data import sampling
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare

MEMBERS: Mapping[str, slice] = {"EfficientNetB0": slice(0, 1280), "ResNet50": slice(1280, 3328)}
PLATEAU_PATIENCE, PLATEAU_FACTOR, PLATEAU_LEAST = 5, 0.5, 1e-4  # as keras.callbacks.ReduceLROnPlateau counts
LEAST_DEVIATION = 1e-3  # of a feature; those that hardly change are not blown up
LEAST_SHARE = 0.5  # of its standard deviation
MOST_DEVIATIONS = 5.0  # of a training feature from its median
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3), and what they usually are
USUAL_TRIM_THRESHOLD, USUAL_MMAP_MAX = 128 * 1024, 65536
KEPT_BYTES = 1 << 30
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Chain = tuple[tuple[Floats, Floats], ...]  # (kernel, bias) of each dense layer; ReLU between, the last gives logits


@dataclass(frozen=True)
class Recipe:
    """How a head is trained, with Adam on categorical cross-entropy.

    Attributes:
        units, dropout: of each dense layer, and the dropout after it.
        schedule: ``"cosine"`` falls to nothing over all epochs; ``"plateau"`` halves the rate after 5 epochs without gain.
        patience: epochs without a better validation loss after which the training ends.
        class_weights: every class counts alike, in training and on validation.
        demographics_dropout: chance that one thing said (age, gender, ethnicity, Fitzpatrick type) is hidden, each by itself.
        demographics_silence: chance that all of it is hidden.
    """

    units: tuple[int, ...] = (512, 256, 128)
    dropout: tuple[float, ...] = (0.5, 0.5, 0.3)
    rate: float = 1e-3
    schedule: str = "cosine"
    batch: int = 32
    epochs: int = 100
    patience: int = 10
    label_smoothing: float = 0.0
    class_weights: bool = True
    demographics_dropout: float = sampling.HIDDEN_ONE
    demographics_silence: float = sampling.HIDDEN_ALL
    seed: int = command.SEED


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained head. Attributes: `model`, features (N, D)[, demographics (N, 12)] -> logits (N, C); `history`, a row an epoch."""

    model: keras.Model
    history: list[Row]


def fit(
    features: NDArray[np.floating],
    truth: Indices,
    validation_features: NDArray[np.floating],
    validation_truth: Indices,
    recipe: Recipe,
    classes: Sequence[str],
    *,
    demographics: Floats | None = None,
    validation_demographics: Floats | None = None,
    sample_weights: NDArray[np.floating] | None = None,
    work: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    metrics: Sequence[keras.metrics.Metric] = (),
) -> Fitted:
    """Train a head; one that was finished in `work` with the same data and recipe is given back at once.

    Args:
        features: (N, V, D) of N pictures in V views, the first of them the picture itself; or (N, D).
        truth: (N,) index of the class.
        validation_features: (M, V, D), of which the first view is used; or (M, D).
        demographics: (N, 12) float32 by `analyzer.preprocessing.demographics_vector`, as a second input.
        sample_weights: (N,) in place of the recipe's class weights.
        work: folder for the state of this one training.
        callbacks: further ones, such as TensorBoard.
        metrics: further figures of the history, of unweighed pictures.
    """
    features = features if features.ndim == 3 else features[:, None]
    validation_features = validation_features if validation_features.ndim == 2 else validation_features[:, 0]
    weights = np.ones(len(truth)) if not recipe.class_weights else balanced_weights(truth, len(classes))
    weights = weights if sample_weights is None else np.asarray(sample_weights, np.float64)
    given = [features, truth, validation_features, validation_truth, weights, demographics, validation_demographics]
    prepare(work, _fingerprint(recipe, classes, given))
    keras.utils.set_random_seed(recipe.seed)
    scaling = usual_range(features.reshape(-1, features.shape[2]))
    model = _model(features.shape[2], 0 if demographics is None else demographics.shape[1], len(classes), recipe)
    batches = Batches(features, demographics, truth, weights, scaling, len(classes), recipe)
    best = Best(work, recipe.patience)
    if not (work / FINISHED).is_file():
        model.compile(
            keras.optimizers.Adam(_rate(recipe, len(batches))),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
            metrics=list(metrics),
            weighted_metrics=["accuracy"],
            jit_compile=False,  # compiling ahead takes longer than the whole training
        )
        known = [scaled(validation_features, *scaling)]
        known += [] if validation_demographics is None else [validation_demographics]
        counted = np.ones(len(validation_truth))
        if recipe.class_weights:
            counted = balanced_weights(validation_truth, len(classes))
        with keeping_memory():
            model.fit(
                batches,
                validation_data=(
                    known if len(known) > 1 else known[0],
                    keras.utils.to_categorical(validation_truth, len(classes)),
                    counted,
                ),
                validation_batch_size=512,
                epochs=recipe.epochs,
                shuffle=False,  # the stream has an order of its own, which a resumed training finds again
                callbacks=[Paced(batches), best, backup(work / BACKUP), *_plateau(recipe, best), *callbacks],
                verbose=0,
            )
        with command.whole(work / FINISHED) as path:
            path.write_text(json.dumps({"epochs": len(best.history)}))
    model.load_weights(work / BEST)
    return Fitted(_unscaled(model, scaling), best.history)


class Batches(keras.utils.PyDataset):
    """Batches of one random view of every picture, in an order of their own; the same for the same epoch and seed."""

    def __init__(
        self,
        features: NDArray[np.floating],
        demographics: Floats | None,
        truth: Indices,
        weights: NDArray[np.float64],
        scaling: tuple[Floats, Floats],
        classes: int,
        recipe: Recipe,
    ) -> None:
        super().__init__(workers=0)
        self.features, self.demographics, self.weights, self.scaling = features, demographics, weights, scaling
        self.truth = keras.utils.to_categorical(truth, classes)
        self.recipe, self.seed, self.epoch = recipe, recipe.seed, 0
        self._drawn = -1

    def __len__(self) -> int:
        return -(-len(self.truth) // self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[tuple[Floats, ...] | Floats, Floats, Floats]:
        order, views, hidden = self._draw()
        rows = order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
        features = scaled(self.features[rows, views[rows]], *self.scaling)
        given = features
        if self.demographics is not None:
            given = (features, self.demographics[rows] * ~hidden[rows])
        return given, self.truth[rows], self.weights[rows].astype(np.float32)

    def _draw(self) -> tuple[Indices, Indices, NDArray[np.bool_]]:
        """Order of the pictures, the view of each, and what of its demographics is hidden, for this epoch."""
        if self._drawn != self.epoch:
            rng = np.random.default_rng((self.seed, self.epoch))
            count, views = self.features.shape[:2]
            self._answer = (
                rng.permutation(count),
                rng.integers(0, views, count),
                sampling.hidden(rng, count, self.recipe.demographics_dropout, self.recipe.demographics_silence),
            )
            self._drawn = self.epoch
        return self._answer


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Meanwhile freed blocks of any size are used again instead of given back to the system; without glibc nothing happens.

    In every step of a head TensorFlow frees and asks for dozens of megabytes. As pages that are new each time they cost more than
    the arithmetic: three epochs of the default head took 17 s of processor time so, and 10 s with the pages kept.
    """
    system = ctypes.CDLL(None)
    if not hasattr(system, "mallopt"):
        yield
        return
    system.mallopt(M_MMAP_MAX, 0)
    system.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        system.mallopt(M_MMAP_MAX, USUAL_MMAP_MAX)
        system.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM_THRESHOLD)
        system.malloc_trim(0)


def usual_range(features: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Median and robust deviation of each feature of (N, D): 1.4826 times the median absolute deviation.

    Features that are nothing on most pictures have no median deviation; half their standard deviation is the least, so that what
    is fitted on clipped features does not run wild on those that are served as they are.
    """
    known = features.astype(np.float32)
    middle = np.median(known, axis=0)
    robust = 1.4826 * np.median(np.abs(known - middle), axis=0)
    return middle, np.maximum(robust, LEAST_SHARE * known.std(axis=0)) + np.float32(LEAST_DEVIATION)


def clipped(features: NDArray[np.floating], middle: Floats, spread: Floats) -> Floats:
    """Features brought back to the usual range, so that a few wild pictures do not rule what is fitted."""
    reach = MOST_DEVIATIONS * spread
    return np.clip(features.astype(np.float32), middle - reach, middle + reach, dtype=np.float32)


def scaled(features: NDArray[np.floating], middle: Floats, spread: Floats) -> Floats:
    """Clipped features in deviations from their median."""
    return (clipped(features, middle, spread) - middle) / spread


def balanced_weights(truth: Indices, classes: int) -> NDArray[np.float64]:
    """(N,) weights with which every class counts alike; their mean is 1."""
    counts = np.bincount(truth, minlength=classes)
    return len(truth) / (np.count_nonzero(counts) * counts[truth])


def plateau_rate(rate: float, losses: Sequence[float]) -> float:
    """The rate after these validation losses: halved whenever 5 epochs brought no gain, as ReduceLROnPlateau does."""
    best, without = float("inf"), 0
    for loss in losses:
        best, without = (loss, 0) if loss < best - PLATEAU_LEAST else (best, without + 1)
        if without >= PLATEAU_PATIENCE:
            rate, without = rate * PLATEAU_FACTOR, 0
    return rate


def chain_of(model: keras.Model) -> Chain:
    """The dense layers of a head, in order."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    return tuple((kernel, bias) for kernel, bias in (layer.get_weights() for layer in layers))


def logits_of(chain: Chain, features: NDArray[np.floating], demographics: Floats | None = None) -> Floats:
    """(N, C) float32 of (N, D) features and, where the head takes them, (N, 12) demographics."""
    x = features.astype(np.float32)
    x = x if demographics is None else np.concatenate([x, demographics], axis=1)
    for place, (kernel, bias) in enumerate(chain):
        x = (np.maximum(x, 0) if place else x) @ kernel + bias
    return x


def _model(width: int, said: int, classes: int, recipe: Recipe) -> keras.Model:
    given = [keras.Input((width,), name="features")] + ([keras.Input((said,), name="demographics")] if said else [])
    x = keras.layers.Concatenate()(given) if said else given[0]
    for place, (units, dropout) in enumerate(zip(recipe.units, recipe.dropout, strict=True)):
        x = keras.layers.Dense(units, activation="relu", name=f"head_{place}")(x)
        x = keras.layers.Dropout(dropout, name=f"head_{place}_dropout")(x)
    return keras.Model(given if said else given[0], keras.layers.Dense(classes, name="logits")(x))


def _unscaled(model: keras.Model, scaling: tuple[Floats, Floats]) -> keras.Model:
    """The first layer takes over the scaling, so that the network needs no layer for it."""
    middle, spread = scaling
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    kernel, bias = first.get_weights()
    own = kernel[: len(middle)] / spread[:, None]
    first.set_weights([np.concatenate([own, kernel[len(middle) :]]), bias - middle @ own])
    return model


def _rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(recipe.rate, recipe.epochs * steps)
    return recipe.rate


def _plateau(recipe: Recipe, best: Best) -> list[keras.callbacks.Callback]:
    if recipe.schedule != "plateau":
        return []
    rate: Callable[[int], float] = lambda _: plateau_rate(recipe.rate, [row["val_loss"] for row in best.history])  # noqa: E731
    return [keras.callbacks.LearningRateScheduler(rate)]


def _fingerprint(recipe: Recipe, classes: Sequence[str], given: Sequence[NDArray[np.generic] | None]) -> str:
    digest = hashlib.sha256(json.dumps([asdict(recipe), list(classes)]).encode())
    for array in given:
        digest.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    return digest.hexdigest()
