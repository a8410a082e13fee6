"""Pictures -> groups of near-duplicates: copies, flips and resized ones of the same picture belong together."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Rgb

HASH_SIDE = 16  # the hash has HASH_SIDE² bits
ALIKE_BITS = 36  # of 256; unrelated pictures differ in about 128


def fingerprint(rgb: Rgb) -> NDArray[np.bool_]:
    """(2, 256) bool difference hash (brighter than the neighbour to the left) of a picture and of its mirror image."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.stack([(np.diff(side, axis=1) > 0).ravel() for side in (small, small[:, ::-1])])


def groups(fingerprints: Sequence[NDArray[np.bool_]]) -> NDArray[np.intp]:
    """(N,) index of the first picture of each one's group; pictures alike to a third one are in one group."""
    if not fingerprints:
        return np.zeros(0, np.intp)
    signs = np.where(np.stack(fingerprints), 1.0, -1.0).astype(np.float32)
    bits = signs.shape[2]
    parent = np.arange(len(signs))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    for first, itself in enumerate(signs[:, 0]):
        away = (bits - signs[:first] @ itself) / 2  # bits that differ, (first, 2)
        for other in np.flatnonzero(away.min(axis=1) <= ALIKE_BITS) if first else ():
            low, high = sorted((root(first), root(int(other))))
            parent[high] = low
    return np.array([root(index) for index in range(len(signs))])
