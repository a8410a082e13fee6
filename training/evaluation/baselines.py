"""Facts and crops of the training pictures -> what simple methods answer to others: what a network must beat to have learned anything.

Three of them: the most frequent class; a logistic regression on picture statistics, which sees no skin; a random forest on
colour and texture of the crop, which sees no shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import local_binary_pattern

from analyzer.artefact import BASELINE
from analyzer.settings import CORES
from analyzer.values import Rgb
from training.data.facts import Facts, statistics

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

CONSTANT, FOREST = "constant", "random forest on colour and texture"
RINGS = ((8, 1), (16, 2), (8, 4))  # points and radius in px of each local binary pattern
TREES = 300
LEAST_LEAF = 2  # pictures in a leaf
Classes = NDArray[np.intp]


class Seen(Protocol):
    """What is known of some pictures, such as `prepared.Prepared`."""

    @property
    def facts(self) -> Sequence[Facts]: ...

    @property
    def crops(self) -> NDArray[np.uint8]: ...  # (N, side, side, 3)


def answered(train: Seen, truth: Classes, asked: Seen, *, seed: int = 0) -> dict[str, Classes]:
    """What each baseline answers to the asked pictures: `fitted`, for those who ask once."""
    return fitted(train, truth, seed=seed)(asked)


def fitted(train: Seen, truth: Classes, *, seed: int = 0) -> Callable[[Seen], dict[str, Classes]]:
    """All baselines.

    Args:
        train: pictures to learn from.
        truth: (N,) their classes.
        seed: of the forest.

    Returns:
        M other pictures → name of a baseline → (M,) index of the class that it answers.
    """
    linear = regression().fit(statistics(train.facts), truth)
    trees = forest(seed).fit(textures(train.crops), truth)

    def answers(asked: Seen) -> dict[str, Classes]:
        return {
            CONSTANT: constant(truth, len(asked.facts)),
            BASELINE: np.asarray(linear.predict(statistics(asked.facts)), np.intp),
            FOREST: np.asarray(trees.predict(textures(asked.crops)), np.intp),
        }

    return answers


def constant(truth: Classes, count: int) -> Classes:
    """(count,) the most frequent class, the first one of equals."""
    return np.full(count, np.bincount(truth).argmax(), np.intp)


def regression() -> Pipeline:
    """Logistic; numbers standardised, classes weighed alike."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))


def forest(seed: int) -> RandomForestClassifier:
    """Breiman 2001; classes weighed alike."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        TREES, min_samples_leaf=LEAST_LEAF, class_weight="balanced", random_state=seed, n_jobs=CORES
    )


def colour_and_texture(crop: Rgb) -> NDArray[np.float32]:
    """(59,) float32 of a crop: moments of its colours, then histograms of uniform local binary patterns of its grey levels.

    Colour: mean, standard deviation and cube root of the third moment (Stricker & Orengo, SPIE 1995) of L*, a*, b* and of
    saturation and value; of the hue, an angle, those of its cosine and sine; at half the size. Texture: Ojala et al., PAMI 2002, `RINGS`.
    """
    half = cv2.resize(crop, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    unit = np.multiply(half, 1 / 255, dtype=np.float32)
    hsv = cv2.cvtColor(unit, cv2.COLOR_RGB2HSV)
    hue_rad = np.radians(hsv[..., 0])
    channels = np.dstack([cv2.cvtColor(unit, cv2.COLOR_RGB2LAB), hsv[..., 1:], np.cos(hue_rad), np.sin(hue_rad)])
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    patterns = [local_binary_pattern(gray, points, radius, "uniform") for points, radius in RINGS]
    histograms = [
        np.bincount(pattern.astype(np.intp).ravel(), minlength=points + 2) / pattern.size
        for pattern, (points, _) in zip(patterns, RINGS, strict=True)
    ]
    return np.concatenate([*_moments(channels.reshape(-1, channels.shape[-1])), *histograms]).astype(np.float32)


def _moments(values: NDArray[np.float32]) -> tuple[NDArray, NDArray, NDArray]:
    """Each (C,) of (N, C) values, in their unit."""
    middle = values.mean(axis=0, dtype=np.float64)
    away = values - middle
    return middle, np.sqrt((away**2).mean(axis=0)), np.cbrt((away**3).mean(axis=0))


def textures(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 59) `colour_and_texture` of (N, S, S, 3) crops."""
    with ThreadPoolExecutor(CORES) as pool:
        return np.stack(list(pool.map(colour_and_texture, crops)))
