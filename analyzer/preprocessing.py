"""Roi -> model batch: the same code for training and serving. The ids stand in the card of every artefact."""

from __future__ import annotations

import re
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.roi import Roi
from analyzer.values import Demographics, Rgb

SIDE_PX = 224
# Working pixels of the square that holds the skin of most faces, hair and neck left out.
FACE_TOP, FACE_LEFT, FACE_SIDE = 100, 74, 364
FACE = "aligned-face-224"  # id of `face`
DEMOGRAPHICS = "demographics-12"  # id of `demographics_vector`

GENDERS = ("female", "male", "other")
ETHNICITIES: Mapping[str, tuple[str, ...]] = {  # group → words by which people name it
    "white": ("white", "caucasian", "european"),
    "black": ("black", "african"),
    "asian": ("asian", "chinese", "japanese", "korean", "vietnamese", "thai", "filipino"),
    "indian": ("indian", "pakistani", "bangladeshi", "lankan", "nepali", "nepalese"),
    "other": ("other", "hispanic", "latino", "latina", "arab", "mixed", "indigenous", "polynesian"),
}
FITZPATRICK = ("I", "II", "III", "IV", "V", "VI")
OLDEST = 100.0  # years that the scaled age is a part of
DEMOGRAPHICS_WIDTH = 2 + len(GENDERS) + len(ETHNICITIES) + 2


def face(roi: Roi) -> Rgb:
    """Return the inner square of the aligned face, (224, 224, 3) uint8 sRGB, averaged over areas. Id ``aligned-face-224``."""
    return fitted(inner_square(roi), SIDE_PX)


def fitted(square: Rgb, side_px: int) -> Rgb:
    """Return a square picture in another size: (side, side, 3) uint8, averaged over areas where it shrinks."""
    if square.shape[0] == side_px:
        return square
    smooth = cv2.INTER_AREA if square.shape[0] > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (side_px, side_px), interpolation=smooth), np.uint8)


def inner_square(roi: Roi) -> Rgb:
    """(364, 364, 3) uint8 sRGB: the part of the aligned face that `face` shows to a network, in working pixels."""
    return roi.rgb[FACE_TOP : FACE_TOP + FACE_SIDE, FACE_LEFT : FACE_LEFT + FACE_SIDE]


def middle(rgb: Rgb, side_px: int = SIDE_PX) -> Rgb:
    """(side, side, 3) uint8 sRGB: the largest square in the middle, for training pictures without a whole face.

    Args:
        rgb: (H, W, 3) uint8 sRGB.
        side_px: of the answer.
    """
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return fitted(rgb[top : top + side, left : left + side], side_px)


def demographics_vector(said: Demographics) -> NDArray[np.float32]:
    """(12,) float32: what people said of themselves; what they did not say is zero everywhere. Id ``demographics-12``.

    Places: age over 100 years, whether the age is known; one place for each of `GENDERS`; one for each of `ETHNICITIES`;
    Fitzpatrick type over 6, whether it is known.
    """
    age = [0.0, 0.0] if said.age is None else [min(said.age / OLDEST, 1.0), 1.0]
    gender = _gender(said.gender)
    ethnicity = _ethnicity(said.ethnicity)
    tone = (
        [(FITZPATRICK.index(said.fitzpatrick) + 1) / len(FITZPATRICK), 1.0]
        if said.fitzpatrick in FITZPATRICK
        else [0.0, 0.0]
    )
    places = [*age, *(name == gender for name in GENDERS), *(name == ethnicity for name in ETHNICITIES), *tone]
    return np.array(places, np.float32)


def _gender(text: str | None) -> str | None:
    word = (text or "").strip().lower()
    short = {"f": "female", "woman": "female", "m": "male", "man": "male", "non-binary": "other", "nonbinary": "other"}
    name = short.get(word, word)
    return name if name in GENDERS else None


def _ethnicity(text: str | None) -> str | None:
    """The first group one of whose words is in the text; ``south asian`` is Indian, as in the training data."""
    words = set(re.findall(r"[a-z]+", (text or "").lower()))
    if {"south", "asian"} <= words:
        return "indian"
    return next((group for group, names in ETHNICITIES.items() if words & set(names)), None)
