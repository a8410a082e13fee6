"""Wrinkles: dark, thin, elongated ridges that run the way folds of that part of the face run.

Skin lightness is divided by its local mean (so that light and dark skin count alike) and differentiated twice at one
scale. At each pixel the second derivative across the fold's expected direction, less the magnitude of the one along
it, is large for lines, and nothing for spots, pores and smooth shading (the idea of Frangi's and Sato's ridge
filters, with the direction given by anatomy instead of by the eigenvectors). What exceeds a floor is averaged over
each zone.

The raw measurement is the zones' weighted mean of "line contrast over that of a visibly wrinkled face" (1 = such a
face). The affected area is the share of the zones' pixels that lie on ridges stronger than `RIDGE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.smoothing import Plane, halve, local_lightness
from analyzer.values import Finding, Mask, Points
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.WRINKLES
WORK = geometry.SIZE // 2  # px, side at which ridges are searched
RIDGE_SIGMA = 1.25  # px at WORK (2.5 working px, 1.1 mm): scale of differentiation
FOLD_SIGMA = 1.0  # px at WORK: assumed half-width of a fold, for the blur correction
TYPICAL_BLUR = 0.8  # px at WORK: blur of a sharp picture, to which the contrast is referred
MEAN_SIGMA = 8.0  # px at WORK: local mean lightness
MEAN_STEP = 4  # px at WORK per sample of the local mean
FLOOR = 0.0015  # line contrast below which it is noise
RIDGE = 4 * FLOOR  # line contrast from which a pixel belongs to the affected area: a ridge that is surely no noise
CAP = 0.06  # line contrast above which it is no fold but a strand of hair or a rim of glasses
DARK_SHARE = 0.72  # of the local mean lightness; thin and darker is hair
BORDER_PX = 5  # px at WORK taken off the skin mask at its borders
LEAST_PX = 90  # px at WORK of a zone that make it measurable
MAX_SCALE = 2.4  # working px per original px
MAX_BLUR_PX = 3.2  # working px
CORRECTED_BLUR_PX = 2.2  # working px up to which lost contrast is made good; beyond, noise would be raised too

# zone → (line contrast of a visibly wrinkled face, weight)
ZONES: Mapping[Region, tuple[float, float]] = {
    Region.FOREHEAD: (0.0018, 1.0),
    Region.LEFT_CROWS_FEET: (0.0010, 0.5),
    Region.RIGHT_CROWS_FEET: (0.0010, 0.5),
    Region.LEFT_UNDER_EYE: (0.0020, 0.25),
    Region.RIGHT_UNDER_EYE: (0.0020, 0.25),
    Region.LEFT_NASOLABIAL: (0.0020, 0.5),
    Region.RIGHT_NASOLABIAL: (0.0020, 0.5),
    Region.WHOLE: (0.0020, 1.0),
}

LEVEL = (0.0, 1.0)  # unit vector across a horizontal fold


@dataclass(frozen=True)
class Zone:
    """Where a kind of fold lies, and the unit vector across it: x and y parts, one for all pixels or one for each.

    Mask and vectors cover only the window (rows, columns) of the WORK px picture.
    """

    window: geometry.Window
    mask: Mask
    across: tuple[Plane | float, Plane | float]


@dataclass(frozen=True)
class Lines:
    """Lines of one zone: mean contrast above the floor (share of the local lightness), and px at WORK."""

    contrast: float
    ridge_px: int
    area_px: int


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Wrinkles of one face.

    Args:
        roi: the aligned face.
        gate: refuse pictures that are too small or too blurred; benchmarks switch it off.
    """
    blur_px = roi.edge_blur_px
    if gate and roi.scale > MAX_SCALE:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_SMALL, "The face is too small in the picture for fine lines to show."
        )
    if gate and blur_px > MAX_BLUR_PX:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_BLURRED, "The picture is too blurred for fine lines to show."
        )
    lines = zone_lines(roi, blur_correction(blur_px))
    seen = {name: found for name, found in lines.items() if found is not None}
    if not seen:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_FEW_PIXELS, "Too little bare skin shows where wrinkles form."
        )
    relative = {name: found.contrast / ZONES[name][0] for name, found in seen.items()}
    weights = {name: ZONES[name][1] for name in seen}
    evidence = {f"line_contrast_{name}": 100 * found.contrast for name, found in seen.items()}
    return calibration.measured(
        NAME,
        sum(relative[name] * weight for name, weight in weights.items()) / sum(weights.values()),
        regions={name: relative.get(name) for name in lines},
        area_fraction=sum(found.ridge_px for found in seen.values()) / sum(found.area_px for found in seen.values()),
        evidence={**evidence, "blur_px": blur_px},
    )


