"""A drawn portrait + a condition and its severity -> the same portrait with that condition, plainer the more severe it is.

Colours shift as they do in skin: blood raises a*, melanin lowers L* and raises b*; lines, pores and bumps are light and shade. The
amounts below are ours, chosen so that grades can be told apart at the size that networks are shown; no prevalence is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from training.data.painting import GREY_HAIR, Lab, Plane, Portrait, ellipse, laid_over, noise, soft

Points = Sequence[tuple[float, float]]

# each by severity 0 to 3
SPOTS, SPOT_REDNESS, HEADS = (0, 8, 22, 50), (0, 15, 19, 23), 0.25  # number; a*; share with a light head
FLUSH = (0, 7, 14, 22)  # a*
PATCH_AREA, PATCH_SHADE = (0, 0.10, 0.18, 0.28), (1, 0.87, 0.76, 0.62)  # share of the skin; part of L* that is left
LINES, LINE_DEPTH = (0, 2, 4, 6), (0, 8, 14, 21)  # on the forehead; L*
FOLD_DEPTH, GREY_SHARE = (0, 9, 17, 26), (0, 0.3, 0.6, 0.95)  # L*; of the hair
PORES, PORE_SIZE, PORE_DEPTH = (0, 220, 380, 600), (0, 0.0028, 0.0036, 0.0046), (0, 9, 14, 19)  # number; sides; L*
BUMPS = (0, 1.4, 2.8, 5.0)  # L*
CHEEKS, ZONE_T = ((-0.55, 0.28), (0.55, 0.28)), ((0.0, 0.1), (-0.3, 0.25), (0.3, 0.25), (0.0, -0.55))


def painted(face: Portrait, condition: str, severity: int, rng: np.random.Generator) -> Portrait:
    """The portrait with a condition of severity 0 to 3; 0 changes nothing.

    Raises:
        KeyError: the condition is none of `PAINTERS`.
    """
    return PAINTERS[condition](face, severity, rng) if severity else face


def _acne(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Inflamed spots on cheeks, forehead and chin, some with a light head."""
    masks = np.zeros((2, *face.skin.shape), np.uint8)
    for _ in range(SPOTS[severity]):
        x, y = face.place(*_anywhere(rng))
        radius = rng.uniform(0.007, 0.0125) * (0.8 + 0.15 * severity) * face.side_px
        _dot(masks[0], x, y, radius)
        if rng.random() < HEADS:
            _dot(masks[1], x, y, radius / 3)
    red, head = (soft(mask, blur * face.side_px)[..., None] for mask, blur in zip(masks, (0.004, 0.0015), strict=True))
    return _shifted(face, red * np.float32((-9, SPOT_REDNESS[severity], 4)) + head * np.float32((14, -9, 5)))


