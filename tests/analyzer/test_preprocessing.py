"""What networks are shown, and what people said of themselves as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer import preprocessing
from analyzer.values import Demographics
from tests.analyzer import generated_skin


def test_face_is_the_inner_square_of_the_aligned_face() -> None:
    roi = generated_skin.roi_of(generated_skin.face())
    shown = preprocessing.face(roi)
    assert (shown.shape, shown.dtype) == ((224, 224, 3), np.uint8)
    inner = preprocessing.inner_square(roi)
    assert shown.mean(axis=(0, 1)) == pytest.approx(inner.mean(axis=(0, 1)), abs=0.6)
    assert shown[:20, :20].mean() == pytest.approx(inner[:32, :32].mean(), abs=3)


@pytest.mark.parametrize("shape", [(300, 500), (500, 300), (100, 80), (224, 224)])
def test_middle_is_the_largest_square_in_the_middle(shape: tuple[int, int]) -> None:
    height, width = shape
    rgb = np.zeros((height, width, 3), np.uint8)
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    rgb[top : top + side, left : left + side] = 200
    shown = preprocessing.middle(rgb)
    assert shown.shape == (224, 224, 3)
    assert (shown == 200).all()


def test_nothing_said_is_zero_everywhere() -> None:
    assert not preprocessing.demographics_vector(Demographics()).any()
    assert preprocessing.demographics_vector(Demographics()).shape == (preprocessing.DEMOGRAPHICS_WIDTH,)


def test_age_zero_differs_from_no_age() -> None:
    assert preprocessing.demographics_vector(Demographics(age=0))[:2].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("Black or African American", "black"),
        ("East Asian", "asian"),
        ("South Asian", "indian"),
        ("Caucasian", "white"),
        ("Hispanic", "other"),
        ("African", "black"),
        ("Martian", None),
        ("", None),
    ],
)
def test_ethnicity_is_read_from_the_words_people_use(text: str, group: str | None) -> None:
    vector = preprocessing.demographics_vector(Demographics(ethnicity=text))
    places = vector[5:10]
    assert [name for name, place in zip(preprocessing.ETHNICITIES, places, strict=True) if place] == [group] * bool(
        group
    )
    assert vector.sum() == bool(group)


@pytest.mark.parametrize(("text", "place"), [("Female", 2), ("m", 3), ("non-binary", 4)])
def test_gender_has_one_place_each(text: str, place: int) -> None:
    assert np.flatnonzero(preprocessing.demographics_vector(Demographics(gender=text))).tolist() == [place]


def test_fitzpatrick_is_ordered() -> None:
    values = [preprocessing.demographics_vector(Demographics(fitzpatrick=one))[10] for one in preprocessing.FITZPATRICK]
    assert values == sorted(values)
    assert len(set(values)) == 6
