"""Fit the landmark prior: landmarks from box and eyes of the Haar cascades by ridge regression.

Run:     python -m training.fit_landmark_prior [--data ../shared/data] [--out analyzer/landmark_prior.json]
Cost:    about 2 minutes on 2 cores.
Expects: face_landmarks.npz (teacher landmarks), acne04, dermalscan4 and a seeded sample of utkface. Every second detected face is
         held out for the error that is written into the file; a mirrored copy of each fitted face keeps the prior symmetric.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from analyzer import geometry, haar
from analyzer.values import Face

UTKFACE_SAMPLE = 700
SEED = 0
RIDGE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("analyzer/landmark_prior.json"))
    options = parser.parse_args()
    pairs = load_pairs(options.data)
    document = {
        "source": f"python -m training.fit_landmark_prior; {len(pairs)} detected faces of acne04, dermalscan4, utkface "
        "(teacher landmarks), every second one held out",
        "unit": "box widths in the frame of analyzer.geometry.prior_features",
    }
    for kind in ("eyes", "box"):
        x, y = design(pairs, with_eyes=kind == "eyes")
        held_out = np.arange(len(x)) % 2 == 1
        weights = fit(x[~held_out], y[~held_out])
        errors = np.linalg.norm((x @ weights - y).reshape(len(y), -1, 2), axis=2)[held_out]
        document[kind] = np.round(weights, 4).tolist()
        document[f"{kind}_error"] = {
            name: round(float(np.median(errors[:, part].mean(axis=1))), 3) for name, part in geometry.GROUPS.items()
        }
        print(kind, len(x), document[f"{kind}_error"])
    options.out.write_text(json.dumps(document), encoding="utf-8")


def load_pairs(data: Path) -> list[tuple[Face, NDArray[np.float64]]]:
    """Detected faces with their teacher landmarks (142, 2), both in picture pixels."""
    archive = np.load(data / "face_landmarks.npz")
    paths, points, scale = archive["paths"], archive["points"], int(archive["scale"])
    utkface = [i for i, path in enumerate(paths) if path.startswith("utkface")]
    chosen = [i for i, path in enumerate(paths) if path.startswith(("acne04", "dermalscan4"))]
    chosen += list(np.random.default_rng(SEED).choice(utkface, UTKFACE_SAMPLE, replace=False))
    pairs = []
    for i in chosen:
        rgb = cv2.cvtColor(cv2.imread(str(data / paths[i])), cv2.COLOR_BGR2RGB)
        teacher = points[i] / scale * [rgb.shape[1], rgb.shape[0]]
        pairs += [(found, teacher) for found in haar.detect(rgb)[:1] if agrees(found, teacher)]
    return pairs


def agrees(found: Face, teacher: NDArray[np.float64]) -> bool:
    """The detection is the face that the teacher marked: same place, similar size."""
    oval = teacher[geometry.GROUPS["face_oval"]]
    size = float(np.sqrt(np.prod(np.ptp(oval, axis=0))))
    near = np.hypot(*(oval.mean(axis=0) - found.box.centre)) < 0.35 * found.box.width
    return bool(near and 0.6 < found.box.width / size < 1.6)


def design(
    pairs: list[tuple[Face, NDArray[np.float64]]], *, with_eyes: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (N, F) and targets (N, 284)."""
    rows = [
        row(found if with_eyes else replace(found, eyes=None), teacher)
        for found, teacher in pairs
        if found.eyes is not None or not with_eyes
    ]
    return np.stack([x for x, _ in rows]), np.stack([y for _, y in rows])


def row(found: Face, teacher: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    features, matrix = geometry.prior_features(found)
    return features, geometry.transform(matrix, teacher).astype(np.float64).ravel()


def fit(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge regression on the faces and their mirror images."""
    x, y = np.concatenate([x, mirrored_features(x)]), np.concatenate([y, mirrored_targets(y)])
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)


def mirrored_features(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * geometry.PRIOR_MIRROR[: x.shape[1]]


def mirrored_targets(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mirrored landmarks, renumbered: each takes the number of the landmark whose mean place it lands on."""
    points = y.reshape(len(y), -1, 2)
    mean = points.mean(axis=0)
    _, partner = linear_sum_assignment(cdist(mean, mean * [-1, 1]))
    return (points[:, partner] * [-1, 1]).reshape(len(y), -1)


if __name__ == "__main__":
    main()
