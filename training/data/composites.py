"""Training pictures for the face stage: faces at any place, size and roll, over backgrounds that hold none.

A canvas (for the detector) is a real picture, turned and zoomed as a whole; or faces cut out of their pictures and laid
over a background, together with cut-outs that hold no face, so that an edge of a cut-out tells nothing. A crop (for the
landmark network) is the upright square around a box that is off by as much as a detector's box may be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.face_crops import CROP_PX, CROP_SIDES, OVAL, Matrix, crop_matrix, placing
from analyzer.geometry import transform
from analyzer.values import Rgb
from training.data.degradations import degrade, occlude, texture
from training.data.faces import Scene

Rng = np.random.Generator

CANVAS_PX = 192  # side of the detector's training picture; it is fully convolutional and serves at `OVERVIEW_PX`
LEAST_FACE_PX, MOST_FACE_PX = 14.0, 225.0  # side of the face box on a canvas
MOST_FACES = 3
OCCLUDED = 0.15  # share of faces that something covers in part
BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101)
SHIFT, ZOOM, TURN_DEG = 0.09, 0.12, 9.0  # standard deviations of a detector's error: box sides, natural log, degrees
FIRST_LOOK = 0.45  # share of crops around a detector's box; the others are around landmarks, which miss by less
SECOND_LOOK_MISSES = 0.4  # times the first look's


@dataclass(frozen=True, eq=False)
class Pictures:
    """What canvases and crops are made of."""

    singles: Sequence[Scene]  # one face each with landmarks, tightly cut (UTKFace)
    portraits: Sequence[Scene]  # one face each, with surroundings
    crowds: Sequence[Scene]
    faceless: Sequence[Scene]
    traps: Sequence[Scene]  # one box each where a detector was wrong
    partner: NDArray[np.intp]  # of each landmark: the one that takes its place in a mirrored picture


def canvas(rng: Rng, pictures: Pictures) -> tuple[Rgb, NDArray[np.float32]]:
    """One training picture of the detector.

    Returns:
        (192, 192, 3) uint8 and its boxes (N, 4) float32: centre x, centre y, side, roll (nan: not known).
    """
    kind = rng.random()
    if kind < 0.40:
        rgb, boxes = _collage(rng, pictures)
    elif kind < 0.52:
        rgb, boxes = _portrait(rng, _any(rng, pictures.singles), fill=True)
    elif kind < 0.72:
        rgb, boxes = _portrait(rng, _any(rng, pictures.portraits), fill=False)
    else:
        rgb, boxes = _crowd(rng, _any(rng, pictures.crowds))
    for box in boxes:
        if rng.random() < OCCLUDED:
            rgb = occlude(rng, rgb, box[:2], float(box[2]))
    if rng.random() < 0.5:
        rgb, boxes = np.ascontiguousarray(rgb[:, ::-1]), mirrored(boxes)
    return degrade(rng, rgb), boxes


def crop(rng: Rng, scene: Scene, partner: NDArray[np.intp], background: Rgb) -> tuple[Rgb, NDArray[np.float32]]:
    """One training picture of the landmark network: the first box of a scene, missed a little.

    Returns:
        (128, 128, 3) uint8 and the 142 landmarks (142, 2) float32 in crop sides, 0 in the middle; nan where not known.
    """
    box = np.nan_to_num(scene.boxes[0])
    missed = 1.0 if rng.random() < FIRST_LOOK else SECOND_LOOK_MISSES
    box[:2] += missed * rng.normal(0, SHIFT, 2) * box[2]
    box[2] *= math.exp(missed * rng.normal(0, ZOOM))
    box[3] += missed * math.radians(rng.normal(0, TURN_DEG))
    matrix = crop_matrix(box)
    rgb = _laid(rng, scene.rgb, matrix, background)
    known = np.full((len(partner), 2), np.nan) if scene.points is None else transform(matrix, scene.points)
    points = known / CROP_PX - 0.5
    if rng.random() < 0.5:
        rgb, points = np.ascontiguousarray(rgb[:, ::-1]), points[partner] * (-1, 1)
    if rng.random() < OCCLUDED:
        rgb = occlude(rng, rgb, np.full(2, CROP_PX / 2), CROP_PX / CROP_SIDES)
    return degrade(rng, rgb), points.astype(np.float32)


def faceless_crop(rng: Rng, pictures: Pictures) -> Rgb:
    """(128, 128, 3) uint8 without a face."""
    return degrade(rng, _background(rng, pictures, CROP_PX))


def mirrored(boxes: NDArray[np.float32], width: float = CANVAS_PX) -> NDArray[np.float32]:
    return (boxes * (-1, 1, 1, -1) + (width, 0, 0, 0)).astype(np.float32)


def moved(boxes: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Boxes after the turn, zoom and shift of their picture."""
    turn = math.atan2(matrix[1, 0], matrix[0, 0])
    zoom = math.hypot(matrix[0, 0], matrix[1, 0])
    centres = transform(matrix, boxes[:, :2])
    return np.column_stack([centres, boxes[:, 2] * zoom, boxes[:, 3] + turn]).astype(np.float32)


