"""Sentences for people: every region has a place in words, and no advice comes twice in other words."""

from __future__ import annotations

from itertools import chain

import pytest

from analyzer import calibration, wording
from analyzer.conditions import CONDITIONS
from analyzer.report import recommend
from analyzer.values import Demographics
from analyzer.vocabulary import Severity
from tests.analyzer import generated_skin


def test_every_region_that_is_measured_has_a_place_in_words() -> None:
    region = generated_skin.roi_of(generated_skin.face())
    measured = {name for measure in CONDITIONS.values() for name in measure(region).regions} | set(region.regions)
    assert {"left_nasolabial", "right_crows_feet", "perioral"} <= measured
    assert measured <= set(wording.PLACES)
    assert not [place for place in wording.PLACES.values() if "_" in place]


@pytest.mark.parametrize("topic", ["smok", "sleep", "spf 30", "vitamin c", "squeeze", "midday"])
def test_all_advice_at_once_repeats_nothing(topic: str) -> None:
    worst = [calibration.measured(name, 1e6) for name in CONDITIONS]
    assert {finding.severity for finding in worst} == {Severity.HIGH}
    given = recommend(worst, Demographics(60, None, None, "VI"))
    parts = (given.immediate_actions, given.lifestyle_changes, given.professional_advice, given.products)
    assert sum(topic in sentence.lower() for sentence in chain(*parts)) == 1


@pytest.mark.parametrize(("count", "said"), [(0, "0 spots"), (1, "1 spot"), (2, "2 spots")])
def test_spots_are_counted_as_people_say_it(count: int, said: str) -> None:
    assert wording.count_spots(count) == said
