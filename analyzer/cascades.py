"""gray -> hits of one Haar cascade, all in one box convention. Knows nothing of passes, eyes or confidence.

Each cascade frames a face in its own way (profile cuts closer and off the centre). Hits come back as squares in the
convention of the frontal `alt2` cascade, mid-forehead to chin, by the shifts and scales in `face_confidence.json`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.errors import BadSetting

PATH = Path(__file__).with_name("face_confidence.json")
FILES = {
    "alt2": "haarcascade_frontalface_alt2.xml",
    "default": "haarcascade_frontalface_default.xml",
    "profile": "haarcascade_profileface.xml",
    "eye": "haarcascade_eye.xml",
}
MIRRORED = {"profile-right": "profile", "profile-left": "profile"}
WINDOW_PX = 20  # side of the smallest window of every cascade above
AREA_FLOOR = 1e-6  # px², keeps an overlap defined

Gray = NDArray[np.uint8]  # (H, W)
Hits = NDArray[np.float32]  # (N, 4): centre x, centre y, side in px, level weight

_local = threading.local()  # a CascadeClassifier keeps state while it scans: one set per thread


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
    boxes, _, weights = _classifier(MIRRORED.get(kind, kind)).detectMultiScale3(
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
    return np.stack(
        [
            centre_x + framing["right"] * side,
            y + side / 2 + framing["down"] * side,
            framing["scale"] * side,
            np.ravel(weights),
        ],
        axis=1,
    ).astype(np.float32)


def overlap(square: NDArray[np.float32], squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one square with many.

    Args:
        square: (3+,) centre x, centre y, side.
        squares: (N, 3+).

    Returns:
        (N,) in 0..1.
    """
    reach = (square[2] + squares[:, 2]) / 2
    shared = np.minimum(square[2], squares[:, 2])[:, None]
    sides = np.clip(reach[:, None] - np.abs(squares[:, :2] - square[:2]), 0, shared)
    both = sides[:, 0] * sides[:, 1]
    return both / np.maximum(square[2] ** 2 + squares[:, 2] ** 2 - both, AREA_FLOOR)


def group(hits: Hits, least_votes: int, most: int, same: float = 0.45) -> NDArray[np.float32]:
    """Clusters of hits that frame the same thing, the most often hit first.

    Args:
        least_votes: hits that a cluster needs.
        most: clusters to return.
        same: overlap above which two hits mean the same.

    Returns:
        (M, 5): mean centre x, mean centre y, mean side, largest level weight, number of hits.
    """
    clusters: list[list[float]] = []
    while len(hits) and len(clusters) < most:
        near = np.stack([overlap(hit, hits) > same for hit in hits])
        members = near[int(near.sum(axis=1).argmax())]
        if members.sum() < least_votes:
            break
        x, y, side, _ = hits[members].mean(axis=0)
        clusters.append([x, y, side, hits[members, 3].max(), float(members.sum())])
        hits = hits[~members]
    return np.array(clusters, np.float32).reshape(-1, 5)


@cache
def fitted() -> Mapping[str, Any]:
    """face_confidence.json as it stands.

    Raises:
        BadSetting: the file is missing or is not JSON.
    """
    try:
        return json.loads(PATH.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSetting(f"{PATH.name} cannot be read: {error}", "Restore the file from the release.") from error


def _classifier(name: str) -> cv2.CascadeClassifier:
    loaded: dict[str, cv2.CascadeClassifier] = _local.__dict__.setdefault("classifiers", {})
    if name not in loaded:
        loaded[name] = cv2.CascadeClassifier(cv2.data.haarcascades + FILES[name])
        if loaded[name].empty():
            raise BadSetting(f"OpenCV's cascade {FILES[name]} is missing", "Install opencv-python-headless below 5.")
    return loaded[name]
