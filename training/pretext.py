"""Crops -> the weights of both backbones, learned from scratch where no ImageNet weights are wanted or to be had.

Each backbone alone learns to tell the classes *of one source* from each other: the softmax of a picture runs over the
pretexts of its own source only, so that nothing is gained by recognising a source. It sees windows of the 224 px crop at
about its own scale, so that full crops fit later without training at full size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from analyzer.values import Rgb
from training import networks
from training.data.degradations import degrade
from training.data.skin_pictures import Example

HIDDEN = -30.0  # logit of a class of another source


@dataclass(frozen=True)
class Course:
    """How one backbone is trained: side of its windows, epochs over all pictures, batch, peak rate of AdamW."""

    side_px: int
    epochs: int
    batch: int
    rate: float


COURSES = {"efficientnet": Course(64, 8, 32, 1.5e-3), "resnet": Course(96, 3, 32, 1e-3)}
WEIGHT_DECAY = 0.02
WINDOW = (0.8, 1.6)  # side of the window in px of the crop, over the side that the network sees
SETTLING_BATCHES, SETTLING_BATCH, SETTLING_MOMENTUM = 30, 16, 0.85
SEED = 11


def learn(
    name: str, examples: Sequence[Example], crops: NDArray[np.uint8], work: Path, epochs: int | None = None
) -> Path:
    """Train one backbone; the file with its weights. A file that is there is kept; an interrupted training goes on.

    Args:
        name: ``"efficientnet"`` or ``"resnet"``.
        examples: all, of every part; "train" is trained on, "validation" is told after every epoch.
        crops: (N, 224, 224, 3) uint8, theirs.
        work: folder for weights and checkpoints.
        epochs: other than usual.
    """
    weights = work / f"{name}.weights.h5"
    if weights.is_file():
        return weights
    course = COURSES[name]
    epochs = epochs or course.epochs
    keras.utils.set_random_seed(SEED)
    pretexts = sorted({example.pretext for example in examples})
    backbone = networks.backbone(name, course.side_px)
    network = keras.Model(backbone.input, keras.layers.Dense(len(pretexts), name="pretext")(backbone.output))
    stream = Windows(examples, crops, "train", pretexts, course)
    rate = keras.optimizers.schedules.CosineDecay(
        course.rate / 20, len(stream) * (epochs - 1), warmup_target=course.rate, warmup_steps=len(stream)
    )
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=5.0),
        loss=within_source_loss,
        metrics=[within_source_accuracy],
        jit_compile=False,  # compiling ahead takes longer than it saves on a CPU
    )
    network.fit(
        stream,
        epochs=epochs,
        validation_data=Windows(examples, crops, "validation", pretexts, course),
        callbacks=[
            keras.callbacks.BackupAndRestore(str(work / f"{name}_backup"), delete_checkpoint=False),
            keras.callbacks.CSVLogger(str(work / f"{name}_pretext.csv"), append=True),
        ],
        verbose=2,
    )
    own = [crop for crop, example in zip(crops, examples, strict=True) if example.part == "train"]
    settled(name, backbone, np.stack(own)).save_weights(weights)
    return weights


def settled(name: str, trained: keras.Model, crops: NDArray[np.uint8]) -> keras.Model:
    """The backbone for full crops, its batch normalisations with the means and variances of those.

    Running averages of a short training lag far behind the weights, and those of windows are not those of full crops.
    """
    backbone = networks.backbone(name)
    backbone.set_weights(trained.get_weights())
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = SETTLING_MOMENTUM
    rng = np.random.default_rng(SEED)
    for _ in range(SETTLING_BATCHES):
        rows = rng.choice(len(crops), SETTLING_BATCH)
        backbone(np.stack([degrade(rng, crops[row]) for row in rows]).astype(np.float32), training=True)
    return backbone


def within_source_loss(truth: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Cross-entropy over the classes of the picture's source.

    Args:
        truth: (N, 2 P): one-hot class, then 1 for every class of the same source.
        logits: (N, P).
    """
    wanted, same_source = ops.split(truth, 2, axis=1)
    return -ops.sum(wanted * ops.log_softmax(logits + (1.0 - same_source) * HIDDEN), axis=1)


def within_source_accuracy(truth: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Share of pictures whose class is the most probable one of their source."""
    wanted, same_source = ops.split(truth, 2, axis=1)
    best = ops.argmax(logits + (1.0 - same_source) * HIDDEN, axis=1)
    return ops.cast(best == ops.argmax(wanted, axis=1), "float32")


class Windows(keras.utils.PyDataset):
    """Batches of degraded windows of one part; rare pretexts come more often (by the root of their count)."""

    def __init__(
        self,
        examples: Sequence[Example],
        crops: NDArray[np.uint8],
        part: str,
        pretexts: Sequence[str],
        course: Course,
    ) -> None:
        super().__init__(workers=1, max_queue_size=16)
        self.rows = [row for row, example in enumerate(examples) if example.part == part]
        counts = Counter(examples[row].pretext for row in self.rows)
        chances = np.array([counts[examples[row].pretext] ** -0.5 for row in self.rows])
        self.chances = chances / chances.sum()
        sources = np.array([pretext.partition("/")[0] for pretext in pretexts])
        index = {pretext: place for place, pretext in enumerate(pretexts)}
        self.truth = np.zeros((len(examples), 2 * len(pretexts)), np.float32)
        for row, example in enumerate(examples):
            self.truth[row, index[example.pretext]] = 1.0
            self.truth[row, len(pretexts) :] = sources == example.source
        self.crops, self.course, self.epoch, self.moves = crops, course, 0, part == "train"

    def __len__(self) -> int:
        return max(1, len(self.rows) // self.course.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng((SEED, self.epoch if self.moves else 0, index))
        rows = rng.choice(self.rows, self.course.batch, p=self.chances)
        windows = np.stack([window(rng, self.crops[row], self.course.side_px) for row in rows])
        return windows.astype(np.float32), self.truth[rows]

    def on_epoch_end(self) -> None:
        self.epoch += 1


def window(rng: np.random.Generator, crop: Rgb, side_px: int) -> Rgb:
    """(side, side, 3) uint8: a random square of a crop, mirrored or not, as a worse camera would have taken it."""
    taken = min(round(side_px * rng.uniform(*WINDOW)), crop.shape[0])
    top, left = rng.integers(0, crop.shape[0] - taken + 1, 2)
    part = cv2.resize(crop[top : top + taken, left : left + taken], (side_px, side_px), interpolation=cv2.INTER_AREA)
    return degrade(rng, part[:, ::-1] if rng.random() < 0.5 else part)
