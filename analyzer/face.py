"""rgb -> faces: boxes, eyes, roll, rough turn and a calibrated confidence.

Two stages. *Search* passes run Haar cascades over a small copy of the picture, the usual case first: upright frontal faces, then the
default cascade with local contrast evened out and a margin around the picture, profiles both ways, and turned pictures. Every candidate
is then *examined* the same way, whichever pass proposed it: its face is cut out upright at a standard size and all
cascades and the eye finder look at it again. A logistic model on what they see (`face_confidence.json`) gives the
probability that the box holds a face. The search ends after the first pass with a sure face; otherwise all passes run and the
most probable faces win, so that an upright false box does not beat the face of a picture lying on its side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import eyes
from analyzer.cascades import Gray, fitted, group, overlap, scan
from analyzer.values import Box, Face, Points, Rgb

VIEW_PX = 72  # side of the face box in the view that the face cascades examine
VIEW_SPAN = 1.75  # side of a view in box sides
EYE_VIEW_PX = 144  # side of the face box in the view that the eye finder examines
EXAMINED = ("alt2", "default", "profile-left", "profile-right")
LEVEL_FLOORS = {"alt2": 53.756, "default": -2.993, "profile-left": -1.274, "profile-right": -1.274}  # last stage thresholds
EXAMINED_SIDES = (0.75, 1.4)  # smallest and largest hit in a view, in box sides
EXAMINED_STEP = 1.1
SAME_FACE = 0.3  # overlap above which two faces are one
SURE = 0.9  # confidence at which no further pass runs
LEAST_CONFIDENCE = 0.5  # below this a candidate is not a face
MOST_FACES = 8
CLAHE_CLIP = 3.0


@dataclass(frozen=True)
class Pass:
    """One look at the whole picture.

    Attributes:
        kinds: cascades to run.
        long_px: long side of the picture copy.
        least: smallest face, as a share of the picture's short side.
        step: ratio of neighbouring window sizes.
        rolls_deg: rolls of the faces looked for.
        even: even out local contrast first (dark pictures).
        margin: width of the added border (edge pixels repeated), as a share of the long side, for tightly cut faces.
        most: candidates that are examined.
    """

    kinds: tuple[str, ...]
    long_px: int
    least: float
    step: float
    rolls_deg: tuple[float, ...] = (0.0,)
    even: bool = False
    margin: float = 0.0
    most: int = 3


PASSES = (
    Pass(("alt2",), 240, 0.15, 1.1),
    Pass(("alt2", "default"), 280, 0.10, 1.15, even=True, margin=0.15, most=4),
    Pass(("profile-left", "profile-right"), 240, 0.20, 1.15, margin=0.1, most=3),
    Pass(("alt2",), 200, 0.15, 1.15, rolls_deg=(90.0, -90.0, 180.0), margin=0.1, most=2),
    Pass(("alt2",), 200, 0.18, 1.15, rolls_deg=(32.0, -32.0), most=2),
)


@dataclass(frozen=True)
class Candidate:
    """A place to examine, in picture pixels: centre, side of the face box, and roll (clockwise positive)."""

    x: float
    y: float
    side: float
    roll_deg: float
    kind: str


@dataclass(frozen=True)
class Evidence:
    """What the examination of a candidate saw; `features` feed the logistic model."""

    candidate: Candidate
    eyes: Points | None
    features: Mapping[str, float]


def detect(rgb: Rgb) -> tuple[Face, ...]:
    """Faces of a picture, best first (confidence times area).

    Args:
        rgb: (H, W, 3) uint8 sRGB.

    Returns:
        Faces in pixels of `rgb`; empty when none was found.
    """
    pyramid = pyramid_of(rgb)
    faces: list[Face] = []
    for look in PASSES:
        faces += [face_from(examine(pyramid, candidate)) for candidate in search(pyramid, look)]
        faces = distinct(faces)
        if faces and faces[0].confidence >= SURE:
            break
    faces = [face for face in faces if face.confidence >= LEAST_CONFIDENCE]
    return tuple(sorted(faces, key=lambda face: -face.confidence * face.box.area)[:MOST_FACES])


def search(pyramid: Sequence[Gray], look: Pass) -> Iterator[Candidate]:
    """Candidates of one pass, in picture pixels, per roll the most often hit first."""
    height, width = pyramid[0].shape
    scale = min(1.0, look.long_px / max(height, width))
    gray = _scaled(pyramid, scale)
    if look.even:
        gray = cv2.createCLAHE(CLAHE_CLIP, (4, 4)).apply(gray)
    border = round(look.margin * max(gray.shape))
    if border:
        gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
    least_px = look.least * min(height, width) * scale
    for roll_deg in look.rolls_deg:
        turned, back = _turned(gray, roll_deg)
        hits = np.concatenate([scan(kind, turned, least_px, min(turned.shape), look.step) for kind in look.kinds])
        for x, y, side, *_ in group(hits, 2, look.most):
            x, y = back @ (x, y, 1.0)
            yield Candidate((x - border) / scale, (y - border) / scale, side / scale, roll_deg, look.kinds[0])


def examine(pyramid: Sequence[Gray], candidate: Candidate) -> Evidence:
    """Look again at one candidate with every cascade and the eye finder, upright and at standard size."""
    view, _ = _view(pyramid, candidate, VIEW_PX)
    middle = np.array([view.shape[1] / 2, view.shape[0] / 2, VIEW_PX], np.float32)
    seen = {}
    for kind in EXAMINED:
        hits = scan(kind, view, EXAMINED_SIDES[0] * VIEW_PX, EXAMINED_SIDES[1] * VIEW_PX, EXAMINED_STEP)
        seen[kind] = hits[overlap(middle, hits) > SAME_FACE]
    refined = _refined(candidate, seen, middle)
    eye_view, to_view = _view(pyramid, refined, EYE_VIEW_PX)
    pair, votes = eyes.locate(eye_view, EYE_VIEW_PX)
    profile = max(("profile-left", "profile-right"), key=lambda kind: len(seen[kind]))
    features = {
        "alt2_votes": math.log1p(len(seen["alt2"])),
        "alt2_level": _level("alt2", seen),
        "default_votes": math.log1p(len(seen["default"])),
        "default_level": _level("default", seen),
        "profile_votes": math.log1p(len(seen[profile])),
        "profile_level": _level(profile, seen),
        "profile_turn": math.log1p(len(seen["profile-right"])) - math.log1p(len(seen["profile-left"])),
        "eye_votes": math.log1p(votes),
        "size_octaves": math.log2(candidate.side / min(pyramid[0].shape)),
        "rotated": float(candidate.roll_deg != 0),
    }
    if pair is not None:
        features["eye_offset"] = float(pair.mean(axis=0)[0] - eye_view.shape[1] / 2) / EYE_VIEW_PX
        pair = ((pair - to_view[:, 2]) @ np.linalg.inv(to_view[:, :2]).T).astype(np.float32)
    return Evidence(refined, pair, features)


def confidence(features: Mapping[str, float]) -> float:
    """Probability that the box holds a face: the logistic model of `face_confidence.json`."""
    model = fitted()["confidence"]
    z = model["intercept"] + sum(weight * features[name] for name, weight in model["weights"].items())
    return 1.0 / (1.0 + math.exp(-min(max(z, -30.0), 30.0)))


def distinct(faces: Sequence[Face]) -> list[Face]:
    """The most probable of each group of overlapping faces, most probable first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.confidence):
        squares = np.array([(*other.box.centre, other.box.width) for other in kept], np.float32).reshape(-1, 3)
        if not (overlap(np.array((*face.box.centre, face.box.width), np.float32), squares) > SAME_FACE).any():
            kept.append(face)
    return kept


