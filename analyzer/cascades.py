"""gray -> hits of one Haar cascade, all in one box convention. Knows nothing of passes, eyes or confidence.

Each cascade frames a face in its own way (profile cuts closer and off the centre). Hits come back as squares in the
convention of the frontal `alt2` cascade, mid-forehead to chin, by the shifts and scales in `face_confidence.json`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.errors import BadSetting

PATH = Path(__file__).with_name("face_confidence.json")
CASCADES = Path(cv2.__file__).with_name("data")  # comes with opencv-python below 5
FILES = {
    "alt2": "haarcascade_frontalface_alt2.xml",
    "default": "haarcascade_frontalface_default.xml",
    "profile": "haarcascade_profileface.xml",
    "eye": "haarcascade_eye.xml",
}
MIRRORED = {"profile-right": "profile", "profile-left": "profile"}
AREA_FLOOR = 1e-6  # px², keeps an overlap defined

Gray = NDArray[np.uint8]  # (H, W)
Hits = NDArray[np.float32]  # (N, 4): centre x, centre y, side in px, level weight

# A CascadeClassifier keeps state (2 MB) while it scans, so two threads never share one.
_idle: dict[str, deque[cv2.CascadeClassifier]] = {name: deque() for name in FILES}


def scan(kind: str, gray: Gray, least_px: float, most_px: float, step: float) -> Hits:
    """All windows that pass every stage of one cascade, ungrouped.

    Args:
        kind: ``"alt2"``, ``"default"``, ``"profile-left"``, ``"profile-right"`` (the side that the face looks to) or
            ``"eye"`` (not mapped to the face convention).
        least_px, most_px: smallest and largest side of a hit, in the cascade's own framing.
        step: ratio of neighbouring window sizes, above 1.

    Returns:
        Hits in pixels of `gray`; the level weight is the sum of the last stage.
    """
    mirror = kind == "profile-right"
    with _borrowed(MIRRORED.get(kind, kind)) as classifier:
        boxes, _, weights = classifier.detectMultiScale3(
            np.ascontiguousarray(gray[:, ::-1]) if mirror else gray,
            step,
            0,
            minSize=(int(least_px),) * 2,
            maxSize=(int(np.ceil(most_px)),) * 2,
            outputRejectLevels=True,
        )
    if len(boxes) == 0:
        return np.zeros((0, 4), np.float32)
    x, y, side, _ = np.asarray(boxes, np.float32).T
    framing = fitted()["framing"].get(kind, {"scale": 1.0, "right": 0.0, "down": 0.0})
    centre_x = x + side / 2
    if mirror:
        centre_x = gray.shape[1] - centre_x
    centre_y = y + side / 2 + framing["down"] * side
    hits = np.stack([centre_x + framing["right"] * side, centre_y, framing["scale"] * side, np.ravel(weights)], axis=1)
    return hits[np.lexsort(hits.T)].astype(np.float32)  # OpenCV's own order varies with its threads


def overlap(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of squares.

    Args:
        some: (M, 3+) centre x, centre y, side.
        others: (N, 3+).

    Returns:
        (M, N) in 0..1.
    """
    side, other_side = some[:, None, 2], others[None, :, 2]
    gaps = np.abs(some[:, None, :2] - others[None, :, :2])
    shared = np.clip((side + other_side)[..., None] / 2 - gaps, 0, np.minimum(side, other_side)[..., None])
    both = shared[..., 0] * shared[..., 1]
    either: NDArray[np.float32] = side**2 + other_side**2 - both
    return np.asarray(both / np.maximum(either, AREA_FLOOR), np.float32)


def group(hits: Hits, least_votes: int, most: int, same: float = 0.45) -> NDArray[np.float32]:
    """Clusters of hits that frame the same thing, the most often hit first.

    Args:
        least_votes: hits that a cluster needs.
        most: clusters to return.
        same: overlap above which two hits mean the same.

    Returns:
        (M, 5): mean centre x, mean centre y, mean side, largest level weight, number of hits.
    """
    near = overlap(hits, hits) > same
    free = np.ones(len(hits), bool)
    clusters: list[list[float]] = []
    while free.any() and len(clusters) < most:
        votes = np.where(free, (near & free).sum(axis=1), 0)
        members = near[int(votes.argmax())] & free
        if members.sum() < least_votes:
            break
        x, y, side, _ = hits[members].mean(axis=0)
        clusters.append([x, y, side, hits[members, 3].max(), float(members.sum())])
        free &= ~members
    return np.array(clusters, np.float32).reshape(-1, 5)


@cache
def fitted() -> Mapping[str, Any]:
    """face_confidence.json as it stands.

    Raises:
        BadSetting: the file is missing or is not JSON.
    """
    try:
        document: Mapping[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSetting(f"{PATH.name} cannot be read: {error}", "Restore the file from the release.") from error
    return document


@contextmanager
def _borrowed(name: str) -> Iterator[cv2.CascadeClassifier]:
    """A classifier that nobody else uses meanwhile; as many are loaded as were ever needed at once."""
    idle = _idle[name]
    try:
        classifier = idle.pop()
    except IndexError:
        classifier = _loaded(name)
    try:
        yield classifier
    finally:
        idle.append(classifier)


def _loaded(name: str) -> cv2.CascadeClassifier:
    classifier = cv2.CascadeClassifier(str(CASCADES / FILES[name]))
    if classifier.empty():
        raise BadSetting(f"OpenCV's cascade {FILES[name]} is missing", "Install opencv-python-headless below 5.")
    return classifier
