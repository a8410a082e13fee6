"""Crops -> the weights of both backbones, learned from scratch where no ImageNet weights are wanted or to be had.

Each backbone alone learns to tell the classes *of one source* from each other: the softmax of a picture runs over the
pretexts of its own source only, so that nothing is gained by recognising a source. It sees windows of the 224 px crop at
about its own scale, so that full crops fit later without training at full size.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from analyzer.values import Rgb
from training import command, networks
from training.command import BadInput
from training.data.degradations import degrade
from training.data.pictures import Picture
from training.resuming import BACKUP, Paced, backup, prepare

if TYPE_CHECKING:
    from training.data.prepared import Prepared

HIDDEN = -30.0  # logit of a class of another source


@dataclass(frozen=True)
class Course:
    """How one backbone is trained: side of its windows, epochs over all pictures, batch, peak rate of AdamW."""

    side_px: int
    epochs: int
    batch: int
    rate: float


COURSES = {
    "efficientnet": Course(64, 8, 32, 1.5e-3),
    "resnet": Course(96, 3, 32, 1e-3),
    "resnet101": Course(96, 3, 32, 1e-3),
    "convnext": Course(64, 8, 32, 1e-3),
}
WEIGHT_DECAY = 0.02
WINDOW = (0.8, 1.6)  # side of the window in px of the crop, over the side that the network sees
SETTLING_BATCHES, SETTLING_BATCH = 30, 16
SEEN = "seen.json"  # beside weights: sha256 of the pictures that they were trained on


def weights(
    prepared: Prepared, parts: Sequence[str], work: Path, *, epochs: int | None = None, seed: int = command.SEED
) -> Path:
    """Train both backbones; the folder with their weights and with `seen.json`, the sha256 of the pictures trained on.

    Args:
        prepared: all pictures, those without a class too.
        parts: of each of them: "train" is trained on, "validation" is told after every epoch, nothing else is looked at.
        work: folder for weights and checkpoints; weights that are finished are kept, an interrupted training goes on.
        epochs: of each backbone, other than usual.

    Raises:
        BadInput: no source has two kinds of pictures to tell apart.
    """
    kinds = kinds_of(prepared.pictures)
    own = [row for row, part in enumerate(parts) if part == "train"]
    if not rivals([prepared.pictures[row] for row in own]):
        raise BadInput(
            "--weights none: no source has pictures of two kinds, so that backbones can learn nothing from them; add pictures, "
            "or use --weights imagenet."
        )
    for name in networks.BACKBONES:
        learn(name, prepared.crops, kinds, parts, work, epochs=epochs, seed=seed)
    with command.whole(work / SEEN) as path:
        path.write_text(json.dumps(sorted({prepared.facts[row].sha256 for row in own})))
    return work


def kinds_of(pictures: Sequence[Picture]) -> list[str]:
    """What is learned from each picture: its kind among those of its source, as ``ham10000/mel``."""
    return [f"{one.source}/{one.kind or one.label or ''}" for one in pictures]


def rivals(pictures: Sequence[Picture]) -> bool:
    """Whether a source has two kinds of pictures."""
    kinds = set(kinds_of(pictures))
    return len({kind.partition("/")[0] for kind in kinds}) < len(kinds)


def learn(
    name: str,
    crops: NDArray[np.uint8],
    kinds: Sequence[str],
    parts: Sequence[str],
    work: Path,
    *,
    epochs: int | None = None,
    seed: int = command.SEED,
) -> Path:
    """Train one backbone of `COURSES` on (N, 224, 224, 3) uint8 crops; the file with its weights."""
    course = COURSES[name]
    epochs = epochs or course.epochs
    finished = work / f"{name}.weights.h5"
    text = json.dumps([name, list(kinds), list(parts), epochs, seed, course.side_px, course.batch, course.rate])
    state = work / name
    prepare(state, hashlib.sha256(text.encode() + crops.tobytes()).hexdigest(), [finished])
    if finished.is_file():
        return finished
    keras.utils.set_random_seed(seed)
    names = sorted(set(kinds))
    backbone = networks.backbone(name, course.side_px)
    network = keras.Model(backbone.input, keras.layers.Dense(len(names), name="pretext")(backbone.output))
    stream = Windows(crops, kinds, _rows(parts, "train"), course, seed)
    told = Windows(crops, kinds, _rows(parts, "validation"), course, seed)
    rate = keras.optimizers.schedules.CosineDecay(
        course.rate / 20, len(stream) * max(epochs - 1, 1), warmup_target=course.rate, warmup_steps=len(stream)
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
        shuffle=False,  # the stream has an order of its own, which a resumed training finds again
        validation_data=told if told.rows else None,
        callbacks=[
            Paced(stream),
            backup(state / BACKUP),
            keras.callbacks.CSVLogger(str(work / f"{name}_pretext.csv"), append=True),
        ],
        verbose="auto" if sys.stderr.isatty() else 2,
    )
    with command.whole(finished) as path:
        settled(name, backbone, crops[stream.rows], seed).save_weights(path)
    return finished


def settled(name: str, trained: keras.Model, crops: NDArray[np.uint8], seed: int) -> keras.Model:
    """The backbone for full crops, its batch normalisations with the means and variances of those.

    Running averages of a short training lag far behind the weights, and those of windows are not those of full crops.
    """
    backbone = networks.backbone(name)
    backbone.set_weights(trained.get_weights())
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    rng = seeded(seed)
    batches = min(SETTLING_BATCHES, max(2, len(crops) // SETTLING_BATCH))
    for place in command.progress(range(batches), batches, f"{name}: batch normalisation"):
        for layer in norms:
            layer.momentum = place / (place + 1)  # so that all batches count alike
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
    """Batches of degraded windows of some rows; rare kinds come more often (by the root of their count)."""

    def __init__(
        self,
        crops: NDArray[np.uint8],
        kinds: Sequence[str],
        rows: Sequence[int],
        course: Course,
        seed: int = command.SEED,
    ) -> None:
        super().__init__(workers=0)
        self.crops, self.rows, self.course, self.seed, self.epoch = crops, list(rows), course, seed, 0
        counts = Counter(kinds[row] for row in self.rows)
        chances = np.array([counts[kinds[row]] ** -0.5 for row in self.rows])
        self.chances = chances / chances.sum()
        self.truth = truth_of(kinds)

    def __len__(self) -> int:
        return max(1, len(self.rows) // self.course.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = seeded(self.seed, self.epoch, index)
        rows = rng.choice(self.rows, self.course.batch, p=self.chances)
        windows = np.stack([window(rng, self.crops[row], self.course.side_px) for row in rows])
        return windows.astype(np.float32), self.truth[rows]


def seeded(*numbers: int) -> np.random.Generator:
    """A generator that depends on these numbers alone; OpenCV's own, which draws noise, is set by it."""
    rng = np.random.default_rng(numbers)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    return rng


