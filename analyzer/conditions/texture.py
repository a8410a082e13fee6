"""Texture: how rough the skin's surface looks on cheeks, forehead and nose.

Roughness is the contrast of lightness in a band of about 2 to 6 mm wavelength (pits, bumps, flakes, creases; not
pores, not shading), relative to the local lightness. What the picture's own noise puts into that band is taken off:
noise is estimated from the finest band, where skin shows next to nothing, and white noise fills bands in known
proportion.

Local binary patterns (Ojala, Pietikäinen & Mäenpää, PAMI 2002; 8 neighbours, uniform, rotation invariant) tell how
varied the surface is without regard to contrast: smooth skin shows few patterns (edges of soft shades), a rough one
nearly all. The entropy of their histogram weighs the roughness.

The raw measurement is the mean over regions of ``roughness * (1 + entropy - ENTROPY_TYPICAL)``, in percent of the
local lightness. The affected area is where the same value, with the roughness of a small window, exceeds the raw
measurement at which the severity `low` begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import calibration, geometry
from analyzer.roi import Roi
from analyzer.smoothing import FINEST_BAND, Plane, local_lightness
from analyzer.values import Finding, Mask
from analyzer.vocabulary import ConditionName, ReasonCode, Region

NAME = ConditionName.TEXTURE
REGIONS = (Region.FOREHEAD, Region.NOSE, Region.LEFT_CHEEK, Region.RIGHT_CHEEK, Region.WHOLE)
WORK = geometry.SIZE // 2  # px, side of the half-size crop on which texture is measured
BAND_SIGMAS = (0.8, 2.4)  # px at WORK: difference of Gaussians, passes wavelengths of about 5 to 15 working px
MEAN_SIGMA = 8.0  # px at WORK: local mean lightness
MEAN_STEP = 4  # px at WORK per sample of it
OUTLIER = 3.0  # robust standard deviations: beyond are moles, hair, wrinkles; clipped
NOISE_IN_BAND = 0.147  # white noise of 512 px pictures: its contrast in the band over that in the finest band, computed
LBP_RADIUS = 2.0  # px at WORK
ENTROPY_TYPICAL = 2.0  # nats, of the 10 patterns' histogram; at most ln 10 = 2.3
LEAST_WEIGHT = 0.01  # of the entropy: keeps the limit of rough places finite on surfaces without patterns
LOCAL_PX = 9  # px at WORK, about 8 mm: side of the window of local roughness
BORDER_PX = 9  # px at WORK taken off the skin mask at its borders
LEAST_PX = 250  # px at WORK of a region that make it measurable
MAX_SCALE = 2.2  # working px per original px
MAX_BLUR_PX = 3.0  # working px


@dataclass(frozen=True)
class Surface:
    """One region: contrast in percent of the local lightness, entropy in nats."""

    roughness: float
    noise: float
    entropy: float

    @property
    def raw(self) -> float:
        return self.roughness * (1.0 + self.entropy - ENTROPY_TYPICAL)

    def energy_at(self, raw: float) -> float:
        """Mean square of the band, noise included, that gives a raw measurement here."""
        weight = max(1.0 + self.entropy - ENTROPY_TYPICAL, LEAST_WEIGHT)
        return (raw / (100 * weight)) ** 2 + (NOISE_IN_BAND * self.noise / 100) ** 2


def measure(roi: Roi, *, gate: bool = True) -> Finding:
    """Roughness of the skin.

    Args:
        roi: the aligned face, or a close-up.
        gate: refuse pictures that are too small or too blurred; benchmarks switch it off.
    """
    blur_px = roi.edge_blur_px
    if gate and roi.scale > MAX_SCALE:
        return calibration.not_measured(
            NAME, ReasonCode.TOO_SMALL, "The face is too small in the picture for texture to show."
        )
    if gate and blur_px > MAX_BLUR_PX:
        return calibration.not_measured(NAME, ReasonCode.TOO_BLURRED, "The picture is too blurred for texture to show.")
    surfaces, affected = assess_regions(roi)
    seen = [surface for surface in surfaces.values() if surface is not None]
    if not seen:
        return calibration.not_measured(NAME, ReasonCode.TOO_FEW_PIXELS, "Too little bare skin shows.")
    regions = {name: None if surface is None else surface.raw for name, surface in surfaces.items()}
    evidence = {
        "roughness_percent": float(np.mean([surface.roughness for surface in seen])),
        "noise_percent": float(np.mean([surface.noise for surface in seen])),
        "pattern_entropy": float(np.mean([surface.entropy for surface in seen])),
        "blur_px": blur_px,
    }
    return calibration.measured(
        NAME,
        float(np.mean([surface.raw for surface in seen])),
        regions=regions,
        area_fraction=affected,
        evidence=evidence,
    )


def assess_regions(roi: Roi) -> tuple[dict[Region, Surface | None], float]:
    """Region → its surface, None where too little skin shows; and the share of all their skin that is rough, 0..1."""
    regions = {name: roi.regions[name] for name in REGIONS if name in roi.regions}
    window = geometry.window(np.any(list(regions.values()), axis=0), 4 * MEAN_STEP, 2 * MEAN_STEP)
    skin, lightness = roi.skin[window][::2, ::2], np.ascontiguousarray(roi.lab[..., 0][window])
    half = cv2.resize(lightness, skin.shape[::-1], interpolation=cv2.INTER_AREA)
    mean = local_lightness(half, skin, MEAN_SIGMA, MEAN_STEP)
    relative = np.where(skin, half / mean, np.float32(1.0))
    finest = cv2.filter2D(lightness, cv2.CV_32F, FINEST_BAND)[::2, ::2] / mean
    fine, coarse = (cv2.GaussianBlur(relative, (0, 0), sigma) for sigma in BAND_SIGMAS)
    band, patterns = fine - coarse, uniform_patterns(fine, LBP_RADIUS)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BORDER_PX, BORDER_PX))
    inner = cv2.erode(skin.astype(np.uint8), disc).astype(bool)
    areas = {name: region[window][::2, ::2] & inner for name, region in regions.items()}
    seen = {name: area for name, area in areas.items() if int(area.sum()) >= LEAST_PX}
    energy = {name: clipped_energy(band[area]) for name, area in seen.items()}
    surfaces = {name: assess_surface(energy[name], finest[area], patterns[area]) for name, area in seen.items()}
    return {name: surfaces.get(name) for name in areas}, rough_share(surfaces, energy, seen)


def rough_share(
    surfaces: Mapping[Region, Surface], energy: Mapping[Region, Plane], areas: Mapping[Region, Mask]
) -> float:
    """Share of the skin in `areas` where the roughness of the window around is at least `low`, 0..1; 0 for no skin."""
    if not areas:
        return 0.0
    limit = raw_where_low_begins()
    excess = np.zeros(next(iter(areas.values())).shape, np.float32)
    for name, area in areas.items():
        excess[area] = energy[name] - surfaces[name].energy_at(limit)
    rough = cv2.blur(excess, (LOCAL_PX, LOCAL_PX)) > 0
    return sum(np.count_nonzero(rough & area) for area in areas.values()) / sum(map(len, energy.values()))


def raw_where_low_begins() -> float:
    """Raw measurement at which the severity becomes `low`: the score's limit followed back through the anchors."""
    formula = calibration.formulas()[NAME]
    raws, scores = zip(*formula.anchors, strict=True)
    return float(np.interp(formula.severity_limits[1], scores, raws))


