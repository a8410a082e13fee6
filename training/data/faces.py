"""Pictures with known faces and pictures without any, for training the face stage. Reads SKIN_DATA; writes nothing.

Truth comes from teacher landmarks (`face_landmarks.npz`: UTKFace, ACNE04, dermalscan4), from drawn boxes (WIDER) and
from profiles marked by eye (`training/marks/acne04_profiles.json`). What a face box is: `analyzer.face_crops`.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from analyzer import face_crops
from analyzer.face_crops import IRISES
from analyzer.geometry import CHIN_INDEX
from analyzer.head_pose import Shape
from analyzer.values import Points, Rgb
from training.data.splits import part_of
from training.geometry.face_shape import laid_over

MARKS = Path(__file__).parents[1] / "marks" / "acne04_profiles.json"
MARKED_PX = 640.0  # side of the pictures that were marked
SIDE_PER_DRAWN = 0.82  # side of the box / longer side of a WIDER box, which runs from the hair line to the chin
SCENE_PX = 416  # long side that larger pictures are reduced to
TILE_PX = 140  # side of the pieces of WIDER scenes without a face
HAM_PICTURES = 900
CLOSE_UPS = "closeups/*/*.jpg"


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and the faces in it.

    Attributes:
        source: name of the data set.
        rgb: (H, W, 3) uint8.
        boxes: (N, 4) float32: centre x, centre y, side in pixels; roll in radians, clockwise, nan where not known.
        points: (142, 2) float32 landmarks in pixels of the one face, or None.
    """

    source: str
    rgb: Rgb
    boxes: NDArray[np.float32]
    points: Points | None = None


def labelled(data: Path, part: str) -> Iterator[Scene]:
    """Faces with teacher landmarks, of one part of the split."""
    archive = np.load(data / "face_landmarks.npz")
    for name, points in zip(archive["paths"].tolist(), archive["points"] / float(archive["scale"]), strict=True):
        path = data / name
        if "skin_defects" in path.parts or part_of(path) != part:
            continue
        rgb = read(path)
        pixels = (points * rgb.shape[1::-1]).astype(np.float32)
        if not plausible(pixels):
            continue
        yield Scene(name.split("/")[0], rgb, face_crops.box_of(pixels)[None], pixels)


def profiles(data: Path, part: str, shape: Shape) -> Iterator[Scene]:
    """ACNE04 faces that the teacher misses, marked by eye; their landmarks are those of the mean face laid over the marks."""
    for mark in json.loads(MARKS.read_text(encoding="utf-8"))["marks"]:
        path = data / mark["file"]
        if mark["kind"] == "face" and part_of(path) == part:
            rgb = read(path)
            scale = max(rgb.shape[:2]) / MARKED_PX
            box = box_of_mark(mark)
            points = laid_over(mark, shape, box) * np.float32(scale)
            box[:3] *= scale
            yield Scene("profiles", rgb, box[None], points)


def crowds(data: Path, part: str) -> Iterator[Scene]:
    """WIDER scenes with all their drawn faces."""
    for entry in json.loads((data / "wider" / "boxes.json").read_text(encoding="utf-8")):
        path = data / "wider" / "images" / entry["file"]
        if part_of(path) != part:
            continue
        rgb = read(path)
        scale = np.array([rgb.shape[1] / entry["width"], rgb.shape[0] / entry["height"]] * 2)
        boxes = [box_of_drawn(np.array(box) * scale) for box in entry["boxes_xyxy"]]
        yield Scene("wider", rgb, np.array(boxes, np.float32).reshape(-1, 4))


def faceless(data: Path, part: str) -> Iterator[Scene]:
    """Pictures without a face: dermatoscopy (one per lesion), skin close-ups, pieces of WIDER scenes."""
    nothing = np.zeros((0, 4), np.float32)
    with (data / "ham10000" / "HAM10000_metadata.csv").open(encoding="utf-8") as lines:
        lesions = {row["lesion_id"]: row["image_id"] for row in csv.DictReader(lines)}
    chosen = [image for lesion, image in sorted(lesions.items()) if part_of(Path(lesion)) == part]
    for image in chosen[:HAM_PICTURES]:
        yield Scene("ham10000", read(data / "ham10000" / "images" / f"{image}.jpg"), nothing)
    for path in sorted(data.glob(CLOSE_UPS)):
        if part_of(path) == part:
            yield Scene("closeups", read(path), nothing)
    for scene in crowds(data, part):
        yield from tiles(scene)


def tiles(scene: Scene) -> Iterator[Scene]:
    """Square pieces of a scene that no face touches."""
    height, width = scene.rgb.shape[:2]
    for top in range(0, height - TILE_PX + 1, TILE_PX // 2):
        for left in range(0, width - TILE_PX + 1, TILE_PX // 2):
            away = np.abs(scene.boxes[:, :2] - (left + TILE_PX / 2, top + TILE_PX / 2)).max(axis=1)
            if (away > TILE_PX / 2 + scene.boxes[:, 2]).all():
                yield Scene("tiles", scene.rgb[top : top + TILE_PX, left : left + TILE_PX], scene.boxes[:0])


def plausible(points: Points) -> bool:
    """The irises lie on the sides that chin and top of the oval demand; the teacher has swapped them in a picture of ACNE04."""
    across, down = points[IRISES][1] - points[IRISES][0], points[CHIN_INDEX] - points[0]
    return bool(across[0] * down[1] - across[1] * down[0] > 0)


def box_of_drawn(xyxy: NDArray[np.float64]) -> NDArray[np.float32]:
    """(4,) box of a face drawn in a scene; heads of people in scenes stand upright, more or less."""
    left, top, right, bottom = xyxy
    side = SIDE_PER_DRAWN * max(right - left, bottom - top)
    return np.array([(left + right) / 2, (top + bottom) / 2, side, 0.0], np.float32)


def box_of_mark(mark: Mapping[str, Any]) -> NDArray[np.float32]:
    """(4,) box of a hand-marked face, from its nearer eye, chin, and the front and back edge of the face."""
    at = {name: np.array(point, float) for name, point in mark["points"].items() if point is not None}
    edges = np.array([at[name] for name in ("chin", "front", "back") if name in at])
    return face_crops.box_between(at["eye"], edges, math.radians(mark["roll_deg"]))


def mirror_order(frames: Sequence[NDArray[np.float64]]) -> NDArray[np.intp]:
    """For each landmark the one that takes its place in a mirrored picture, from the mean of upright frames."""
    mean = np.mean(frames, axis=0)
    _, partner = linear_sum_assignment(cdist(mean, mean * [-1, 1]))
    return partner


def upright_frame(points: Points) -> NDArray[np.float64]:
    """Landmarks with the box as unit: centre at 0, roll undone."""
    x, y, side, roll = face_crops.box_of(points).astype(float)
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return (points - (x, y)) @ turn / side


def read(path: Path, long_px: int = SCENE_PX) -> Rgb:
    """The picture, reduced where its long side is larger than `long_px`.

    Raises:
        FileNotFoundError: the file is not there or is no picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(f"{path}: expected a picture")
    scale = long_px / max(bgr.shape[:2])
    if scale < 1:
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
