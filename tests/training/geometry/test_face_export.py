"""The confidence that is fitted, and the figures that go into the card."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.face_network import Seen
from training.geometry import face_export


def test_confidence_follows_the_share_of_right_proposals() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 2))
    chance = 1 / (1 + np.exp(-(0.5 + 1.0 * logits[:, 0] + 2.0 * logits[:, 1])))
    fitted = face_export.fit_confidence(np.column_stack([logits, rng.random(4000) < chance]))
    assert fitted["confidence_intercept"] == pytest.approx(0.5, abs=0.15)
    assert fitted["confidence_per_proposal_logit"] == pytest.approx(1.0, abs=0.15)
    assert fitted["confidence_per_face_logit"] == pytest.approx(2.0, abs=0.25)


def test_no_evidence_counts_against_a_face() -> None:
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.normal(size=(500, 2)), rng.random(500) < 0.5])
    rows[:, 2] = rows[:, 0] < 0
    fitted = face_export.fit_confidence(rows)
    assert min(fitted["confidence_per_proposal_logit"], fitted["confidence_per_face_logit"]) >= 0


def landmarks(x: float, y: float, chin_px: float) -> np.ndarray:
    points = np.full((142, 2), (x, y), np.float32)
    points[:36] += np.stack([np.zeros(36), np.linspace(-chin_px, chin_px, 36)], axis=1)
    points[36:52] += (-20, 0)
    points[52:68] += (20, 0)
    return points.astype(np.float32)


@pytest.mark.parametrize(
    ("x", "chin_px", "right"), [(100, 60, True), (145, 60, False), (100, 20, False), (100, 130, False)]
)
def test_a_proposal_is_right_by_place_and_size(x: float, chin_px: float, right: bool) -> None:
    truth = np.array([[100, 110, 85, 0]], np.float32)
    assert face_export.is_right(Seen(landmarks(x, 100, chin_px), 0.0, 0.0), truth) is right


def test_nothing_is_right_where_there_is_no_face() -> None:
    assert not face_export.is_right(Seen(landmarks(100, 100, 60), 0.0, 0.0), np.zeros((0, 4), np.float32))


def test_figures_of_both_stages_are_read_from_the_tables() -> None:
    tables = {
        "recall": [
            {
                "source": "UTKFace",
                "group": "Black",
                "pictures": 50,
                "haar_right": "0.900 [0.80, 0.95]",
                "network_right": "0.980 [0.90, 1.00]",
            }
        ],
        "landmark_error": [
            {"stage": "network", "faces of": "all", "faces": 60, "not_found": 2, "mean": "0.0170 [0.0160, 0.0180]"},
            {"stage": "haar", "faces of": "all", "faces": 60, "not_found": 60, "mean": "-"},
        ],
        "polygon_agreement": [],
    }
    learned, haar = (face_export.measured_of(stage, tables) for stage in ("network", "haar"))
    assert learned["UTKFace, Black"]["recall"].value == 0.98
    assert learned["all"]["landmark error, diagonals"].interval == (0.016, 0.018)
    assert learned["all"]["landmark error, diagonals"].count == 58
    assert haar["UTKFace, Black"]["recall"].interval == (0.8, 0.95)
    assert haar["all"] == {}
