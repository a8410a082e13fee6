"""What cameras, light and networks do to a picture: exposure, colour, blur, noise, compression, things in the way."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Rgb

Rng = np.random.Generator


def degrade(rng: Rng, rgb: Rgb) -> Rgb:
    """A copy of an (H, W, 3) picture as a worse camera would have taken it."""
    rgb = _lit(rng, rgb)
    if rng.random() < 0.35:
        rgb = _blurred(rng, rgb)
    if rng.random() < 0.3:
        rgb = _noisy(rng, rgb)
    return _compressed(rng, rgb) if rng.random() < 0.4 else rgb


def occlude(rng: Rng, rgb: Rgb, centre: NDArray[np.floating], side: float) -> Rgb:
    """Cover a part of a face: a bar, a patch of one colour, or a piece of the picture itself."""
    rgb = rgb.copy()
    width, height = side * rng.uniform(0.1, 0.55), side * rng.uniform(0.08, 0.4)
    x, y = centre + rng.uniform(-0.55, 0.55, 2) * side
    box = cv2.boxPoints(((float(x), float(y)), (float(width), float(height)), float(rng.uniform(0, 180))))
    if rng.random() < 0.6:
        colour = [int(c) for c in rng.integers(0, 256, 3)] if rng.random() < 0.6 else [0, 0, 0]
        cv2.fillConvexPoly(rgb, np.round(box).astype(np.int32), colour)
    else:
        cover = cv2.fillConvexPoly(np.zeros(rgb.shape[:2], np.uint8), np.round(box).astype(np.int32), 1)
        moved = np.roll(rgb, tuple(int(c) for c in rng.integers(-60, 60, 2)), axis=(0, 1))
        rgb[cover > 0] = moved[cover > 0]
    return rgb


def texture(rng: Rng, side_px: int) -> Rgb:
    """A generated background: clouds of several grain sizes, stripes or a plain shade, round things and bars, in random colours."""
    field = np.zeros((side_px, side_px, 1), np.float32)
    for cells in (2, 4, 8, 16, 48):
        grain = rng.normal(size=(cells, cells, 1)).astype(np.float32)
        layer = cv2.resize(grain, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        field[..., 0] += layer * np.float32(rng.uniform(0, 1))
    if rng.random() < 0.3:
        angle, waves = rng.uniform(0, math.pi), rng.uniform(2, 30)
        y, x = np.mgrid[:side_px, :side_px] / side_px
        field[..., 0] += np.sign(np.sin(2 * math.pi * waves * (x * math.cos(angle) + y * math.sin(angle))))
    spread = rng.normal(0, 35, 3) * rng.uniform(0, 1.5)
    rgb = np.clip(rng.uniform(20, 235, 3) + field * spread, 0, 255).astype(np.uint8)
    return _with_things(rng, rgb) if rng.random() < 0.6 else rgb


def _with_things(rng: Rng, rgb: Rgb) -> Rgb:
    """Discs, rings, bars and lines over a texture: edges and round things that are no faces."""
    side = rgb.shape[0]
    over = rgb.copy()
    for _ in range(int(rng.integers(1, 12))):
        colour = [int(value) for value in rng.integers(0, 256, 3)]
        x, y = (int(value) for value in rng.uniform(0, side, 2))
        width, height = (max(1, int(value)) for value in np.exp(rng.uniform(1, math.log(side * 0.6), 2)))
        thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 9))
        turn = float(rng.uniform(0, 180))
        if rng.random() < 0.65:
            cv2.ellipse(over, (x, y), (width, height), turn, 0, 360, colour, thickness, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints(((x, y), (width, height), turn))
            cv2.polylines(over, [np.round(corners).astype(np.int32)], True, colour, abs(thickness), cv2.LINE_AA)
    share = rng.uniform(0.4, 1.0)
    over = cv2.addWeighted(over, share, rgb, 1 - share, 0)
    return np.asarray(cv2.GaussianBlur(over, (0, 0), float(rng.uniform(0.3, 2.5))), np.uint8)


def _lit(rng: Rng, rgb: Rgb) -> Rgb:
    """Exposure, contrast, white balance, saturation, and light from one side."""
    saturation = 0.0 if rng.random() < 0.12 else rng.uniform(0.4, 1.5) if rng.random() < 0.5 else 1.0
    gains = rng.uniform(0.82, 1.18, 3) * math.exp(rng.normal(-0.05, 0.35))
    mixed = (saturation * np.eye(3) + (1 - saturation) / 3) * gains[:, None]
    out = cv2.transform(rgb, mixed.astype(np.float32))
    if rng.random() < 0.4:
        middle, contrast, lift = float(out.mean()), rng.uniform(0.5, 1.4), rng.normal(0, 12)
        levels = middle + (np.arange(256) - middle) * contrast + lift
        out = cv2.LUT(out, np.clip(levels, 0, 255).astype(np.uint8))
    if rng.random() < 0.25:
        height, width = out.shape[:2]
        angle, drop = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.8)
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        shade = 1 - drop * (x * math.cos(angle) + y * math.sin(angle) + 1.4) / 2.8
        out = cv2.multiply(out, cv2.merge([np.clip(shade, 0, 1).astype(np.float32)] * 3), dtype=cv2.CV_8U)
    return np.asarray(out, np.uint8)


def _blurred(rng: Rng, rgb: Rgb) -> Rgb:
    if rng.random() < 0.3:
        length = int(rng.integers(2, 8))
        kernel = cv2.warpAffine(
            np.pad(np.full((1, length), 1 / length, np.float32), ((4, 4), (4, 4))),
            cv2.getRotationMatrix2D(((length + 7) / 2, 4), float(rng.uniform(0, 180)), 1.0),
            (length + 8, 9),
        )
        return np.asarray(cv2.filter2D(rgb, -1, kernel / max(float(kernel.sum()), 1e-3)), np.uint8)
    if rng.random() < 0.5:
        height, width = rgb.shape[:2]
        share = rng.uniform(0.2, 0.9)
        small = cv2.resize(rgb, (max(8, int(width * share)), max(8, int(height * share))), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.4, 1.8))), np.uint8)


def _noisy(rng: Rng, rgb: Rgb) -> Rgb:
    noise = np.empty(rgb.shape, np.int16)
    cv2.randn(noise, 0, float(rng.uniform(2, 16)))
    return np.asarray(cv2.add(rgb, noise, dtype=cv2.CV_8U), np.uint8)


def _compressed(rng: Rng, rgb: Rgb) -> Rgb:
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
