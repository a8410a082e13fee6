"""Pictures with known faces, and pictures without, for `benchmarks.detection`. Reads SKIN_DATA; writes nothing.

Where the truth comes from: teacher landmarks (`face_landmarks.npz`) for UTKFace, ACNE04 and skin_defects, drawn boxes
for WIDER. The true box is the square of the detector's convention: 1.41 times the distance from eye line to chin, 0.165
of that distance below the eyes, which is where the `alt2` cascade puts its hits on 235 frontal UTKFace and ACNE04
faces; centred on the visible face (the teacher's oval), which on a frontal face is the middle between the eyes.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Face, Points, Rgb
from benchmarks.corpus import RACES, held_out

DATA = Path(os.environ.get("SKIN_DATA", Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))
SIDE_PER_CHIN = 1.41  # side of the box / distance from eye line to chin, see above
DOWN_PER_CHIN = 0.165
LEAST_SIDES, MOST_SIDES = 0.6, 1.6  # a right box is not smaller or larger than this share of the true one
MOST_ROLL_ERROR_DEG = 40.0
OVAL = slice(0, 36)
NOSE = slice(128, 140)
IRISES = slice(140, 142)


@dataclass(frozen=True)
class Truth:
    """One real face, in pixels of its picture.

    Attributes:
        outline: (N, 2) polygon around the face.
        centre, side: of the box in the detector's convention.
        eyes: (2, 2) iris centres, the picture's left (upright) first; None for a drawn box.
        roll_deg: clockwise positive; None for a drawn box.
        yaw_deg: asin of the nose's place between the sides of the oval: a proxy, positive to the picture's right.
    """

    outline: Points
    centre: tuple[float, float]
    side: float
    eyes: Points | None = None
    roll_deg: float | None = None
    yaw_deg: float | None = None

    def matches(self, face: Face) -> bool:
        """The box centre lies in the outline, the size is sensible and the roll is not far off."""
        inside = cv2.pointPolygonTest(self.outline.reshape(-1, 1, 2), face.box.centre, False) >= 0
        sized = LEAST_SIDES <= face.box.width / self.side <= MOST_SIDES
        return inside and sized and abs(turn_between(face.roll_deg, self.roll_deg or 0.0)) <= MOST_ROLL_ERROR_DEG


@dataclass(frozen=True)
class Picture:
    """A picture with all faces in it that are large enough to be looked for; `name` is its path below SKIN_DATA."""

    source: str
    group: str
    name: str
    rgb: Rgb
    truths: tuple[Truth, ...]

    @property
    def held_out(self) -> bool:
        """The split of the project; pictures that were pasted or cut follow the original file."""
        return held_out(Path(self.name))


def turn_between(one_deg: float, other_deg: float) -> float:
    """Signed difference of two angles in -180..180 degrees."""
    return (one_deg - other_deg + 180.0) % 360.0 - 180.0


def utkface(count: int, seed: int) -> Iterator[Picture]:
    for path in _sample("utkface/*.jpg", count, seed):
        rgb = read(path)
        fields = path.name.split("_")
        if rgb is not None and len(fields) == 4 and _name(path) in landmarks():
            yield Picture("UTKFace", RACES[int(fields[2])], _name(path), rgb, (marked(path, rgb),))


def acne04(count: int, seed: int, turns: tuple[int, ...] = (0,)) -> Iterator[Picture]:
    """ACNE04 with teacher landmarks, each turned clockwise by one of `turns` quarter turns."""
    chooser = random.Random(seed)
    known = [path for path in _sample("acne04/*.jpg", None, seed) if _name(path) in landmarks()]
    for path in known[:count]:
        rgb = read(path)
        if rgb is not None:
            picture = Picture("ACNE04", f"severity {path.name[5]}", _name(path), rgb, (marked(path, rgb),))
            yield turned(picture, chooser.choice(turns))


def skin_defects() -> Iterator[Picture]:
    """The selfies kept for testing; never fit anything on them. A drawn truth exists for some only."""
    for path in sorted(DATA.glob("skin_defects/*/*/*.jpg")):
        rgb = read(path)
        if rgb is not None:
            truths = (marked(path, rgb),) if _name(path) in landmarks() else ()
            yield Picture("skin_defects", path.stem.replace("_side", " side"), _name(path), rgb, truths)


def wider() -> Iterator[Picture]:
    for entry in json.loads((DATA / "wider" / "boxes.json").read_text()):
        rgb = read(DATA / "wider" / "images" / entry["file"])
        if rgb is None:
            continue
        scale = np.array([rgb.shape[1] / entry["width"], rgb.shape[0] / entry["height"]] * 2)
        yield Picture(
            "WIDER",
            "scenes",
            f"wider/images/{entry['file']}",
            rgb,
            tuple(drawn(box * scale) for box in entry["boxes_xyxy"]),
        )


def without_faces(count: int, seed: int) -> Iterator[Picture]:
    """Skin without a whole face (HAM10000, close-ups): every face found there is false."""
    for source, pattern in (("HAM10000", "ham10000/images/*.jpg"), ("close-ups", "closeups/*/*.jpg")):
        for path in _sample(pattern, count, seed):
            rgb = read(path)
            if rgb is not None:
                yield Picture(source, "no face", _name(path), rgb, ())


def wider_tiles(side_px: int = 200) -> Iterator[Picture]:
    """Pieces of WIDER scenes that no drawn box touches, enlarged to the size of a small photo."""
    for picture in wider():
        for top in range(0, picture.rgb.shape[0] - side_px + 1, side_px):
            for left in range(0, picture.rgb.shape[1] - side_px + 1, side_px):
                corners = np.array([left, top]), np.array([left, top]) + side_px
                if not any(_touches(truth, *corners) for truth in picture.truths):
                    tile = picture.rgb[top : top + side_px, left : left + side_px]
                    yield Picture("WIDER tiles", "no face", picture.name, cv2.resize(tile, (416, 416)), ())


def pasted(count: int, seed: int) -> Iterator[Picture]:
    """UTKFace faces pasted at random size, place and roll into WIDER scenes; a third on its side or head."""
    chooser = random.Random(seed)
    scenes = list(wider())
    for face in utkface(count, seed):
        scene = chooser.choice(scenes)
        roll_deg = chooser.choice((0, 0, 90, 180, 270)) + chooser.uniform(-20, 20)
        yield _paste(face, scene, chooser.uniform(0.25, 0.7), roll_deg, (chooser.random(), chooser.random()))


def turned(picture: Picture, quarters: int) -> Picture:
    """The picture turned clockwise by quarter turns."""
    height, width = picture.rgb.shape[:2]
    matrices = {
        0: [[1, 0, 0], [0, 1, 0]],
        1: [[0, -1, height], [1, 0, 0]],
        2: [[-1, 0, width], [0, -1, height]],
        3: [[0, 1, 0], [-1, 0, width]],
    }
    matrix = np.array(matrices[quarters % 4], np.float32)
    truths = tuple(_moved(truth, matrix) for truth in picture.truths)
    rgb = np.ascontiguousarray(np.rot90(picture.rgb, -quarters))
    return Picture(picture.source, picture.group, picture.name, rgb, truths)


def marked(path: Path, rgb: Rgb) -> Truth:
    """Truth from the teacher landmarks of a file."""
    points = landmarks()[_name(path)] * np.array(rgb.shape[1::-1], np.float32)
    return from_landmarks(points)


def from_landmarks(points: Points) -> Truth:
    """Truth from (142, 2) teacher landmarks in pixels."""
    eyes = points[IRISES]
    eyes = eyes[np.argsort(eyes[:, 0])]
    across, down = eyes[1] - eyes[0]
    roll = math.atan2(down, across)
    downwards = np.array([-math.sin(roll), math.cos(roll)], np.float32)
    sideways = np.array([math.cos(roll), math.sin(roll)], np.float32)
    middle = eyes.mean(axis=0)
    chin_px = float(((points[OVAL] - middle) @ downwards).max())
    sides = (points[OVAL] - middle) @ sideways
    nose = ((points[NOSE] - middle) @ sideways).mean()
    place = (2 * nose - sides.max() - sides.min()) / max(sides.max() - sides.min(), 1.0)
    x, y = middle + DOWN_PER_CHIN * chin_px * downwards + (sides.max() + sides.min()) / 2 * sideways
    return Truth(
        outline=points[OVAL].astype(np.float32),
        centre=(float(x), float(y)),
        side=SIDE_PER_CHIN * chin_px,
        eyes=eyes.astype(np.float32),
        roll_deg=math.degrees(roll),
        yaw_deg=math.degrees(math.asin(float(np.clip(place, -1, 1)))),
    )


def drawn(box_xyxy: NDArray[np.float64]) -> Truth:
    """Truth from a drawn box; its height runs from the hair line to the chin, a little more than the box convention."""
    left, top, right, bottom = box_xyxy
    outline = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return Truth(outline, ((left + right) / 2, (top + bottom) / 2), float(max(right - left, bottom - top)))


@cache
def landmarks() -> dict[str, Points]:
    """File name below SKIN_DATA → (142, 2) teacher landmarks in 0..1 of width and height."""
    with np.load(DATA / "face_landmarks.npz") as stored:
        points = stored["points"].astype(np.float32) / int(stored["scale"])
        return dict(zip(stored["paths"].tolist(), points, strict=True))


def read(path: Path) -> Rgb | None:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _paste(face: Picture, scene: Picture, share: float, roll_deg: float, place: tuple[float, float]) -> Picture:
    height, width = scene.rgb.shape[:2]
    scale = share * min(height, width) / face.rgb.shape[0]
    roll = math.radians(roll_deg)
    turn = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]], np.float32)
    reach = share * min(height, width) * (abs(math.cos(roll)) + abs(math.sin(roll))) / 2
    free = np.maximum(np.array([width, height]) - 2 * reach, 0)
    centre = np.minimum(reach, np.array([width, height]) / 2) + np.array(place) * free
    half = np.array(face.rgb.shape[1::-1], np.float32) / 2
    matrix = np.column_stack([turn, centre - turn @ half]).astype(np.float32)
    cover = cv2.warpAffine(np.ones(face.rgb.shape[:2], np.float32), matrix, (width, height))[..., None]
    rgb = cover * cv2.warpAffine(face.rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    rgb = (rgb + (1 - cover) * scene.rgb).astype(np.uint8)
    hidden = cover[..., 0] > 0
    others = tuple(truth for truth in scene.truths if not hidden[_pixel(truth.centre, hidden.shape)])
    return Picture("pasted", face.group, face.name, rgb, (_moved(face.truths[0], matrix), *others))


def _moved(truth: Truth, matrix: NDArray[np.float32]) -> Truth:
    """The truth after a turn, shift and zoom of its picture."""
    zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    turn_deg = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    x, y = matrix[:, :2] @ np.array(truth.centre) + matrix[:, 2]
    return Truth(
        outline=(truth.outline @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32),
        centre=(float(x), float(y)),
        side=truth.side * zoom,
        eyes=None if truth.eyes is None else (truth.eyes @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32),
        roll_deg=turn_between((truth.roll_deg or 0.0) + turn_deg, 0.0),
        yaw_deg=truth.yaw_deg,
    )


def _touches(truth: Truth, low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    return bool((truth.outline.max(axis=0) > low).all() and (truth.outline.min(axis=0) < high).all())


def _pixel(point: tuple[float, float], shape: tuple[int, ...]) -> tuple[int, int]:
    return min(max(int(point[1]), 0), shape[0] - 1), min(max(int(point[0]), 0), shape[1] - 1)


def _name(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def _sample(pattern: str, count: int | None, seed: int) -> list[Path]:
    paths = sorted(DATA.glob(pattern))
    random.Random(seed).shuffle(paths)
    return paths if count is None else paths[:count]
