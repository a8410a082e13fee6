"""Pictures with known faces, and pictures without, for the benchmarks of face finding. Reads SKIN_DATA; writes nothing.

Where the truth comes from: teacher landmarks (`face_landmarks.npz`) for UTKFace, ACNE04 and skin_defects, marks by hand
(`training/marks/acne04_profiles.json`) for ACNE04 faces that the teacher misses, drawn boxes for WIDER.
"""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Points, Rgb
from benchmarks import dataset, textures
from benchmarks.detection_truth import Truth, drawn, from_landmarks, from_mark, moved
from training.data.faces import MARKED_PX, MARKS


@dataclass(frozen=True)
class Picture:
    """A picture with all known faces in it.

    Attributes:
        group: race, severity, view or whatever the source is divided into.
        name: path below SKIN_DATA; of HAM10000 the lesion, whose pictures stay on one side of the split.
    """

    source: str
    group: str
    name: str
    rgb: Rgb
    truths: tuple[Truth, ...]

    @property
    def held_out(self) -> bool:
        """The split of the project; pictures that were pasted, cut or turned follow the original."""
        return dataset.held_out(Path(self.name))


def utkface(count: int, seed: int, held_out: bool | None = None) -> Iterator[Picture]:
    """UTKFace pictures with teacher landmarks; of both sides of the split, or of one."""
    for path in _sample("utkface/*.jpg", count, seed, held_out):
        rgb, race = read(path), dataset.race(path)
        if rgb is not None and race and _name(path) in landmarks():
            yield Picture("UTKFace", race, _name(path), rgb, (marked(path, rgb),))


def acne04(
    count: int | None, seed: int, turns: tuple[int, ...] = (0,), held_out: bool | None = None
) -> Iterator[Picture]:
    """ACNE04 with teacher landmarks, each turned clockwise by one of `turns` quarter turns."""
    chooser = random.Random(seed)
    known = [path for path in _sample("acne04/*.jpg", None, seed, held_out) if _name(path) in landmarks()]
    for path in known[:count]:
        rgb = read(path)
        if rgb is not None:
            picture = Picture("ACNE04", f"severity {path.name[5]}", _name(path), rgb, (marked(path, rgb),))
            yield turned(picture, 90 * chooser.choice(turns))


def dermalscan4(held_out: bool) -> Iterator[Picture]:
    """dermalscan4 with teacher landmarks, in the order of the names."""
    for name in sorted(landmarks()):
        if name.startswith("dermalscan4/") and dataset.held_out(Path(name)) == held_out:
            path = dataset.data_root() / name
            rgb = read(path)
            if rgb is not None:
                yield Picture("dermalscan4", path.parent.name, name, rgb, (marked(path, rgb),))


def hand_marked(held_out: bool) -> Iterator[Picture]:
    """ACNE04 faces that the teacher misses, marked by hand."""
    for mark in json.loads(MARKS.read_text(encoding="utf-8"))["marks"]:
        path = dataset.data_root() / mark["file"]
        if mark["kind"] == "face" and dataset.held_out(path) == held_out:
            rgb = read(path)
            if rgb is not None:
                truth = from_mark(mark, max(rgb.shape[:2]) / MARKED_PX)
                yield Picture("ACNE04 hand-marked", f"severity {path.name[5]}", mark["file"], rgb, (truth,))


def skin_defects() -> Iterator[Picture]:
    """The selfies kept for testing; never fit anything on them."""
    for path in sorted(dataset.data_root().glob("skin_defects/*/*/*.jp*g")):
        rgb = read(path)
        if rgb is not None:
            truths = (marked(path, rgb),) if _name(path) in landmarks() else ()
            yield Picture("skin_defects", path.stem.replace("_side", " side"), _name(path), rgb, truths)


def wider() -> Iterator[Picture]:
    """WIDER scenes with all their drawn faces, however small."""
    folder = dataset.data_root() / "wider"
    for entry in json.loads((folder / "boxes.json").read_text(encoding="utf-8")):
        rgb = read(folder / "images" / entry["file"])
        if rgb is None:
            continue
        scale = np.array([rgb.shape[1] / entry["width"], rgb.shape[0] / entry["height"]] * 2)
        truths = tuple(drawn(np.array(box) * scale) for box in entry["boxes_xyxy"])
        yield Picture("WIDER", "scenes", f"wider/images/{entry['file']}", rgb, truths)


def wider_tiles(side_px: int = 200) -> Iterator[Picture]:
    """Pieces of WIDER scenes that no drawn box touches, enlarged to the size of a small photo."""
    for picture in wider():
        for top in range(0, picture.rgb.shape[0] - side_px + 1, side_px):
            for left in range(0, picture.rgb.shape[1] - side_px + 1, side_px):
                corners = np.array([left, top]), np.array([left, top]) + side_px
                if not any(_touches(truth, *corners) for truth in picture.truths):
                    tile = picture.rgb[top : top + side_px, left : left + side_px]
                    yield Picture("WIDER tiles", "no face", picture.name, cv2.resize(tile, (416, 416)), ())


