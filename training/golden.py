"""Drawn faces and the answers of a trained network to them, kept so that whoever serves it can check that it still gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from analyzer.preprocessing import SIDE_PX
from training.data.degradations import degrade

if TYPE_CHECKING:
    import keras

GOLDEN_SEED, GOLDEN_PICTURES = 3, 6
LEAST_SHARE = np.float32(1e-6)  # of a probability, so that its logit is finite
TONES = ((235, 200, 180), (205, 160, 130), (170, 120, 90), (120, 80, 60), (80, 52, 40), (215, 150, 140))


def golden_pictures(side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """(6, side, side, 3) uint8: drawn faces of six tones with spots, shade and grain; the same at every call."""
    rng = np.random.default_rng(GOLDEN_SEED)
    cv2.setRNGSeed(GOLDEN_SEED)
    return np.stack([_drawn_face(rng, tone, side_px) for tone in TONES[:GOLDEN_PICTURES]])


def logits_of(
    network: keras.Model, pictures: NDArray[np.uint8], ending: str = "softmax", *, single: bool = False
) -> NDArray[np.float32]:
    """Return the logits (N, classes) float32 of pictures about whose person nothing was said.

    Those of a softmax are the logarithms of the probabilities, which differ from the network's own logits by one number in each row.

    Args:
        network: of Keras 2 or 3.
        pictures: (N, side, side, 3) uint8.
        ending: the last activation: ``"softmax"``, ``"sigmoid"`` or ``"linear"``.
        single: one output stands for two classes, absent and present.
    """
    given = [
        pictures.astype(np.float32) if len(port.shape) == 4 else np.zeros((len(pictures), port.shape[1]), np.float32)
        for port in network.inputs
    ]
    answers = np.asarray(network.predict(given if len(given) > 1 else given[0], verbose=0, batch_size=2), np.float32)
    if ending == "softmax":
        return np.log(np.maximum(answers, np.finfo(np.float32).tiny))
    if ending == "sigmoid":
        answers = logit(np.clip(answers, LEAST_SHARE, 1 - LEAST_SHARE))
    return np.concatenate([np.zeros_like(answers), answers], axis=1) if single else answers


def _drawn_face(rng: np.random.Generator, tone: tuple[int, int, int], side_px: int) -> NDArray[np.uint8]:
    rgb = np.full((SIDE_PX, SIDE_PX, 3), rng.integers(20, 230, 3), np.uint8)
    cv2.ellipse(rgb, (112, 110), (96, 125), 0, 0, 360, tone, -1, cv2.LINE_AA)
    dark = tuple(int(0.45 * part) for part in tone)
    for x in (70, 154):
        cv2.ellipse(rgb, (x, 68), (17, 8), 0, 0, 360, (235, 235, 235), -1, cv2.LINE_AA)
        cv2.circle(rgb, (x, 68), 7, (45, 35, 30), -1, cv2.LINE_AA)
        cv2.ellipse(rgb, (x, 48), (22, 5), 0, 180, 360, dark, 5, cv2.LINE_AA)
    cv2.ellipse(rgb, (112, 116), (15, 8), 0, 0, 180, dark, 3, cv2.LINE_AA)
    cv2.ellipse(rgb, (112, 160), (32, 9), 0, 0, 360, (170, 80, 85), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 30))):
        x, y = (int(place) for place in rng.normal((112, 115), (40, 45)))
        shade = tuple(int(part * factor) for part, factor in zip(tone, rng.uniform(0.5, 1.0, 3), strict=True))
        cv2.circle(rgb, (x, y), int(rng.integers(1, 5)), shade, -1, cv2.LINE_AA)
    grain = rng.normal(0, 5, rgb.shape)
    drawn = degrade(rng, np.clip(rgb + grain, 0, 255).astype(np.uint8))
    return np.asarray(cv2.resize(drawn, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
