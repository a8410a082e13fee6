"""Metrics against their definitions, and intervals that know what belongs together."""

from __future__ import annotations

import numpy as np
import pytest

from training import evaluate

TRUTH = np.array([0, 0, 0, 0, 1, 1, 2, 2])
ANSWERED = np.array([0, 0, 1, 2, 1, 0, 2, 2])
ALL = np.arange(8)


def test_figures_of_a_small_table() -> None:
    assert evaluate.accuracy(TRUTH, ANSWERED)(ALL) == pytest.approx(5 / 8)
    assert evaluate.balanced_accuracy(TRUTH, ANSWERED)(ALL) == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert evaluate.recall(TRUTH, ANSWERED, 0)(ALL) == pytest.approx(1 / 2)
    assert evaluate.precision(TRUTH, ANSWERED, 0)(ALL) == pytest.approx(2 / 3)
    assert evaluate.specificity(TRUTH, ANSWERED, 0)(ALL) == pytest.approx(3 / 4)
    f1 = [2 * 2 / (4 + 3), 2 * 1 / (2 + 2), 2 * 2 / (2 + 3)]
    assert evaluate.macro_f1(TRUTH, ANSWERED)(ALL) == pytest.approx(np.mean(f1))


def test_a_constant_answer_has_the_balanced_accuracy_of_chance() -> None:
    truth = np.repeat([0, 1, 2, 3], [70, 10, 10, 10])
    constant = np.zeros(100, int)
    assert evaluate.accuracy(truth, constant)(np.arange(100)) == 0.7
    assert evaluate.balanced_accuracy(truth, constant)(np.arange(100)) == 0.25


def test_source_matched_figure_is_blind_to_the_source() -> None:
    """Whoever recognises the source alone is perfect where each source has one class, and at chance within the sources."""
    sources = np.repeat(["clinic", "atlas", "street"], 40)
    truth = np.concatenate([np.tile([0, 1], 20), np.tile([0, 1], 20), np.full(40, 2)])
    by_source = np.where(sources == "street", 2, 0)
    rows = np.arange(120)
    assert evaluate.accuracy(truth, by_source)(rows) == pytest.approx(80 / 120)
    assert evaluate.source_matched(truth, by_source, sources)(rows) == 0.5
    assert evaluate.source_matched(truth, truth, sources)(rows) == 1.0
    assert np.isnan(evaluate.source_matched(truth, truth, sources)(rows[80:]))


def test_area_under_the_curve_counts_pairs_and_halves_ties() -> None:
    scores, positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])
    assert evaluate.auroc(scores, positive)(np.arange(4)) == pytest.approx(3.5 / 4)
    assert np.isnan(evaluate.auroc(scores, positive)(np.array([0, 1])))


def test_calibration_error_is_zero_when_confidence_is_accuracy_and_the_gap_otherwise() -> None:
    shares = np.tile([0.75, 0.25], (100, 1))
    truth = np.repeat([0, 1], [75, 25])
    assert evaluate.expected_calibration_error(shares, truth) == pytest.approx(0.0)
    assert evaluate.expected_calibration_error(shares, np.ones(100, int)) == pytest.approx(0.75)


def test_temperature_mends_overconfident_logits() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in shares / shares.sum(axis=1, keepdims=True, dtype=np.float64)])
    assert evaluate.temperature(3 * logits, truth, np.ones(4000)) == pytest.approx(3.0, rel=0.1)


def test_interval_holds_the_figure_and_is_wider_when_pictures_come_in_groups() -> None:
    rng = np.random.default_rng(2)
    right = np.repeat(rng.random(30) < 0.7, 10)
    truth, answered = np.zeros(300, int), np.where(right, 0, 1)
    alone = evaluate.metric(evaluate.accuracy(truth, answered), [str(row) for row in range(300)])
    together = evaluate.metric(evaluate.accuracy(truth, answered), [str(row // 10) for row in range(300)])
    assert alone.interval is not None
    assert together.interval is not None
    assert alone.count == together.count == 300
    assert alone.interval[0] < alone.value < alone.interval[1]
    assert together.interval[1] - together.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_groups_that_are_too_small_get_no_figure() -> None:
    found = evaluate.of_groups(
        {"accuracy": evaluate.accuracy(np.zeros(50, int), np.zeros(50, int))},
        {"many": np.arange(30), "few": np.arange(30, 50 - 1)},
        [str(row) for row in range(50)],
    )
    assert set(found) == {"many"}
    assert found["many"]["accuracy"].value == 1.0
