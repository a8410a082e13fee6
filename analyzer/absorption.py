"""Skin colour as light absorption: what melanin and what blood takes away, apart from shade.

Natural optical density D = -ln(linear intensity + 0.02) adds up where absorbers lie over each other, and shade adds
the same to all channels. Melanin absorbs blue > green > red, blood absorbs green most and red hardly (the ordering used
by Tsumura et al., "Image-based skin color and texture analysis/synthesis by extracting hemoglobin and melanin
information in the skin", SIGGRAPH 2003). Hence

- D_red: melanin and shade, hardly blood;
- D_blue - D_red: melanin, free of shade;
- 2 D_green - D_red - D_blue: blood, free of shade and, to first order, of melanin.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.smoothing import Plane, blur_inside
from analyzer.values import Mask, Rgb

DENSITY_OFFSET = 0.02  # linear intensity, keeps black pixels finite
MOTTLE_PX = 2.0  # standard deviation, pixels of the density map, of the smoothing before blood mottling is judged
MOTTLE_FLOOR = 0.05  # optical density, camera noise on even skin

Density = NDArray[np.float32]  # (H/2, W/2, 3) natural optical density in red, green, blue


def optical_density(rgb: Rgb, offset: float = DENSITY_OFFSET) -> Density:
    """Optical density of an sRGB picture at half its size, 0..3.9.

    A larger `offset` (linear intensity) makes dark skin less sensitive to the sheen that lies over its colour.
    """
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    encoded = np.arange(256) / 255
    linear = np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)  # IEC 61966-2-1
    return cv2.LUT(small, -np.log(linear + offset).astype(np.float32))


def blood(density: Density) -> Plane:
    """Green excess of absorption, optical density."""
    return 2 * density[..., 1] - density[..., 0] - density[..., 2]


def brown(density: Density) -> Plane:
    """Blue excess of absorption over red, optical density."""
    return density[..., 2] - density[..., 0]


def blood_mottle(density: Density, skin: Mask) -> float:
    """Standard deviation of blood over the skin (mask as large as the map), optical density: how unevenly red it is."""
    return float(blur_inside(blood(density), skin, MOTTLE_PX)[skin].std())
