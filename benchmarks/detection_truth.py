"""Where a face really is, from landmarks, marks and drawn boxes, and whether a detection meets it.

The true box is the square of `analyzer.face_crops`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import face_crops
from analyzer.face_crops import IRISES, OVAL
from analyzer.values import Box, Face, Points
from training.data.faces import box_of_drawn, box_of_mark

LEAST_SIDES, MOST_SIDES = 0.6, 1.6  # a right box is not smaller or larger than this share of the true one
MOST_ROLL_ERROR_DEG = 40.0
LEAST_OVERLAP = 0.3  # intersection over union above which a detection lies on a drawn face
FRONT_DEG = 15.0  # turn below which a selfie counts as front
TOP, CHIN = 0, 18  # in the oval
NOSE = slice(128, 140)


@dataclass(frozen=True)
class Truth:
    """One real face, in pixels of its picture.

    Attributes:
        outline: (N, 2) polygon around the face: the hull of its landmarks (on a profile the oval alone folds up), or the box.
        centre, side: of the box in the detectors' convention.
        eyes: (2, 2) iris centres, the picture's left (upright) first; None for a drawn box or a mark.
        roll_deg: clockwise positive; None for a drawn box.
        yaw_deg: asin of the nose's place between the sides of the oval: a proxy, positive to the picture's right.
        view: "front", "three-quarter" or "profile" (the far eye is hidden); empty for a drawn box.
    """

    outline: Points
    centre: tuple[float, float]
    side: float
    eyes: Points | None = None
    roll_deg: float | None = None
    yaw_deg: float | None = None
    view: str = ""

    def matches(self, face: Face) -> bool:
        """The box centre lies in the outline, the size is sensible and the roll is not far off."""
        inside = cv2.pointPolygonTest(self.outline.reshape(-1, 1, 2), face.box.centre, False) >= 0
        sized = LEAST_SIDES <= face.box.width / self.side <= MOST_SIDES
        return inside and sized and abs(turn_between(face.roll_deg, self.roll_deg or 0.0)) <= MOST_ROLL_ERROR_DEG

    @property
    def drawn_box(self) -> Box:
        """The upright rectangle around the outline; of a drawn box, that box."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))

    def lies_under(self, face: Face) -> bool:
        """The detection's centre is in the drawn box, and the two overlap enough."""
        drawn = self.drawn_box
        x, y = face.box.centre
        inside = drawn.x <= x <= drawn.x + drawn.width and drawn.y <= y <= drawn.y + drawn.height
        return inside and overlap(drawn, face.box) >= LEAST_OVERLAP


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two upright boxes."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one.area + other.area - shared)


def turn_between(one_deg: float, other_deg: float) -> float:
    """Signed difference of two angles in -180..180 degrees."""
    return (one_deg - other_deg + 180.0) % 360.0 - 180.0


def from_landmarks(points: Points) -> Truth:
    """Truth from (142, 2) teacher landmarks in pixels, of a face of any roll."""
    right, down = points[CHIN] - points[TOP]
    eyes = points[IRISES]
    eyes = eyes[np.argsort(eyes @ (down, -right))]  # on a profile the teacher may swap them
    roll = math.atan2(*(eyes[1] - eyes[0])[::-1])
    sideways = np.array([math.cos(roll), math.sin(roll)])
    middle = eyes.mean(axis=0)
    sides = (points[OVAL] - middle) @ sideways
    nose = ((points[NOSE] - middle) @ sideways).mean()
    place = (2 * nose - sides.max() - sides.min()) / max(sides.max() - sides.min(), 1.0)
    yaw_deg = math.degrees(math.asin(float(np.clip(place, -1, 1))))
    x, y, side, _ = (float(value) for value in face_crops.box_between(middle, points[OVAL], roll))
    return Truth(
        outline=np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float32),
        centre=(x, y),
        side=side,
        eyes=eyes.astype(np.float32),
        roll_deg=math.degrees(roll),
        yaw_deg=yaw_deg,
        view="front" if abs(yaw_deg) < FRONT_DEG else "three-quarter",
    )


def from_mark(mark: Mapping[str, Any], scale: float = 1.0) -> Truth:
    """Truth from a face marked by hand: the nearer eye, the chin, and the front and back edge of the face.

    Args:
        mark: one entry of `training/marks/acne04_profiles.json` of the kind "face".
        scale: pixels of the picture per pixel of the marks.
    """
    x, y, side = (scale * float(value) for value in box_of_mark(mark)[:3])
    corners = cv2.boxPoints(((x, y), (side, side), mark["roll_deg"]))
    return Truth(
        outline=np.array(corners, np.float32),
        centre=(x, y),
        side=side,
        roll_deg=float(mark["roll_deg"]),
        view="three-quarter" if mark["points"].get("eye_far") else "profile",
    )


def drawn(box_xyxy: NDArray[np.float64]) -> Truth:
    """Truth from a drawn box."""
    left, top, right, bottom = (float(edge) for edge in box_xyxy)
    outline = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    x, y, side, _ = (float(value) for value in box_of_drawn(box_xyxy))
    return Truth(outline, (x, y), side)


def moved(truth: Truth, matrix: NDArray[np.floating]) -> Truth:
    """The truth after a turn, shift and zoom of its picture by a (2, 3) affine."""
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
        view=truth.view,
    )