def _collage(rng: Rng, pictures: Pictures) -> tuple[Rgb, NDArray[np.float32]]:
    rgb = _background(rng, pictures, CANVAS_PX)
    for _ in range(int(rng.integers(0, 3))):
        rgb = _with_cutting(rng, rgb, pictures)
    placed = np.zeros((0, 4), np.float32)
    for _ in range(int(rng.choice([0, 1, 1, 2, MOST_FACES]))):
        side = _side(rng)
        place = rng.uniform(0.2, 0.8, 2) * CANVAS_PX if side > 120 else rng.uniform(side / 3, CANVAS_PX - side / 3, 2)
        away = np.linalg.norm(placed[:, :2] - place, axis=1)
        if (away < 0.75 * (placed[:, 2] + side)).any():
            continue
        source = pictures.singles if rng.random() < 0.8 else pictures.portraits
        scene = _any(rng, source)
        matrix = placing(scene.boxes[0, :2], place, side / float(scene.boxes[0, 2]), _roll(rng))
        rgb = _pasted(rng, rgb, scene, matrix)
        placed = np.concatenate([placed, moved(scene.boxes[:1], matrix)])
    return rgb, placed


def _portrait(rng: Rng, scene: Scene, *, fill: bool) -> tuple[Rgb, NDArray[np.float32]]:
    """The picture as a whole, turned and zoomed; with `fill`, the face fills most of it."""
    box = scene.boxes[0]
    side = rng.uniform(95, MOST_FACE_PX) if fill else math.exp(rng.uniform(math.log(22), math.log(MOST_FACE_PX)))
    free = max(CANVAS_PX - side, 30.0)
    place = CANVAS_PX / 2 + rng.uniform(-0.5, 0.5, 2) * free
    matrix = placing(box[:2], place, side / float(box[2]), _roll(rng))
    return _laid(rng, scene.rgb, matrix, None), moved(scene.boxes, matrix)


def _crowd(rng: Rng, scene: Scene) -> tuple[Rgb, NDArray[np.float32]]:
    """A scene around one of its larger faces, or anywhere; faces that are too small are blurred out of the truth."""
    height, width = scene.rgb.shape[:2]
    large = scene.boxes[scene.boxes[:, 2] > 12]
    if len(large) and rng.random() < 0.8:
        box = large[int(rng.integers(len(large)))]
        zoom = math.exp(rng.uniform(math.log(LEAST_FACE_PX), math.log(110))) / float(box[2])
        zoom = min(max(zoom, 0.46), 3.0)
        at, place = box[:2], rng.uniform(0.2, 0.8, 2) * CANVAS_PX
    else:
        zoom = rng.uniform(0.46, 1.2)
        at, place = rng.uniform(0.2, 0.8, 2) * (width, height), np.full(2, CANVAS_PX / 2)
    matrix = placing(np.asarray(at), place, zoom, _roll(rng))
    boxes = moved(scene.boxes, matrix)
    seen = ((boxes[:, :2] > 0) & (boxes[:, :2] < CANVAS_PX)).all(axis=1)
    return _laid(rng, scene.rgb, matrix, None), boxes[seen]


