"""rgb -> faces by Haar cascades: boxes, eyes, roll, rough turn and a calibrated confidence; no landmarks.

The stage that needs no artefact. Two steps. *Search* passes run Haar cascades over a small copy of the picture, the usual
case first: upright frontal faces, then the default cascade with local contrast evened out and a margin around the picture,
profiles both ways, and turned pictures. Every candidate is then *examined* the same way, whichever pass proposed it: its
face is cut out upright at a standard size, and all cascades and the eye finder look at it again. A logistic model on what
they see (`face_confidence.json`) gives the probability that the box holds a face. The search ends after the first pass with
a sure face; otherwise all passes run and the most probable faces win, so that an upright false box does not beat the face
of a picture lying on its side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import eyes, face_crops
from analyzer.cascades import Gray, Hits, fitted, group, overlap, scan
from analyzer.parallel import run_each
from analyzer.values import Box, Face, Points, Rgb
from analyzer.views import Candidate, pyramid_of, scaled, stretched, turned, view_of

VERSION = "haar-1"
VIEW_PX = 48  # side of the face box in the view that the face cascades examine
EYE_VIEWS_PX = (112, 176)  # side of the face box in the views that the eye finder examines until it finds a pair
EXAMINED = ("alt2", "default", "profile-left", "profile-right")
# threshold of the last stage, from the cascade files
LEVEL_FLOORS = {"alt2": 53.756, "default": -2.993, "profile-left": -1.274, "profile-right": -1.274}
EXAMINED_SIDES = (0.75, 1.4)  # smallest and largest hit in a view, in box sides
EXAMINED_STEP = 1.1
# how far the middle of the visible face lies from the middle between the eyes, in box sides per degree of turn: medians
# over 780 UTKFace and ACNE04 faces of alt2 hits against teacher ovals, 0.05 at 8 degrees to 0.23 at 44
SHIFT_PER_DEG = 0.0054
SAME_FACE = 0.3  # overlap above which two faces are one
SURE = 0.9  # confidence at which no further pass runs
LEAST_CONFIDENCE = 0.5  # below this a candidate is not a face
MOST_FACES = 8
CLAHE_CLIP = 3.0  # times the mean of the histogram
CLAHE_TILES = (4, 4)


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
    Pass(("alt2",), 160, 0.15, 1.15),
    Pass(("alt2", "default"), 200, 0.12, 1.15, even=True, margin=0.15, most=4),
    Pass(("profile-left", "profile-right"), 160, 0.20, 1.15, margin=0.1),
    Pass(("alt2",), 160, 0.18, 1.2, rolls_deg=(90.0, -90.0, 180.0), margin=0.1, most=2),
    Pass(("alt2",), 160, 0.20, 1.2, rolls_deg=(32.0, -32.0), most=2),
    Pass(("profile-left", "profile-right"), 112, 0.25, 1.2, rolls_deg=(90.0, -90.0, 180.0), margin=0.1, most=1),
)


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
    gray = scaled(pyramid, scale)
    if look.even:
        gray = np.asarray(cv2.createCLAHE(CLAHE_CLIP, CLAHE_TILES).apply(stretched(gray)), np.uint8)
    border = round(look.margin * max(gray.shape))
    if border:
        gray = np.asarray(cv2.copyMakeBorder(gray, *(border,) * 4, cv2.BORDER_REPLICATE), np.uint8)
    least_px = look.least * min(height, width) * scale
    for roll_deg in look.rolls_deg:
        upright, back = turned(gray, roll_deg)
        windows = partial(scan, gray=upright, least_px=least_px, most_px=min(upright.shape), step=look.step)
        hits = np.concatenate(run_each(windows, look.kinds))
        for x, y, side, *_ in group(hits, 2, look.most):
            x, y = back @ (x, y, 1.0)
            yield Candidate((x - border) / scale, (y - border) / scale, side / scale, roll_deg, look.kinds[0])


def examine(pyramid: Sequence[Gray], candidate: Candidate) -> Evidence:
    """Look again at one candidate with every cascade and the eye finder, upright and at standard size."""
    view, _ = view_of(pyramid, candidate, VIEW_PX)
    middle = np.array([view.shape[1] / 2, view.shape[0] / 2, VIEW_PX], np.float32)
    clear = stretched(view)

    def agreeing(kind: str) -> Hits:
        hits = scan(kind, clear, EXAMINED_SIDES[0] * VIEW_PX, EXAMINED_SIDES[1] * VIEW_PX, EXAMINED_STEP)
        return hits[overlap(middle[None], hits)[0] > SAME_FACE]

    seen = dict(zip(EXAMINED, run_each(agreeing, EXAMINED), strict=True))
    refined = _refined(candidate, seen, middle)
    pair, votes = _eyes(pyramid, refined) if any(map(len, seen.values())) else (None, 0.0)
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
        "contrast_octaves": math.log2((float(view.std()) + 1.0) / (float(view.mean()) + 1.0)),
        "size_octaves": math.log2(candidate.side / min(pyramid[0].shape)),
        "rotated": float(candidate.roll_deg != 0),
    }
    return Evidence(refined, pair, features)


def confidence(features: Mapping[str, float]) -> float:
    """Probability that the box holds a face: the logistic model of `face_confidence.json`."""
    model = fitted()["confidence"]
    z = model["intercept"] + sum(weight * features[name] for name, weight in model["weights"].items())
    return 1.0 / (1.0 + math.exp(-min(max(z, -30.0), 30.0)))


def distinct(faces: Sequence[Face]) -> list[Face]:
    """The most probable of each group of overlapping faces, most probable first."""
    return face_crops.distinct(faces, lambda square, others: overlap(square[None], others)[0], SAME_FACE)


def face_from(evidence: Evidence) -> Face:
    """The face that an examined candidate would be."""
    candidate = evidence.candidate
    roll_deg = candidate.roll_deg
    if evidence.eyes is not None:
        across, down = evidence.eyes[1] - evidence.eyes[0]
        roll_deg = math.degrees(math.atan2(down, across))
    yaw_deg = _yaw_deg(evidence.features)
    return Face(
        box=_box(candidate, yaw_deg or 0.0),
        confidence=confidence(evidence.features),
        eyes=evidence.eyes,
        roll_deg=roll_deg,
        method=f"haar-{candidate.kind}",
        yaw_deg=yaw_deg,
    )


def _box(candidate: Candidate, yaw_deg: float) -> Box:
    """The box, moved from the middle between the eyes to the middle of the face that a turned head shows."""
    roll = math.radians(candidate.roll_deg)
    shift = -SHIFT_PER_DEG * yaw_deg * candidate.side
    half = candidate.side / 2
    left, top = candidate.x + shift * math.cos(roll) - half, candidate.y + shift * math.sin(roll) - half
    return Box(left, top, candidate.side, candidate.side)


def _eyes(pyramid: Sequence[Gray], candidate: Candidate) -> tuple[Points | None, float]:
    """Eyes in picture pixels, and the votes of the weaker one."""
    for view_px in EYE_VIEWS_PX:
        view, to_view = view_of(pyramid, candidate, view_px)
        pair, votes = eyes.locate(stretched(view), view_px)
        if pair is not None:
            back = np.linalg.inv(to_view[:, :2])
            return ((pair - to_view[:, 2]) @ back.T).astype(np.float32), votes
    return None, 0.0


def _refined(candidate: Candidate, seen: Mapping[str, NDArray[np.float32]], middle: NDArray[np.float32]) -> Candidate:
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
    """Rough turn of the head: by how much one profile cascade answers more than the other."""
    if features["profile_votes"] == 0 and features["eye_votes"] == 0:
        return None
    model = fitted()["yaw"]
    yaw_deg = sum(slope * features[name] for name, slope in model["deg_per"].items())
    return float(np.clip(yaw_deg, -model["max_deg"], model["max_deg"]))
