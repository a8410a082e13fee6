"""A teacher and the pictures of its training -> a student artefact, and lines of the table: what it is worth, what the teaching was."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, keras_files, model_card
from analyzer.model_card import ModelCard
from training import cards, ensembles, export, features, heads, measured, networks
from training.command import BadInput
from training.compressing import student
from training.compressing.compression import Judge, quantised
from training.compressing.compression_measure import Line, Measured, Runnable
from training.compressing.student import Course, Lesson
from training.data.augmentation import STANDARD
from training.ensembles import Candidate, Known
from training.evaluation import scores
from training.gathering import Pictures
from training.measured import Final, Trained
from training.resuming import Row

LABELS_ALONE, TAUGHT, TUNED = "student, labels alone", "student, taught", "student, taught and fine-tuned"


def distilled(before: tuple[Runnable, Measured], judge: Judge, options: argparse.Namespace) -> list[Line]:
    """Train students of one shape, measure them, and keep the taught one in `student/`; int8 forms of it where they are wanted."""
    pictures = judge.pictures
    teacher = teacher_of(before[0].folder)
    lessons = lessons_of(teacher, pictures, options)
    course = Course(epochs=options.epochs, fine_tune=options.fine_tune, seed=options.seed)
    work, folder = options.out / "work", options.out / "student"
    alone = headed(teacher, lessons, pictures, replace(course, teaching=0.0), work / "labels_alone", LABELS_ALONE)
    trained = headed(teacher, lessons, pictures, course, work / "taught", TAUGHT)
    if course.fine_tune:
        trained = fine_tuned(teacher, trained, lessons, pictures, course, options)
    trained = replace(trained, backbones=features.opened(trained.network, options.cache))
    write(trained, pictures, folder, options, before[0].opened.card)
    run = Runnable(trained.chosen.name, folder, folder / artefact.NETWORK)
    found = judge.measured(run, before)
    lines = [compared(alone, found, before[1], judge), replace(found.line, note=f"kept: {folder}")]
    if options.int8:
        lines += quantised(run, found, options.out / "student_int8", judge, options)
    return lines


def compared(alone: Trained, found: Measured, teacher: Measured, judge: Judge) -> Line:
    """The line of a student that the teacher has not taught; its size and speed are those of the one that was."""
    logits = {part: heads.logits_of(alone.chosen.chain, alone.features[part][:, 0]) for part in ("validation", "test")}
    answers = judge.answers(logits["test"].argmax(axis=1))
    agreement = float(np.mean(logits["validation"].argmax(axis=1) == teacher.validation.argmax(axis=1)))
    note = "for comparison, not kept; size and speed are those of the taught one"
    return replace(
        found.line, name=LABELS_ALONE, figures=scores.overall(answers), agreement=agreement, shift=None, note=note
    )


def teacher_of(folder: Path) -> keras.Model:
    """The network of an artefact's Keras file.

    Raises:
        BadInput: the file is not there.
    """
    card = model_card.read(folder)
    names = [name for name in card.files if Path(name).suffix in keras_files.SUFFIXES and (folder / name).is_file()]
    if not names:
        raise BadInput(
            f"{folder}: its Keras file is not there; a student needs the weights in it. Fetch it, or train anew."
        )
    model_card.verified_bytes(card, folder, names[0])
    teacher = keras.models.load_model(folder / names[0], compile=False)
    if len(teacher.inputs) != 1:
        raise BadInput(f"{folder}: takes demographics as well; a student can be taught by a network of pictures alone.")
    return teacher


def lessons_of(teacher: keras.Model, pictures: Pictures, options: argparse.Namespace) -> Mapping[str, Lesson]:
    """Part → what a student learns from or is judged by; features are those that the training has kept."""
    opened = features.opened(teacher, options.cache)
    chain = tuple(networks.head_of(teacher))
    lessons = {}
    for part, rows in pictures.rows.items():
        fed = features_of(opened, pictures, part, options)
        taught = heads.logits_of(chain, fed.reshape(-1, fed.shape[2])).reshape(*fed.shape[:2], -1)
        own = fed[:, :, : student.WIDTH]
        lessons[part] = Lesson(own, taught, pictures.truth[part], pictures.prepared.crops[rows])
    return lessons


def features_of(
    opened: features.Backbones, pictures: Pictures, part: str, options: argparse.Namespace
) -> NDArray[np.float16]:
    views = options.views if part == "train" else 0
    shelf = options.cache / "features"
    return features.features_of(opened, pictures.prepared, pictures.rows[part], views, STANDARD, shelf)


def headed(
    teacher: keras.Model, lessons: Mapping[str, Lesson], pictures: Pictures, course: Course, work: Path, name: str
) -> Trained:
    """A student with a trained head on the teacher's own EfficientNetB0; its backbone is not compiled yet."""
    classes = len(pictures.classes)
    chain, history = student.fit_head(lessons["train"], lessons["validation"], classes, course, work)
    network = student.network(teacher, classes)
    networks.take_head(network, chain)
    fed = {part: lesson.features for part, lesson in lessons.items()}
    return Trained(network, candidate(name, chain, fed["validation"], history), None, fed)  # type: ignore[arg-type]


def fine_tuned(
    teacher: keras.Model,
    trained: Trained,
    lessons: Mapping[str, Lesson],
    pictures: Pictures,
    course: Course,
    options: argparse.Namespace,
) -> Trained:
    """The student with top blocks trained on, where that is better on validation, else as it was."""
    network = student.network(teacher, len(pictures.classes))
    network.set_weights(trained.network.get_weights())
    work = options.out / "work" / "fine_tuned"
    history = student.tuned(network, lessons["train"], lessons["validation"], len(pictures.classes), course, work)
    opened = features.opened(network, options.cache)
    fed = {part: features_of(opened, pictures, part, options) for part in pictures.rows}
    attempt = candidate(TUNED, tuple(networks.head_of(network)), fed["validation"], history)
    groups = [pictures.prepared.pictures[row].group for row in pictures.rows["validation"]]
    known = Known(fed["validation"], pictures.truth["validation"], groups)
    if ensembles.best([trained.chosen, attempt], known) is attempt:
        return Trained(network, attempt, opened, fed)
    print("fine-tuning did not help on validation; the student stays as it was", flush=True)
    return trained


def candidate(name: str, chain: heads.Chain, validation: NDArray[np.float16], history: list[Row]) -> Candidate:
    return Candidate(name, chain, heads.logits_of(chain, validation[:, 0]), history)


def write(trained: Trained, pictures: Pictures, folder: Path, options: argparse.Namespace, teacher: ModelCard) -> None:
    """The student's artefact, its figures measured as those of any training."""
    final = Final(pictures, trained, argparse.Namespace(**vars(options), weights="none"))
    told = f"{trained.chosen.name}; teacher: {teacher.name} {teacher.version}, whose EfficientNetB0 it has."
    evidence = replace(measured.evidence_of(final), notes=(told, *teacher.notes[-2:]))
    card = cards.card(evidence, f"{teacher.name}_student", teacher.version)
    outputs = [one for one in card.outputs if one.name != artefact.MAPS[1]]
    outputs[0] = replace(
        outputs[0], shape=(1, student.WIDTH), meaning="global averages of the last maps of EfficientNetB0"
    )
    task = f"skin class of one face out of {len(pictures.classes)}, EfficientNetB0 alone, taught by {teacher.name}"
    export.export(trained.network, folder, replace(card, task=task, outputs=tuple(outputs)), final.known)
