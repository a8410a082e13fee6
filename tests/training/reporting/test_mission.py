"""A target is met only where the interval says so too."""

from __future__ import annotations

import pytest

from analyzer.model_card import Metric
from training.reporting import mission


@pytest.mark.parametrize(
    ("metric", "below", "verdict"),
    [
        (Metric(0.90, (0.86, 0.94), 200), False, "met"),
        (Metric(0.90, (0.85, 0.94), 200), False, "met"),
        (Metric(0.90, (0.84, 0.95), 200), False, "not shown"),
        (Metric(0.99, (0.96, 1.00), 19), False, "not shown"),
        (Metric(0.84, (0.80, 0.90), 200), False, "not met"),
        (None, False, "not measured"),
        (Metric(0.10, (0.05, 0.80), 200), True, "met"),
        (Metric(0.10, (0.05, 0.85), 200), True, "not shown"),
        (Metric(0.85, (0.80, 0.90), 200), True, "not met"),
    ],
)
def test_verdict_is_that_of_the_worse_end(metric: Metric | None, below: bool, verdict: str) -> None:
    assert mission.verdict(metric, 0.85, below=below) == verdict


def figures(**values: float) -> dict[str, Metric]:
    return {
        name.replace("_rate", "-positive rate"): Metric(value, (value, value), 100) for name, value in values.items()
    }


def test_every_target_of_the_mission_is_there_once() -> None:
    classes = {
        "acne": figures(recall=0.9, precision=0.95, false_rate=0.1),
        "healthy": figures(recall=0.94, precision=0.5, false_rate=0.2),
    }
    found = {one.figure: (one.asked, one.verdict) for one in mission.targets(figures(accuracy=0.9), classes)}
    assert found == {
        "overall accuracy": ("≥ 0.85", "met"),
        "recall of acne": ("≥ 0.80", "met"),
        "precision of acne": ("≥ 0.90", "met"),
        "precision of basal_cell_carcinoma": ("≥ 0.90", "not measured"),
        "recall of healthy": ("≥ 0.95", "not met"),
        "false-positive rate of acne": ("< 0.15", "met"),
        "false-positive rate of healthy": ("< 0.15", "not met"),
    }


def test_a_class_without_pictures_is_not_measured_and_one_that_is_never_answered_is_not_precise() -> None:
    classes = {
        "acne": figures(false_rate=0.0, precision=0.0),
        "basal_cell_carcinoma": figures(recall=0.0, false_rate=0.0),
    }
    found = {one.figure: one.verdict for one in mission.targets(figures(accuracy=0.9), classes)}
    assert (
        found["recall of acne"] == found["precision of acne"] == found["false-positive rate of acne"] == "not measured"
    )
    assert found["precision of basal_cell_carcinoma"] == "not met"
    assert found["recall of healthy"] == "not measured"
