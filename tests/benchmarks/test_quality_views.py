"""What a turned head hides, and how marks of eyes are counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analyzer import face, quality, roi, settings
from analyzer.errors import ModelUnavailable
from analyzer.face import Detector
from benchmarks import dataset, quality_views
from tests.analyzer import generated_skin as made


def test_nothing_is_hidden_in_front_and_the_far_side_of_a_strong_turn_is() -> None:
    """The nose is drawn towards the edge on the picture's right, the eye there narrowed."""
    points = {name: group.copy() for name, group in made.landmarks().items()}
    assert quality_views.hidden(points, 5.0) == (False, False)
    points["nose"] += np.float32([110, 0])
    assert quality_views.hidden(points, 45.0) == (True, False)
    points["left_eye"] = (points["left_eye"] * [0.4, 1.0] + [190, 0]).astype(np.float32)
    assert quality_views.hidden(points, 60.0) == (True, True)
    assert quality_views.hidden(points, -60.0) == (False, False)


def test_no_picture_is_marked_twice_and_both_halves_have_both_words() -> None:
    halves = [quality_views.eye_marks(held_out=half) for half in (False, True)]
    for marks in halves:
        assert sum(closed for _, closed in marks) >= 15
        assert sum(not closed for _, closed in marks) >= 50
    paths = [path for marks in halves for path, _ in marks]
    assert len(paths) == len(set(paths))


def test_hits_and_false_alarms_are_counted_among_the_eyes_that_can_be_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    least = quality.MIN_OPENNESS
    values = {"a": least - 0.1, "b": least + 0.1, "c": None, "d": least + 0.2, "e": least - 0.2}
    monkeypatch.setattr(quality_views, "eyes_of", lambda path: values[path.name])
    marks = [(Path(name), name in "abc") for name in values]
    counted = quality_views.closed_eyes(marks)
    assert (counted["marked_closed"], counted["closed"], counted["hits"]) == (3, 2, 1)
    assert (counted["marked_open"], counted["open"], counted["false_alarms"]) == (2, 2, 1)
    assert counted["auc"] == pytest.approx(0.5)


@pytest.mark.data
def test_the_marked_pictures_are_there() -> None:
    assert all(path.is_file() for half in (False, True) for path, _ in quality_views.eye_marks(held_out=half))
    assert dataset.data_root().is_dir()


@pytest.fixture(scope="module")
def learned() -> Detector:
    try:
        return face.network(settings.model_dir() / face.ARTEFACT)
    except ModelUnavailable:
        pytest.skip("the learned face stage is not there")


@pytest.mark.data
def test_most_closed_eyes_are_told_and_few_open_ones(learned: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "detect", learned.detect)
    counted = quality_views.closed_eyes(quality_views.eye_marks(held_out=True))
    assert counted["closed"] >= 15
    assert counted["hits"] > 0.55 * counted["closed"]
    assert counted["false_alarms"] < 0.15 * counted["open"]


@pytest.mark.data
def test_profiles_hide_a_cheek_and_keep_the_other(learned: Detector) -> None:
    """Held-out profiles marked by eye: where they are found, facing as marked, strongly turned."""
    marks = json.loads((dataset.ROOT / "training" / "marks" / "acne04_profiles.json").read_text(encoding="utf-8"))[
        "marks"
    ]
    hidden, near = [], []
    for mark in (one for one in marks if one["kind"] == "face" and dataset.held_out(dataset.data_root() / one["file"])):
        picture = dataset.load(dataset.data_root() / mark["file"])
        found = learned.detect(picture.rgb)
        if not found or abs(found[0].yaw_deg or 0.0) < 45:
            continue
        far, other = ("right", "left") if (found[0].yaw_deg or 0.0) > 0 else ("left", "right")
        seen = roi.extract(picture, found[0])
        hidden.append(not seen.regions[f"{far}_cheek"].any())
        near.append(int(seen.regions[f"{other}_cheek"].sum()))
    assert len(hidden) >= 10
    assert all(hidden)
    assert np.median(near) > 10000
