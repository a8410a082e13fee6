"""Generated surfaces that hold no face: what a detector must pass over."""

from __future__ import annotations

import cv2
import numpy as np

from analyzer.values import Rgb

KINDS = ("plain", "gradient", "stripes", "checks", "noise", "clouds", "skin", "discs")
SIZES = ((480, 640), (640, 480), (512, 512), (200, 200))  # height, width
SKIN_RGB = ((236, 200, 178), (205, 160, 135), (150, 105, 80), (88, 58, 44))


def texture(kind: str, rng: np.random.Generator) -> Rgb:
    """(H, W, 3) uint8 of one of `KINDS`, of random size and colours."""
    height, width = SIZES[rng.integers(len(SIZES))]
    one, other = rng.integers(0, 256, (2, 3)).astype(np.float32)
    if kind == "discs":
        return discs(height, width, rng)
    if kind == "skin":
        one = np.array(SKIN_RGB[rng.integers(len(SKIN_RGB))], np.float32)
        other = one * 0.8
    amount = pattern(kind, height, width, rng)[..., None]
    grain = rng.normal(0, 3, (height, width, 3))
    return np.clip(one + (other - one) * amount + grain, 0, 255).astype(np.uint8)


def pattern(kind: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float in 0..1: how much of the second colour is where."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    period = rng.uniform(8, 80)  # px
    if kind == "plain":
        return np.zeros((height, width), np.float32)
    if kind == "gradient":
        return (along - along.min()) / np.ptp(along)
    if kind == "stripes":
        return 0.5 + 0.5 * np.sin(2 * np.pi * along / period)
    if kind == "checks":
        return ((x // period + y // period) % 2).astype(np.float32)
    if kind == "noise":
        return rng.random((height, width), np.float32)
    if kind in ("clouds", "skin"):
        return clouds(height, width, rng)
    raise ValueError(f"unknown texture {kind}")


def clouds(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float in 0..1: noise of all sizes, the coarse stronger."""
    total = np.zeros((height, width), np.float32)
    for octave in range(1, 7):
        coarse = rng.random((2**octave, 2**octave), np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    return (total - total.min()) / np.ptp(total)


def discs(height: int, width: int, rng: np.random.Generator) -> Rgb:
    """Coloured ellipses of all sizes thrown on each other."""
    rgb = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(40):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = tuple(int(axis) for axis in rng.integers(4, min(height, width) // 4, 2))
        colour = [int(value) for value in rng.integers(0, 256, 3)]
        cv2.ellipse(rgb, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return rgb
