"""Pixels of more than 8 bits a channel, of which Pillow keeps only 8."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analyzer.image.refusals import bad_photo

_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


def decode(data: bytes, open_image: Callable[[bytes], Image.Image]) -> NDArray[np.uint16]:
    """Decode a PNG or AVIF by OpenCV to (H, W, 3) RGB or (H, W, 4) with alpha, in the file's own range of values.

    Args:
        data: the file.
        open_image: opens it with Pillow, which decodes first: its exceptions name the damage of a file, OpenCV only
            writes to stderr.
    """
    open_image(data).load()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16:
        raise bad_photo()
    return cv2.cvtColor(stored, _TO_RGB[stored.shape[2] if stored.ndim == 3 else 1])
