"""Pores: small round dark dots on nose and cheeks.

Lightness relative to its local mean goes through a pyramid of differences of Gaussians; a dot is a local maximum of
darkness over place and scale. Its contrast is that of the scale that answers strongest; it counts where the surface
curves alike in all directions (no lines, no stubble) and where it stands out of the picture's own noise. Pores are
0.2 to 0.5 mm wide, dilated ones up to 1 mm; on the working crop (2.2 px per mm) optics and sampling make even the
smallest look about 1 mm wide, so size is not measured, only number and contrast.

The raw measurement is the summed contrast above the threshold per area, in percent of the local lightness per cm².
The affected area is what is at least half as dark as the counted dot that it surrounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.smoothing import FINEST_BAND, Plane, local_lightness
from analyzer.values import Finding, Lesion, Mask
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.PORES
REGIONS = (Region.NOSE, Region.LEFT_CHEEK, Region.RIGHT_CHEEK, Region.WHOLE)
SIGMAS = (0.7, 1.0, 1.4, 2.0, 2.8)  # working px; dots of about 0.9 to 2 mm apparent width answer to neighbouring pairs
LEAST_CONTRAST = 0.012  # of the local lightness: what is weaker does not count
OVER_NOISE = 4.0  # times the noise at the dot's scale
MOST_DEPTH = 0.25  # of the local lightness at the darkest pixel: more is a mole, a hair, a nostril or a dead pixel
LEAST_ROUNDNESS = 0.35  # smaller over larger principal curvature
NOISE_IN_BANDS = (0.178, 0.112, 0.084, 0.055)  # contrast of white noise in each band over that in the finest, computed
MEAN_SIGMA = 12.0  # working px: local mean lightness
MEAN_STEP = 8  # working px per sample of it
BORDER_PX = 13  # working px taken off the skin mask at its borders
LEAST_PX = 900  # working px of a region that make it measurable
PX_PER_CM2 = (10 * geometry.PX_PER_MM) ** 2
MAX_SCALE = 1.4  # working px per original px
MAX_BLUR_PX = 2.2  # working px
MAX_LESIONS = 60  # boxes in the report, strongest first
BOX_PX = 6.0  # working px, side of a dot's box
REACH_PX = 3  # working px to each side of a dot's darkest pixel: its area is sought there
HALF_HEIGHT = 0.5  # of the dot's contrast: what is darker belongs to its area


@dataclass(frozen=True)
class Dots:
    """Dots of one region: (N, 2) x, y in working px and (N,) contrast; area of the region, and of the dots in it, in cm²."""

    places: NDArray[np.int64]
    contrast: Plane
    excess: Plane
    area_cm2: float
    covered_cm2: float

    @property
    def raw(self) -> float:
        return 100 * float(self.excess.sum()) / self.area_cm2


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Visible pores.

    Args:
        roi: the aligned face, or a close-up.
        gate: refuse pictures that are too small or too blurred; benchmarks switch it off.
    """
    blur_px = roi.edge_blur_px
    if gate and roi.scale > MAX_SCALE:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_SMALL, "The face is too small in the picture for pores to show."
        )
    if gate and blur_px > MAX_BLUR_PX:
        return calibration.not_measured(NAME, ReasonCode.TOO_BLURRED, "The picture is too blurred for pores to show.")
    found = find_dots(roi)
    seen = {name: dots for name, dots in found.items() if dots is not None}
    if not seen:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_FEW_PIXELS, "Too little bare skin shows on nose and cheeks."
        )
    area = sum(dots.area_cm2 for dots in seen.values())
    contrast = np.concatenate([dots.contrast for dots in seen.values()])
    evidence = {
        "count_per_cm2": len(contrast) / area,
        "count": float(len(contrast)),
        "mean_contrast_percent": 100 * float(contrast.mean()) if len(contrast) else 0.0,
        "blur_px": blur_px,
    }
    raw = sum(dots.raw * dots.area_cm2 for dots in seen.values()) / area
    regions = {name: None if dots is None else dots.raw for name, dots in found.items()}
    return calibration.measured(
        NAME,
        raw,
        regions=regions,
        area_fraction=sum(dots.covered_cm2 for dots in seen.values()) / area,
        lesions=_lesions(roi, seen),
        evidence=evidence,
    )


