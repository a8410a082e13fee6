"""The card says of each figure what was measured, and leaves out what cannot be told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

for package in ("tensorflow", "fairlearn"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

from analyzer import artefact, model_card  # noqa: E402
from analyzer.artefact import BASELINE, EARNED, probabilities  # noqa: E402
from training import cards  # noqa: E402
from training.cards import Evidence  # noqa: E402
from training.data.pictures import Picture  # noqa: E402
from training.evaluation import scores  # noqa: E402
from training.evaluation.scores import Answers  # noqa: E402

CLASSES = ("acne", "eczema", "healthy")
COUNT = 90


def evidence(**changes: object) -> Evidence:
    """A clinic and an atlas with acne and eczema, and healthy faces from elsewhere; three of four answers are right."""
    rng = np.random.default_rng(0)
    truth = np.arange(COUNT) % 3
    sources = ["faces" if one == 2 else ("clinic", "atlas")[row // 3 % 2] for row, one in enumerate(truth)]
    told = np.where(np.arange(COUNT) % 4 == 3, (truth + 1) % 3, truth)
    logits = (3 * np.eye(3)[told] + rng.normal(0, 0.1, (COUNT, 3))).astype(np.float32)
    pictures = [
        Picture(
            Path(f"{row}.jpg"),
            source,
            CLASSES[one],
            f"{source}/{row}",
            ethnicity="Black" if one == 2 and row % 2 else "White" if one == 2 else None,
        )
        for row, (source, one) in enumerate(zip(sources, truth, strict=True))
    ]
    facts = [SimpleNamespace(has_face=source == "faces") for source in sources]
    groups = [one.group for one in pictures]
    shares = probabilities(logits, 1.5)
    answers = Answers(CLASSES, truth, shares.argmax(axis=1), groups, sources, shares)
    known = Evidence(
        answers=answers,
        pictures=pictures,
        facts=facts,  # type: ignore[arg-type]
        baselines={BASELINE: rng.permutation(truth), "constant": np.zeros(COUNT, np.intp)},
        temperature=1.5,
        distances=rng.uniform(0.9, 1.1, COUNT),
        limit=1.05,
        strangers={"lesions under a lens": rng.uniform(1.0, 3.0, 40)},
        matched=None,
        trained=pictures[:30],
        trained_facts=facts[:30],  # type: ignore[arg-type]
        licences={"clinic": "CC BY 4.0", "faces": "research"},
        counts={"train": 30, "validation": 10, "test": COUNT},
        notes=("Backbones of a test.",),
    )
    return dataclasses.replace(known, **changes)


def test_a_card_can_be_written_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "network.bin").write_bytes(b"numbers")
    made = cards.card(evidence())
    written = model_card.write(made, tmp_path, ["network.bin"])
    assert model_card.read(tmp_path) == written
    assert [one.name for one in made.classes] == list(CLASSES)
    assert made.thresholds == {"probability": 0.5, "distance": 1.05, "parity_probability": 0.02}
    assert "Backbones of a test." in made.notes


def test_figures_are_those_of_the_answers() -> None:
    made = cards.card(evidence())
    overall = made.metrics.overall
    right = np.mean(evidence().answers.answered == evidence().answers.truth)
    assert overall["accuracy"].value == pytest.approx(right, abs=1e-3)
    assert overall[EARNED].count == 60
    stated = np.mean((evidence().distances <= 1.05) & (evidence().answers.shares.max(axis=1) >= 0.5))
    assert overall[cards.SHARE_ANSWERED].value == pytest.approx(stated, abs=1e-3)
    assert overall["AUROC of the distance, lesions under a lens"].value > 0.85
    assert set(made.metrics.classes["acne"]) >= {"recall", "precision", "specificity"}
    assert made.baselines["constant"]["accuracy"].value == pytest.approx(1 / 3, abs=1e-3)
    assert made.calibration is not None
    assert made.calibration.temperature == 1.5


def test_a_model_that_beats_statistics_within_sources_may_speak_and_one_that_does_not_may_not() -> None:
    assert artefact.silence_reason(cards.card(evidence())) is None
    known = evidence()
    weak = dataclasses.replace(known.answers, answered=np.random.default_rng(1).permutation(known.answers.truth))
    assert artefact.silence_reason(cards.card(evidence(answers=weak))) is not None


def test_groups_of_sources_faces_and_healthy_people_and_none_too_small() -> None:
    groups = cards.card(evidence()).metrics.groups
    assert {"source clinic", "source atlas", "source faces", "with a face", "without a face"} <= set(groups)
    assert not any(name.startswith("healthy, ") for name in groups)  # 15 of each
    doubled = evidence()
    names = [dataclasses.replace(one, ethnicity="White") if one.ethnicity else one for one in doubled.pictures]
    assert "healthy, White" in cards.card(evidence(pictures=names)).metrics.groups


def test_what_the_same_crop_leaves_stands_beside() -> None:
    known = evidence()
    lost = np.where(known.answers.truth == 2, 0, known.answers.answered)
    made = cards.card(evidence(matched=dataclasses.replace(known.answers, answered=lost)))
    after = made.metrics.overall[f"{scores.ACCURACY}, healthy faces through the clinical crop"]
    assert after.value < made.metrics.overall[scores.ACCURACY].value


def test_sources_are_told_with_licence_and_pictures_without_a_face() -> None:
    told = {one.source: one for one in cards.card(evidence()).training_data}
    assert told["clinic"].licence == "CC BY 4.0"
    assert told["atlas"].licence == "not stated"
    assert told["faces"].flags == ()
    assert told["clinic"].flags == (f"{told['clinic'].count} without a face",)
    assert sum(one.count for one in told.values()) == 30


def test_a_second_input_stands_in_the_card() -> None:
    assert [one.name for one in cards.card(evidence(demographics=12)).inputs] == ["image", "demographics"]
