"""Features -> how far a picture is from those that an artefact learned from.

Mahalanobis distance to the nearest class mean (Lee et al., NeurIPS 2018) with one covariance for all classes, that of a
factor model: the strongest directions have variances of their own, all others share one (Tipping and Bishop 1999), since a
full covariance of 3328 features can neither be known from a few thousand pictures nor be kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.errors import BadModel
from analyzer.head import HINT, read_arrays

Array = NDArray[np.float32]
RANK = 64  # directions with a variance of their own
LEAST_SCALE = 1e-4  # of a feature's deviation, as a part of the mean one; features that never change say nothing


@dataclass(frozen=True, eq=False)
class Distribution:
    """Where features of the training classes lie.

    Attributes:
        scale: (D,) float32: deviation of each feature within its class; all else is in these units.
        means: (C, D) float32 of the classes.
        directions: (K, D) float32, orthonormal.
        variances: (K,) float32 along them.
        rest: variance along every other direction.
    """

    scale: Array
    means: Array
    directions: Array
    variances: Array
    rest: float

    def distance(self, features: Array) -> float:
        """From (D,) float32 features to the nearest class, in deviations per feature: about 1 for a typical picture."""
        away = features / self.scale - self.means
        along = away @ self.directions.T
        squares = (along**2 / self.variances).sum(axis=1)
        squares += ((away**2).sum(axis=1) - (along**2).sum(axis=1)) / self.rest
        return math.sqrt(max(float(squares.min()), 0.0) / features.size)


def fit(features: Array, labels: NDArray[np.intp], rank: int = RANK) -> Distribution:
    """The distribution of (N, D) float32 features with (N,) class indices.

    Raises:
        ValueError: too few pictures for so many directions.
    """
    classes = np.unique(labels)
    if len(features) <= len(classes) + rank:
        raise ValueError(f"{len(features)} pictures of {len(classes)} classes are too few for {rank} directions.")
    means = np.stack([features[labels == index].mean(axis=0) for index in classes])
    away = features - means[np.searchsorted(classes, labels)]
    scale = away.std(axis=0)
    scale = np.maximum(scale, LEAST_SCALE * float(scale.mean()))
    variances, directions = _principal(away / scale, len(features) - len(classes))
    rest = float(variances[rank:].sum()) / (features.shape[1] - rank)
    return Distribution(
        scale=np.asarray(scale, np.float32),
        means=np.asarray(means / scale, np.float32),
        directions=np.asarray(directions[:rank], np.float32),
        variances=np.asarray(variances[:rank], np.float32),
        rest=rest,
    )


def _principal(away: Array, freedom: int) -> tuple[Array, Array]:
    """Variances, largest first, and their directions as rows; by whichever of (N, N) and (D, D) is smaller."""
    if len(away) < away.shape[1]:
        _, strengths, directions = np.linalg.svd(away, full_matrices=False)
        return np.asarray(strengths**2 / freedom, np.float32), directions
    variances, columns = np.linalg.eigh(away.T @ away / np.float32(freedom))
    return np.maximum(variances[::-1], np.float32(0)), columns.T[::-1]


def to_arrays(known: Distribution) -> dict[str, NDArray[Any]]:
    """What `read` takes; the directions as float16."""
    return {
        "scale": known.scale,
        "means": known.means,
        "directions": known.directions.astype(np.float16),
        "variances": known.variances,
        "rest": np.array(known.rest, np.float32),
    }


def read(data: bytes, features: int) -> Distribution:
    """The distribution in the bytes of `distribution.npz`.

    Args:
        features: how many there must be.

    Raises:
        BadModel: it holds something else.
    """
    arrays = read_arrays(data, "distribution.npz")
    try:
        scale, means, directions, variances = (
            np.asarray(arrays[name], np.float32) for name in ("scale", "means", "directions", "variances")
        )
        rest = float(arrays["rest"])
    except (KeyError, TypeError, ValueError):
        raise BadModel("distribution.npz does not hold scale, means, directions, variances and rest.", HINT) from None
    rank = len(variances)
    fits = scale.shape == (features,) and means.shape[1:] == (features,) and directions.shape == (rank, features)
    finite = all(np.isfinite(array).all() for array in (scale, means, directions, variances)) and math.isfinite(rest)
    if not (fits and finite and rest > 0 and (scale > 0).all() and (variances > 0).all()):
        raise BadModel(f"distribution.npz does not describe {features} features.", HINT)
    return Distribution(scale, means, directions, variances, rest)