def zone_lines(roi: Roi, correction: float) -> dict[Region, Lines | None]:
    """Zone → its lines, None where too little skin shows; contrasts are raised by the factor `correction`."""
    mask = roi.skin[::2, ::2]
    lightness = relative_lightness(halve(roi.lab[..., 0]), mask)
    hessian = second_derivatives(lightness, RIDGE_SIGMA)
    usable = bare_skin(lightness, mask)
    lines: dict[Region, Lines | None] = {}
    for name, zone in zones(roi).items():
        inside = zone.mask & usable[zone.window]
        enough = int(inside.sum()) >= LEAST_PX
        lines[name] = lines_inside(hessian, zone, inside, correction) if enough else None
    return lines


def relative_lightness(lightness: Plane, mask: Mask) -> Plane:
    """Lightness over its local mean on skin; 1 outside the skin, so that the mask's edge makes no ridge."""
    return np.where(mask, lightness / local_lightness(lightness, mask, MEAN_SIGMA, MEAN_STEP), np.float32(1.0))


def second_derivatives(plane: Plane, sigma: float) -> tuple[Plane, Plane, Plane]:
    """xx, yy and xy derivatives of a Gaussian-smoothed plane, times sigma² (scale-normalised; Lindeberg 1998)."""
    smooth, slope, bend = (gaussian_derivative(sigma, order) for order in range(3))
    pairs = ((bend, smooth), (smooth, bend), (slope, slope))
    xx, yy, xy = (cv2.sepFilter2D(plane, cv2.CV_32F, kx, ky) * np.float32(sigma**2) for kx, ky in pairs)
    return xx, yy, xy


def gaussian_derivative(sigma: float, order: int) -> NDArray[np.float32]:
    """1-D kernel of the Gaussian or its first or second derivative, for correlation as `cv2.sepFilter2D` does it."""
    x = np.arange(-np.ceil(4 * sigma), np.ceil(4 * sigma) + 1)
    gauss = np.exp(-(x**2) / (2 * sigma**2))
    gauss /= gauss.sum()
    if order == 0:
        return gauss.astype(np.float32)
    if order == 1:
        return (x / sigma**2 * gauss).astype(np.float32)
    bend = (x**2 / sigma**4 - 1 / sigma**2) * gauss
    return (bend - bend.mean()).astype(np.float32)


def lines_inside(hessian: tuple[Plane, Plane, Plane], zone: Zone, inside: Mask, correction: float) -> Lines:
    """Lines of the part `inside` of a zone."""
    values = tuple(plane[zone.window][inside] for plane in hessian)
    across = tuple(part[inside] if isinstance(part, np.ndarray) else part for part in zone.across)
    contrast = line_contrast(values, across) * correction
    return Lines(
        contrast=float(np.clip(contrast - FLOOR, 0.0, CAP).mean()),
        ridge_px=int(np.count_nonzero(contrast > RIDGE)),
        area_px=len(contrast),
    )


def line_contrast(hessian: Sequence[Plane], across: Sequence[Plane | float]) -> Plane:
    """Second derivative across the fold less the magnitude of that along it; positive on dark lines."""
    xx, yy, xy = hessian
    nx, ny = across
    over = nx * nx * xx + 2 * nx * ny * xy + ny * ny * yy
    return over - np.abs(xx + yy - over)


