"""Sheets of faces with the landmarks and the face polygon that a stage gives, for `benchmarks.landmarks --draw`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from analyzer import geometry
from analyzer.geometry import Landmarks
from analyzer.values import Box, Face, Mask, Rgb
from benchmarks.detection_pictures import Picture

TILE_PX = 360
COLUMNS, ROWS = 5, 2  # of one sheet
MARGIN = 0.3  # shown around the face, in box sides
COLOURS = {  # RGB
    "face_oval": (0, 255, 255),
    "right_eye": (255, 255, 0),
    "left_eye": (255, 160, 0),
    "right_brow": (0, 255, 0),
    "left_brow": (0, 160, 0),
    "lips_outer": (255, 0, 0),
    "lips_inner": (255, 120, 120),
    "nose": (255, 0, 255),
    "iris_centres": (255, 255, 255),
}
HOLES = ("right_eye", "left_eye", "right_brow", "left_brow", "lips_outer")
TINT_RGB = np.array([60, 120, 255], np.float32)


def write(folder: Path, name: str, faces: Sequence[tuple[Picture, Face | None]]) -> list[Path]:
    """Write the sheets as `<name>_<number>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = [tile(picture, face) for picture, face in faces]
    paths = []
    for number, first in enumerate(range(0, len(tiles), COLUMNS * ROWS)):
        path = folder / f"{name}_{number}.png"
        cv2.imwrite(str(path), cv2.cvtColor(sheet(tiles[first : first + COLUMNS * ROWS]), cv2.COLOR_RGB2BGR))
        paths.append(path)
    return paths


def sheet(tiles: Sequence[Rgb]) -> Rgb:
    """Tiles in rows of COLUMNS; missing ones are black."""
    whole = np.zeros((-(-len(tiles) // COLUMNS) * TILE_PX, COLUMNS * TILE_PX, 3), np.uint8)
    for number, one in enumerate(tiles):
        top, left = number // COLUMNS * TILE_PX, number % COLUMNS * TILE_PX
        whole[top : top + TILE_PX, left : left + TILE_PX] = one
    return whole


def tile(picture: Picture, face: Face | None) -> Rgb:
    """(TILE_PX, TILE_PX, 3): the face with what was found; the whole picture under a red bar where nothing was."""
    height, width = picture.rgb.shape[:2]
    box = Box(0, 0, width, height) if face is None else face.box
    matrix = window(box, 0.0 if face is None else MARGIN)
    rgb = cv2.warpAffine(picture.rgb, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_LINEAR)
    if face is None:
        rgb[:12] = (255, 0, 0)
    else:
        draw(rgb, face, matrix)
    label = f"{picture.source} {picture.group}" + ("" if face is None else f" {face.confidence:.2f}")
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(rgb, label, (6, TILE_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
    return rgb


def window(box: Box, margin: float) -> np.ndarray:
    """(2, 3) affine from picture pixels to the tile, the box in its middle."""
    scale = TILE_PX / (max(box.width, box.height) * (1 + 2 * margin))
    x, y = box.centre
    return np.array([[scale, 0, TILE_PX / 2 - scale * x], [0, scale, TILE_PX / 2 - scale * y]], np.float32)


def polygon(points: Landmarks, shape: tuple[int, ...]) -> Mask:
    """Mask of the face oval minus eyes, brows and lips (convex hulls), from landmarks in pixels of the mask."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(points["face_oval"]).astype(np.int32)], 1)
    for name in HOLES:
        cv2.fillPoly(canvas, [np.rint(cv2.convexHull(points[name])).astype(np.int32)], 0)
    return canvas.astype(bool)


def draw(rgb: Rgb, face: Face, matrix: np.ndarray) -> None:
    """Tint the polygon and mark the landmarks, in place; a face without landmarks of its own gets the prior's."""
    points = {name: geometry.transform(matrix, part) for name, part in geometry.landmarks(face).items()}
    inside = polygon(points, rgb.shape[:2])
    rgb[inside] = (0.8 * rgb[inside] + 0.2 * TINT_RGB).astype(np.uint8)
    for name, part in points.items():
        for x, y in part:
            cv2.circle(rgb, (round(float(x)), round(float(y))), 2, COLOURS[name], -1, cv2.LINE_AA)
