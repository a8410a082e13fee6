"""Conversion to sRGB by an embedded ICC profile."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from analyzer.values import Rgb

TOLERANCE = 2  # of 255; a profile that moves no colour further than this is sRGB for our purposes


def to_srgb(rgb: Rgb, profile: bytes) -> Rgb | None:
    """Convert by a profile for RGB or, in a grey picture, for grey; None when the profile is broken or for another model.

    Relative colorimetric, black point compensated. A profile that is sRGB leaves the picture as it is.
    """
    transform = _transform(profile, "RGB")
    if transform is not None:
        return rgb if _is_srgb(profile) else np.asarray(transform.apply(Image.fromarray(rgb)))
    transform = _transform(profile, "L") if _is_grey(rgb) else None
    return None if transform is None else np.asarray(transform.apply(Image.fromarray(rgb[..., 0])))


def _is_grey(rgb: Rgb) -> bool:
    return bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]))


def cmyk_to_srgb(cmyk: NDArray[np.uint8], profile: bytes | None) -> Rgb:
    """Convert (H, W, 4) ink 0..255 by a profile, or by the plain formula where there is none that fits."""
    image = Image.fromarray(cmyk, "CMYK")
    transform = _transform(profile, "CMYK") if profile else None
    return np.asarray(image.convert("RGB") if transform is None else transform.apply(image))


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from `profile` to sRGB, or None when the profile cannot be used with this mode.

    Kept, because a few kinds of phones send most photos.
    """
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except MemoryError:
        raise
    except Exception:  # an unusable profile does not refuse the picture, for any reason
        return None


@lru_cache(maxsize=8)
def _is_srgb(profile: bytes) -> bool:
    """Return whether a usable profile moves no colour of a grid of 9 × 9 × 9 by more than TOLERANCE."""
    transform = _transform(profile, "RGB")
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(grid))) if transform else grid
    return bool(cv2.absdiff(grid, moved).max() <= TOLERANCE)
