"""A person described in words -> a drawn portrait in CIELAB with its mask of skin: what conditions are painted on.

Our own drawing: ellipses, curves and noise, no picture of anybody. Made so that the service finds the face and cuts it out as it
does with a photo. Places on a face are (u, v): 0 in its middle, -1 and 1 at the edge, u to the right, v down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Lab = NDArray[np.float32]  # (S, S, 3): L* 0..100, a*, b*
Plane = NDArray[np.float32]  # (S, S)

TONES: Mapping[str, tuple[float, float, float]] = {  # CIELAB of skin in daylight, lightest first
    "very fair": (84, 8, 12),
    "fair": (79, 10, 15),
    "light": (74, 11, 17),
    "medium": (67, 13, 20),
    "olive": (61, 11, 22),
    "tan": (56, 14, 24),
    "tan brown": (51, 14, 23),
    "brown": (44, 14, 20),
    "deep brown": (35, 12, 15),
    "dark": (31, 11, 13),
}
HAIR = (
    (22, 4, 6),
    (30, 8, 12),
    (42, 10, 20),
    (62, 6, 26),
    (15, 1, 2),
)  # CIELAB of brown, chestnut, dark blond, blond, black
GREY_HAIR = (68, 0, 2)
GREY = (62.0, 0.0, 0.0)  # of a plain background
FACE_SIZE = (0.245, 0.315)  # half width and half height, in sides of the picture
FACE_PLACE = (0.5, 0.52)
EYES = ((-0.42, -0.10), (0.42, -0.10))
LONG_HAIR = {"female": 0.75, "male": 0.05}  # chance; of others a half
LARGEST_SHIFT, LARGEST_TURN_DEG, SIZES = 0.03, 5.0, (0.93, 1.06)  # of the whole picture, in sides; scale


@dataclass(frozen=True)
class Person:
    """Whom a portrait shows: tone is one of `TONES`, gender as the set says it, age in years."""

    tone: str
    gender: str
    age: float


@dataclass(frozen=True, eq=False)
class Portrait:
    """A drawn face before conditions are painted on it.

    Attributes:
        lab: (S, S, 3) float32.
        skin: (S, S) float32 0..1, how far a place is skin of the face: no eyes, brows, lips, hair.
        hair: (S, S) float32 0..1.
    """

    lab: Lab
    skin: Plane
    hair: Plane

    @property
    def side_px(self) -> int:
        return int(self.lab.shape[0])

    def place(self, u: float, v: float) -> tuple[float, float]:
        """Pixels (x, y) of a place on the face."""
        return place(u, v, self.side_px)


def place(u: float, v: float, side_px: int) -> tuple[float, float]:
    """Pixels (x, y) of a place on the face."""
    return (FACE_PLACE[0] + u * FACE_SIZE[0]) * side_px, (FACE_PLACE[1] + v * FACE_SIZE[1]) * side_px


def portrait(person: Person, rng: np.random.Generator, side_px: int, *, plain: bool) -> Portrait:
    """A person in front of a plain grey or a coloured background, with healthy skin."""
    skin_lab, hair_lab = _varied(TONES[person.tone], rng, 2.0), _hair_of(person, rng)
    face, hair = _oval(side_px), _hair(person.gender, rng, side_px)
    lab = _background(rng, side_px, plain)
    lab = laid_over(lab, hair, hair_lab)
    neck = _neck(side_px)
    lab = laid_over(lab, neck, np.multiply(skin_lab, (0.86, 1, 1)))
    lab = laid_over(lab, face, skin_lab)
    lab = lab + _relief(rng, side_px, face)
    lab, taken = _features(lab, rng, skin_lab, hair_lab)
    return Portrait(lab, face * (1 - taken), hair * (1 - face) * (1 - neck))


def finished(lab: Lab, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(S, S, 3) uint8 sRGB: light from a side, a slight turn, size and shift, camera noise."""
    side_px = lab.shape[0]
    x = np.linspace(-1, 1, side_px, dtype=np.float32)[None, :]
    lit = lab.copy()
    lit[..., 0] = lit[..., 0] * rng.uniform(0.94, 1.04) + rng.uniform(-4, 4) * x
    lit[..., 2] += rng.uniform(-2, 3)
    lit += rng.normal(0, 0.7, lit.shape).astype(np.float32)
    turn = cv2.getRotationMatrix2D(
        (side_px / 2, side_px / 2), rng.uniform(-LARGEST_TURN_DEG, LARGEST_TURN_DEG), rng.uniform(*SIZES)
    )
    turn[:, 2] += rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 2) * side_px
    rgb = cv2.cvtColor(np.clip(lit, (0, -90, -90), (100, 90, 90)).astype(np.float32), cv2.COLOR_LAB2RGB)
    moved = cv2.warpAffine(rgb, turn, (side_px, side_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(255 * moved + 0.5, 0, 255), np.uint8)


def laid_over(lab: Lab, mask: Plane, colour: Sequence[float] | NDArray[np.float64]) -> Lab:
    """One colour laid over a picture where a mask says so."""
    return np.asarray(lab + mask[..., None] * (np.float32(colour) - lab), np.float32)


def noise(rng: np.random.Generator, side_px: int, grain: float) -> Plane:
    """(S, S) soft noise of mean 0 and deviation 1; `grain` is the size of its spots in sides of the picture."""
    sigma = max(grain * side_px, 0.5)
    step = max(1, int(sigma / 3))
    small = -(-side_px // step) + 1
    coarse = cv2.GaussianBlur(rng.normal(size=(small, small)).astype(np.float32), (0, 0), sigma / step)
    wide = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.asarray((wide - wide.mean()) / max(float(wide.std()), 1e-6), np.float32)


def soft(mask: NDArray[np.uint8], blur_px: float) -> Plane:
    """(S, S) 0..1 of a mask 0..255, with a soft edge."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), max(blur_px, 0.5)), np.float32)


def ellipse(u: float, v: float, width: float, height: float, side_px: int, blur: float, turn_deg: float = 0.0) -> Plane:
    """(S, S) 0..1: an ellipse on the face; half axes in half widths of the face, `blur` in sides."""
    mask = np.zeros((side_px, side_px), np.uint8)
    axes = (round(width * FACE_SIZE[0] * side_px), round(height * FACE_SIZE[0] * side_px))
    x, y = (round(value) for value in place(u, v, side_px))
    cv2.ellipse(mask, (x, y), axes, turn_deg, 0, 360, 255, -1, cv2.LINE_AA)
    reach = max(axes) + round(4 * blur * side_px) + 2  # outside it there is nothing to blur
    window = tuple(slice(max(0, middle - reach), max(0, middle + reach)) for middle in (y, x))
    whole = np.zeros((side_px, side_px), np.float32)
    if mask[window].size:
        whole[window] = soft(mask[window], blur * side_px)
    return whole


def _varied(colour: Sequence[float], rng: np.random.Generator, spread: float) -> NDArray[np.float64]:
    return np.asarray(colour, float) + rng.normal(0, spread, 3) * (1, 0.4, 0.4)


def _hair_of(person: Person, rng: np.random.Generator) -> NDArray[np.float64]:
    choices = HAIR if TONES[person.tone][0] > 60 else HAIR[:1] + HAIR[4:]
    own = _varied(choices[rng.integers(len(choices))], rng, 2)
    grey = np.clip((person.age - 45) / 40, 0, 1) * rng.uniform(0.4, 1)
    return own + grey * (np.array(GREY_HAIR) - own)


def _background(rng: np.random.Generator, side_px: int, plain: bool) -> Lab:
    if plain:
        return np.full((side_px, side_px, 3), GREY, np.float32)
    colour = np.array([rng.uniform(35, 85), rng.uniform(-12, 12), rng.uniform(-18, 18)])
    wavy = np.stack([noise(rng, side_px, 0.15) * deviation for deviation in (7, 3, 4)], axis=-1)
    return np.asarray(colour + wavy, np.float32)


def _oval(side_px: int) -> Plane:
    return ellipse(0, 0, 1, FACE_SIZE[1] / FACE_SIZE[0], side_px, 0.004)


def _neck(side_px: int) -> Plane:
    mask = np.zeros((side_px, side_px), np.uint8)
    (left, top), (right, _) = place(-0.5, 0.75, side_px), place(0.5, 0.75, side_px)
    cv2.rectangle(mask, (int(left), int(top)), (int(right), side_px), 255, -1)
    cv2.ellipse(mask, (side_px // 2, side_px), (int(0.42 * side_px), int(0.1 * side_px)), 0, 0, 360, 255, -1)
    return soft(mask, 0.006 * side_px)


def _hair(gender: str, rng: np.random.Generator, side_px: int) -> Plane:
    cap = ellipse(0, -0.22, 1.15, 1.28, side_px, 0.008)
    if rng.random() >= LONG_HAIR.get(gender, 0.5):
        return cap
    return np.maximum(cap, ellipse(0, 0.35, 1.25, 1.55, side_px, 0.01))


def _relief(rng: np.random.Generator, side_px: int, face: Plane) -> Lab:
    """Shading of a face as a body: darker to the edge, soft bumps of cheeks, nose and brow, fine grain."""
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    u = (x / side_px - FACE_PLACE[0]) / FACE_SIZE[0]
    v = (y / side_px - FACE_PLACE[1]) / FACE_SIZE[1]
    shade = -7 * (u**2 + v**2) ** 1.5 + 2
    shade += 4 * ellipse(0, 0.12, 0.1, 0.35, side_px, 0.02) - 3 * ellipse(0, 0.34, 0.22, 0.06, side_px, 0.01)
    for side in (-1, 1):
        shade += 2.5 * ellipse(0.5 * side, 0.22, 0.25, 0.2, side_px, 0.04)
        shade -= 4 * ellipse(0.42 * side, -0.1, 0.3, 0.18, side_px, 0.02)
    shade += 0.9 * noise(rng, side_px, 0.05) + 0.7 * noise(rng, side_px, 0.002)
    warm = 0.6 * noise(rng, side_px, 0.06)
    return np.asarray(face[..., None] * np.stack([shade, warm, 0.4 * warm], axis=-1), np.float32)


def _features(
    lab: Lab, rng: np.random.Generator, skin_lab: NDArray[np.float64], hair_lab: NDArray[np.float64]
) -> tuple[Lab, Plane]:
    """Eyes, brows, nostrils and mouth; where they are, 0..1."""
    side_px, taken = lab.shape[0], np.zeros(lab.shape[:2], np.float32)
    dark = np.minimum(hair_lab, (32, 8, 10))
    iris = (rng.uniform(18, 45), rng.uniform(-4, 8), rng.uniform(-12, 18))
    lips = (0.78 * skin_lab[0], skin_lab[1] + rng.uniform(12, 20), skin_lab[2] * 0.8)
    parts: list[tuple[float, float, float, float, float, Sequence[float] | NDArray[np.float64]]] = []
    for side, (u, v) in zip((-1, 1), EYES, strict=True):
        parts += [
            (u, v - 0.235, 0.29, 0.045, 8.0 * side, dark),
            (u, v - 0.01, 0.235, 0.125, 0, (0.55 * skin_lab[0], 10, 12)),
            (u, v, 0.2, 0.09, 0, (88, 1, 3)),
            (u, v, 0.088, 0.088, 0, iris),
            (u, v, 0.04, 0.04, 0, (6, 0, 0)),
            (u - 0.03, v - 0.03, 0.018, 0.018, 0, (98, 0, 0)),
            (0.13 * side, 0.33, 0.055, 0.03, 0, (0.45 * skin_lab[0], 12, 10)),
        ]
    parts += [(0, 0.6, 0.36, 0.105, 0, lips), (0, 0.6, 0.33, 0.016, 0, (0.4 * lips[0], lips[1], lips[2]))]
    for u, v, width, height, turn_deg, colour in parts:
        mask = ellipse(u, v, width, height, side_px, 0.003, turn_deg)
        lab, taken = laid_over(lab, mask, colour), np.maximum(taken, mask)
    return lab, cv2.dilate(taken, np.ones((3, 3), np.uint8))
