"""Descriptions of findings in the words of people."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from analyzer import calibration
from analyzer.wording import PLACES
from web import words


@pytest.mark.parametrize(
    ("regions", "place"),
    [
        ({"chin": 3.0, "nose": 1.0, "forehead": None}, ", mostly on the chin."),
        ({"left_nasolabial": 3.0}, ", mostly along the smile line (nasolabial) at the left of the picture."),
        ({"right_crows_feet": 3.0}, ", mostly in the crow's feet at the right of the picture."),
        ({"perioral": 3.0}, ", mostly around the mouth."),
        ({}, "noticeable."),
    ],
)
def test_a_place_is_told_as_people_say_it(regions: Mapping[str, float | None], place: str) -> None:
    finding = calibration.measured("wrinkles", 1e6, regions=regions)
    assert words.describe(finding, None).endswith(place)


@pytest.mark.parametrize(("count", "said"), [(1, "(1 spot),"), (2, "(2 spots),")])
def test_spots_are_told_where_something_was_found(count: int, said: str) -> None:
    assert said in words.describe(calibration.measured("acne", 1e6, regions={"chin": 3.0}), count)
    faint = words.describe(calibration.measured("acne", 0.0, regions={"chin": 0.0}), count)
    assert "spot" not in faint
    assert PLACES["chin"] not in faint
