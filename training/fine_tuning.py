"""A trained network + pixels -> the same network with its top blocks trained on: slow, small steps, kept only if it helps.

Batch normalisations stay as they are, so that a small batch cannot spoil them. On a GPU the arithmetic is mixed (float16 with
float32 weights); on a CPU it is float32, where mixed arithmetic only costs time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training import command, networks
from training.data.augmentation import STANDARD, drawn
from training.heads import Indices, balanced_weights
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare

RATE = 2e-5
BATCH = 16
PATIENCE = 3  # epochs without a better validation loss


class Pixels(keras.utils.PyDataset):
    """Batches of (B, S, S, 3) float32 pictures with targets and weights; augmented and in a new order every epoch.

    Args:
        crops: (M, S, S, 3) of which some `rows` are shown.
        targets, weights: (N, T) and (N,) float32 of each of these.
    """

    def __init__(
        self,
        crops: NDArray[np.uint8],
        rows: Sequence[int] | Indices,
        targets: NDArray[np.float32],
        weights: NDArray[np.float32],
        seed: int,
        *,
        moves: bool,
        batch: int = BATCH,
    ) -> None:
        super().__init__(workers=0)
        self.batch = batch
        self.crops, self.rows, self.seed, self.moves, self.epoch = crops, np.asarray(rows, np.intp), seed, moves, 0
        self.targets, self.weights = targets, weights

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        order = np.arange(len(self.rows))
        if self.moves:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        places = order[index * self.batch : (index + 1) * self.batch]
        pictures = np.stack([self._picture(place) for place in places]).astype(np.float32)
        return pictures, self.targets[places], self.weights[places]

    def _picture(self, place: int) -> NDArray[np.uint8]:
        crop = self.crops[self.rows[place]]
        return drawn(np.random.default_rng((self.seed, self.epoch, place)), crop, STANDARD) if self.moves else crop


def tuned(
    network: keras.Model,
    crops: NDArray[np.uint8],
    train: tuple[Sequence[int], Indices],
    validation: tuple[Sequence[int], Indices],
    *,
    epochs: int,
    seed: int,
    label_smoothing: float,
    work: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[keras.Model, list[Row]]:
    """A copy of a network with its top blocks trained on, as it was best on validation; the history.

    Args:
        network: a `hare_run` with trained backbones and head.
        crops: (N, S, S, 3) uint8.
        train, validation: rows among the crops, and the index of the class of each.
        work: folder of this training; an interrupted one goes on.
    """
    classes = network.output.shape[-1]
    given = "".join(hashlib.sha256(np.ascontiguousarray(one)).hexdigest() for one in network.get_weights())
    said = f"{given}{[*train[0]]}{[*validation[0]]}{epochs}{seed}{label_smoothing}"
    prepare(work, hashlib.sha256(said.encode()).hexdigest())
    keras.utils.set_random_seed(seed)
    copy = _copy(network, "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32")
    networks.unfreeze_top(copy)
    logits = keras.Model(copy.inputs, copy.get_layer("logits").output)
    stream, checked = (
        Pixels(crops, rows, *balanced(truth, classes), seed, moves=moves)
        for (rows, truth), moves in ((train, True), (validation, False))
    )
    best = Best(work, PATIENCE)
    if not (work / FINISHED).is_file():
        logits.compile(
            keras.optimizers.Adam(RATE),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
        logits.fit(
            stream,
            validation_data=checked,
            epochs=epochs,
            shuffle=False,  # the stream has an order of its own, which a resumed training finds again
            callbacks=[Paced(stream), best, backup(work / BACKUP), *callbacks],
            verbose=0,
        )
        with command.whole(work / FINISHED) as path:
            path.write_text("{}")
    logits.load_weights(work / BEST)
    answer = _copy(copy, "float32")
    return answer, best.history


def balanced(truth: Indices, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One-hot classes, and weights with which all classes count alike."""
    return keras.utils.to_categorical(truth, classes), balanced_weights(truth, classes).astype(np.float32)


def _copy(network: keras.Model, policy: str) -> keras.Model:
    """The same network, computing with another precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        units = tuple(len(bias) for _, bias in networks.head_of(network)[:-1])
        copy = networks.hare_run(network.output.shape[-1], side_px=network.input.shape[1], units=units)
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(network.get_weights())
    return copy
