"""Drawn features in place of pictures: conditions of known severities, for the tests of multi-label training."""

from __future__ import annotations

import numpy as np

from training.multilabel.objective import UNSAID, Labels
from training.multilabel.severity_head import Known

CONDITIONS = ("acne", "aging", "redness")
WIDTH = 24


def labels(count: int, seed: int = 0) -> Labels:
    """One condition a picture, or none; one severity in ten is not labelled."""
    rng = np.random.default_rng(seed)
    which = np.arange(count) % (len(CONDITIONS) + 1)
    severity = np.where(which[:, None] == np.arange(len(CONDITIONS)), rng.integers(1, 4, (count, 1)), 0)
    unsaid = rng.random(severity.shape) < 0.1
    return Labels(severity > 0, np.where(unsaid, UNSAID, severity))


def known(count: int, seed: int = 0, noise: float = 1.0, views: int = 2) -> Known:
    """Features along a direction of each condition, as far as it is severe."""
    told = labels(count, seed)
    rng = np.random.default_rng((seed, 1))
    directions = np.random.default_rng(5).normal(size=(len(CONDITIONS), WIDTH))
    strength = np.where(told.severity == UNSAID, 2 * told.present, told.severity)
    middle = (2.0 * strength) @ directions
    drawn = middle[:, None] + rng.normal(0, noise, (count, views, WIDTH))
    return Known(drawn.astype(np.float16), told)