def face_from(evidence: Evidence) -> Face:
    candidate = evidence.candidate
    roll_deg = candidate.roll_deg
    if evidence.eyes is not None:
        across, down = evidence.eyes[1] - evidence.eyes[0]
        roll_deg = math.degrees(math.atan2(down, across))
    half = candidate.side / 2
    return Face(
        box=Box(candidate.x - half, candidate.y - half, candidate.side, candidate.side),
        confidence=confidence(evidence.features),
        eyes=evidence.eyes,
        roll_deg=roll_deg,
        method=f"haar-{candidate.kind}",
        yaw_deg=_yaw_deg(evidence.features),
    )


def _refined(
    candidate: Candidate, seen: Mapping[str, NDArray[np.float32]], middle: NDArray[np.float32]
) -> Candidate:
    """The candidate moved to the mean hit of the frontal cascades, or of the profile ones where those saw nothing."""
    frontal = np.concatenate([seen["alt2"], seen["default"]])
    hits = frontal if len(frontal) else np.concatenate([seen["profile-left"], seen["profile-right"]])
    if len(hits) == 0:
        return candidate
    x, y, side = hits[:, :3].mean(axis=0) - middle
    scale = candidate.side / VIEW_PX
    roll = math.radians(candidate.roll_deg)
    return Candidate(
        candidate.x + scale * (x * math.cos(roll) - y * math.sin(roll)),
        candidate.y + scale * (x * math.sin(roll) + y * math.cos(roll)),
        candidate.side + scale * float(side),
        candidate.roll_deg,
        max(seen, key=lambda kind: len(seen[kind])),
    )


