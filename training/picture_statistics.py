"""Size, light and sharpness of whole pictures -> a classifier that sees no skin: what a model must beat to have learned anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analyzer import photo

NAMES = (
    "width",
    "height",
    "aspect",
    "bytes per pixel",
    "brightness",
    "contrast",
    "sharpness",
    "border L",
    "border a",
    "border b",
)
BORDER_SHARE = 0.04  # of the short side


def measure(path: Path) -> NDArray[np.float32]:
    """(10,) float32 of one file, in the order of `NAMES`; colours in CIELAB, sharpness as log variance of the Laplacian."""
    data = path.read_bytes()
    picture = photo.decode(data)
    width, height = picture.original_size
    gray = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
    border = max(1, round(BORDER_SHARE * min(gray.shape)))
    lab = cv2.cvtColor(np.multiply(picture.rgb, 1 / 255, dtype=np.float32), cv2.COLOR_RGB2LAB)
    frame = np.ones(gray.shape, bool)
    frame[border:-border, border:-border] = False
    sharpness = float(np.log1p(cv2.Laplacian(gray, cv2.CV_32F).var()))
    light = (float(gray.mean()), float(gray.std()), sharpness)
    return np.array(
        [width, height, width / height, len(data) / (width * height), *light, *lab[frame].mean(axis=0)], np.float32
    )


def answers(fitted_on: NDArray[np.float32], labels: Sequence[int], asked: NDArray[np.float32]) -> NDArray[np.intp]:
    """Class index of each asked picture by logistic regression on the statistics, classes weighed alike."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    return np.asarray(model.fit(fitted_on, labels).predict(asked), np.intp)
