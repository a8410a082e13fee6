"""Smoothing that knows the skin mask: nothing outside the mask bleeds into what is inside."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.values import Mask

Plane = NDArray[np.float32]  # (H, W)
LIGHTNESS_FLOOR = 12.0  # L*, keeps a division by the local lightness meaningful in black
FINEST_BAND = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # Immerkær, CVIU 1996; gain 1 on noise
LEAST_WEIGHT = 1e-3  # share of skin in the window under which the mean is not defined; such pixels get 0


def halve(values: Plane) -> Plane:
    """(H/2, W/2) area average."""
    height, width = values.shape
    return cv2.resize(values, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32)


def halve_mask(mask: Mask, margin_px: int = 0) -> Mask:
    """(H/2, W/2) of a mask: only what is skin all over, minus a margin (half-size pixels) along every border."""
    inside = (halve(mask.astype(np.float32)) > 0.99).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin_px + 1,) * 2)
    return cv2.erode(inside, disc, borderValue=1).astype(bool)


def blur_inside(values: Plane, mask: Mask, sigma_px: float) -> Plane:
    """Gaussian mean over masked pixels only (normalised convolution); 0 far from the mask.

    Args:
        values: (H, W), or (H, W, C) to smooth several planes at once.
        mask: (H, W).
    """
    inside = mask.astype(np.float32)
    weight = cv2.GaussianBlur(inside, (0, 0), sigma_px)
    defined = weight > LEAST_WEIGHT
    share = np.where(defined, 1 / np.maximum(weight, LEAST_WEIGHT), np.float32(0))
    if values.ndim == 3:
        inside, share = inside[..., None], share[..., None]
    return np.asarray(cv2.GaussianBlur(values * inside, (0, 0), sigma_px) * share, np.float32)


def local_lightness(lightness: Plane, mask: Mask, sigma_px: float, step_px: int) -> Plane:
    """(H, W) wide Gaussian mean of the lightness over masked pixels, at least `LIGHTNESS_FLOOR`.

    Args:
        lightness: (H, W) L*; H and W are multiples of `step_px`.
        sigma_px: of the Gaussian.
        step_px: distance of the samples it is computed on, which makes it cheap.
    """
    weight, step = mask.astype(np.float32), 1 / step_px
    planes = (
        cv2.resize(plane, None, fx=step, fy=step, interpolation=cv2.INTER_AREA)
        for plane in (lightness * weight, weight)
    )
    total, share = (cv2.GaussianBlur(plane, (0, 0), sigma_px * step) for plane in planes)
    mean = cv2.resize(total / np.maximum(share, 1e-3), lightness.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.maximum(mean, np.float32(LIGHTNESS_FLOOR))