def assess_surface(energy: Plane, finest: Plane, patterns: NDArray[np.uint8]) -> Surface:
    """Roughness of one region's pixels, noise taken off in quadrature."""
    noise = 1.4826 * float(np.median(np.abs(finest)))
    variance = float(np.sqrt(np.mean(energy))) ** 2 - (NOISE_IN_BAND * noise) ** 2
    share = np.bincount(patterns, minlength=10) / len(patterns)
    entropy = -float((share * np.log(np.maximum(share, 1e-12))).sum())
    return Surface(100 * float(np.sqrt(max(variance, 0.0))), 100 * noise, entropy)


def clipped_energy(values: Plane) -> Plane:
    """Squares of values clipped at `OUTLIER` robust standard deviations."""
    limit = OUTLIER * 1.4826 * float(np.median(np.abs(values)))
    return np.square(np.clip(values, -limit, limit))


def uniform_patterns(plane: Plane, radius: float) -> NDArray[np.uint8]:
    """(H, W) uint8 in 0..9: rotation-invariant uniform local binary pattern of 8 neighbours.

    0..8 = number of neighbours at least as light as the centre, where these form one arc; 9 = any other pattern.
    """
    codes = np.zeros(plane.shape, np.uint8)
    for bit in range(8):
        neighbour = cv2.filter2D(plane, cv2.CV_32F, _neighbour_kernel(radius, bit), borderType=cv2.BORDER_REPLICATE)
        codes |= (neighbour >= plane).astype(np.uint8) << bit
    return cv2.LUT(codes, _pattern_table()).astype(np.uint8)


@cache
def _neighbour_kernel(radius: float, bit: int) -> Plane:
    """Kernel that fetches the neighbour at `radius` and 45° * bit by bilinear interpolation."""
    angle = 2 * np.pi * bit / 8
    x, y = round(radius * float(np.cos(angle)), 5), round(-radius * float(np.sin(angle)), 5)
    reach = int(np.ceil(radius))
    axis = np.arange(-reach, reach + 1)
    kernel = np.outer(np.clip(1 - np.abs(axis - y), 0, 1), np.clip(1 - np.abs(axis - x), 0, 1))
    return kernel.astype(np.float32)


@cache
def _pattern_table() -> NDArray[np.uint8]:
    """(256,) uint8: code of eight bits → pattern."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)