def truth_of(kinds: Sequence[str]) -> NDArray[np.float32]:
    """(N, 2 P) float32: one-hot kind among all P kinds, then 1 for every kind of the same source."""
    names = sorted(set(kinds))
    sources = np.array([name.partition("/")[0] for name in names])
    places = {name: place for place, name in enumerate(names)}
    truth = np.zeros((len(kinds), 2 * len(names)), np.float32)
    for row, kind in enumerate(kinds):
        truth[row, places[kind]] = 1.0
        truth[row, len(names) :] = sources == kind.partition("/")[0]
    return truth


def window(rng: np.random.Generator, crop: Rgb, side_px: int) -> Rgb:
    """(side, side, 3) uint8: a random square of a crop, mirrored or not, as a worse camera would have taken it."""
    taken = min(round(side_px * rng.uniform(*WINDOW)), crop.shape[0])
    top, left = rng.integers(0, crop.shape[0] - taken + 1, 2)
    part = cv2.resize(crop[top : top + taken, left : left + taken], (side_px, side_px), interpolation=cv2.INTER_AREA)
    return degrade(rng, part[:, ::-1] if rng.random() < 0.5 else part)


def _rows(parts: Sequence[str], wanted: str) -> list[int]:
    return [row for row, part in enumerate(parts) if part == wanted]