def find_dots(roi: Roi) -> dict[Region, Dots | None]:
    """Region → its dots, None where too little skin shows."""
    regions = {name: roi.regions[name] for name in REGIONS if name in roi.regions}
    window = geometry.window(np.any(list(regions.values()), axis=0), 2 * MEAN_STEP, MEAN_STEP)
    skin = roi.skin[window]
    lightness = np.ascontiguousarray(roi.lab[..., 0][window])
    relative = np.where(skin, lightness / local_lightness(lightness, skin, MEAN_SIGMA, MEAN_STEP), np.float32(1.0))
    finest = np.abs(cv2.filter2D(relative, cv2.CV_32F, FINEST_BAND))
    contrast, scale = strongest_darkness(relative)
    shallow = cv2.erode(relative, np.ones((3, 3), np.uint8)) > 1 - MOST_DEPTH
    peaks = local_peaks(contrast) & (roundness(relative) > LEAST_ROUNDNESS) & shallow
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    inner = cv2.erode(skin.astype(np.uint8), disc).astype(bool)
    corner = np.array([window[1].start, window[0].start])
    found: dict[Region, Dots | None] = {}
    for name, region in regions.items():
        area = region[window] & inner
        noise = 1.4826 * float(np.median(finest[area])) if area.any() else 0.0
        found[name] = region_dots(contrast, scale, peaks, noise, area, corner)
    return found


def region_dots(
    contrast: Plane, scale: NDArray[np.uint8], peaks: Mask, noise: float, area: Mask, corner: NDArray[np.int64]
) -> Dots | None:
    """Dots of one region that stand out of its noise.

    Args:
        contrast: darkness in a window of the crop.
        scale: index of the band that answers.
        peaks: where dots may be.
        noise: contrast in the finest band.
        area: the region's skin away from borders.
        corner: x, y of the window in working px.
    """
    area_px = int(area.sum())
    if area_px < LEAST_PX:
        return None
    rows, columns = np.nonzero(peaks & area)
    limit = np.maximum(LEAST_CONTRAST, OVER_NOISE * noise * np.array(NOISE_IN_BANDS, np.float32)[scale[rows, columns]])
    excess = contrast[rows, columns] - limit
    kept = excess > 0
    rows, columns = rows[kept], columns[kept]
    covered = around_dots(contrast, rows, columns) & area
    return Dots(
        places=np.stack([columns, rows], axis=1) + corner,
        contrast=contrast[rows, columns],
        excess=excess[kept],
        area_cm2=area_px / PX_PER_CM2,
        covered_cm2=float(np.count_nonzero(covered)) / PX_PER_CM2,
    )


def around_dots(contrast: Plane, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Mask:
    """What is at least half as dark as a dot within reach of it; rows and columns are the dots' places."""
    step_y, step_x = np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1].reshape(2, 1, -1)
    y = np.clip(rows[:, None] + step_y, 0, contrast.shape[0] - 1)
    x = np.clip(columns[:, None] + step_x, 0, contrast.shape[1] - 1)
    dark = contrast[y, x] >= HALF_HEIGHT * contrast[rows, columns][:, None]
    around = np.zeros(contrast.shape, bool)
    around[y[dark], x[dark]] = True
    return around


def strongest_darkness(relative: Plane) -> tuple[Plane, NDArray[np.uint8]]:
    """Largest darkness over the bands of the pyramid, and the index of the band."""
    levels = [cv2.GaussianBlur(relative, (0, 0), sigma) for sigma in SIGMAS]
    best = levels[1] - levels[0]
    scale = np.zeros(relative.shape, np.uint8)
    for index in range(1, len(SIGMAS) - 1):
        band = levels[index + 1] - levels[index]
        stronger = band > best
        scale[stronger] = index
        best = np.maximum(best, band)
    return best, scale


def local_peaks(plane: Plane) -> Mask:
    """Maxima of their 5 x 5 neighbourhood."""
    return plane >= cv2.dilate(plane, np.ones((5, 5), np.uint8))


def roundness(relative: Plane) -> Plane:
    """Smaller over larger principal curvature of a dark dot, 0..1; 0 or less on lines and saddles."""
    smooth = cv2.GaussianBlur(relative, (0, 0), SIGMAS[2])
    xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, dx, dy, ksize=3) for dx, dy in ((2, 0), (0, 2), (1, 1)))
    middle = (xx + yy) / 2
    spread = np.sqrt(np.square((xx - yy) / 2) + np.square(xy))
    return np.where(middle > 0, (middle - spread) / np.maximum(middle + spread, 1e-6), np.float32(0.0))


def _lesions(roi: Roi, found: dict[Region, Dots]) -> list[Lesion]:
    """The strongest dots with boxes in original pixels; contrast in percent."""
    ranked = sorted(
        (
            (float(value), place, name)
            for name, dots in found.items()
            for value, place in zip(dots.contrast, dots.places, strict=True)
        ),
        key=lambda item: -item[0],
    )
    corner = BOX_PX / 2 - 0.5
    return [
        Lesion(roi.original_box(place[0] - corner, place[1] - corner, BOX_PX, BOX_PX), 100 * value, name)
        for value, place, name in ranked[:MAX_LESIONS]
    ]
