"""Crops of one source -> the fine detail that all of them share in the same place: its watermark, where there is one.

What lies over every picture of a source stays when their fine detail is averaged, while the detail of the pictures themselves
averages out (Dekel et al., "On the effectiveness of visible watermarks", CVPR 2017). Aligned faces share eyes and mouth, so
only crops that are the middle of a picture are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.prepared import Prepared

LEAST_PICTURES = 20  # of as many groups
MOST_PICTURES = 400
COARSE_PX = 3.0  # crop px, standard deviation: what is smoother is no detail
MOST_DETAIL = 20.0  # grey levels: single strong edges do not rule the mean
SURE = 8.0  # standard errors of the mean: in sources without a mark the largest over the crop was 5 to 8
LEAST_SHARE = 0.003  # of the crop


@dataclass(frozen=True, eq=False)
class Overlay:
    """What the crops of a source have in common, each (224, 224) float32.

    Attributes:
        pictures: how many crops were taken, one of each group.
        mean: grey level.
        deviation: of the grey levels; low where all pictures show the same.
        detail: mean fine detail over its standard error.
    """

    source: str
    pictures: int
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    detail: NDArray[np.float32]

    @property
    def share(self) -> float:
        """Of the crop, where the pictures surely have detail in common."""
        return float(np.mean(np.abs(self.detail) > SURE))

    @property
    def is_mark(self) -> bool:
        return self.share >= LEAST_SHARE


def of_sources(prepared: Prepared) -> list[Overlay]:
    """One for each source with enough pictures that are no aligned faces."""
    rows: dict[str, dict[str, int]] = {}
    for row, (picture, known) in enumerate(zip(prepared.pictures, prepared.facts, strict=True)):
        if not known.has_face:
            rows.setdefault(picture.source, {}).setdefault(picture.group, row)
    return [
        overlay(source, prepared.crops, list(held.values())[:MOST_PICTURES])
        for source, held in sorted(rows.items())
        if len(held) >= LEAST_PICTURES
    ]


def overlay(source: str, crops: NDArray[np.uint8], rows: Sequence[int]) -> Overlay:
    """What some of the (N, side, side, 3) crops have in common."""
    shape = crops.shape[1:3]
    sums = np.zeros((4, *shape))  # of grey levels and their squares, of detail and its squares
    for row in rows:
        gray = cv2.cvtColor(crops[row], cv2.COLOR_RGB2GRAY).astype(np.float32)
        detail = np.clip(gray - cv2.GaussianBlur(gray, (0, 0), COARSE_PX), -MOST_DETAIL, MOST_DETAIL)
        sums += (gray, gray**2, detail, detail**2)
    mean, squares, detail, detail_squares = sums / len(rows)
    deviation = np.sqrt(np.maximum(squares - mean**2, 0))
    spread = np.sqrt(np.maximum(detail_squares - detail**2, 0))
    error = (spread + 0.5) / np.sqrt(len(rows))  # half a grey level more: generated pictures may not differ at all
    found = (values.astype(np.float32) for values in (mean, deviation, detail / error))
    return Overlay(source, len(rows), *found)
