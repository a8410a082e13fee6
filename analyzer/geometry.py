"""Where things are on a face: landmarks, the aligned frame, and the polygons of regions and features.

The aligned frame ("working pixels") is a square of `SIZE` px in which the eyes lie at y = `EYE_LINE_Y`, the chin `EYE_TO_CHIN` px
below them, and the face outline is centred. The distance from eye line to chin does not shrink when the head turns
sideways, which the distance between the eyes does. A frontal face is upright by its eye line, a profile, whose eyes fall
together, by its chin; in between the two directions are mixed.

A detector that gives no landmarks is helped by a prior: landmarks predicted by linear regression from the eye positions and the
box, fitted by `training/fit_landmark_prior.py` (numbers in `landmark_prior.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Face, Mask, Points
from analyzer.vocabulary import Region

SIZE = 512  # px, side of the working crop
EYE_LINE_Y = 215.0  # px
EYE_TO_CHIN = 250.0  # px
PX_PER_MM = (
    2.2  # working px per mm on the skin; eye line to chin is about 114 mm in adults (Farkas 1994, n-gn less n-en)
)
FOREHEAD_RISE = 1.5  # the landmark oval ends below the hairline: its part above the brows is stretched by this factor

GROUPS: Mapping[str, slice] = {
    "face_oval": slice(0, 36),
    "right_eye": slice(36, 52),
    "left_eye": slice(52, 68),
    "right_brow": slice(68, 78),
    "left_brow": slice(78, 88),
    "lips_outer": slice(88, 108),
    "lips_inner": slice(108, 128),
    "nose": slice(128, 140),
    "iris_centres": slice(140, 142),
}
LEVEL_BY_EYES, LEVEL_BY_CHIN = (
    0.48,
    0.28,
)  # distance of the eyes / eyes to chin: 0.57 in front, 0.45 at 40° of yaw, 0.3 at 60°
AS_DEEP_AS_CHIN = (
    0.6  # of the way from between the eyes to the nose's root: there the mean face shape is as deep as its chin
)
ALIKE = 0.8  # widths of both eyes that differ less are alike: the head is not turned
LEAST_EYE = 0.5  # of the nearer eye's width: an eye that looks narrower, at about 45° of yaw, hides the skin below it
LEAST_CHEEK_PX = (
    18.0  # working px (8 mm) of cheek beside the nose; what looks narrower is seen too slantingly to be measured
)
NOSE_MARGIN_PX = 6.0  # from the landmarks of the nose to its edge
SIDES: Mapping[str, str] = {"left": "right", "right": "left"}  # of the picture → of the person
EMPTY: Points = np.zeros((0, 2), np.float32)  # the polygon of nothing
FRAME: Points = np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]], np.float32)  # the whole crop
PRIOR_MIRROR = np.array([1, -1, 1, -1, 1, 1, 1])  # sign of each prior feature in a mirrored picture
CHIN_INDEX = 18  # in face_oval, which starts at the top and runs clockwise in the picture

Matrix = NDArray[np.float32]  # (2, 3) affine
Landmarks = Mapping[str, Points]
Window = tuple[slice, slice]  # rows, columns


def landmarks(face: Face) -> Landmarks:
    """Landmarks of a face in photo pixels: the detector's own, else the prior's."""
    return face.landmarks if face.landmarks is not None else predict_landmarks(face)


def prior_features(face: Face) -> tuple[NDArray[np.float64], Matrix]:
    """Inputs of the landmark prior.

    Returns:
        The feature vector (7,) with eyes, (3,) without, and the (2, 3) affine from photo pixels to the prior's frame: origin
        between the eyes (box centre without), x along the eye line, unit = box width.
    """
    turn = (face.yaw_deg or 0.0) / 45.0
    centre = np.asarray(face.box.centre)
    if face.eyes is None:
        return np.array([1.0, turn, abs(turn)]), _frame(centre, np.radians(face.roll_deg), face.box.width)
    span = face.eyes[1] - face.eyes[0]
    matrix = _frame(face.eyes.mean(axis=0), float(np.arctan2(span[1], span[0])), face.box.width)
    x, y = transform(matrix, centre[None])[0]
    return np.array([1.0, turn, abs(turn), x, abs(x), y, float(np.hypot(*span)) / face.box.width]), matrix


def predict_landmarks(face: Face) -> Landmarks:
    """Landmarks predicted from the box and, when known, the eyes (see `landmark_prior.json` for the error)."""
    features, matrix = prior_features(face)
    weights = _prior()["eyes" if face.eyes is not None else "box"]
    points = transform(cv2.invertAffineTransform(matrix), (features @ weights).reshape(-1, 2))
    return {name: points[part] for name, part in GROUPS.items()}


def align(points: Landmarks) -> Matrix:
    """(2, 3) affine from photo pixels to working pixels."""
    middle = (points["right_eye"].mean(axis=0) + points["left_eye"].mean(axis=0)) / 2
    roll = roll_rad(points)
    level = transform(_frame(middle, roll, 1.0), points["face_oval"])
    scale = EYE_TO_CHIN / max(float(level[CHIN_INDEX, 1]), 1.0)
    matrix = _frame(middle, roll, 1.0) * np.float32(scale)
    matrix[:, 2] += np.array([SIZE / 2 - scale * (level[:, 0].min() + level[:, 0].max()) / 2, EYE_LINE_Y], np.float32)
    return matrix


def roll_rad(points: Landmarks) -> float:
    """Roll of a face, clockwise positive: by the line of the eyes as long as they lie apart, by the way to the chin on a profile.

    The way to the chin begins where the face's middle is as deep as the chin, so that turning the head does not slant it.
    """
    right, left = points["right_eye"].mean(axis=0), points["left_eye"].mean(axis=0)
    middle, chin = (right + left) / 2, points["face_oval"][CHIN_INDEX]
    down = chin - middle - AS_DEEP_AS_CHIN * (points["nose"][0] - middle)
    across, sideways = _unit(left - right), _unit(np.array([down[1], -down[0]]))
    apart = float(np.linalg.norm(left - right)) / max(float(np.linalg.norm(chin - middle)), 1e-6)
    eyes = float(np.clip((apart - LEVEL_BY_CHIN) / (LEVEL_BY_EYES - LEVEL_BY_CHIN), 0, 1))
    x, y = eyes * across + (1 - eyes) * sideways
    return float(np.arctan2(y, x))


def transform(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> Points:
    """Apply a (2, 3) affine to (N, 2) points."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def outline(points: Landmarks) -> Points:
    """Face outline in working pixels, (36, 2), with the forehead that the landmark oval leaves out."""
    oval = points["face_oval"].copy()
    brow_y = float(np.concatenate([points["right_brow"], points["left_brow"]])[:, 1].min())
    above = oval[:, 1] < brow_y
    oval[above, 1] = brow_y + FOREHEAD_RISE * (oval[above, 1] - brow_y)
    return oval


