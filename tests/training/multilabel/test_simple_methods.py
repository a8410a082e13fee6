"""Methods that see no skin answer what can be told without it, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")
pytest.importorskip("keras", reason="Keras is in the training environment only: make train-env")

from analyzer.artefact import BASELINE
from training.data.facts import Facts
from training.data.pictures import Picture
from training.data.prepared import Prepared
from training.evaluation.baselines import FOREST
from training.multilabel import simple_methods
from training.multilabel.objective import UNSAID, Labels
from training.multilabel.simple_methods import BATCH, NOTHING, Seen

SIDE_PX, COUNT = 32, 48
BLANK = Facts(
    **dict.fromkeys(("cut_px", "contrast", "sharpness", "blur_px", "bright_l"), 1.0),
    sha256="0", width=200, height=200, size_bytes=9000, faces=0, has_face=False, face_confidence=None, face_box=None,
    brightness=100.0, border=(50.0, 0.0, 0.0), refused=(), failed=(), ita_deg=None, fingerprint="",
)  # fmt: skip


def seen(seed: int) -> Seen:
    """First condition: in bright pictures. Second: in pictures of red noise. Third: only in the batch "old". Each of severity 2."""
    rng = np.random.default_rng(seed)
    present = rng.random((COUNT, 3)) < 0.4
    batches = ["old" if row % 2 else "new" for row in range(COUNT)]
    present[:, 2] = np.array(batches) == "old"
    crops = rng.integers(0, 100, (COUNT, SIDE_PX, SIDE_PX, 3), np.uint8)
    crops[present[:, 1], ..., 0] += 100
    known = [replace(BLANK, brightness=150.0 if there else 90.0) for there in present[:, 0]]
    pictures = [Picture(Path(f"{row}.png"), "drawn", None, str(row)) for row in range(COUNT)]
    severity = np.where(rng.random(present.shape) < 0.1, UNSAID, 2 * present)
    return Seen(Prepared(pictures, known, crops, []), Labels(present, severity), batches)


def test_each_sees_what_it_can() -> None:
    train, validation, asked = seen(1), seen(2), seen(3)
    found = simple_methods.answered(train, validation, asked, seed=0)
    truth = asked.labels.present
    assert not found[NOTHING].present.any()
    assert found[NOTHING].shares is None
    right = {name: (told.present == truth).mean(axis=0) for name, told in found.items()}
    assert right[BASELINE][0] == right[FOREST][1] == right[BATCH][2] == 1
    assert max(right[BASELINE][1], right[FOREST][0], right[BATCH][0]) < 0.75
    assert (found[BASELINE].severity[:, 0] == 2 * truth[:, 0]).all()
    assert (found[FOREST].severity[:, 1] == 2 * truth[:, 1]).all()


def test_a_condition_that_is_never_trained_on_is_never_probable() -> None:
    train, validation, asked = seen(1), seen(2), seen(3)
    labels = Labels(train.labels.present & [True, True, False], train.labels.severity * [1, 1, 0])
    found = simple_methods.answered(replace(train, labels=labels), validation, asked, seed=0)
    assert all((found[name].shares[:, 2] == 0).all() for name in (BASELINE, BATCH, FOREST))


def test_a_batch_that_was_not_trained_on_is_like_all_together() -> None:
    train, validation, asked = seen(1), seen(2), replace(seen(3), batches=["other"] * COUNT)
    told = simple_methods.by_batch(train, validation, asked)
    assert (told.shares == train.labels.present.mean(axis=0)).all()