def dermatoscopy(count: int, seed: int, held_out: bool | None = None) -> Iterator[Picture]:
    """HAM10000, one picture of each lesion."""
    folder = dataset.data_root() / "ham10000"
    with (folder / "HAM10000_metadata.csv").open(encoding="utf-8") as lines:
        lesions = {row["lesion_id"]: row["image_id"] for row in csv.DictReader(lines)}
    for lesion in _side(sorted(lesions), seed, held_out)[:count]:
        rgb = read(folder / "images" / f"{lesions[lesion]}.jpg")
        if rgb is not None:
            yield Picture("HAM10000", "no face", lesion, rgb, ())


def close_ups(count: int, seed: int, held_out: bool | None = None) -> Iterator[Picture]:
    """Skin from near, without a whole face."""
    for path in _sample("closeups/*/*.jpg", count, seed, held_out):
        rgb = read(path)
        if rgb is not None:
            yield Picture("close-ups", "no face", _name(path), rgb, ())


def generated(count: int, seed: int) -> Iterator[Picture]:
    """Plain and patterned surfaces."""
    for number in range(count):
        kind = textures.KINDS[number % len(textures.KINDS)]
        rgb = textures.texture(kind, np.random.default_rng((seed, number)))
        yield Picture("generated", "no face", f"{kind}/{number}", rgb, ())


def faceless(count: int, seed: int) -> Iterator[Picture]:
    """`count` held-out pictures without a face: half dermatoscopy, up to a fifth each close-ups and scenes, else generated."""
    real = (
        dermatoscopy(count // 2, seed, held_out=True),
        close_ups(count // 5, seed, held_out=True),
        islice((tile for tile in wider_tiles() if tile.held_out), count // 5),
    )
    given = 0
    for source in real:
        for picture in source:
            given += 1
            yield picture
    yield from generated(count - given, seed)


def pasted(count: int, seed: int) -> Iterator[Picture]:
    """UTKFace faces pasted at random size, place and roll into WIDER scenes; a third on its side or head."""
    chooser = random.Random(seed)
    scenes = list(wider())
    for face in utkface(count, seed):
        scene = chooser.choice(scenes)
        roll_deg = chooser.choice((0, 0, 90, 180, 270)) + chooser.uniform(-20, 20)
        yield _paste(face, scene, chooser.uniform(0.25, 0.7), roll_deg, (chooser.random(), chooser.random()))


def turned(picture: Picture, angle_deg: float) -> Picture:
    """The picture turned clockwise, enlarged so that nothing is cut; its edge pixels fill the corners."""
    height, width = picture.rgb.shape[:2]
    turn = math.radians(angle_deg)
    cos, sin = round(math.cos(turn), 12), round(math.sin(turn), 12)
    size = np.array([abs(width * cos) + abs(height * sin), abs(width * sin) + abs(height * cos)])
    size = np.ceil(size - 1e-6)
    axes = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([axes, size / 2 - axes @ (width / 2, height / 2)])
    if angle_deg % 90 == 0:
        rgb = np.ascontiguousarray(np.rot90(picture.rgb, -round(angle_deg / 90)))
    else:
        of_centres = matrix.copy()  # OpenCV counts from the middle of the first pixel, the truths from its corner
        of_centres[:, 2] += axes @ (0.5, 0.5) - 0.5
        wanted = (int(size[0]), int(size[1]))
        rgb = cv2.warpAffine(picture.rgb, of_centres, wanted, borderMode=cv2.BORDER_REPLICATE)
    return replace(picture, rgb=rgb, truths=tuple(moved(truth, matrix) for truth in picture.truths))


def marked(path: Path, rgb: Rgb) -> Truth:
    """Truth from the teacher landmarks of a file."""
    return from_landmarks(landmarks()[_name(path)] * np.array(rgb.shape[1::-1], np.float32))


def landmarks() -> dict[str, Points]:
    """File name below SKIN_DATA → (142, 2) teacher landmarks in 0..1 of width and height."""
    return _landmarks(dataset.data_root())


@cache
def _landmarks(root: Path) -> dict[str, Points]:
    with np.load(root / "face_landmarks.npz") as stored:
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
    return Picture("pasted", face.group, face.name, rgb, (moved(face.truths[0], matrix), *others))


def _touches(truth: Truth, low: NDArray[np.integer], high: NDArray[np.integer]) -> bool:
    return bool((truth.outline.max(axis=0) > low).all() and (truth.outline.min(axis=0) < high).all())


def _pixel(point: tuple[float, float], shape: tuple[int, ...]) -> tuple[int, int]:
    return min(max(int(point[1]), 0), shape[0] - 1), min(max(int(point[0]), 0), shape[1] - 1)


def _name(path: Path) -> str:
    return path.relative_to(dataset.data_root()).as_posix()


def _sample(pattern: str, count: int | None, seed: int, held_out: bool | None = None) -> list[Path]:
    root = dataset.data_root()
    names = sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
    return [root / name for name in _side(names, seed, held_out)[:count]]


def _side(names: list[str], seed: int, held_out: bool | None) -> list[str]:
    """Names in a seeded order; of both sides of the split, or of one."""
    kept = [name for name in names if held_out is None or dataset.held_out(Path(name)) == held_out]
    random.Random(seed).shuffle(kept)
    return kept
