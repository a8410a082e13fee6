"""Figures of groups of people: Fairlearn's values, intervals of whole groups, and an honest word where there are too few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fairlearn", reason="Fairlearn is in the training environment only: make train-env")

from training import evaluate
from training.data.pictures import Picture
from training.evaluation import fairness
from training.evaluation.scores import Answers

CLASSES = ("acne", "healthy")


def made() -> tuple[Answers, list[Picture]]:
    """90 pictures: the answers to women are right, those to men in two of three cases, those to ten others never."""
    genders = ["female"] * 40 + ["male"] * 40 + ["nonbinary"] * 10
    truth = np.tile([0, 1], 45)
    wrong = np.array(
        [gender == "nonbinary" or (gender == "male" and row % 3 == 0) for row, gender in enumerate(genders)]
    )
    pictures = [
        Picture(
            Path(f"{row}.jpg"),
            "clinic",
            CLASSES[truth[row]],
            f"person {row // 2}",
            age=25.0 if row % 2 else None,
            gender=gender,
            fitzpatrick="V" if row % 2 else "II",
            estimated=("fitzpatrick",) if row < 60 else (),
        )
        for row, gender in enumerate(genders)
    ]
    answered = np.where(wrong, 1 - truth, truth)
    return Answers(CLASSES, truth, answered, [one.group for one in pictures], ["clinic"] * 90), pictures


def test_each_group_has_its_own_figures_and_small_ones_say_so() -> None:
    answers, pictures = made()
    women, men, others = fairness.of_people(answers, pictures)["gender"]
    assert [one.name for one in (women, men, others)] == ["female", "male", "nonbinary"]
    assert (women.figures["accuracy"].value, women.figures["healthy taken for a condition"].value) == (1.0, 0.0)
    inside = np.arange(40, 80)
    wanted = evaluate.metric(
        evaluate.accuracy(answers.truth[inside], answers.answered[inside]), [pictures[row].group for row in inside]
    )
    assert men.figures["accuracy"] == wanted
    assert (others.count, others.healthy, others.too_few, others.figures) == (10, 5, True, {})
    assert fairness.spread([women, men, others], "accuracy") == pytest.approx(1 - wanted.value)


def test_what_was_estimated_is_marked_and_what_nobody_said_stands_last() -> None:
    answers, pictures = made()
    found = fairness.of_people(answers, pictures)
    assert set(found) == {"age band", "gender", "skin tone (Fitzpatrick)"}  # of race nothing is known at all
    assert [one.name for one in found["age band"]] == ["18-29", "not stated"]
    tones = [one.name for one in found["skin tone (Fitzpatrick)"]]
    assert tones == ["II", "II (estimated)", "V", "V (estimated)"]


def test_groups_that_are_all_too_small_are_still_in_the_table() -> None:
    answers, pictures = made()
    found = fairness.of_people(answers.of(np.arange(80, 90)), pictures[80:])["gender"]
    assert [(one.name, one.count, one.too_few) for one in found] == [("nonbinary", 10, True)]
    assert fairness.spread(found, "accuracy") is None


def test_without_a_healthy_class_there_are_no_false_alarms() -> None:
    answers, pictures = made()
    renamed = Answers(("acne", "eczema"), answers.truth, answers.answered, answers.groups, answers.sources)
    women = fairness.of_people(renamed, pictures)["gender"][0]
    assert set(women.figures) == {"accuracy", "balanced accuracy"}
    assert women.healthy == 0
