"""How many spots an answer says were counted, and how much of the skin it says is affected."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analyzer import calibration
from analyzer.conditions import CONDITIONS
from analyzer.values import Box, Lesion
from analyzer.vocabulary import ConditionName, Severity
from tests.analyzer import generated_skin as skin
from tests.web import records
from web import findings

LISTED = tuple(Lesion(Box(10.0 * number, 10, 4, 4), 1.0) for number in range(3))


@pytest.mark.parametrize(
    ("condition", "evidence", "count"),
    [
        ("acne", {"spots": 7.0}, 7),
        ("dark_spots", {"count": 84.0}, 84),
        ("pores", {"count": 210.0}, 210),
        ("dark_spots", {}, 3),
    ],
)
def test_all_counted_spots_are_told_though_only_the_strongest_are_listed(
    condition: str, evidence: dict[str, float], count: int
) -> None:
    finding = calibration.measured(condition, 0.5, lesions=LISTED, evidence=evidence)
    assert finding.spot_count == count
    assert findings.condition_entry(finding).spot_count == count


@pytest.mark.parametrize("condition", CONDITIONS)
def test_area_and_spots_of_what_was_measured_are_numbers(condition: str) -> None:
    entry = findings.condition_entry(CONDITIONS[condition](skin.roi_of(skin.face())))
    assert 0 <= entry.percentage <= 1
    assert entry.spot_count >= 0
    assert entry.reason is None


@pytest.mark.parametrize("condition", ["redness", "texture", "wrinkles", "pigmentation", "under_eye"])
def test_conditions_without_spots_count_none_of_them(condition: str) -> None:
    finding = CONDITIONS[condition](skin.roi_of(skin.add_pores(skin.face(), skin.spread(40))))
    assert findings.condition_entry(finding).spot_count == 0


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_was_not_measured_has_no_area_counts_nothing_and_says_why(condition: str) -> None:
    hidden = skin.roi_of(skin.face(), mask=np.zeros((512, 512), bool))
    entry = findings.condition_entry(CONDITIONS[condition](hidden))
    assert (entry.score, entry.percentage, entry.spot_count) == (None, None, None)
    assert entry.reason.startswith("too_few_pixels")


@pytest.mark.parametrize(
    "contradiction",
    [
        {"score": math.nan},
        {"score": np.float32("inf")},
        {"area_fraction": math.nan},
        {"score": None},
        {"score": None, "severity": Severity.NONE},
    ],
)
def test_a_finding_that_contradicts_itself_counts_as_not_measured_everywhere(contradiction: dict[str, Any]) -> None:
    found = records.findings(acne=Severity.HIGH, redness=Severity.LOW)
    broken = tuple(replace(one, **contradiction) if one.name == "acne" else one for one in found)
    report = findings.sound(records.report(broken))
    assert (report.primary_condition, report.primary_concerns) == ("redness", ("redness",))
    assert [entry.name for entry in findings.detected_conditions(report)] == ["redness"]
    entry = findings.condition_entries(report)[ConditionName.ACNE]
    assert (entry.measured, entry.reason_code, entry.severity) == (False, "undefined", "none")
    nothing = findings.sound(records.report(tuple(replace(one, **contradiction) for one in broken)))
    assert nothing.primary_condition == "unknown"


def test_a_sound_report_stays_as_it_is() -> None:
    report = records.report()
    assert findings.sound(report) is report
