"""Pictures -> which of them show the same: copies (also mirrored, resized, darker), and likely the same person or lesion.

Two pictures are compared by the correlation of their fine detail, each reduced to `SIDE` px, with what is coarser than
`SMOOTH_PX` taken away: two faces in one pose and light differ in it, two photos of one person in about the same pose hardly.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Rgb

SIDE = 32
SMOOTH_PX = 2.0
COPY = 0.93  # correlation from which two pictures are one, changed a little
SAME = 0.78  # from which they likely show the same person or lesion; of unlike faces in one pose about 0.7 at most
UNIT = 24  # of a fingerprint: one standard deviation of the detail
MOST = (
    1.5  # standard deviations: stronger detail counts no more, or a watermark and the edge of a frame would say it all
)
LEAST_DETAIL = 0.5  # grey levels, standard deviation; a plainer picture is like no other
BLOCK = 1024  # pictures that are compared at once
COUNTER_NAME = re.compile(
    r"(?:img|dsc[fn]?|pxl|p|photo|image|picture|pic|screenshot|frame|scan|file)?[ _\-.]*[\d _\-.()]*"
)
LEAST_NAME = 6  # characters of a file name that two sources do not share by chance

Print = NDArray[np.int8]  # (SIDE²,)


def fingerprint(rgb: Rgb) -> Print:
    """(1024,) int8: the fine detail of a picture in a unit of its own; all 0 for a plain one."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), SMOOTH_PX)
    spread = float(fine.std())
    if spread < LEAST_DETAIL:
        return np.zeros(SIDE * SIDE, np.int8)
    return np.clip(np.rint(fine.ravel() * (UNIT / spread)), -127, 127).astype(np.int8)


def written(fingerprints: Sequence[Print]) -> str:
    """Fingerprints as text, `read` by the function of that name."""
    return base64.b85encode(np.concatenate(fingerprints).tobytes()).decode()


def read(text: str) -> NDArray[np.int8]:
    """(K, 1024) of the text of K fingerprints."""
    return np.frombuffer(base64.b85decode(text), np.int8).reshape(-1, SIDE * SIDE)


def groups(fingerprints: Sequence[Print]) -> NDArray[np.intp]:
    """(N,) index of the first picture of each one's group; pictures alike to a third one are in one group."""
    found = pairs(np.stack(fingerprints), COPY) if fingerprints else []
    return united(len(fingerprints), [(first, second) for first, second, _ in found])


def pairs(prints: NDArray[np.int8], least: float) -> list[tuple[int, int, float]]:
    """Rows of (N, 1024) that are alike or mirror images, the lower first, with their correlation of at least `least`."""
    return [pair for block in _alike(_unit(prints), least) for pair in block]


def united(count: int, ties: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """(count,) the lowest index that each one is tied to, directly or over others."""
    parent = np.arange(count)

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    for first, second in ties:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return np.array([root(index) for index in range(count)], np.intp)


def ties_of(names: Sequence[Hashable | None]) -> list[tuple[int, int]]:
    """Ties of all that have the same name; None is the name of nothing."""
    first: dict[Hashable, int] = {}
    return [(first.setdefault(name, row), row) for row, name in enumerate(names) if name is not None]


def shared_name(path: PurePath) -> str | None:
    """A file's name without ending, where another source that has it too likely took the same picture; None for mere counters."""
    stem = path.stem.lower()
    telling = len(stem) >= LEAST_NAME and any(sign.isdigit() for sign in stem) and not COUNTER_NAME.fullmatch(stem)
    return stem if telling else None


def _unit(prints: NDArray[np.int8]) -> NDArray[np.float32]:
    detail = np.clip(prints.astype(np.float32), -MOST * UNIT, MOST * UNIT)
    detail -= detail.mean(axis=1, keepdims=True)
    return detail / np.maximum(np.linalg.norm(detail, axis=1, keepdims=True), 1e-6)


def _alike(detail: NDArray[np.float32], least: float) -> Iterator[list[tuple[int, int, float]]]:
    mirrored = np.ascontiguousarray(detail.reshape(-1, SIDE, SIDE)[:, :, ::-1]).reshape(detail.shape)
    for start in range(0, len(detail), BLOCK):
        rows = detail[start : start + BLOCK]
        for other in range(start, len(detail), BLOCK):
            to = slice(other, other + BLOCK)
            likeness = np.maximum(rows @ detail[to].T, rows @ mirrored[to].T)
            first, second = np.nonzero(likeness >= least)
            values = likeness[first, second].tolist()
            found = zip((first + start).tolist(), (second + other).tolist(), values, strict=True)
            yield [pair for pair in found if pair[0] < pair[1]]
