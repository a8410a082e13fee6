"""Under the eyes: dark circles and puffiness, each eye against the same side's cheek; the worse eye counts.

Dark circle: how much darker the crescent below the lower lid is than the cheek beneath it, as a share of the cheek's
L*, after the light's slope over the face (a plane fitted to the other skin) has been taken off. The crescent's lower
quartile is compared with the cheek's median, since a circle often fills only a part of the crescent. Loss of b*
(bluish, vascular circles) adds a little.

Puffiness: along a walk from the lid to the cheek, a bag is a bright bulge with a shadow line below it. Its measure is
the prominence of the deepest valley of the lightness profile: how far it lies below the lower one of the maxima on
its two sides, as a share of the cheek's L*.

The raw measurement is ``deficit + BLUE_WEIGHT * blue_shift + PUFF_WEIGHT * puffiness`` (share of the cheek's L*).
The affected area is the share of both crescents that is darker than the cheek by more than `DARK_DEFICIT`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.values import Finding, Mask, Points
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.UNDER_EYE
EYES = {"left": "right_eye", "right": "left_eye"}  # picture side → the person's eye
CRESCENT_PX = (10.0, 36.0)  # working px below the lower lid where the crescent begins and ends
CHEEK_PX = (42.0, 85.0)  # working px below the lower lid: the cheek that it is compared with
CHEEK_HALF_WIDTH = 0.6  # of the eye's width
DARK_PERCENTILE = 25.0  # of the crescent's lightness
DARK_DEFICIT = 0.25  # of the cheek's L*: what is darker than the cheek by more belongs to the affected area
PROFILE_PX = (8, 66)  # working px below the lower lid, walked over for the profile
PROFILE_HALF_WIDTH = 0.3  # of the eye's width
PROFILE_SIGMA = 2.0  # px
BLUE_WEIGHT = 0.004  # share of L* per b* unit lost
PUFF_WEIGHT = 0.5
PLANE_STEP = 8  # working px between the samples of the plane of light
PLANE_TOLERANCE = 2.5  # of the median residual: what still supports the plane
LEAST_PLANE_SAMPLES = 50
LEAST_CHEEK_PX = 400
LEAST_CRESCENT_PX = 200
LEAST_LIGHTNESS = 12.0  # L* of the cheek; darker, nothing can be compared
MOST_DEFICIT = 0.8  # darker is a rim of glasses or a shadow, no skin
TURNED_AWAY = 0.5  # an eye less than this share of the other's width is not judged
MAX_SCALE = 4.5  # working px per original px
MAX_BLUR_PX = 8.0  # working px


@dataclass(frozen=True)
class Eye:
    """What was measured below one eye; lightness as a share of the cheek's L*."""

    deficit: float
    red_shift: float  # a* of the crescent less a* of the cheek
    blue_shift: float  # b* of the cheek less b* of the crescent
    puffiness: float
    dark_px: int  # of the crescent: darker than the cheek by more than `DARK_DEFICIT`
    area_px: int  # of the crescent

    @property
    def raw(self) -> float:
        darkness = max(self.deficit, 0.0) + BLUE_WEIGHT * max(self.blue_shift, 0.0)
        return darkness + PUFF_WEIGHT * self.puffiness


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Dark circles and puffiness below both eyes.

    Args:
        roi: the aligned face.
        gate: refuse pictures that are too small or too blurred; benchmarks switch it off.
    """
    if gate and roi.scale > MAX_SCALE:
        return calibration.not_measured(NAME, ReasonCode.TOO_SMALL, "The eyes are too small in the picture.")
    if gate and roi.edge_blur_px > MAX_BLUR_PX:
        return calibration.not_measured(NAME, ReasonCode.TOO_BLURRED, "The picture is too blurred around the eyes.")
    eyes = assess_eyes(roi) if roi.landmarks else {}
    seen = {side: eye for side, eye in eyes.items() if eye is not None}
    if not seen:
        return calibration.not_measured(NAME, ReasonCode.TOO_FEW_PIXELS, "Too little bare skin shows below the eyes.")
    worst = max(seen.values(), key=lambda eye: eye.raw)
    regions = {Region(f"{side}_under_eye"): None if eye is None else eye.raw for side, eye in eyes.items()}
    dark_share = sum(eye.dark_px for eye in seen.values()) / sum(eye.area_px for eye in seen.values())
    evidence = _evidence(worst, seen)
    return calibration.measured(NAME, worst.raw, regions=regions, area_fraction=dark_share, evidence=evidence)


def assess_eyes(roi: Roi) -> dict[str, Eye | None]:
    """Picture side → what lies below that eye; None when it is turned away or covered, or too little of it shows."""
    points = {side: roi.landmarks[name] for side, name in EYES.items()}
    widths = {side: float(np.ptp(eye[:, 0])) for side, eye in points.items()}
    slope = light_slope(roi, [crescent(eye) for eye in points.values()])
    wide_enough = {side: width >= TURNED_AWAY * max(widths.values()) for side, width in widths.items()}
    return {side: assess_eye(roi, eye, slope) if wide_enough[side] else None for side, eye in points.items()}


def assess_eye(roi: Roi, eye: Points, slope: NDArray[np.floating]) -> Eye | None:
    """One eye; `slope` is that of the light, L* per working px in x and y."""
    window = geometry.window_around(np.concatenate([crescent(eye), cheek(eye)]))
    below, reference = (
        geometry.fill_window(crescent(eye), window),
        geometry.fill_window(cheek(eye), window) & roi.skin[window],
    )
    if below.sum() < LEAST_CRESCENT_PX or reference.sum() < LEAST_CHEEK_PX:
        return None
    lab, cheek_lab = roi.lab[window][below], np.median(roi.lab[window][reference], axis=0)
    if cheek_lab[0] < LEAST_LIGHTNESS:
        return None
    shading = float(
        slope @ (_centre(reference) - _centre(below))
    )  # by how much the light alone makes the cheek lighter
    deficit = float(cheek_lab[0] - shading - np.percentile(lab[:, 0], DARK_PERCENTILE)) / float(cheek_lab[0])
    if deficit > MOST_DEFICIT:
        return None
    shift = np.median(lab, axis=0) - cheek_lab
    puffiness = valley_prominence(profile(roi.lab[..., 0], eye)) / float(cheek_lab[0])
    dark_px = int(np.count_nonzero(lab[:, 0] < cheek_lab[0] * (1 - DARK_DEFICIT) - shading))
    return Eye(deficit, float(shift[1]), float(-shift[2]), puffiness, dark_px, len(lab))


def crescent(eye: Points) -> Points:
    """Polygon below the lower lid, as wide as the eye; it may be darker than what the skin mask takes for skin."""
    x = np.linspace(eye[:, 0].min() - 4, eye[:, 0].max() + 4, 14)
    start, end = CRESCENT_PX
    upper = np.stack([x, lid_line(eye, x) + start], axis=1)
    lower = np.stack([x, lid_line(eye, x) + start + (end - start) * (0.3 + 0.7 * _bow(eye, x))], axis=1)
    return np.concatenate([upper, lower[::-1]]).astype(np.float32)


def cheek(eye: Points) -> Points:
    """Rectangle of cheek below the crescent."""
    middle, half = float(eye[:, 0].mean()), float(np.ptp(eye[:, 0])) * CHEEK_HALF_WIDTH
    top, bottom = (float(eye[:, 1].max()) + offset for offset in CHEEK_PX)
    return np.array(
        [[middle - half, top], [middle + half, top], [middle + half, bottom], [middle - half, bottom]], np.float32
    )


def lid_line(eye: Points, x: NDArray[np.floating]) -> NDArray[np.floating]:
    """y of the lower lid, modelled as half an ellipse from corner to corner."""
    base = float(eye[:, 1].mean())
    return base + (float(eye[:, 1].max()) - base) * _bow(eye, x)


def light_slope(roi: Roi, without: list[Points]) -> NDArray[np.floating]:
    """(2,) slope of L* over the skin, robustly fitted by a plane; zeros where there is too little skin."""
    used = roi.skin[::PLANE_STEP, ::PLANE_STEP].astype(np.uint8)
    cv2.fillPoly(used, [np.round(polygon / PLANE_STEP).astype(np.int32) for polygon in without], 0)
    rows, columns = np.nonzero(used)
    if len(rows) < LEAST_PLANE_SAMPLES:
        return np.zeros(2)
    lightness = roi.lab[::PLANE_STEP, ::PLANE_STEP, 0][rows, columns]
    basis = np.stack([columns * PLANE_STEP, rows * PLANE_STEP, np.ones_like(rows)], axis=1).astype(np.float64)
    weights: NDArray[np.floating] = np.zeros(3)
    kept = np.ones(len(rows), bool)
    for _ in range(3):
        used_basis = basis[kept]
        weights = np.linalg.solve(used_basis.T @ used_basis + 1e-3 * np.eye(3), used_basis.T @ lightness[kept])
        residual = np.abs(lightness - basis @ weights)
        kept = residual <= PLANE_TOLERANCE * np.median(residual) + 0.1
    return weights[:2]


def profile(lightness: NDArray[np.float32], eye: Points) -> NDArray[np.float32]:
    """Median L* of rows parallel to the lower lid, from the lid to the cheek."""
    middle, half = float(eye[:, 0].mean()), float(np.ptp(eye[:, 0])) * PROFILE_HALF_WIDTH
    x = np.linspace(middle - half, middle + half, 15, dtype=np.float32)
    y = lid_line(eye, x)[None] + np.arange(*PROFILE_PX)[:, None]
    columns = np.broadcast_to(x, y.shape)
    rows = cv2.remap(lightness, columns.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    line = np.median(rows, axis=1).astype(np.float32)
    return cv2.GaussianBlur(line[:, None], (0, 0), PROFILE_SIGMA, borderType=cv2.BORDER_REPLICATE)[:, 0]


def valley_prominence(line: NDArray[np.float32]) -> float:
    """Depth of the deepest valley below the lower one of its two shoulders; 0 where it only rises or only falls."""
    before = np.maximum.accumulate(line)
    after = np.maximum.accumulate(line[::-1])[::-1]
    return float((np.minimum(before, after) - line).max())


def _bow(eye: Points, x: NDArray[np.floating]) -> NDArray[np.floating]:
    """1 above the middle of the eye, 0 a little outside its corners."""
    half = float(np.ptp(eye[:, 0])) / 2 + 6
    middle = float(eye[:, 0].min() + eye[:, 0].max()) / 2
    return np.sqrt(np.clip(1 - ((x - middle) / half) ** 2, 0, 1))


def _centre(mask: Mask) -> NDArray[np.floating]:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def _evidence(worst: Eye, seen: dict[str, Eye]) -> dict[str, float]:
    evidence = {
        "darkness_percent": 100 * worst.deficit,
        "red_shift": worst.red_shift,
        "blue_shift": worst.blue_shift,
        "puffiness_percent": 100 * worst.puffiness,
    }
    return evidence | {f"darkness_percent_{side}": 100 * eye.deficit for side, eye in seen.items()}
