"""The benchmark of faults: what it sums up."""

from __future__ import annotations

import pytest

from benchmarks import faults


def test_median_and_most() -> None:
    assert faults.summary({"a": [1.0, 5.0, 2.0]}) == {"a": {"median_s": 2.0, "most_s": 5.0}}


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    assert 0 < faults.until(lambda: next(answers)) < 60
    monkeypatch.setattr(faults, "GIVEN_UP_S", 0.01)
    with pytest.raises(SystemExit, match="did not recover"):
        faults.until(lambda: False)


def test_nobody_there_is_an_empty_answer() -> None:
    assert faults.get(9, "/health") == b""
