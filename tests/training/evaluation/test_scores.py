"""Every figure with its interval is the one that `evaluate` gives draw by draw, or follows its definition."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.artefact import EARNED, probabilities
from training import evaluate
from training.evaluation import bootstrap, scores
from training.evaluation.scores import Answers

CLASSES = ("acne", "eczema", "healthy")


def answers(count: int = 150, seed: int = 0) -> Answers:
    """Three classes, groups of up to four pictures, two sources with several classes and one with a single class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    sources = np.where(truth == 2, "street", np.where(rng.random(count) < 0.5, "clinic", "atlas"))
    shares = probabilities((np.eye(3)[truth] * 1.5 + rng.normal(size=(count, 3))).astype(np.float32), 1.0)
    groups = [f"person {one}" for one in rng.integers(0, count // 3, count)]
    return Answers(CLASSES, truth, shares.argmax(axis=1), groups, list(sources), np.round(shares, 2))


def test_figures_and_intervals_are_those_of_the_draws_made_one_by_one() -> None:
    given = answers()
    truth, answered, groups = given.truth, given.answered, given.groups
    found, classes = scores.overall(given), scores.of_classes(given)
    assert found["accuracy"] == evaluate.metric(evaluate.accuracy(truth, answered), groups)
    assert found["balanced accuracy"] == evaluate.metric(evaluate.balanced_accuracy(truth, answered), groups)
    assert found["macro-F1"] == evaluate.metric(evaluate.macro_f1(truth, answered), groups)
    inside = np.flatnonzero(np.asarray(given.sources) != "street")
    sources = np.asarray(given.sources)[inside]
    within = evaluate.source_matched(truth[inside], answered[inside], sources)
    assert found[EARNED] == evaluate.metric(within, [groups[row] for row in inside])
    assert given.shares is not None
    for index, name in list(enumerate(CLASSES))[:1]:
        for figure in (evaluate.recall, evaluate.precision, evaluate.specificity):
            wanted = evaluate.metric(figure(truth, answered, index), groups)
            assert (classes[name][figure.__name__].value, classes[name][figure.__name__].interval) == (
                wanted.value,
                wanted.interval,
            )
        assert classes[name]["AUROC"] == evaluate.metric(evaluate.auroc(given.shares[:, index], truth == index), groups)


def test_weighted_f1_is_the_mean_of_the_classes_by_their_pictures() -> None:
    given = answers()
    f1 = [one["F1"].value for one in scores.of_classes(given).values()]
    wanted = np.average(f1, weights=np.bincount(given.truth))
    assert scores.overall(given)["weighted F1"].value == pytest.approx(wanted, abs=2e-4)


def test_average_precision_of_a_small_ranking() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.3, 0.7]])
    given = Answers(("a", "b"), np.array([0, 0, 1, 0]), shares.argmax(axis=1), list("pqrs"), ["one"] * 4, shares)
    # thresholds 0.9, 0.8 (a tie of a hit and a miss), 0.3: precision 1, 2/3, 3/4 for one third of the hits each
    assert scores.of_classes(given)["a"]["average precision"].value == pytest.approx((1 + 2 / 3 + 3 / 4) / 3, abs=1e-4)


def test_confusion_counts_truth_by_answer() -> None:
    given = Answers(CLASSES, np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0]), list("abcde"), ["one"] * 5)
    np.testing.assert_array_equal(scores.confusion(given), [[1, 1, 0], [0, 0, 0], [1, 0, 2]])


def test_false_positives_are_what_specificity_leaves_and_count_their_own_pictures() -> None:
    for index, one in enumerate(scores.of_classes(answers()).values()):
        assert one["false-positive rate"].value == pytest.approx(1 - one["specificity"].value, abs=1e-4)
        assert one["recall"].count == (answers().truth == index).sum()
        assert one["specificity"].count == (answers().truth != index).sum()


def test_all_right_is_not_certain() -> None:
    """With 30 people of whom all are right, 1 is no lower end: 0.025 ** (1 / 30) is."""
    truth = np.repeat([0, 1], 60)
    given = Answers(("a", "b"), truth, truth, [f"person {row // 2}" for row in range(120)], ["one"] * 120)
    found = scores.of_classes(given)["a"]
    assert found["recall"].interval == (pytest.approx(0.025 ** (1 / 30), abs=1e-4), 1.0)
    assert found["false-positive rate"].interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 30), abs=1e-4))
    assert scores.overall(given)[EARNED].interval == (pytest.approx(0.025 ** (1 / 60), abs=1e-4), 1.0)


def test_what_cannot_be_told_is_left_out() -> None:
    given = Answers(CLASSES, np.array([0, 0, 1]), np.array([0, 1, 1]), list("abc"), list("xyz"), np.eye(3)[[0, 1, 1]])
    found = scores.of_classes(given)
    assert "precision" not in found["healthy"]
    assert "recall" not in found["healthy"]
    assert "AUROC" not in found["healthy"]
    assert EARNED not in scores.overall(given)  # each source holds one picture


def test_calibration_error_is_that_of_evaluate_and_has_an_interval() -> None:
    given = answers()
    assert given.shares is not None
    found = scores.calibration_error(given, given.shares)
    wanted = evaluate.expected_calibration_error(given.shares, given.truth)
    assert found.value == pytest.approx(wanted, abs=1e-4)
    assert found.interval is not None
    assert 0 < found.interval[0] < found.interval[1] < 0.5


def test_two_ways_to_answer_the_same_pictures_are_compared_draw_by_draw() -> None:
    before, rng = answers(900), np.random.default_rng(3)
    worse = np.where(rng.random(900) < 0.03, (before.truth + 1) % 3, before.answered)
    after = Answers(CLASSES, before.truth, worse, before.groups, before.sources)
    found = scores.difference(after, before)["accuracy"]
    assert found.interval is not None
    assert found.interval[1] < 0  # shown, although the intervals of the two overlap
    first, second = (scores.overall(one)["accuracy"].interval for one in (before, after))
    assert first is not None
    assert second is not None
    assert second[1] > first[0]
    assert scores.difference(before, before)["accuracy"].interval == (0.0, 0.0)


def test_groups_are_drawn_as_a_whole() -> None:
    drawn = bootstrap.draw(["a", "b", "a", "c", "b"])
    assert drawn.weights.shape == (1 + evaluate.DRAWS, 5)
    np.testing.assert_array_equal(drawn.weights[0], 1)
    np.testing.assert_array_equal(drawn.weights[:, 0], drawn.weights[:, 2])
    np.testing.assert_array_equal(drawn.weights[:, [0, 1, 3]].sum(axis=1), 3)  # three groups in every draw
