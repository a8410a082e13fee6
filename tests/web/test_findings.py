"""How many spots an answer says were counted."""

from __future__ import annotations

import pytest

from analyzer import calibration
from analyzer.values import Box, Lesion
from web import findings

LISTED = tuple(Lesion(Box(10.0 * number, 10, 4, 4), 1.0) for number in range(3))


@pytest.mark.parametrize(
    ("condition", "evidence", "count"),
    [
        ("acne", {"spots": 7.0}, 7),
        ("dark_spots", {"count": 84.0}, 84),
        ("pores", {"count": 210.0}, 210),
        ("texture", {}, 3),
    ],
)
def test_all_counted_spots_are_told_though_only_the_strongest_are_listed(
    condition: str, evidence: dict[str, float], count: int
) -> None:
    finding = calibration.measured(condition, 0.5, lesions=LISTED, evidence=evidence)
    assert findings.spot_count(finding) == count
    assert findings.condition_entry(finding).spot_count == count


def test_what_was_not_measured_counts_nothing() -> None:
    assert findings.spot_count(calibration.not_measured("acne", "too_small", "Too small.")) is None