def _level(kind: str, seen: Mapping[str, NDArray[np.float32]]) -> float:
    """How far the strongest hit passes the last stage; 0 without a hit."""
    return float(seen[kind][:, 3].max()) - LEVEL_FLOORS[kind] if len(seen[kind]) else 0.0


def _yaw_deg(features: Mapping[str, float]) -> float | None:
    model = fitted()["yaw"]
    if features["profile_votes"] == 0 and features["eye_votes"] == 0:
        return None
    return float(np.clip(model["deg_per_vote"] * features["profile_turn"], -model["max_deg"], model["max_deg"]))


def pyramid_of(rgb: Rgb) -> list[Gray]:
    """The gray picture and its halvings down to about the size of a view."""
    levels = [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)]
    while min(levels[-1].shape) >= 2 * VIEW_PX:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return levels


def _scaled(pyramid: Sequence[Gray], scale: float) -> Gray:
    level = min(int(math.log2(1 / scale)), len(pyramid) - 1)
    height, width = pyramid[0].shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pyramid[level], size, interpolation=cv2.INTER_AREA)


def _turned(gray: Gray, roll_deg: float) -> tuple[Gray, NDArray[np.float64]]:
    """The picture turned so that a face of this roll is upright, and the (2, 3) matrix back."""
    height, width = gray.shape
    roll = math.radians(roll_deg)
    cos, sin = math.cos(roll), math.sin(roll)
    new_width, new_height = (round(abs(cos) * a + abs(sin) * b) for a, b in ((width, height), (height, width)))
    back = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    back[:, 2] = (width / 2, height / 2) - back[:, :2] @ (new_width / 2, new_height / 2)
    if roll_deg == 0:
        return gray, back
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(gray, back, (new_width, new_height), flags=flags, borderMode=cv2.BORDER_REPLICATE), back


def _view(pyramid: Sequence[Gray], candidate: Candidate, face_px: int) -> tuple[Gray, NDArray[np.float64]]:
    """Upright square view with the face box `face_px` wide in its centre, and the (2, 3) matrix from picture to view."""
    level = min(max(int(math.log2(max(candidate.side / face_px, 1.0))), 0), len(pyramid) - 1)
    span = round(VIEW_SPAN * face_px)
    roll = math.radians(candidate.roll_deg)
    zoom = face_px / candidate.side
    turn = zoom * np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    to_view = np.column_stack([turn, (span / 2, span / 2) - turn @ (candidate.x, candidate.y)])
    shrink = pyramid[level].shape[1] / pyramid[0].shape[1]
    from_level = np.column_stack([turn / shrink, to_view[:, 2]])
    return cv2.warpAffine(pyramid[level], from_level, (span, span), borderMode=cv2.BORDER_REPLICATE), to_view
