"""What the detector must answer: target maps of the boxes in a picture. Answers are read by `analyzer.face_network`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analyzer.face_network import SIDE_UNIT, STRIDES

CHANNELS = 8  # label, weight, dx, dy, log side, cosine and sine of the roll, whether the roll is known
SIDES_PX = {8: (0, 54), 16: (38, 112), 32: (80, 400)}  # box sides that each stride answers for; neighbours overlap
NEARLY = 1.35  # beyond its sides by up to this factor, a stride may answer or not
CENTRE_SHARE = 0.18  # of the box side: cells nearer to the centre than this must answer
LEAST_REACH = 0.3  # strides: the same for small boxes
SURROUND_SHARE = 0.45  # cells farther than this must not answer; between the two either is right
LEAST_SIDE_PX = 11.0  # faces below are neither asked for nor forbidden


def target_maps(boxes: NDArray[np.float32], side_px: int) -> Mapping[str, NDArray[np.float32]]:
    """Maps (side / stride, side / stride, 8) of boxes (N, 4): centre x, centre y, side, roll (nan: not known)."""
    return {f"stride_{stride}": _map(boxes, side_px // stride, stride) for stride in STRIDES}


def _map(boxes: NDArray[np.float32], cells: int, stride: int) -> NDArray[np.float32]:
    """One map; smaller boxes are drawn over larger ones."""
    target = np.zeros((cells, cells, CHANNELS), np.float32)
    target[..., 1] = 1.0
    grid = (np.arange(cells, dtype=np.float32) + 0.5) * stride
    least, most = SIDES_PX[stride]
    for box in boxes[np.argsort(-boxes[:, 2])]:
        x, y, side, _ = box.tolist()
        if not least / NEARLY <= side < most * NEARLY:
            continue  # of another stride: here even the middle of this face is background
        away = np.hypot(grid[None] - x, grid[:, None] - y)
        target[away < SURROUND_SHARE * max(side, LEAST_SIDE_PX), :2] = 0.0
        outside = min(x, y) < -0.5 * stride or max(x, y) > (cells + 0.5) * stride
        if side < LEAST_SIDE_PX or outside or not least <= side < most:
            continue
        inside = (away < max(CENTRE_SHARE * side, LEAST_REACH * stride)) | (away == away.min())
        rows, columns = np.nonzero(inside)
        target[rows, columns] = _answer(box, stride)
        target[rows, columns, 2] = (x - grid[columns]) / stride
        target[rows, columns, 3] = (y - grid[rows]) / stride
    return target


def _answer(box: NDArray[np.float32], stride: int) -> tuple[float, ...]:
    """The channels of a cell that must answer, its place left at 0."""
    roll, known = float(box[3]), bool(np.isfinite(box[3]))
    log_side = math.log(float(box[2]) / (SIDE_UNIT * stride))
    return (1.0, 1.0, 0.0, 0.0, log_side, math.cos(roll) if known else 0.0, math.sin(roll) if known else 0.0, known)