def _redness(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """A flush over cheeks and nose, mottled."""
    spread = sum(ellipse(u, v, 0.42, 0.34, face.side_px, 0.045) for u, v in CHEEKS)
    spread = np.clip(spread + 0.8 * ellipse(0, 0.2, 0.18, 0.25, face.side_px, 0.03), 0, 1)
    mottled = np.clip(spread * (1 + 0.25 * noise(rng, face.side_px, 0.02)), 0, 1.4) * rng.uniform(0.9, 1.1)
    return _shifted(face, mottled[..., None] * np.float32((-0.25, 1, 0.1)) * FLUSH[severity])


def _hyperpigmentation(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Brown patches with uneven edges."""
    wavy = noise(rng, face.side_px, 0.022) + 0.4 * noise(rng, face.side_px, 0.006)
    limit = np.quantile(wavy[face.skin > 0.5], 1 - PATCH_AREA[severity])
    patches = soft((255 * (wavy > limit)).astype(np.uint8), 0.006 * face.side_px)
    lost = (1 - PATCH_SHADE[severity]) * face.lab[..., 0]
    return _shifted(face, patches[..., None] * np.stack([-lost, 0.12 * lost, 0.25 * lost], axis=-1))


def _fine_lines(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Thin lines across the forehead, at the corners of the eyes and below them."""
    curves: list[Points] = []
    for row in range(LINES[severity]):
        v = -0.42 - 0.3 * row / max(LINES) * 1.6 + rng.uniform(-0.02, 0.02)
        curves.append(_bent((-0.5 + rng.uniform(0, 0.2), v), (0.5 - rng.uniform(0, 0.2), v), 0.05))
    for side in (-1, 1):
        for row in range(1 + severity):
            v = -0.1 + (row - severity / 2) * 0.055
            end = (side * rng.uniform(0.82, 0.95), v + (row - severity / 2) * 0.05)
            curves.append(_bent((side * 0.68, v), end, 0.015))
        curves += [
            _bent((side * 0.2, 0.06 + 0.05 * row), (side * 0.62, 0.06 + 0.05 * row), -0.05) for row in range(severity)
        ]
    return _shifted(face, _creases(face, curves, 0.0035, LINE_DEPTH[severity]))


def _aging(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Deep folds beside nose and mouth, creases of the brow, bags below the eyes, grey hair."""
    folds: list[Points] = [_bent((-0.45, -0.5), (0.45, -0.5), 0.04)] * (severity > 1)
    for side in (-1, 1):
        folds += [_bent((side * 0.2, 0.3), (side * 0.46, 0.62), side * 0.06)]
        folds += [_bent((side * 0.38, 0.7), (side * 0.42, 0.88), 0.0)] * (severity > 1)
        folds += [_bent((side * 0.06, -0.24), (side * 0.08, -0.38), 0.0)] * (severity > 2)
    depth = FOLD_DEPTH[severity] * rng.uniform(0.9, 1.1)
    bags = sum(ellipse(u, 0.07, 0.24, 0.07, face.side_px, 0.008) for u in (-0.42, 0.42))
    below = sum(ellipse(u, 0.13, 0.26, 0.045, face.side_px, 0.008) for u in (-0.42, 0.42))
    shade = _creases(face, folds, 0.011, depth)
    shade[..., 0] += 0.15 * depth * bags - 0.4 * depth * below
    grey = laid_over(face.lab, face.hair * GREY_SHARE[severity], GREY_HAIR)
    return _shifted(replace(face, lab=grey), shade)


def _pores(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Small dark dots on nose, inner cheeks and forehead."""
    mask = np.zeros(face.skin.shape, np.uint8)
    for _ in range(PORES[severity]):
        (u, v), spread = ZONE_T[rng.integers(len(ZONE_T))], (0.16, 0.14)
        x, y = face.place(*(np.array((u, v)) + rng.normal(0, spread)))
        radius = max(PORE_SIZE[severity] * face.side_px * rng.uniform(0.7, 1.3), 0.6)
        _dot(mask, x, y, radius)
    return _shifted(face, -PORE_DEPTH[severity] * _plane(soft(mask, 0.0012 * face.side_px)))


def _textured(face: Portrait, severity: int, rng: np.random.Generator) -> Portrait:
    """Bumps of a few millimetres, lit from above."""
    bumps = noise(rng, face.side_px, 0.006)
    relief = bumps - np.roll(bumps, round(0.008 * face.side_px), axis=0)
    return _shifted(face, BUMPS[severity] * _plane(relief))


PAINTERS: Mapping[str, Callable[[Portrait, int, np.random.Generator], Portrait]] = {
    "acne": _acne,
    "aging": _aging,
    "fine_lines_wrinkles": _fine_lines,
    "hyperpigmentation": _hyperpigmentation,
    "pore_size": _pores,
    "redness": _redness,
    "textured_skin": _textured,
}


def _shifted(face: Portrait, shift: Lab) -> Portrait:
    """Colours changed where there is skin."""
    return replace(face, lab=np.asarray(face.lab + face.skin[..., None] * shift, np.float32))


def _plane(lightness: Plane) -> Lab:
    """A change of L* alone."""
    return np.stack([lightness, 0 * lightness, 0 * lightness], axis=-1)


def _creases(face: Portrait, curves: Sequence[Points], width: float, depth: float) -> Lab:
    """Dark lines with a light edge below each; `width` in sides of the picture, `depth` in L*."""
    mask = np.zeros(face.skin.shape, np.uint8)
    for curve in curves:
        pixels = np.array([face.place(u, v) for u, v in curve])
        cv2.polylines(
            mask,
            [np.round(8 * pixels).astype(np.int32)],
            False,
            255,
            max(1, round(width * face.side_px)),
            cv2.LINE_AA,
            3,
        )
    dark = soft(mask, 0.4 * width * face.side_px)
    light = np.roll(dark, max(1, round(1.2 * width * face.side_px)), axis=0)
    shade = depth * (0.45 * light - dark)
    return np.stack([shade, -0.1 * shade, 0 * shade], axis=-1)


def _bent(start: tuple[float, float], end: tuple[float, float], bend: float) -> Points:
    """Points of an arc from one place to another that leaves the straight line by `bend` in its middle, upwards."""
    part = np.linspace(0, 1, 24)
    u = start[0] + (end[0] - start[0]) * part
    v = start[1] + (end[1] - start[1]) * part - 4 * bend * part * (1 - part)
    return list(zip(u.tolist(), v.tolist(), strict=True))


def _anywhere(rng: np.random.Generator) -> tuple[float, float]:
    """A place where acne likes to be."""
    (u, v), (wide, high) = (
        ((-0.55, 0.3), (0.2, 0.25)),
        ((0.55, 0.3), (0.2, 0.25)),
        ((0.0, -0.55), (0.35, 0.12)),
        ((0.0, 0.82), (0.25, 0.07)),
    )[rng.integers(4)]
    return u + rng.normal(0, wide), v + rng.normal(0, high)


def _dot(mask: np.ndarray, x: float, y: float, radius: float) -> None:
    """A disc at sixteenths of a pixel."""
    cv2.circle(mask, (round(16 * x), round(16 * y)), round(16 * radius), 255, -1, cv2.LINE_AA, 4)