def face_polygons(points: Landmarks) -> list[Points]:
    """Polygons that cover the face in working pixels: the outline with what stands out beyond it on a turned head.

    The oval is a line on the head, from forehead past the ears to the chin. On the far side of a turned head it runs behind
    the face: there brows, eyes, nose and lips are the edge. On a frontal face all of them lie inside the outline.
    """
    edges = np.concatenate([outline(points), _both(points, "brow"), _both(points, "eye"), points["lips_outer"]])
    return [grow(edges, 0.0), grow(points["nose"], NOSE_MARGIN_PX)]


def face_mask(points: Landmarks) -> Mask:
    """(SIZE, SIZE) bool: the face from forehead to chin, skin or not."""
    return fill(*face_polygons(points))


def foreshortening(points: Landmarks) -> dict[str, float]:
    """How wide each eye looks beside the other one, by side of the picture; 1 for both eyes of a head that is not turned."""
    widths = {side: float(np.ptp(points[f"{person}_eye"][:, 0])) for side, person in SIDES.items()}
    limit = ALIKE * max(1e-6, *widths.values())
    return {side: min(width / limit, 1.0) for side, width in widths.items()}


def feature_polygons(points: Landmarks) -> dict[str, Points]:
    """What is no facial skin: eyes with lids, brows, lips, nostrils; working pixels, with margins that shrink where turned away."""
    polygons: dict[str, Points] = {}
    for side, share in foreshortening(points).items():
        eye, brow = f"{SIDES[side]}_eye", f"{SIDES[side]}_brow"
        polygons |= {eye: grow(points[eye], 9.0 * share), brow: grow(points[brow], 7.0 * share)}
    polygons["lips"] = grow(points["lips_outer"], 7.0)
    rim = points["nose"][[6, 8, 9, 10, 11]]  # below the tip, lower and upper ends of both wings
    width = max(float(np.ptp(rim[:, 0])) / 2, 12.0)
    polygons["nostrils"] = ellipse(rim.mean(axis=0), width * 0.85, 9.0)
    return polygons


