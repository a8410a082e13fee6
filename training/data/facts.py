"""bytes of a picture file -> its facts (size, light, sharpness, faces, skin tone) and the crop that a network is shown.

A picture in which the service finds a whole face is cut to that face, aligned, as the service cuts it; of any other the
largest square in the middle is taken, and `Facts.has_face` says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import face, geometry, photo, preprocessing, quality, roi, skin_tone
from analyzer.roi import Roi
from analyzer.values import Check, Face, Photo, Rgb
from training.data import duplicates

VERSION = 1  # of what is measured here; a change makes the caches anew
BORDER_SHARE = 0.04  # of the short side
LEAST_PX = 32  # short side of a file that can be used at all
LEAST_CUT_PX = preprocessing.SIDE_PX / 2  # what is cut out is enlarged at most twice
WHOLE_FACE = ("no_face", "face_cut_off")  # checks of the service that a face must pass to be cut out
TONE_SPOILED = ("too_dark", "too_bright", "not_enough_skin")  # checks without which no skin tone is told


class TooSmall(ValueError):
    """A picture with too few pixels to be used."""


@dataclass(frozen=True)
class Facts:
    """What was measured on one file; every value can be written as JSON.

    Attributes:
        sha256: of the file's bytes.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        size_bytes: of the file.
        faces: that the face stage found.
        has_face: the crop is an aligned face; else the middle of the picture.
        face_confidence: of the best face, 0..1; None without one.
        face_box: of the best face: x, y, width, height in pixels of the file; None without one.
        cut_px: side in pixels of the file of the square that the crop shows.
        brightness: mean grey level of the whole picture, 0..255.
        contrast: standard deviation of its grey levels.
        sharpness: log(1 + variance of its Laplacian).
        border: mean L*, a*, b* of a frame of `BORDER_SHARE` along the edges.
        blur_px: standard deviation of a Gaussian at 512 px (`Roi.edge_blur_px`), of what the crop shows.
        bright_l: 95th percentile of L* of what the crop shows.
        refused: codes of the service's checks that refuse this face, such as ``"face_too_small"``; empty without a face.
        failed: what is wrong with the crop: of ``"blurred"``, ``"dark"``, ``"small"``.
        ita_deg: individual typology angle of the skin as the picture shows it; None where it cannot be told.
        fingerprint: `duplicates.written` of the picture and of what was cut out.
    """

    sha256: str
    width: int
    height: int
    size_bytes: int
    faces: int
    has_face: bool
    face_confidence: float | None
    face_box: tuple[float, float, float, float] | None
    cut_px: float
    brightness: float
    contrast: float
    sharpness: float
    border: tuple[float, float, float]
    blur_px: float
    bright_l: float
    refused: tuple[str, ...]
    failed: tuple[str, ...]
    ita_deg: float | None
    fingerprint: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Facts:
        """Facts of `to_json`.

        Raises:
            ValueError: (or TypeError) the text is something else.
        """
        fields: dict[str, Any] = json.loads(text)
        return Facts(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


STATISTICS = (
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


def statistics(facts: Iterable[Facts]) -> NDArray[np.float32]:
    """(N, 10) float32 of whole pictures, in the order of `STATISTICS`: what tells pictures apart without seeing any skin."""
    rows = [
        (
            one.width,
            one.height,
            one.width / one.height,
            one.size_bytes / (one.width * one.height),
            one.brightness,
            one.contrast,
            one.sharpness,
            *one.border,
        )
        for one in facts
    ]
    return np.array(rows, np.float32).reshape(-1, len(STATISTICS))


def measured(data: bytes, *, look_for_face: bool = True) -> tuple[Facts, Rgb]:
    """Facts of a file and its (224, 224, 3) uint8 crop.

    Args:
        data: JPEG, PNG, WebP, GIF or HEIC.
        look_for_face: False where no picture of the source shows a face, such as lesions under a lens.

    Raises:
        BadPhoto: (or a subclass) not a picture, damaged, or cut short.
        TooSmall: a side under `LEAST_PX`.
    """
    picture = photo.decode(data)
    height, width = picture.rgb.shape[:2]
    if min(width, height) < LEAST_PX:
        raise TooSmall(f"expected at least {LEAST_PX} pixels on either side, found {width}×{height}")
    faces = face.detect(picture.rgb) if look_for_face else ()
    cut = _cut(picture, faces)
    found = Facts(
        sha256=hashlib.sha256(data).hexdigest(),
        width=width,
        height=height,
        size_bytes=len(data),
        faces=len(faces),
        has_face=cut.region is not None,
        face_confidence=round(faces[0].confidence, 4) if faces else None,
        face_box=_rounded(faces[0]) if faces else None,
        cut_px=round(cut.side_px, 1),
        **_light(picture.rgb),
        border=_border(picture.rgb),
        blur_px=round(cut.blur_px, 3),
        bright_l=round(cut.bright_l, 2),
        refused=tuple(check.code for check in cut.checks if check.refuses and not check.passed),
        failed=_failed(cut),
        ita_deg=None if cut.region is None else _ita(cut.region, cut.checks),
        fingerprint=duplicates.written([duplicates.fingerprint(rgb) for rgb in (picture.rgb, cut.crop)]),
    )
    return found, cut.crop


@dataclass(frozen=True, eq=False)
class _Cut:
    """What is cut out of a picture; `region` is None where that is its middle."""

    crop: Rgb
    region: Roi | None
    side_px: float
    blur_px: float
    bright_l: float
    checks: tuple[Check, ...]


def _cut(picture: Photo, faces: Sequence[Face]) -> _Cut:
    """The aligned face where a whole one was found, else the middle."""
    checks = quality.check_faces(picture, faces) if faces else ()
    if not faces or any(check.code in WHOLE_FACE and not check.passed for check in checks):
        square = preprocessing.middle(picture.rgb, geometry.SIZE)
        seen = roi.from_parts(square, np.ones(square.shape[:2], bool), {})
        side_px = float(min(picture.rgb.shape[:2]))
        return _Cut(preprocessing.middle(picture.rgb), None, side_px, seen.edge_blur_px, _bright(seen), checks)
    region = roi.extract(picture, faces[0])
    side_px = preprocessing.FACE_SIDE / region.scale
    checks = (*checks, *quality.check_roi(region))
    return _Cut(preprocessing.face(region), region, side_px, region.edge_blur_px, _bright(region), checks)


def _bright(seen: Roi) -> float:
    """95th percentile of L* over the skin; 0 where none is seen."""
    step = quality.STRIDE
    lightness = seen.lab[::step, ::step, 0][seen.skin[::step, ::step]]
    return float(np.percentile(lightness, 95)) if lightness.size else 0.0


def sharpness(gray: NDArray[np.uint8]) -> float:
    """Log of 1 + the variance of the Laplacian of (H, W) grey levels."""
    return float(np.log1p(cv2.Laplacian(gray, cv2.CV_32F).var()))


def _light(rgb: Rgb) -> dict[str, float]:
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    levels = {"brightness": float(gray.mean()), "contrast": float(gray.std()), "sharpness": sharpness(gray)}
    return {name: round(value, 4) for name, value in levels.items()}


def _border(rgb: Rgb) -> tuple[float, float, float]:
    wide = max(1, round(BORDER_SHARE * min(rgb.shape[:2])))
    strips = (rgb[:wide], rgb[-wide:], rgb[wide:-wide, :wide], rgb[wide:-wide, -wide:])
    colours = np.concatenate([strip.reshape(1, -1, 3) for strip in strips], axis=1)
    lab = cv2.cvtColor(np.multiply(colours, 1 / 255, dtype=np.float32), cv2.COLOR_RGB2LAB)[0]
    lightness, a, b = (round(float(value), 3) for value in lab.mean(axis=0, dtype=np.float64))
    return lightness, a, b


def _failed(cut: _Cut) -> tuple[str, ...]:
    wrong = {
        "blurred": cut.blur_px > quality.MAX_BLUR_PX,
        "dark": cut.bright_l < quality.MIN_BRIGHT_L,
        "small": cut.side_px < LEAST_CUT_PX,
    }
    return tuple(name for name, is_so in wrong.items() if is_so)


def _ita(region: Roi, checks: Iterable[Check]) -> float | None:
    """Degrees; None on black-and-white pictures, in bad light, and where too little skin is seen."""
    if region.is_grey or any(check.code in TONE_SPOILED and not check.passed for check in checks):
        return None
    tone = skin_tone.estimate(region, checks)
    return None if tone is None else tone.ita_deg


def _rounded(found: Face) -> tuple[float, float, float, float]:
    box = found.box
    return round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1)
