"""What the face networks see: a small copy of the whole picture, and an upright crop around a box. Shared with training.

A face box here is (4,) float: centre x, centre y, side in pixels, and roll in radians, clockwise. Its side is 1.41 times
the distance from eye line to chin, its centre lies 0.165 of that distance below the eye line, in the middle of the
visible face: the square of the frontal Haar cascade on 235 frontal UTKFace and ACNE04 faces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.values import Face, Points, Rgb

FaceBox = NDArray[np.float32]
Matrix = NDArray[np.float32]  # (2, 3) affine
Overlap = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]

OVERVIEW_PX = 256  # side of the small copy of the picture; a face of 8 % of the width of a portrait 3:4 has 15 px in it
COPY_PX = 768  # long side of the copy that everything is cut from as long as it holds enough detail
CROP_PX = 128  # side of the upright crop
CROP_SIDES = 1.4  # side of the crop in sides of the face box
FULL_DETAIL_PX = 1.1 * CROP_PX / CROP_SIDES  # side of a box from which a crop is not enlarged
SIDE_PER_CHIN = 1.41  # side of the box / distance from eye line to chin
DOWN_PER_CHIN = 0.165  # centre of the box below the eye line / the same distance
OVAL, IRISES = (
    slice(0, 36),
    slice(140, 142),
)  # of the 142 landmarks; irises: the picture's left one of an upright face first


def box_of(points: Points) -> FaceBox:
    """The box of (142, 2) landmarks."""
    groups = {name: points[part].astype(float) for name, part in geometry.GROUPS.items()}
    eye_line = (groups["right_eye"].mean(axis=0) + groups["left_eye"].mean(axis=0)) / 2
    return box_between(eye_line, groups["face_oval"], geometry.roll_rad(groups))


def box_between(eye_line: NDArray[np.float64], edges: NDArray[np.float64], roll: float) -> FaceBox:
    """The box from a point on the eye line, (N, 2) points on the face's edge, the chin among them, and the roll."""
    sideways = np.array([math.cos(roll), math.sin(roll)])
    downwards = np.array([-math.sin(roll), math.cos(roll)])
    chin, across = float(((edges - eye_line) @ downwards).max()), (edges - eye_line) @ sideways
    centre = eye_line + DOWN_PER_CHIN * chin * downwards + (across.max() + across.min()) / 2 * sideways
    return np.array([*centre, SIDE_PER_CHIN * max(chin, 1.0), roll], np.float32)


def working_copy(rgb: Rgb) -> tuple[Rgb, float]:
    """The picture with its long side reduced to `COPY_PX` (itself where it is smaller), and its pixels per picture pixel."""
    return resized(rgb, COPY_PX) if max(rgb.shape[:2]) > COPY_PX else (rgb, 1.0)


def overview(rgb: Rgb, side_px: int = OVERVIEW_PX) -> tuple[Rgb, float]:
    """The whole picture in the upper left of a black (side, side, 3) square, and its pixels per picture pixel."""
    small, scale = resized(rgb, side_px)
    square = np.zeros((side_px, side_px, 3), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square, scale


def resized(rgb: Rgb, long_px: int) -> tuple[Rgb, float]:
    """The picture with a long side of `long_px`, and its pixels per picture pixel."""
    scale = long_px / max(rgb.shape[:2])
    size = [max(1, round(length * scale)) for length in rgb.shape[1::-1]]
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)), scale


def distinct(faces: Sequence[Face], overlap: Overlap, limit: float) -> list[Face]:
    """The most probable of each group of faces in one place, most probable first.

    Args:
        overlap: of one square (3,) with others (N, 3), all centre x, centre y, side, as (N,) numbers.
        limit: overlap above which two faces are one.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.confidence):
        others = np.array([(*other.box.centre, other.box.width) for other in kept], float).reshape(-1, 3)
        if not (overlap(np.array([*face.box.centre, face.box.width]), others) > limit).any():
            kept.append(face)
    return kept


def upright_crop(rgb: Rgb, box: FaceBox) -> Rgb:
    """(128, 128, 3) around a box, turned upright; edge pixels are repeated outside the picture."""
    matrix = crop_matrix(box)
    part, matrix = reduced(rgb, matrix)
    crop = cv2.warpAffine(part, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def crop_matrix(box: FaceBox) -> Matrix:
    """From picture pixels to pixels of the crop."""
    x, y, side, roll = (float(value) for value in box)
    return placing(np.array([x, y]), np.full(2, CROP_PX / 2), CROP_PX / (CROP_SIDES * side), -roll)


def reduced(rgb: Rgb, matrix: Matrix, size_px: int = CROP_PX) -> tuple[Rgb, Matrix]:
    """The part that `matrix` shows in a square of `size_px`, at about that scale, so that nothing is aliased."""
    zoom = math.hypot(matrix[0, 0], matrix[1, 0])
    if zoom > 0.8:
        return rgb, matrix
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], np.float32)
    back = cv2.invertAffineTransform(matrix)
    seen = corners @ back[:, :2].T + back[:, 2]
    limits = np.array(rgb.shape[1::-1])
    low = np.clip(np.floor(seen.min(axis=0)) - 2, 0, limits - 2).astype(int)
    high = np.clip(np.ceil(seen.max(axis=0)) + 2, low + 2, limits).astype(int)
    size = np.maximum(np.round((high - low) * zoom), 2).astype(int)
    small = cv2.resize(rgb[low[1] : high[1], low[0] : high[0]], size.tolist(), interpolation=cv2.INTER_AREA)
    out = matrix.copy()
    out[:, 2] += matrix[:, :2] @ low
    out[:, :2] /= size / (high - low)
    return np.asarray(small, np.uint8), out


def placing(at: NDArray[np.floating], place: NDArray[np.floating], zoom: float, roll: float) -> Matrix:
    """The affine that turns by `roll`, zooms, and moves `at` to `place`."""
    turn = zoom * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return np.column_stack([turn, np.asarray(place) - turn @ np.asarray(at)]).astype(np.float32)
