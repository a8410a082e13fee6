"""Crop -> the same face held, lit, framed and compressed otherwise: what suits faces, and never upside down."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Rgb


@dataclass(frozen=True)
class Augmentation:
    """How far views may go from their picture.

    Attributes:
        rotation_deg: to either side.
        shift: to either side, as a part of the picture's side.
        zoom: smallest and largest scale.
        brightness: largest change of all values, as a part of 255.
        contrast: smallest and largest factor around the mean.
        flip: chance of a mirror image (left and right).
        jpeg: chance of a compression, and its least and most quality.
    """

    rotation_deg: float = 30.0
    shift: float = 0.2
    zoom: tuple[float, float] = (0.85, 1.2)
    brightness: float = 0.2
    contrast: tuple[float, float] = (0.8, 1.25)
    flip: float = 0.5
    jpeg: tuple[float, int, int] = (0.5, 40, 95)

    @property
    def id(self) -> str:
        """Tells one augmentation from another, also between runs."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


STANDARD = Augmentation()


def augmented(crop: Rgb, how: Augmentation, picture: bytes, view: int) -> Rgb:
    """View number `view` of a crop: the same whenever it is asked for.

    Args:
        crop: (S, S, 3) uint8.
        picture: what tells this picture from others, 8 bytes or more.
        view: from 1.
    """
    return drawn(np.random.default_rng((int.from_bytes(picture[:8], "big"), view)), crop, how)


def drawn(rng: np.random.Generator, crop: Rgb, how: Augmentation = STANDARD) -> Rgb:
    """One random view of an (S, S, 3) uint8 crop, of the same shape."""
    moved = _moved(rng, crop, how)
    if rng.random() < how.flip:
        moved = moved[:, ::-1]
    lit = _lit(rng, moved, how)
    chance, least, most = how.jpeg
    return _compressed(lit, int(rng.integers(least, most + 1))) if rng.random() < chance else lit


def _moved(rng: np.random.Generator, crop: Rgb, how: Augmentation) -> Rgb:
    """Rotated, scaled and shifted; what comes in from outside mirrors the border."""
    side = crop.shape[0]
    angle = float(rng.uniform(-how.rotation_deg, how.rotation_deg))
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle, float(rng.uniform(*how.zoom)))
    matrix[:, 2] += rng.uniform(-how.shift, how.shift, 2) * side
    return np.asarray(cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _lit(rng: np.random.Generator, crop: NDArray[np.uint8], how: Augmentation) -> Rgb:
    """Brighter or darker, of more or less contrast around its mean."""
    lift, contrast = 255 * rng.uniform(-how.brightness, how.brightness), rng.uniform(*how.contrast)
    middle = float(crop.mean())
    levels = middle + (np.arange(256) - middle) * contrast + lift
    return np.ascontiguousarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)[crop])


def _compressed(crop: Rgb, quality: int) -> Rgb:
    _, data = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)
