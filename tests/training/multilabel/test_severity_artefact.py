"""What a training hands to `export_severities` is what the service answers; what would not be served leaves the folder as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import artefact, head, model_card, severity
from analyzer.errors import BadModel
from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard
from analyzer.values import Demographics
from tests.analyzer import artefacts
from training import export

Trained = tuple[KerasForm, Callable[[NDArray[np.uint8]], NDArray[np.float32]], ModelCard]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A compiled backbone with its head, the network's own answers, and its card."""
    folder = tmp_path / "trained"
    thresholds = {severity.presence_threshold(name): 0.4 for name in artefacts.GRADED}
    card = artefacts.make_graded(folder, thresholds=thresholds)
    dense = head.read((folder / artefact.HEAD).read_bytes())
    layers = tuple(zip(dense.kernels, dense.biases, strict=True))
    form = KerasForm((folder / "network.xml").read_bytes(), (folder / "network.bin").read_bytes(), layers, 0)

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([dense.logits(one) for one in artefacts.features_of(folder, pictures)])

    return form, answer, replace(card, files={})


def test_what_was_trained_is_what_is_served(tmp_path: Path, trained: Trained) -> None:
    form, answer, card = trained
    folder = tmp_path / "served"
    written = export.export_severities(form, answer, folder, card)
    assert {path.name for path in folder.iterdir()} == {"card.json", *written.files}
    assert set(written.files) == {"network.xml", "network.bin", "head.npz", "golden.npz"}
    picture = np.random.default_rng(1).integers(0, 256, (artefacts.SIDE_PX, artefacts.SIDE_PX, 3)).astype(np.uint8)
    told = artefact.open_folder(folder, precision="f32").predict(picture, Demographics())
    wanted = severity.grades(answer(picture[None])[0], artefacts.GRADED, card.thresholds, 1.0)
    for name, grade in (told.grades or {}).items():
        assert grade.probability == pytest.approx(wanted[name].probability, abs=0.01)
        assert grade.shares == pytest.approx(wanted[name].shares, abs=0.01)
        assert grade.threshold == 0.4


@pytest.mark.parametrize("kind", [model_card.ONE_CLASS, model_card.FACES])
def test_a_card_of_another_kind_is_refused_and_nothing_is_left(tmp_path: Path, trained: Trained, kind: str) -> None:
    form, answer, card = trained
    with pytest.raises(BadModel):
        export.export_severities(form, answer, tmp_path / "served", replace(card, output_kind=kind))
    assert not (tmp_path / "served").exists()


def test_a_network_that_answers_otherwise_than_its_form_is_refused(tmp_path: Path, trained: Trained) -> None:
    form, answer, card = trained
    with pytest.raises(BadModel, match="failed its self-test"):
        export.export_severities(form, lambda pictures: answer(pictures) + np.float32(1), tmp_path / "served", card)
