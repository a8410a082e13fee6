"""Intervals of shares and of their differences against published examples and limits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import figures


def test_wilson_interval_of_a_published_example() -> None:
    assert figures.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, case (a), method 3


def test_wilson_interval_stays_in_0_to_1() -> None:
    low, high = figures.wilson(0, 20)
    assert low == 0.0
    assert high == pytest.approx(0.161, abs=1e-3)
    assert figures.wilson(20, 20)[1] == 1.0


def test_difference_of_shares_of_a_published_example() -> None:
    gap, low, high = figures.difference((56, 70), (48, 80))  # Newcombe 1998, case (a), method 10
    assert (gap, low, high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_widest_gap_names_the_extremes_and_passes_over_empty_groups() -> None:
    row = figures.widest_gap({"a": (9, 10), "b": (5, 10), "c": (10, 10), "d": (0, 0)})
    assert (row["highest"], row["lowest"]) == ("c", "b")
    assert row["difference"].startswith("0.500 [")


def test_equal_groups_have_no_gap_but_an_interval_on_both_sides() -> None:
    low, high = figures.difference((50, 50), (50, 50))[1:]
    assert low < 0 < high


def test_share_without_a_count_is_a_dash() -> None:
    assert figures.share(0, 0) == "-"
    assert figures.share(1, 2).startswith("0.500 [")


def test_quantile_passes_over_unknown_values() -> None:
    assert figures.quantile([1.0, np.nan, 3.0], 0.5) == 2.0
    assert figures.quantile([np.nan], 0.5) is None


def test_tables_are_markdown_with_empty_cells_for_missing_columns(capsys: pytest.CaptureFixture[str]) -> None:
    figures.print_table([{"a": 1, "b": 2}, {"a": 3, "c": 4}])
    assert capsys.readouterr().out.splitlines() == ["| a | b | c |", "|---|---|---|", "| 1 | 2 |  |", "| 3 |  | 4 |"]