def region_polygons(points: Landmarks) -> dict[Region, Points]:
    """Regions of the report in working pixels; they may overlap features and hair, which the skin mask cuts out.

    "Left" and "right" are the picture's sides in the aligned crop, as a person sees them in the mirror-less photo. Cheek and
    under-eye of a side that is turned away are empty, (0, 2).
    """
    face, nose, lips = np.concatenate(face_polygons(points)), points["nose"], points["lips_outer"]
    brow_y = float(_both(points, "brow")[:, 1].min())
    mouth_left, mouth_right = float(lips[:, 0].min()), float(lips[:, 0].max())
    nose_y, lips_bottom, chin_y = float(nose[:, 1].max()), float(lips[:, 1].max()), float(face[:, 1].max())
    wing_left, wing_right = float(nose[:, 0].min()) - 6, float(nose[:, 0].max()) + 6
    regions = {
        Region.FOREHEAD: _rectangle(face[:, 0].min(), face[:, 1].min(), face[:, 0].max(), brow_y - 4),
        Region.NOSE: _trapezium(nose[0], wing_left, wing_right, nose_y),
        Region.CHIN: _rectangle(mouth_left - 8, lips_bottom + 10, mouth_right + 8, chin_y),
        Region.PERIORAL: _rectangle(mouth_left - 30, nose_y + 4, mouth_right + 30, lips_bottom + 10),
    }
    shares = foreshortening(points)
    for side, person in SIDES.items():
        eye = points[f"{person}_eye"]
        seen = shares[side] * ALIKE >= LEAST_EYE
        regions[Region(f"{side}_under_eye")] = _under_eye(eye) if seen else EMPTY
        regions[Region(f"{side}_cheek")] = _cheek(points, side)
    return regions


def cheek_width(points: Landmarks, side: str) -> float:
    """Working pixels between the nose and the edge of the face on a side of the picture; negative when the nose covers it."""
    outwards = -1.0 if side == "left" else 1.0
    edge = np.concatenate([points["face_oval"], points[f"{SIDES[side]}_eye"]])[:, 0] * outwards
    return float(edge.max() - (points["nose"][:, 0] * outwards).max()) - NOSE_MARGIN_PX


