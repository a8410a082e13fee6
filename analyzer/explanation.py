"""Aligned face + activation map -> picture of where the evidence lies, to be read on light and on dark skin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Rgb

TINT = (40, 140, 215)  # sRGB; a blue, which no skin has
MOST_TINT = 0.65  # share of the tint's colour where the evidence is strongest, 0..1
LINE_LEVELS = (0.5, 0.8)  # shares of the strongest evidence that are outlined
LINE, RIM = (255, 255, 255), (0, 0, 0)
LINE_PX, RIM_PX = 2, 6  # width of the light line, and of the dark one below it


def draw(rgb: Rgb, activation: NDArray[np.float32]) -> Rgb:
    """The face with a blue tint that grows with the evidence, and light lines with a dark rim around the strongest parts.

    Args:
        rgb: (H, W, 3) uint8 sRGB: the aligned face, which the map covers as a whole.
        activation: (h, w) float32 in 0..1; all zero where nothing speaks for the outcome, and the face stays as it is.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    heat = np.clip(cv2.resize(activation, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    share = MOST_TINT * heat[..., None]
    drawn = np.round(rgb * (1.0 - share) + np.array(TINT) * share).astype(np.uint8)
    for level in LINE_LEVELS:
        edges, _ = cv2.findContours((heat >= level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, edges, -1, RIM, RIM_PX, cv2.LINE_AA)
        cv2.drawContours(drawn, edges, -1, LINE, LINE_PX, cv2.LINE_AA)
    return drawn
