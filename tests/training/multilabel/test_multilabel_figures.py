"""Figures of many conditions are those of scikit-learn, hold what their names say, and do not flatter those who answer nothing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")
pytest.importorskip("keras", reason="Keras is in the training environment only: make train-env")

from sklearn import metrics

from analyzer.artefact import EARNED
from training.evaluation import scores
from training.multilabel import figures, thresholds
from training.multilabel.figures import Answers
from training.multilabel.objective import UNSAID, Labels

CONDITIONS = ("acne", "aging", "redness")
COUNT = 90


@pytest.fixture(scope="module")
def answers() -> Answers:
    """Answers that are right more often than not, in two batches, the first of which has no `aging`."""
    rng = np.random.default_rng(4)
    batches = np.where(np.arange(COUNT) < COUNT // 2, "first", "second")
    severity = rng.integers(0, 4, (COUNT, len(CONDITIONS))) * (rng.random((COUNT, len(CONDITIONS))) < 0.4)
    severity[batches == "first", 1] = 0
    graded = np.clip(severity + rng.integers(-1, 2, severity.shape), 0, 3)
    shares = np.clip(0.3 + 0.3 * (severity > 0) + rng.normal(0, 0.2, severity.shape), 0, 1).round(2)
    truth = Labels(severity > 0, np.where(rng.random(severity.shape) < 0.2, UNSAID, severity))
    groups = [f"group {row // 2}" for row in range(COUNT)]
    return Answers(CONDITIONS, truth, shares > 0.5, graded, groups, batches.tolist(), shares)


def silent(answers: Answers) -> Answers:
    nothing = np.zeros(answers.present.shape, bool)
    return Answers(CONDITIONS, answers.truth, nothing, nothing.astype(np.intp), answers.groups, answers.batches)


def test_figures_of_all_are_those_of_scikit_learn(answers: Answers) -> None:
    found, (truth, told) = figures.overall(answers), (answers.truth.present, answers.present)
    expected = {
        scores.MACRO_F1: metrics.f1_score(truth, told, average="macro"),
        figures.MICRO_F1: metrics.f1_score(truth, told, average="micro"),
        figures.MACRO_RECALL: metrics.recall_score(truth, told, average="macro"),
        figures.MACRO_PRECISION: metrics.precision_score(truth, told, average="macro"),
        figures.MACRO_AUROC: metrics.roc_auc_score(truth, answers.shares, average="macro"),
        figures.EXACT: metrics.accuracy_score(truth, told),
        figures.ELEMENTWISE: 1 - metrics.hamming_loss(truth, told),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=6e-5), name
        low, high = found[name].interval
        assert low < found[name].value < high


def test_severities_are_compared_where_they_are_labelled(answers: Answers) -> None:
    found = figures.of_conditions(answers)
    for place, name in enumerate(CONDITIONS):
        known = answers.truth.severity[:, place] != UNSAID
        truth, told = answers.truth.severity[known, place], answers.severity[known, place]
        there = truth > 0
        expected = {
            figures.SEVERITY: metrics.accuracy_score(truth, told),
            figures.SEVERITY_PRESENT: metrics.accuracy_score(truth[there], told[there]),
            figures.MAE: metrics.mean_absolute_error(truth[there], told[there]),
            figures.QWK: metrics.cohen_kappa_score(truth, told, weights="quadratic", labels=[0, 1, 2, 3]),
            scores.AUROC: metrics.roc_auc_score(answers.truth.present[:, place], answers.shares[:, place]),
            scores.F1: metrics.f1_score(answers.truth.present[:, place], answers.present[:, place]),
        }
        for figure, value in expected.items():
            assert found[name][figure].value == pytest.approx(value, abs=6e-5), (name, figure)
    assert figures.severity_table(answers).sum() == (answers.truth.severity != UNSAID).sum()


def test_who_answers_nothing_has_a_high_elementwise_accuracy_and_nothing_else(answers: Answers) -> None:
    found = figures.overall(silent(answers))
    assert found[figures.ELEMENTWISE].value == pytest.approx(1 - answers.truth.present.mean(), abs=6e-5)
    assert found[scores.MACRO_F1].value == found[figures.QWK].value == 0
    assert found[EARNED].value == 0.5
    assert found[figures.MAE].value == pytest.approx(
        answers.truth.severity[answers.truth.severity > 0].mean(), abs=6e-5
    )
    assert figures.MACRO_AUROC not in found


def test_who_knows_the_batch_alone_gains_nothing_within_a_batch(answers: Answers) -> None:
    second = np.array(answers.batches) == "second"
    told = np.repeat(second[:, None], len(CONDITIONS), axis=1)
    found = figures.overall(
        Answers(CONDITIONS, answers.truth, told, told.astype(np.intp), answers.groups, answers.batches)
    )
    assert found[EARNED].value == 0.5
    assert found[scores.MACRO_F1].value > 0.3


def test_a_batch_is_measured_on_the_conditions_that_it_has(answers: Answers) -> None:
    found = figures.of_batches(answers)
    assert figures.absent(CONDITIONS, answers.truth.present, answers.batches) == {"first": ["aging"]}
    inside = np.array(answers.batches) == "first"
    truth, told = answers.truth.present[inside], answers.present[inside]
    expected = metrics.f1_score(truth[:, [0, 2]], told[:, [0, 2]], average="macro")
    assert found["first"][scores.MACRO_F1].value == pytest.approx(expected, abs=6e-5)
    assert found["first"][figures.FALSE_ALARMS].value == pytest.approx(told[:, 1].mean(), abs=6e-5)
    assert figures.FALSE_ALARMS not in found["second"]


def test_a_threshold_is_where_f1_is_best(answers: Answers) -> None:
    limits = thresholds.tuned(answers.shares, answers.truth.present)
    for place, limit in enumerate(limits):
        truth, shares = answers.truth.present[:, place], answers.shares[:, place]
        every = [metrics.f1_score(truth, shares >= one) for one in np.linspace(0, 1, 201)]
        assert metrics.f1_score(truth, shares >= limit) == pytest.approx(max(every))
    best = thresholds.best_macro_f1(answers.shares, answers.truth.present)
    told = answers.shares >= limits
    assert best == pytest.approx(metrics.f1_score(answers.truth.present, told, average="macro"))


def test_thresholds_without_anything_to_tune_on() -> None:
    shares, present = np.array([[0.2, 0.9], [0.4, 0.8]]), np.array([[False, True], [False, True]])
    assert thresholds.tuned(shares, present).tolist() == [thresholds.USUAL] * 2
    assert thresholds.best_macro_f1(shares, present) == 1.0
