"""Teacher's answers to pictures and their views -> a smaller network that answers alike: EfficientNetB0 alone with a head of its own.

Knowledge distillation (Hinton et al. 2015, arXiv 1503.02531): the student learns the labels and, at a temperature at which
improbable classes still show, the teacher's probabilities. First its head on the features that are there already, then, if
wanted, the top blocks of its backbone on the very views that the teacher has seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from training import command, heads, networks
from training.data.augmentation import STANDARD, augmented
from training.heads import Floats, Indices
from training.resuming import BACKUP, BEST, FINISHED, Best, Paced, Row, backup, prepare

BACKBONE, WIDTH = "efficientnet", 1280
UNITS, DROPOUT = (256,), (0.5,)
FINE_TUNING_BATCH, FINE_TUNING_RATE, FINE_TUNING_PATIENCE = 16, 5e-5, 3


@dataclass(frozen=True)
class Course:
    """How a student learns.

    Attributes:
        teaching: part of the loss that the teacher has; the labels have the rest.
        temperature: of both networks in the teacher's part.
        epochs: most of the head's.
        fine_tune: epochs on pixels, top blocks unfrozen.
    """

    teaching: float = 0.7
    temperature: float = 4.0
    epochs: int = 60
    patience: int = 10
    batch: int = 32
    rate: float = 1e-3
    fine_tune: int = 0
    seed: int = command.SEED


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned from: pictures of one part in V views, the first of them the picture itself.

    Attributes:
        features: (N, V, 1280).
        taught: (N, V, C) the teacher's logits.
        truth: (N,) index of the class.
        crops: (N, S, S, 3) uint8, the pictures themselves.
    """

    features: NDArray[np.float16]
    taught: Floats
    truth: Indices
    crops: NDArray[np.uint8]


def network(teacher: keras.Model, classes: int) -> keras.Model:
    """EfficientNetB0 with the teacher's weights, and a fresh head. Flat, of layers only, as it is served."""
    backbone = networks.backbone(BACKBONE, teacher.inputs[0].shape[1])
    backbone.set_weights(keras.Model(teacher.inputs[0], teacher.get_layer(f"{BACKBONE}_features").output).get_weights())
    return keras.Model(backbone.input, networks.dense_head(backbone.output, classes, UNITS), name="student")


def targets(lesson: Lesson, classes: int, course: Course) -> Floats:
    """(N, V, 2 C): one-hot labels, then what the teacher answers at the course's temperature."""
    soft = np.asarray(ops.softmax(lesson.taught / course.temperature))
    hard = np.repeat(keras.utils.to_categorical(lesson.truth, classes)[:, None], soft.shape[1], axis=1)
    return np.concatenate([hard, soft], axis=2).astype(np.float32)


