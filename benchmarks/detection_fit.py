"""Fit the numbers of `analyzer/face_confidence.json` on one half of the pictures, for `benchmarks.detection --fit`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from analyzer import cascades, haar, views
from benchmarks import detection_pictures as pictures
from benchmarks.detection_pictures import Picture
from benchmarks.detection_truth import Truth

SEED = 11
FEATURES = (
    "alt2_votes", "alt2_level", "default_votes", "default_level", "profile_votes", "profile_level", "eye_votes",
    "contrast_octaves", "size_octaves", "rotated",
)  # fmt: skip
SIGNED = (
    "contrast_octaves",
    "size_octaves",
    "rotated",
)  # the other weights may not be negative: evidence never lowers the confidence
YAW_FEATURES = ("profile_turn",)  # where the eyes sit in the box was tried and tells nothing more
RIDGE = 1e-3  # per squared weight, keeps rare features tame


@dataclass(frozen=True)
class Examined:
    """One candidate with what is known about it."""

    source: str
    name: str
    held_out: bool
    right: bool
    features: Mapping[str, float]
    truth: Truth | None


def fitting_pictures(size: float = 1.0) -> Iterator[Picture]:
    """Faces as they are, pasted and turned, scenes, and skin without faces."""
    return chain(
        pictures.utkface(int(240 * size), SEED),
        pictures.pasted(int(400 * size), SEED),
        pictures.acne04(int(260 * size), SEED, turns=(0, 0, 0, 1, 2, 3)),
        pictures.wider(),
        pictures.dermatoscopy(int(400 * size), SEED),
        pictures.close_ups(int(400 * size), SEED),
        pictures.wider_tiles(),
    )


def examined(picture: Picture) -> Iterator[Examined]:
    """Every candidate of every pass on one picture, labelled, once per place."""
    pyramid = views.pyramid_of(picture.rgb)
    for look in haar.PASSES:
        for candidate in haar.search(pyramid, look):
            evidence = haar.examine(pyramid, candidate)
            found = haar.face_from(evidence)
            truth = next((truth for truth in picture.truths if truth.matches(found)), None)
            yield Examined(
                picture.source, picture.name, picture.held_out, truth is not None, dict(evidence.features), truth
            )


def collect(source: Iterable[Picture]) -> list[Examined]:
    return [one for picture in source for one in examined(picture)]


def matrix(candidates: Sequence[Examined], names: Sequence[str] = FEATURES) -> NDArray[np.float64]:
    return np.array([[one.features[name] for name in names] for one in candidates], float)


def fit_confidence(candidates: Sequence[Examined]) -> dict[str, object]:
    """Logistic regression whose evidence weights may not be negative."""
    x, y = matrix(candidates), np.array([one.right for one in candidates], float)

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = theta[0] + x @ theta[1:]
        residual = 1 / (1 + np.exp(-z)) - y
        value = np.mean(np.logaddexp(0, z) - y * z) + RIDGE * (theta[1:] ** 2).sum()
        return value, np.concatenate([[residual.mean()], residual @ x / len(y) + 2 * RIDGE * theta[1:]])

    bounds = [(None, None)] + [(None if name in SIGNED else 0.0, None) for name in FEATURES]
    theta = minimize(loss, np.zeros(len(FEATURES) + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return {
        "intercept": round(float(theta[0]), 4),
        "weights": {name: round(float(w), 4) for name, w in zip(FEATURES, theta[1:], strict=True)},
    }


def fit_yaw(candidates: Sequence[Examined]) -> dict[str, float]:
    """Least squares of the teacher's yaw on the difference of profile votes, through zero."""
    known = [one for one in candidates if one.right and one.truth and one.truth.yaw_deg is not None and _tells_yaw(one)]
    target = np.array([one.truth.yaw_deg for one in known if one.truth])
    slopes = np.linalg.lstsq(matrix(known, YAW_FEATURES), target, rcond=None)[0]
    return {name: round(float(slope), 3) for name, slope in zip(YAW_FEATURES, slopes, strict=True)}


def write(candidates: Sequence[Examined]) -> None:
    """Fit on the pictures that are not held out and write face_confidence.json."""
    fitted = [one for one in candidates if not one.held_out]
    names = len({one.name for one in fitted})
    sources = "UTKFace, ACNE04, WIDER, HAM10000, close-ups"
    source = f"benchmarks.detection --fit: {len(fitted)} candidates of {names} pictures ({sources})"
    document = json.loads(cascades.PATH.read_text(encoding="utf-8"))
    document["confidence"] = {"source": source, **fit_confidence(fitted)}
    document["yaw"] = {"source": source, "deg_per": fit_yaw(fitted), "max_deg": 70.0}
    cascades.PATH.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    cascades.fitted.cache_clear()


def _tells_yaw(one: Examined) -> bool:
    return one.features["profile_votes"] > 0 or one.features["eye_votes"] > 0