def fill(*polygons: Points) -> Mask:
    """(SIZE, SIZE) bool mask of the union of polygons."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for polygon in filter(len, polygons):
        cv2.fillPoly(mask, [np.round(polygon).astype(np.int32)], 1)
    return mask.astype(bool)


def window(mask: Mask, margin_px: int, grid_px: int) -> Window:
    """Rows and columns around a (SIZE, SIZE) mask with a margin, widened to multiples of `grid_px`; never empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    starts = (max(0, start - margin_px) // grid_px * grid_px for start in (y, x))
    ends = (min(SIZE, end + margin_px) for end in (y + max(height, 1), x + max(width, 1)))
    rows, columns = (slice(start, -(-end // grid_px) * grid_px) for start, end in zip(starts, ends, strict=True))
    return rows, columns


def window_around(points: NDArray[np.floating], side: int = SIZE) -> Window:
    """Rows and columns of the upright rectangle around points, inside a square of `side` px; never empty."""
    low = np.clip(np.floor(points.min(axis=0)), 0, side - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, low + 1, side).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def fill_window(polygon: NDArray[np.floating], part: Window) -> Mask:
    """Mask of a polygon, cut to a window."""
    rows, columns = part
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    corner = np.array([columns.start, rows.start], np.float32)
    cv2.fillPoly(mask, [np.round(polygon - corner).astype(np.int32)], 1)
    return mask.astype(bool)


def grow(points: Points, margin_px: float) -> Points:
    """Convex hull of points, moved outwards by a margin."""
    hull = cv2.convexHull(points.astype(np.float32))[:, 0]
    rays = hull - hull.mean(axis=0)
    length = np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-6)
    return (hull + rays / length * margin_px).astype(np.float32)


def ellipse(centre: NDArray[np.floating], half_width: float, half_height: float) -> Points:
    """Polygon of 24 corners."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return (centre + np.stack([half_width * np.cos(angles), half_height * np.sin(angles)], axis=1)).astype(np.float32)


def _cheek(points: Landmarks, side: str) -> Points:
    """From the nose to the edge of the face, from below the eye to the middle of the mouth; empty when turned away."""
    width = cheek_width(points, side)
    if width < LEAST_CHEEK_PX:
        return EMPTY
    top = float(points[f"{SIDES[side]}_eye"][:, 1].max()) + 30
    bottom = float(points["lips_outer"][:, 1].mean()) + 20
    if side == "left":
        inner = float(points["nose"][:, 0].min()) - NOSE_MARGIN_PX
        return _rectangle(inner - width, top, inner, bottom)
    inner = float(points["nose"][:, 0].max()) + NOSE_MARGIN_PX
    return _rectangle(inner, top, inner + width, bottom)


def _both(points: Landmarks, name: str) -> Points:
    """The landmarks of both eyes or both brows."""
    return np.concatenate([points[f"right_{name}"], points[f"left_{name}"]])


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _under_eye(eye: Points) -> Points:
    """Crescent below the lower lid, from 8 px to 38 px under the eye and as wide as the eye."""
    left, right = float(eye[:, 0].min()), float(eye[:, 0].max())
    x = np.linspace(left - 4, right + 4, 12)
    bow = np.sqrt(np.clip(1 - ((x - (left + right) / 2) / ((right - left) / 2 + 6)) ** 2, 0, 1))
    base = float(eye[:, 1].mean())
    lid = float(eye[:, 1].max()) - base
    upper = np.stack([x, base + 8 + lid * bow], axis=1)
    lower = np.stack([x, base + 16 + (lid + 22) * bow], axis=1)
    return np.concatenate([upper, lower[::-1]]).astype(np.float32)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def _trapezium(root: Points, wing_left: float, wing_right: float, bottom: float) -> Points:
    x, y = float(root[0]), float(root[1])
    half = (wing_right - wing_left) / 4
    return np.array(
        [
            [x - half, y],
            [x + half, y],
            [wing_right, bottom - 18],
            [wing_right, bottom],
            [wing_left, bottom],
            [wing_left, bottom - 18],
        ],
        np.float32,
    )


def _frame(origin: NDArray[np.floating], roll_rad: float, unit: float) -> Matrix:
    """(2, 3) affine that moves origin to 0, turns by -roll and divides by unit."""
    cos, sin = np.cos(roll_rad) / unit, np.sin(roll_rad) / unit
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.concatenate([turn, -(turn @ np.asarray(origin, np.float64))[:, None]], axis=1).astype(np.float32)


@cache
def _prior() -> Mapping[str, NDArray[np.float64]]:
    document = json.loads(Path(__file__).with_name("landmark_prior.json").read_text(encoding="utf-8"))
    return {name: np.array(document[name]) for name in ("eyes", "box")}