class Distillation(keras.losses.Loss):
    """(1 - a) CE(labels) + a T² CE(teacher at T) of (N, 2 C) `targets`: T² keeps the gradients of both parts of one size."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course

    def call(self, wanted: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        share, heat = self.course.teaching, self.course.temperature
        hard, soft = ops.split(wanted, 2, axis=1)
        own = -ops.sum(hard * ops.log_softmax(logits), axis=1)
        taught = -ops.sum(soft * ops.log_softmax(logits / heat), axis=1)
        return (1 - share) * own + share * heat**2 * taught


def fit_head(
    train: Lesson, validation: Lesson, classes: int, course: Course, work: Path
) -> tuple[heads.Chain, list[Row]]:
    """Dense layers from features to logits, and the history; what was finished in `work` is given back at once.

    With `teaching` 0 it is a head like any other, the baseline of the teacher's worth.
    """
    given = [train.features, train.taught, train.truth, validation.features, validation.taught, validation.truth]
    prepare(work, _digest(asdict(course), given))
    keras.utils.set_random_seed(course.seed)
    views = train.features.shape[1]
    flat = train.features.reshape(-1, train.features.shape[2])
    middle, spread = heads.usual_range(flat)
    model = _head(flat.shape[1], classes)
    best = Best(work, course.patience)
    if not (work / FINISHED).is_file():
        steps = course.epochs * -(-len(flat) // course.batch)
        model.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(course.rate, steps)),
            loss=Distillation(course),
            jit_compile=False,
        )
        with heads.keeping_memory():
            model.fit(
                heads.scaled(flat, middle, spread),
                targets(train, classes, course).reshape(len(flat), -1),
                sample_weight=np.repeat(heads.balanced_weights(train.truth, classes), views),
                validation_data=(
                    heads.scaled(validation.features[:, 0], middle, spread),
                    targets(validation, classes, course)[:, 0],
                    heads.balanced_weights(validation.truth, classes),
                ),
                epochs=course.epochs,
                batch_size=course.batch,
                callbacks=[best, backup(work / BACKUP)],
                verbose=0,
            )
        with command.whole(work / FINISHED) as path:
            path.write_text("{}")
    model.load_weights(work / BEST)
    (kernel, bias), *rest = heads.chain_of(model)
    return ((kernel / spread[:, None], bias - (middle / spread) @ kernel), *rest), best.history


class Views(keras.utils.PyDataset):
    """Batches of (B, S, S, 3) float32 views that the teacher has answered to; one view of each picture an epoch."""

    def __init__(self, lesson: Lesson, wanted: Floats, seed: int, *, moves: bool) -> None:
        super().__init__(workers=0)
        self.lesson, self.wanted, self.seed, self.moves, self.epoch = lesson, wanted, seed, moves, 0
        self.weights = heads.balanced_weights(lesson.truth, wanted.shape[2] // 2).astype(np.float32)

    def __len__(self) -> int:
        return -(-len(self.lesson.truth) // FINE_TUNING_BATCH)

    def __getitem__(self, index: int) -> tuple[Floats, Floats, Floats]:
        count, views = self.wanted.shape[:2]
        rng = np.random.default_rng((self.seed, self.epoch if self.moves else 0))
        order, view = (
            (rng.permutation(count), rng.integers(0, views, count)) if self.moves else (np.arange(count), None)
        )
        rows = order[index * FINE_TUNING_BATCH : (index + 1) * FINE_TUNING_BATCH]
        chosen = np.zeros(len(rows), np.intp) if view is None else view[rows]
        pictures = [self._picture(row, number) for row, number in zip(rows, chosen, strict=True)]
        return np.stack(pictures).astype(np.float32), self.wanted[rows, chosen], self.weights[rows]

    def _picture(self, row: int, view: int) -> NDArray[np.uint8]:
        """As `features.of_crops` draws it."""
        crop = self.lesson.crops[row]
        return augmented(crop, STANDARD, hashlib.sha256(crop.tobytes()).digest(), int(view)) if view else crop


def tuned(
    student: keras.Model, train: Lesson, validation: Lesson, classes: int, course: Course, work: Path
) -> list[Row]:
    """Train on the top blocks of a student's backbone, in place; it stays as it was best on validation. The history."""
    given = [*student.get_weights(), train.taught, train.truth, validation.truth]
    prepare(work, _digest(asdict(course), given))
    keras.utils.set_random_seed(course.seed)
    networks.unfreeze_top(student)
    logits = keras.Model(student.input, student.get_layer("logits").output)
    stream = Views(train, targets(train, classes, course), course.seed, moves=True)
    still = Views(validation, targets(validation, classes, course), course.seed, moves=False)
    best = Best(work, FINE_TUNING_PATIENCE)
    if not (work / FINISHED).is_file():
        logits.compile(keras.optimizers.Adam(FINE_TUNING_RATE), loss=Distillation(course), jit_compile=False)
        logits.fit(
            stream,
            validation_data=still,
            epochs=course.fine_tune,
            callbacks=[best, Paced(stream), backup(work / BACKUP)],
            verbose=0,
        )
        with command.whole(work / FINISHED) as path:
            path.write_text("{}")
    logits.load_weights(work / BEST)
    return best.history


def _head(width: int, classes: int) -> keras.Model:
    given = keras.Input((width,))
    x = given
    for units, dropout in zip(UNITS, DROPOUT, strict=True):
        x = keras.layers.Dropout(dropout)(keras.layers.Dense(units, activation="relu")(x))
    return keras.Model(given, keras.layers.Dense(classes)(x))


def _digest(said: object, given: Sequence[NDArray]) -> str:
    digest = hashlib.sha256(json.dumps(said).encode())
    for array in given:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
