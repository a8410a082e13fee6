"""The distance is Mahalanobis': it grows off the training classes, more along directions in which they hardly vary."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import distribution
from analyzer.errors import BadModel

DEVIATIONS = np.array([3.0, 2.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5])


def drawn(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return (rng.normal(size=(count, 8)) * DEVIATIONS + 10 * labels[:, None]).astype(np.float32), labels


def test_typical_pictures_lie_at_about_one_deviation_per_feature() -> None:
    known = distribution.fit(*drawn(4000, 1), rank=3)
    distances = [known.distance(one) for one in drawn(500, 2)[0]]
    assert np.sqrt(np.mean(np.square(distances))) == pytest.approx(1.0, abs=0.05)


def test_distance_is_to_the_nearest_class() -> None:
    known = distribution.fit(*drawn(4000, 1), rank=3)
    first, second, between = (np.full(8, place, np.float32) for place in (0, 10, 5))
    assert known.distance(first) < 0.2
    assert known.distance(second) < 0.2
    assert known.distance(between) > 2.0


def test_distance_equals_that_of_the_full_covariance_where_the_model_holds() -> None:
    features, labels = drawn(20000, 3)
    known = distribution.fit(features, labels, rank=7)
    asked = drawn(5, 4)[0]
    centred = features - np.stack([features[labels == one].mean(axis=0) for one in (0, 1)])[labels]
    inverse = np.linalg.inv(np.cov(centred.T))
    for one, label in zip(asked, drawn(5, 4)[1], strict=True):
        away = one - features[labels == label].mean(axis=0)
        assert known.distance(one) == pytest.approx(float(np.sqrt(away @ inverse @ away / 8)), rel=0.02)


def test_stored_distribution_gives_the_same_distances() -> None:
    known = distribution.fit(*drawn(500, 1), rank=3)
    file = io.BytesIO()
    np.savez(file, **distribution.to_arrays(known))
    again = distribution.read(file.getvalue(), 8)
    assert again.distance(np.ones(8, np.float32)) == pytest.approx(known.distance(np.ones(8, np.float32)), rel=1e-2)
    with pytest.raises(BadModel, match="does not describe 9 features"):
        distribution.read(file.getvalue(), 9)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        distribution.fit(*drawn(6, 1), rank=4)


def test_features_that_never_change_do_not_break_it() -> None:
    features, labels = drawn(200, 1)
    features[:, 4] = 0.0
    assert np.isfinite(distribution.fit(features, labels, rank=3).distance(np.ones(8, np.float32)))
