"""Groups stay together, every part gets its share of every class, source and group of people, and a split is kept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import partition
from training.data.pictures import Picture


def pictures(count: int = 600, copies: int = 1) -> list[Picture]:
    return [
        Picture(
            Path(f"{number}_{copy}.jpg"),
            ("one", "two")[number % 2],
            ("acne", "eczema", "healthy")[number % 3],
            f"g{number}",
            ethnicity=("White", "Black")[number // 6 % 2],
        )
        for number in range(count)
        for copy in range(copies)
    ]


def test_every_class_of_every_source_is_parted_70_15_15() -> None:
    own = pictures()
    answer = partition.parts(own, seed=7)
    for wanted in ({"source": "one"}, {"label": "acne", "source": "two"}, {"label": "healthy", "ethnicity": "Black"}):
        rows = [
            row for row, one in enumerate(own) if all(getattr(one, name) == value for name, value in wanted.items())
        ]
        shares = {part: count / len(rows) for part, count in Counter(answer[row] for row in rows).items()}
        assert shares == pytest.approx(partition.SHARES, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_groups_are_never_torn_apart(seed: int, copies: int) -> None:
    own = pictures(60, copies)
    for answer in (partition.parts(own, seed=seed), partition.folds(own, 4, seed=seed)):
        homes = {(one.group, part) for one, part in zip(own, answer, strict=True)}
        assert len(homes) == 60


def test_seed_decides() -> None:
    own = pictures()
    assert partition.parts(own, seed=1) == partition.parts(own, seed=1) != partition.parts(own, seed=2)


def test_folds_are_of_one_size() -> None:
    own = pictures()
    counts = Counter((one.label, fold) for one, fold in zip(own, partition.folds(own, 5, seed=3), strict=True))
    assert len(counts) == 15
    assert set(counts.values()) == {40}


def test_pictures_that_weights_were_trained_on_are_trained_on_again() -> None:
    own = pictures()
    seen = {f"g{number}" for number in range(250)}
    answer = partition.parts(own, seed=5, seen=seen)
    assert {part for one, part in zip(own, answer, strict=True) if one.group in seen} == {"train"}
    shares = {part: count / len(own) for part, count in Counter(answer).items()}
    assert shares == pytest.approx(partition.SHARES, abs=0.02)


def test_a_split_is_kept_and_grows(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    own = pictures()
    first = partition.kept(file, own[:400], seed=7)
    again = partition.kept(file, own, seed=7)
    assert again[:400] == first
    assert partition.kept(file, own, seed=7) == again
    assert len(json.loads(file.read_text())["groups"]) == 600


def test_a_split_of_another_seed_or_kind_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    partition.kept(file, pictures(), seed=7)
    with pytest.raises(ValueError, match="--seed 7"):
        partition.kept(file, pictures(), seed=8)
    file.write_text("[]")
    with pytest.raises(ValueError, match="expected a split"):
        partition.kept(file, pictures(), seed=7)


def test_a_split_of_other_pictures_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    partition.kept(path, pictures(), seed=7)
    before = path.read_text()
    others = [replace(one, group=f"other {one.group}") for one in pictures()]
    with pytest.raises(ValueError, match=r"none of these.*another --out"):
        partition.kept(path, others, seed=7)
    assert path.read_text() == before


def test_a_class_of_one_subject_is_told() -> None:
    own = [*pictures(30), *(Picture(Path(f"x{copy}.jpg"), "one", "rosacea", "one person") for copy in range(9))]
    with pytest.raises(partition.TooFewGroups, match="rosacea: 1 subjects"):
        partition.parts(own, seed=1)
    with pytest.raises(partition.TooFewGroups, match="at least 5"):
        partition.folds(own, 5, seed=1)
