"""A small HAM10000 of drawn lesions, and a backbone in place of ResNet50 that needs a hundredth of its work."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers

from training import networks

COLOURS = {"bkl": (150, 120, 90), "mel": (90, 60, 50), "nv": (190, 130, 120)}
LESIONS = 12  # of each diagnosis; every third one has two pictures
PICTURES = 16 * len(COLOURS)
AGES_MISSING = 2


def draw(folder: Path) -> Path:
    """Pictures of 200 × 150 px of dark ellipses on skin, and their table; some ages are missing."""
    (folder / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(4), []
    for name, colour in COLOURS.items():
        for lesion in range(LESIONS):
            for _ in range(2 if lesion % 3 == 0 else 1):
                image = f"ISIC_{len(rows):07d}"
                cv2.imwrite(str(folder / "images" / f"{image}.jpg"), _picture(rng, colour)[..., ::-1])
                age = "" if len(rows) < AGES_MISSING else "45.0"
                rows.append([f"HAM_{name}{lesion}", image, name, "histo", age, "female", "back"])
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"], *rows])
    return folder


def light(picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    """In place of ResNet50: its last maps from two layers, one of which belongs to its last block."""
    x = layers.Rescaling(1 / 64, offset=-2.0)(picture)
    x = layers.Conv2D(8, 8, strides=8, activation="relu", name="conv4_light")(x)
    x = layers.BatchNormalization(name="conv5_norm")(x)
    return layers.Conv2D(2048, 2, strides=2, activation="relu", name="conv5_light")(x)


def lighten() -> None:
    networks._resnet = light


def earlier(folder: Path) -> Path:
    """Weights of an earlier training of the light backbone."""
    folder.mkdir()
    networks.backbone("resnet", 64).save_weights(folder / "resnet.weights.h5")
    return folder


def _picture(rng: np.random.Generator, colour: tuple[int, int, int]) -> np.ndarray:
    rgb = np.full((150, 200, 3), (225, 180, 165), np.float64)
    centre, axes = (int(rng.integers(80, 120)), int(rng.integers(60, 90))), tuple(rng.integers(18, 40, 2).tolist())
    cv2.ellipse(rgb, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return np.clip(rgb + rng.normal(0, 8, rgb.shape), 0, 255).astype(np.uint8)
