"""Logits of a multi-label head: presence and severity are told apart, each by its own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer import severity

NAMES = ("acne", "redness")
LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=2 * 4, max_size=2 * 4)


def graded(presence: tuple[float, float], *severities: tuple[float, ...], **thresholds: float) -> dict:
    logits = np.array([*presence, *(logit for one in severities for logit in one)], np.float32)
    return severity.grades(logits, NAMES, {f"presence_{name}": value for name, value in thresholds.items()}, 1.0)


def test_severity_counts_the_steps_that_are_reached_whatever_the_probability() -> None:
    told = graded((-6.0, 6.0), (5.0, 4.0, 3.0), (2.0, -2.0, -4.0))
    assert [told[name].severity for name in NAMES] == [3, 1]
    assert [told[name].present for name in NAMES] == [False, True]
    assert [told[name].stated for name in NAMES] == [False, True]


def test_cumulative_shares_are_differences_of_the_steps() -> None:
    reached = 1 / (1 + np.exp(-np.array([2.0, -2.0, -4.0])))
    wanted = [1 - reached[0], reached[0] - reached[1], reached[1] - reached[2], reached[2]]
    assert graded((0, 0), (0, 0, 0), (2.0, -2.0, -4.0))["redness"].shares == pytest.approx(wanted)


def test_four_logits_are_a_softmax_over_the_grades() -> None:
    told = graded((0, 0), (0.0, 9.0, 0.0, 0.0), (0.0, 0.0, 0.0, np.log(3)))
    assert [told[name].severity for name in NAMES] == [1, 3]
    assert told["redness"].shares == pytest.approx((1 / 6, 1 / 6, 1 / 6, 1 / 2))


def test_each_condition_is_compared_with_its_own_threshold() -> None:
    told = graded((0.0, 0.0), (1, 1, 1), (1, 1, 1), acne=0.5, redness=0.51)
    assert [(told[name].threshold, told[name].present) for name in NAMES] == [(0.5, True), (0.51, False)]


def test_what_is_there_without_a_severity_is_not_stated() -> None:
    assert not graded((9.0, 9.0), (-1, -2, -3), (1, -2, -3))["acne"].stated


def test_a_temperature_cools_presence_alone() -> None:
    logits = np.array([2.0, -2.0, 1, 0.5, -1, 1, 0.5, -1], np.float32)
    warm, cool = (severity.all_shares(logits, 2, temperature) for temperature in (1.0, 2.0))
    assert cool[:2] == pytest.approx(1 / (1 + np.exp(-np.array([1.0, -1.0]))))
    assert (warm[2:] == cool[2:]).all()


@given(LOGITS)
def test_any_logits_come_to_probabilities(logits: list[float]) -> None:
    array = np.array(logits, np.float32)
    shares = severity.severity_shares(array, 2)
    assert (shares >= 0).all()
    assert shares.sum(axis=-1) == pytest.approx(1)
    told = severity.grades(array, NAMES, {}, 1.0)
    assert [told[name].severity for name in NAMES] == (array[2:].reshape(2, 3) > 0).sum(axis=1).tolist()


@pytest.mark.parametrize(("outputs", "classes", "fits"), [(28, 7, True), (35, 7, True), (7, 7, False), (0, 0, False)])
def test_width_of_a_head_tells_whether_it_grades(outputs: int, classes: int, fits: bool) -> None:
    assert severity.fits(outputs, classes) is fits
