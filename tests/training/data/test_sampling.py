"""What is said tells the class neither by what is missing nor by what it says; groups of people are drawn alike."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.preprocessing import demographics_vector
from analyzer.values import Demographics
from training.data import sampling
from training.data.sampling import UNKNOWN

PEOPLE = [
    Demographics(age=25, gender="female", ethnicity="White", fitzpatrick="II"),
    Demographics(age=17, gender="male"),
    Demographics(age=18, ethnicity="Black", fitzpatrick="VI"),
    Demographics(age=0),
    Demographics(gender="nonbinary", ethnicity="South Asian"),
    Demographics(),
]
SAID = np.stack([demographics_vector(person) for person in PEOPLE])


def seen(people: sampling.Levels, truth: sampling.Rows, evening: sampling.Evening) -> dict[int, dict[tuple, float]]:
    """Class → what is to be seen of its people → its share."""
    answer: dict[int, dict[tuple, float]] = defaultdict(lambda: defaultdict(float))
    for person, label, sets, chances in zip(people, truth, evening.kept, evening.chances, strict=True):
        for kept, chance in zip(sets, chances, strict=True):
            view = tuple(np.where(kept, person, UNKNOWN).tolist())
            answer[int(label)][view] += chance / np.sum(truth == label)
    return answer


def test_levels_are_read_back_from_the_vectors() -> None:
    assert sampling.levels(SAID).tolist() == [
        [1, 0, 0, 1],
        [0, 1, -1, -1],
        [1, -1, 1, 5],
        [0, -1, -1, -1],
        [-1, 2, 3, -1],
        [-1, -1, -1, -1],
    ]


def test_kept_values_are_unchanged_and_dropped_ones_were_never_said() -> None:
    assert (sampling.keeping(SAID, sampling.known(SAID)) == SAID).all()
    only_gender = sampling.keeping(SAID, np.tile([False, True, False, False], (len(SAID), 1)))
    wanted = [demographics_vector(Demographics(gender=person.gender)) for person in PEOPLE]
    assert (only_gender == np.stack(wanted)).all()


def test_flags_say_which_and_not_what() -> None:
    flags = sampling.flags(SAID)
    assert (sampling.known(flags) == sampling.known(SAID)).all()
    other = demographics_vector(Demographics(age=71, gender="male", ethnicity="Asian", fitzpatrick="V"))
    assert (sampling.flags(other[None]) == flags[:1]).all()


def test_values_are_hidden_one_by_one_and_all_together() -> None:
    said = np.repeat(SAID[:1], 20000, axis=0)
    hidden = sampling.hidden(np.random.default_rng(1), len(said), 0.3, 0.1)
    kept = sampling.known(said * ~hidden)
    assert kept.mean(axis=0) == pytest.approx([0.63] * 4, abs=0.02)
    assert np.mean(~kept.any(axis=1)) == pytest.approx(0.1 + 0.9 * 0.3**4, abs=0.01)
    whole = (said * ~hidden == sampling.keeping(said, kept)).all()  # a value is hidden in all its places or in none
    assert whole
    assert not sampling.hidden(np.random.default_rng(1), 50, 0.0, 0.0).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([0.0, 0.4, 0.9]))
def test_what_is_left_is_alike_in_every_class(seed: int, classes: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(60) % classes)
    people = rng.integers(0, 2 + truth[:, None], (60, 4))  # classes show different people
    people[rng.random((60, 4)) < missing * (truth[:, None] > 0)] = UNKNOWN  # and say less of them
    views = list(seen(people, truth, sampling.evening(people, truth)).values())
    for view in set().union(*views):
        assert [one[view] for one in views] == pytest.approx([views[0][view]] * classes, abs=1e-6)


def test_evening_of_what_is_known_leaves_the_values_as_they_are() -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1], 500)
    people = np.where(truth[:, None] == 0, 1, 4) * np.ones((1, 4), int)  # class 1 are all old and dark
    people[rng.random((1000, 4)) < np.where(truth == 0, 0.1, 0.6)[:, None]] = UNKNOWN
    kept = sampling.evening(np.minimum(people, 0), truth).draw(rng)
    rates = [kept[truth == label].mean(axis=0) for label in (0, 1)]
    assert rates[0] == pytest.approx(rates[1], abs=0.08)
    assert rates[1] == pytest.approx(
        (people[truth == 1] != UNKNOWN).mean(axis=0), abs=0.05
    )  # no more is lost than must be
    assert sampling.evening(people, truth).kept_share == pytest.approx([0.0] * 4, abs=1e-9)


def test_nothing_is_dropped_where_nothing_tells_the_class() -> None:
    people = np.tile(sampling.levels(SAID), (2, 1))
    truth = np.repeat([0, 1], len(SAID))
    assert (sampling.evening(people, truth).draw(np.random.default_rng(0)) == (people != UNKNOWN)).all()


def test_nothing_is_kept_where_one_class_says_nothing() -> None:
    people = np.concatenate([sampling.levels(SAID), np.full((4, 4), UNKNOWN)])
    truth = np.repeat([0, 1], [len(SAID), 4])
    assert not sampling.evening(people, truth).draw(np.random.default_rng(0)).any()


def test_only_known_values_are_ever_kept() -> None:
    people = np.tile(sampling.levels(SAID), (3, 1))
    kept = sampling.evening(people, np.arange(len(people)) % 3).draw(np.random.default_rng(4))
    assert not (kept & (people == UNKNOWN)).any()


def test_classes_and_known_groups_of_people_are_drawn_alike() -> None:
    person = {"young": (1, 0, 0, UNKNOWN), "old": (4, 1, 1, UNKNOWN), "unknown": (UNKNOWN,) * 4}
    counts = {(0, "young"): 400, (0, "old"): 200, (0, "unknown"): 200, (1, "unknown"): 200}
    people = np.array([person[name] for (_, name), count in counts.items() for _ in range(count)])
    truth = np.array([label for (label, _), count in counts.items() for _ in range(count)])
    rows = sampling.balanced(np.random.default_rng(2), people, truth)
    drawn = Counter((int(truth[row]), int(people[row, 0])) for row in rows)
    assert dict(drawn) == pytest.approx({(0, 1): 187.5, (0, 4): 187.5, (0, UNKNOWN): 125, (1, UNKNOWN): 500}, abs=1)
    each = Counter(rows.tolist())
    assert {each[row] for row in np.flatnonzero(truth == 1)} <= {2, 3}  # no picture instead of another of its kind


def test_one_person_is_not_drawn_for_a_whole_group() -> None:
    people = np.array([(1, 0, 0, UNKNOWN)] * 99 + [(4, 1, 1, UNKNOWN)])
    rows = sampling.balanced(np.random.default_rng(2), people, np.zeros(100, int), most=4.0)
    assert 3 <= np.sum(rows == 99) <= 4