def _pasted(rng: Rng, rgb: Rgb, scene: Scene, matrix: Matrix) -> Rgb:
    """The face of a scene over `rgb`: its whole picture, or an oval around it, with soft edges."""
    height, width = scene.rgb.shape[:2]
    if scene.points is not None and rng.random() < 0.6:
        oval = scene.points[OVAL].copy()
        oval[:, 1] -= 0.12 * np.ptp(oval[:, 1]) * (oval[:, 1] < np.median(oval[:, 1]))
        middle = oval.mean(axis=0)
        outline = middle + (oval - middle) * rng.uniform(1.05, 1.5)
        cover = cv2.fillPoly(np.zeros((height, width), np.uint8), [np.round(outline).astype(np.int32)], 255)
    else:
        cover = np.full((height, width), 255, np.uint8)
    face, cover, matrix = _reduced(scene.rgb, cover, matrix)
    laid = cv2.warpAffine(face, matrix, rgb.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(cover, matrix, rgb.shape[1::-1], flags=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.3, 4.0)))
    share = (np.minimum(soft, alpha)[..., None] / 255.0).astype(np.float32)
    return (laid * share + rgb * (1 - share)).astype(np.uint8)


def _with_cutting(rng: Rng, rgb: Rgb, pictures: Pictures) -> Rgb:
    """`rgb` with a cut-out of a faceless picture laid over it."""
    piece = _any(rng, pictures.faceless)
    place = rng.uniform(0, CANVAS_PX, 2)
    zoom = _side(rng) * 1.3 / max(piece.rgb.shape[:2])
    matrix = placing(np.array(piece.rgb.shape[1::-1]) / 2, place, zoom, _roll(rng))
    return _pasted(rng, rgb, piece, matrix)


def _background(rng: Rng, pictures: Pictures, side_px: int) -> Rgb:
    """(side, side, 3) without a face: a generated texture, or a part of a faceless picture."""
    if rng.random() < 0.35:
        return texture(rng, side_px)
    rgb = _any(rng, pictures.faceless).rgb
    zoom = side_px / min(rgb.shape[:2]) * rng.uniform(1.0, 2.5)
    matrix = placing(np.array(rgb.shape[1::-1]) * rng.uniform(0.35, 0.65, 2), np.full(2, side_px / 2), zoom, _roll(rng))
    flags = cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(rgb, matrix, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _laid(rng: Rng, rgb: Rgb, matrix: Matrix, background: Rgb | None) -> Rgb:
    """The picture through `matrix`; outside it a repeated edge, black, a reflection, or the background."""
    side_px = CANVAS_PX if background is None else CROP_PX
    shrunk, cover, matrix = _reduced(rgb, np.full(rgb.shape[:2], 255, np.uint8), matrix)
    border = int(rng.choice(BORDERS[:2])) if background is None else int(rng.choice(BORDERS))
    out = cv2.warpAffine(shrunk, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=border)
    if background is not None and rng.random() < 0.4:
        outside = cv2.warpAffine(cover, matrix, (side_px, side_px)) < 128
        out[outside] = background[outside]
    return np.asarray(out, np.uint8)


def _reduced(rgb: Rgb, cover: NDArray[np.uint8], matrix: Matrix) -> tuple[Rgb, NDArray[np.uint8], Matrix]:
    """Picture and cover at about the size at which the matrix shows them, so that nothing is aliased."""
    zoom = math.hypot(matrix[0, 0], matrix[1, 0])
    if zoom > 0.8:
        return rgb, cover, matrix
    size = tuple(max(2, round(length * zoom)) for length in rgb.shape[1::-1])
    ratio = np.array(size) / rgb.shape[1::-1]
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    thin = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
    out = matrix.copy()
    out[:, :2] /= ratio
    return np.asarray(small, np.uint8), np.asarray(thin, np.uint8), out


def _side(rng: Rng) -> float:
    return math.exp(rng.uniform(math.log(LEAST_FACE_PX), math.log(MOST_FACE_PX * 0.8)))


def _roll(rng: Rng) -> float:
    """Radians: half of the pictures stand upright or nearly so, the others lie anyhow."""
    return float(rng.normal(0, 0.2)) if rng.random() < 0.45 else float(rng.uniform(-math.pi, math.pi))


def _any(rng: Rng, scenes: Sequence[Scene]) -> Scene:
    return scenes[int(rng.integers(len(scenes)))]
