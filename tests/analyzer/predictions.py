"""What an ensemble may answer, with invented numbers, and a double of the ensemble that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.errors import ModelUnavailable
from analyzer.values import Demographics, Grade, ModelState, Prediction

CLASSES = ("acne", "actinic_keratosis", "basal_cell_carcinoma", "eczema", "healthy", "rosacea")
UNSTATED = ("actinic_keratosis", "basal_cell_carcinoma", "eczema", "rosacea")
DISEASES = ("carcinoma", "keratosis", "eczema", "rosacea")  # words that no analysis answer may hold
REFERRAL = "Have this looked at by a professional."
WORDINGS: Mapping[str, str | None] = {
    **dict.fromkeys(UNSTATED, REFERRAL),
    "acne": "Blemishes may be visible.",
    "healthy": None,
}
DETAILS: Mapping[str, Any] = {
    "version": "6.1",
    "accuracy": "0.80 on 900 faces that were not trained on",
    "classes": len(CLASSES),
    "labels": CLASSES,
    "model_size": "58 MB",
    "size": 58.2,
    "features": "skin classes of one face",
    "type": "facial",
    "sha256": "ab" * 32,
    "metrics": {"accuracy": {"value": 0.8, "interval": (0.77, 0.83), "count": 900}},
    "self_test": "passed",
    "self_test_detail": "6 golden pictures",
    "precision": "f32",
    "source": "local",
    "path": "models/hare_run_v6_facial",
    "s3_location": "s3://bucket/hare_run_v6",
    "s3_version_id": "v1",
    "loaded_at": "2026-01-31T12:00:00+00:00",
}
LOADED = ModelState(True, None, DETAILS)


def probable(top: str, probability: float = 0.8, classes: tuple[str, ...] = CLASSES) -> dict[str, float]:
    """One class with this probability; the others share the rest evenly."""
    rest = (1.0 - probability) / (len(classes) - 1)
    return {name: probability if name == top else rest for name in classes}


def corner(name: str) -> NDArray[np.float32]:
    """(7, 7) float32: all evidence at the top left."""
    heat = np.zeros((7, 7), np.float32)
    heat[1, 1] = 1.0
    return heat


def prediction(probabilities: Mapping[str, float] | None = None, **parts: Any) -> Prediction:
    """By default a model that may speak sees acne on a familiar face."""
    usual: dict[str, Any] = {
        "version": "6.1",
        "probabilities": probable("acne") if probabilities is None else probabilities,
        "wordings": WORDINGS,
        "threshold": 0.5,
        "distance": 10.0,
        "distance_limit": 20.0,
        "speaks": True,
        "silence_reason": None,
        "activation": corner,
    }
    return Prediction(**{**usual, **parts})


def graded(grades: Mapping[str, tuple[float, int]], **parts: Any) -> Prediction:
    """A model that grades each condition: class name → (probability, severity); every threshold is a half."""
    told = {
        name: Grade(probability, 0.5, severity, tuple(float(place == severity) for place in range(4)))
        for name, (probability, severity) in grades.items()
    }
    shares = {name: probability for name, (probability, _) in grades.items()}
    return prediction(shares, **{"threshold": None, "wordings": {}, "grades": told, **parts})


def weak(probabilities: Mapping[str, float] | None = None, **parts: Any) -> Prediction:
    """A model that its card does not let speak."""
    return prediction(probabilities, speaks=False, silence_reason="It is not clearly better than a baseline.", **parts)


class Answering:
    """Stands in for `Ensemble`: answers with what it was given, and remembers what people said of themselves."""

    def __init__(self, answer: Prediction | ModelUnavailable, state: ModelState = LOADED) -> None:
        self.answer, self._state = answer, state
        self.told: list[Demographics] = []

    def state(self) -> ModelState:
        return self._state

    def predict(self, roi: Any, demographics: Demographics) -> Prediction:
        assert not roi.rgb.flags.writeable
        self.told.append(demographics)
        if isinstance(self.answer, ModelUnavailable):
            raise self.answer
        return self.answer

    def stop(self) -> None:
        """Nothing runs."""