def blur_correction(blur_px: float) -> float:
    """How much higher a fold's response would be in a picture of typical sharpness.

    A line of Gaussian profile f seen through a blur b answers at scale s with (f² + b² + s²)^-1.5.
    """
    own = FOLD_SIGMA**2 + RIDGE_SIGMA**2
    blur = min(blur_px, CORRECTED_BLUR_PX) / 2  # px at WORK
    return float(((own + blur**2) / (own + TYPICAL_BLUR**2)) ** 1.5)


def bare_skin(lightness: Plane, mask: Mask) -> Mask:
    """Skin away from the mask's border and from what is darker than any fold."""
    strands = cv2.dilate((lightness < DARK_SHARE).astype(np.uint8), np.ones((5, 5), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    return (cv2.erode(mask.astype(np.uint8), disc) > strands).astype(bool)


def zones(roi: Roi) -> dict[Region, Zone]:
    """Zones of a face at WORK size; one zone with level folds for a close-up."""
    points = {name: group / np.float32(2) for name, group in roi.landmarks.items()}
    if not points:
        return {Region.WHOLE: Zone((slice(0, WORK), slice(0, WORK)), np.ones((WORK, WORK), bool), LEVEL)}
    found = {Region.FOREHEAD: _region(roi, Region.FOREHEAD)}
    for side, eye_name in (
        ("left", "right_eye"),
        ("right", "left_eye"),
    ):  # the person's right eye is on the picture's left
        outwards = -1.0 if side == "left" else 1.0
        found[Region(f"{side}_crows_feet")] = _crows_feet(points[eye_name], outwards)
        under_eye = Region(f"{side}_under_eye")
        found[under_eye] = _region(roi, under_eye)
        found[Region(f"{side}_nasolabial")] = _nasolabial(points["nose"], points["lips_outer"], outwards)
    return found


def _region(roi: Roi, name: Region) -> Zone:
    """A region of the report, with level folds."""
    mask = roi.regions[name][::2, ::2]
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    window = slice(y, y + height), slice(x, x + width)
    return Zone(window, mask[window], LEVEL)


def _crows_feet(eye: Points, outwards: float) -> Zone:
    """Fan from the outer corner of the eye; its lines radiate from a point inside the eye."""
    x, y = eye[(outwards * eye[:, 0]).argmax()]
    fan = np.array([[4, -7], [23, -13], [23, 17], [4, 8]], np.float32) * np.array([outwards, 1], np.float32) + np.array(
        [x, y], np.float32
    )
    window, mask = _filled(fan)
    rows, columns = np.mgrid[window].astype(np.float32)
    dx, dy = columns - (x - outwards * 10), rows - y
    length = np.hypot(dx, dy) + np.float32(1e-3)
    return Zone(window, mask, (-dy / length, dx / length))


def _nasolabial(nose: Points, lips: Points, outwards: float) -> Zone:
    """Band from the wing of the nose to below the corner of the mouth."""
    wing = np.array([(outwards * nose[:, 0]).max() * outwards + outwards * 2, nose[:, 1].max() - 7], np.float32)
    end = lips[(outwards * lips[:, 0]).argmax()] + np.array([outwards * 7, 5], np.float32)
    side, down = np.array([outwards, 0], np.float32), np.array([0, 1], np.float32)
    band = np.stack([wing - 3 * down, wing + 17 * side - 3 * down, end + 15 * side, end - 2 * side])
    along = (end - wing) / np.hypot(*(end - wing))
    return Zone(*_filled(band), (float(-along[1]), float(along[0])))


def _filled(polygon: NDArray[np.floating]) -> tuple[geometry.Window, Mask]:
    """Window (rows, columns) around a polygon, inside the crop, and the polygon's mask in it."""
    window = geometry.window_around(polygon, WORK)
    return window, geometry.fill_window(polygon, window)
