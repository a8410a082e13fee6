"""A small tree in the layout of shine-skin-collective: ovals with spots or lines of a colour for each condition, in two batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.data.shine_labels import CONDITIONS

BATCHES = {
    "20250910_163628": CONDITIONS,
    "20250930_221854": ("redness", "pore_size", "textured_skin", "hyperpigmentation"),
}
WORDS = {"aging": ("early_signs", "moderate", "advanced"), "textured_skin": ("slight", "moderate", "severe")}
USUAL = ("mild", "moderate", "severe")
PX = 72


def paint(root: Path, each: int = 2) -> Path:
    """So many pictures of each condition, severity and batch, and the mirrored copy of the first of them."""
    rng = np.random.default_rng(8)
    for batch, conditions in BATCHES.items():
        for condition in conditions:
            for grade, word in enumerate(WORDS.get(condition, USUAL), 1):
                home = root / "output_images" / condition / word
                home.mkdir(parents=True, exist_ok=True)
                for number in range(each):
                    rgb = face(rng, condition, grade, plain=batch == "20250930_221854")
                    stem = f"{condition}_{word}_{batch}_{number:04d}"
                    put(home, stem, rgb, sidecar(condition, word, conditions))
                    if not number:
                        put(home, f"{stem}_flipped", rgb[:, ::-1], sidecar(condition, word, conditions, stem))
    return root


def face(rng: np.random.Generator, condition: str, grade: int, *, plain: bool) -> np.ndarray:
    place = CONDITIONS.index(condition)
    colour = tuple(int(one) for one in np.random.default_rng(place).integers(0, 256, 3))
    ground = (170, 170, 170) if plain else tuple(int(one) for one in rng.integers(30, 220, 3))
    rgb = np.full((PX, PX, 3), ground, np.uint8)
    cv2.ellipse(rgb, (PX // 2, PX // 2), (27, 33), 0, 0, 360, (205, 160, 130), -1)
    for x, y in rng.integers(18, PX - 18, (7 * grade, 2)).tolist():
        cv2.circle(rgb, (x, y), 2 + place % 2, colour, -1)
    return np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8)


def sidecar(condition: str, word: str, conditions: tuple[str, ...], original: str | None = None) -> dict[str, Any]:
    copied = {"is_flipped": True, "original_filename": f"{original}.png"} if original else {}
    generation: dict[str, Any] = {"training_annotations": {}} if len(conditions) == 7 else {"prompt_used": "a face"}
    return {
        "skin_condition": condition,
        "severity": word,
        "classification_targets": {name: name == condition for name in conditions},
        "severity_targets": {name: word if name == condition else "none" for name in conditions},
        **generation,
        **copied,
    }


def put(home: Path, stem: str, rgb: np.ndarray, said: dict[str, Any]) -> None:
    cv2.imwrite(str(home / f"{stem}.png"), rgb[..., ::-1])
    (home / f"{stem}.json").write_text(json.dumps(said))
