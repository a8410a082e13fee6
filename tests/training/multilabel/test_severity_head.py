"""A head learns conditions and severities by every loss, goes on after an end, and is the same in plain layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras
from scipy.special import expit, log_softmax

from analyzer import severity
from tests.training.multilabel.drawn_conditions import CONDITIONS, WIDTH, known, labels
from training import heads
from training.multilabel import objective, severity_head
from training.multilabel.objective import UNSAID, Aim, Labels
from training.multilabel.severity_head import MACRO_F1, Fitted, Recipe

COUNT = len(CONDITIONS)


def test_severities_weigh_alike_and_unlabelled_ones_nothing() -> None:
    grades = labels(200).severity
    weights = objective.severity_weights(grades)
    assert (weights[grades == UNSAID] == 0).all()
    for one in range(COUNT):
        graded, none = weights[grades[:, one] > 0, one], weights[grades[:, one] == 0, one]
        assert graded.sum() == pytest.approx(none.sum(), rel=1e-5)
        assert weights[:, one].sum() == pytest.approx((grades[:, one] != UNSAID).sum(), rel=1e-5)


def test_a_condition_that_never_occurs_is_weighed_all_the_same() -> None:
    assert objective.severity_weights(np.zeros((4, 1), np.intp)).tolist() == [[1.0]] * 4


@pytest.mark.parametrize("presence", objective.PRESENCE_LOSSES)
@pytest.mark.parametrize("graded", list(objective.OUTPUTS))
def test_the_loss_is_what_its_formula_says(presence: str, graded: str) -> None:
    aim, known_labels = Aim(presence, graded, 0.7), labels(12)
    outputs = np.random.default_rng(1).normal(0, 2, (12, aim.outputs(COUNT))).astype(np.float32)
    targets = severity_head.targets_of(known_labels)
    found = keras.ops.convert_to_numpy(objective.Loss(aim).call(targets, outputs))
    assert found == pytest.approx(by_hand(aim, known_labels, outputs), rel=1e-4)


def by_hand(aim: Aim, told: Labels, outputs: np.ndarray) -> np.ndarray:
    shares = expit(outputs[:, :COUNT].astype(np.float64))
    right = np.where(told.present, shares, 1 - shares)
    entropy = -np.log(right)
    if aim.presence == "focal":
        entropy *= np.where(told.present, 0.25, 0.75) * (1 - right) ** 2
    inner = outputs[:, COUNT:].reshape(len(outputs), COUNT, -1).astype(np.float64)
    grades = np.maximum(told.severity, 0)
    if aim.severity == "coral":
        reached = grades[..., None] >= [1, 2, 3]
        how_much = -np.log(np.where(reached, expit(inner), expit(-inner))).mean(axis=2)
    else:
        how_much = -np.take_along_axis(log_softmax(inner, axis=2), grades[..., None], axis=2)[..., 0]
    weights = objective.severity_weights(told.severity)
    return entropy.mean(axis=1) + aim.severity_weight * (weights * how_much).mean(axis=1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    recipe = Recipe(units=(16,), dropout=0.1, epochs=20, rate=5e-3)
    return severity_head.fit(known(160), known(60, 1), recipe, tmp_path_factory.mktemp("head"))


def test_it_learns_what_is_there_and_how_severe(fitted: Fitted) -> None:
    asked = known(100, 2)
    outputs = heads.logits_of(fitted.chain, asked.features[:, 0])
    told = severity.presence(outputs, COUNT, 1.0) > 0.5
    assert (told == asked.labels.present).mean() > 0.9
    graded, there = severity.severities(outputs, COUNT), asked.labels.severity > 0
    away = np.abs(graded - asked.labels.severity)[there]
    assert away.mean() < 0.7  # guessing is off by 0.89 on average
    assert max(row[MACRO_F1] for row in fitted.history) > 0.9


def test_cumulative_logits_share_their_weights(fitted: Fitted) -> None:
    kernel, bias = fitted.chain[-1]
    graded = kernel[:, COUNT:].reshape(len(kernel), COUNT, 3)
    assert (np.ptp(graded, axis=2) == 0).all()
    assert (np.diff(bias[COUNT:].reshape(COUNT, 3)) < 0).all()


def test_an_interrupted_training_comes_to_the_same(tmp_path: Path) -> None:
    recipe = Recipe(units=(8,), epochs=4)
    whole = severity_head.fit(known(60), known(30, 1), recipe, tmp_path / "whole")

    class Ends(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        severity_head.fit(known(60), known(30, 1), recipe, tmp_path / "cut", [Ends()])
    resumed = severity_head.fit(known(60), known(30, 1), recipe, tmp_path / "cut")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    again = severity_head.fit(known(60), known(30, 1), recipe, tmp_path / "cut")
    np.testing.assert_array_equal(again.chain[-1][0], resumed.chain[-1][0])


@pytest.mark.parametrize("graded", list(objective.OUTPUTS))
def test_plain_layers_answer_as_the_head_does(graded: str) -> None:
    recipe = Recipe(aim=Aim(severity=graded), units=(8, 6))
    given = keras.Input((WIDTH,))
    model = keras.Model(given, severity_head.layers_on(given, COUNT, recipe))
    chain = severity_head.chain_of(model)
    shown = np.random.default_rng(2).normal(size=(5, WIDTH)).astype(np.float32)
    np.testing.assert_allclose(heads.logits_of(chain, shown), model(shown), atol=1e-5)
    other = keras.Model(given, severity_head.layers_on(given, COUNT, recipe))
    severity_head.take_chain(other, chain, COUNT)
    np.testing.assert_allclose(other(shown), model(shown), atol=1e-6)
