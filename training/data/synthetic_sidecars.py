"""A planned picture of the look-alike set -> the sidecar that its generation would have (`training.data.shine_labels` reads it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data.shine_labels import AGES, CONDITIONS, HEALTHY

Sidecar = dict[str, Any]
TONES = {  # generation → words for a tone, as its sidecars have them
    "v0": ("fair", "medium", "brown"),
    "v1": ("very fair", "fair", "light", "medium", "olive", "tan", "brown", "dark"),
    "v2": (
        "very fair skin tone (Fitzpatrick I)",
        "fair skin tone (Fitzpatrick II)",
        "medium skin tone (Fitzpatrick III)",
        "olive skin tone (Fitzpatrick IV)",
        "tan brown skin tone (Fitzpatrick V)",
        "deep brown skin tone (Fitzpatrick VI)",
    ),
}
GENDERS = {
    "v0": ("female", "male"),
    "v1": ("female", "male", "non-binary"),
    "v2": ("female", "male", "person"),
}
FOUR = ("redness", "pore_size", "textured_skin", "hyperpigmentation")  # all that v2 knows
FIRST_AGES = {"v0": AGES["v1"], **AGES}


@dataclass(frozen=True)
class Planned:
    """One original picture.

    Attributes:
        condition: one of the seven, or healthy.
        word: its severity as the sidecar says it.
        grade: the same, 0 to 3.
        generation: ``"v0"``, ``"v1"`` or ``"v2"``.
        stem: of its file.
        number: within its batch.
        tone, gender, age_group: as the sidecar says them.
    """

    condition: str
    word: str
    grade: int
    generation: str
    stem: str
    number: int
    tone: str
    gender: str
    age_group: str

    @property
    def folder(self) -> str:
        return f"{self.condition}/{self.word}"

    @property
    def years(self) -> tuple[int, int]:
        return FIRST_AGES[self.generation][self.age_group]


def sidecar(planned: Planned, rng: np.random.Generator) -> Sidecar:
    """What stands in the JSON beside the picture."""
    said = {"filename": f"{planned.stem}.png", "skin_condition": planned.condition, "severity": planned.word}
    share = round(4.0 * planned.grade + rng.uniform(0, 3), 1)
    if planned.generation == "v0":
        found = {"detected": planned.grade > 0, "percentage": share, "spot_count": 6 * planned.grade, "confidence": 0.9}
        return said | {"annotations": found}
    names = CONDITIONS if planned.generation == "v1" else FOUR
    said |= {
        "classification_targets": {name: name == planned.condition for name in names},
        "severity_targets": {name: planned.word if name == planned.condition else "none" for name in names},
        "demographics": _demographics(planned),
    }
    if planned.generation == "v2":
        prompt = f"portrait of a {planned.gender} with {planned.word} {planned.condition}, plain grey background"
        return said | {"prompt_used": prompt}
    return said | {
        "training_annotations": {
            "condition_detected": planned.condition != HEALTHY,
            "severity_level": planned.word,
            "confidence_score": 0.9,
            "affected_percentage": share,
            "feature_count": 6 * planned.grade,
        },
        "generation_details": {"drawn_by": "training.data.make_synthetic"},
        "quality_metrics": {"sharpness": round(float(rng.uniform(0.8, 1.0)), 2)},
    }


def flipped(original: Mapping[str, Any]) -> Sidecar:
    """The sidecar of its mirrored copy."""
    name = str(original["filename"])
    return {
        **original,
        "filename": name.replace(".png", "_flipped.png"),
        "is_flipped": True,
        "original_filename": name,
        "flip_timestamp": "2025-10-01T12:00:00",
    }


def _demographics(planned: Planned) -> Sidecar:
    first, last = planned.years
    open_ended = planned.age_group in ("senior", "elderly")
    tone = planned.tone if planned.generation == "v2" else f"{planned.tone} skin tone"
    said = {
        "age_group": planned.age_group,
        "age_range": f"{first}+" if open_ended else f"{first}-{last}",
        "skin_tone": tone,
        "gender": planned.gender,
    }
    return said | ({"variation_index": planned.number} if planned.generation == "v1" else {})
