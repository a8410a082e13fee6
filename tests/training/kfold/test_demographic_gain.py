"""A gain that comes from missing values is found out and does not count; one that comes from the people does.

The answers are drawn: the real networks are trained in test_train_face_kfold.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")

from analyzer.preprocessing import demographics_vector
from analyzer.values import Demographics
from training.data import sampling
from training.data.pictures import Picture
from training.kfold import arms, demographic_gain, demographic_report
from training.kfold.demographic_gain import VALUES, WHICH, OutOfFold

CLASSES = ("acne", "eczema", "healthy")
EACH = 120  # pictures of a class
FOLDS = 4


def study(known_of_ill: float, right: dict[str, float], sources: int = 2) -> OutOfFold:
    """Healthy people say all of themselves, ill ones with a chance; networks are `right` when told, half of the time when not."""
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 1, 2], EACH)
    knows = rng.random(len(truth)) < np.where(truth == 2, 1.0, known_of_ill)
    said = np.stack([vector(rng) if one else np.zeros(12, np.float32) for one in knows])
    chances = rng.random(len(truth))
    wrong = (truth + rng.integers(1, 3, len(truth))) % 3
    logits = {
        (arm.key, way): np.eye(3, dtype=np.float32)[
            np.where(chances < (0.5 if way == arms.NOTHING else right.get(arm.key, 0.5)), truth, wrong)
        ]
        for arm in arms.ARMS
        for way in arms.WAYS
    }
    pictures = [
        Picture(Path(f"{row}.jpg"), f"source {row % sources}", CLASSES[label], f"group {row}")
        for row, label in enumerate(truth)
    ]
    return OutOfFold(CLASSES, pictures, said, truth, np.arange(len(truth)) % FOLDS, logits)


def vector(rng: np.random.Generator) -> np.ndarray:
    gender, kind = ("female", "male")[rng.integers(2)], ("II", "IV")[rng.integers(2)]
    return demographics_vector(Demographics(age=int(rng.integers(20, 28)), gender=gender, fitzpatrick=kind))


def test_missingness_is_found_out_and_its_gain_does_not_count() -> None:
    oof = study(0.0, {"flags": 0.75, "as_said": 0.75})
    gain = demographic_gain.measured(oof, 1)
    told = gain.telling[arms.AS_SAID, WHICH]
    assert told.best_class == "healthy"
    assert told.auroc.value == 1.0
    assert told.balanced.interval is not None
    assert told.balanced.interval[0] > 0.4  # guessing: 1/3
    assert gain.differences["as_said"].pooled.value == pytest.approx(0.25, abs=0.05)
    assert gain.differences["as_said"].told == gain.differences["as_said"].pooled  # here all of it comes from telling
    assert not gain.counts
    text = " ".join(demographic_report.sentences(gain, CLASSES))
    assert "100% of the apparent gain is missingness" in text
    assert "No gain of demographics counts: nothing is left to learn from" in text
    assert "Nothing can be learned of age, gender, ethnicity and fitzpatrick" in text


@pytest.fixture(scope="module")
def partly_known() -> demographic_gain.Gain:
    """Three in ten ill people say of themselves what all healthy ones say."""
    return demographic_gain.measured(study(0.3, {}), 1)


def test_nothing_tells_the_class_once_values_are_known_alike(partly_known: demographic_gain.Gain) -> None:
    for what in (WHICH, VALUES):
        as_said, alike = (partly_known.telling[way, what].balanced for way in (arms.AS_SAID, arms.SAID_ALIKE))
        assert as_said.interval is not None
        assert alike.interval is not None
        assert alike.interval[0] < 1 / 3 < alike.interval[1]
        assert as_said.interval[0] > alike.interval[1]
    assert 0 < partly_known.kept["age"] < 0.35


def test_a_gain_with_the_same_people_in_every_class_counts() -> None:
    gain = demographic_gain.measured(study(1.0, {arm.key: 0.8 for arm in arms.ARMS if arm is not arms.IMAGE}), 1)
    assert gain.counts
    text = " ".join(demographic_report.sentences(gain, CLASSES))
    assert "Which values are known does not tell the class" in text
    assert "The gain of demographics counts" in text


def test_a_gain_across_sources_alone_does_not_count() -> None:
    oof = study(1.0, {"said_alike": 0.8})
    apart = [Picture(one.path, str(one.label), one.label, one.group) for one in oof.pictures]
    gain = demographic_gain.measured(OutOfFold(CLASSES, apart, oof.said, oof.truth, oof.folds, oof.logits), 1)
    assert gain.differences["said_alike"].pooled.value == pytest.approx(0.3, abs=0.06)
    assert gain.differences["said_alike"].inside is None
    assert not gain.counts
    assert "not measurable within a source" in demographic_report.sentences(gain, CLASSES)[-1]


def test_intervals_over_folds_know_that_training_pictures_are_shared() -> None:
    found = demographic_gain.across_folds([0.01, 0.03, 0.02, 0.02, 0.02])
    plain = 2.776 * 0.00707 / 5**0.5
    assert found.interval is not None
    assert found.value == 0.02
    assert found.interval[1] - found.value == pytest.approx(plain * 1.5, abs=2e-4)  # sqrt(1/5 + 1/4) over sqrt(1/5)


def test_means_are_over_folds() -> None:
    oof = study(1.0, {})
    answered = np.where(oof.folds == 0, oof.truth, (oof.truth + 1) % 3)
    mean, deviation = demographic_gain.over_folds(oof, answered)["accuracy"]
    assert (mean, deviation) == (0.25, 0.5)


def test_tables_and_json_hold_every_network(partly_known: demographic_gain.Gain) -> None:
    section = demographic_report.section(partly_known, CLASSES)
    cells = [cell for table in section.tables for row in table.rows for cell in row]
    assert {arm.name for arm in arms.ARMS} <= set(cells)
    assert all(len(row) == len(table.head) for table in section.tables for row in table.rows)
    found = demographic_report.as_json(partly_known)
    assert found["known"]["healthy"]["age"] == 1.0
    assert {one["arm"] for one in found["folds"]} == {arm.key for arm in arms.ARMS}


def test_the_image_alone_is_told_nothing_and_flags_are_no_values() -> None:
    oof = study(0.3, {})
    assert not arms.IMAGE.told(oof.said, oof.truth, arms.IMAGE.way, 1).any()
    flags = arms.FLAGS.told(oof.said, oof.truth, arms.AS_SAID, 1)
    assert len(np.unique(flags, axis=0)) == len(np.unique(sampling.known(oof.said), axis=0))
