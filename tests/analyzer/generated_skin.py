"""Plausible skin out of numbers, for tests of physics: a face of one of three tones, and what can be added to it.

A picture is a `(512, 512, 3)` float32 CIELAB canvas in working pixels. Each ``add_*`` returns a changed copy, so that
two canvases differ in exactly one thing. `roi_of` turns a canvas into a Roi with the landmarks of a symmetric frontal
face; the centre of symmetry is x = 255.5, so that flipping an array mirrors the face.

    lab = add_red_blobs(face("dark"), spread(12, "left_cheek", "right_cheek"), diameter_mm=4, a_excess=8)
    finding = acne.measure(roi_of(lab))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry, roi
from analyzer.roi import Roi
from analyzer.values import Box, Face, Mask, Points, Rgb

TONES: Mapping[str, tuple[float, float, float]] = {  # CIELAB of light, medium and dark skin in daylight
    "light": (74.0, 11.0, 16.0),
    "medium": (60.0, 13.0, 20.0),
    "dark": (36.0, 11.0, 15.0),
}
MIDDLE = 255.5  # px, x of the axis of symmetry
Lab = NDArray[np.float32]
Centres = NDArray[np.float32]  # (N, 2) x, y in working px


def plain(tone: str = "medium") -> Lab:
    """One colour all over: no noise, no shading, no features."""
    return np.broadcast_to(np.float32(TONES[tone]), (geometry.SIZE, geometry.SIZE, 3)).copy()


def face(tone: str = "medium", *, seed: int = 0, noise: float = 0.6, shading: float = 4.0) -> Lab:
    """Skin with fine noise, soft mottling, light from above, and the features of a face (eyes, brows, lips, nostrils).

    Args:
        tone: key of `TONES`.
        seed: of noise and mottling.
        noise: standard deviation of the pixel-fine noise in L* units; a* and b* get half.
        shading: fall of L* from the brow to the chin and, half as much, from the middle to the sides.
    """
    lab = add_shading(plain(tone), down=shading, sideways=shading / 2)
    lab = add_texture(lab, noise, grain_px=0.8, seed=seed)
    lab[..., 1:] += 0.5 * noise * _grain(2, 0.8, seed + 1)
    lab += np.float32([0.8, 0.5, 0.5]) * _grain(3, 20.0, seed + 2)
    return _with_features(lab)


def add_shading(lab: Lab, *, down: float, sideways: float = 0.0) -> Lab:
    """Light that falls off by `down` L* from brow to chin and `sideways` L* from the middle to both sides."""
    y, x = np.mgrid[0 : geometry.SIZE, 0 : geometry.SIZE].astype(np.float32)
    fall = down * (y - 150) / 315 + sideways * ((x - MIDDLE) / 145) ** 2
    return _shifted(lab, fall * -1.0, (1.0, 0.0, 0.0))


def add_redness(
    lab: Lab, a_excess: float, *, blur_px: float = 25.0, regions: Sequence[str] = ("left_cheek", "right_cheek")
) -> Lab:
    """Diffuse flush over regions with soft edges: a* up by `a_excess` at most, L* down by a third of it."""
    area = np.any([region_mask(name) for name in regions], axis=0).astype(np.float32)
    return _shifted(lab, cv2.GaussianBlur(area, (0, 0), blur_px) * a_excess, (-0.35, 1.0, 0.2))


def add_red_blobs(lab: Lab, centres: Centres, *, diameter_mm: float = 4.0, a_excess: float = 8.0) -> Lab:
    """Inflamed spots: round, soft-edged, a* up by `a_excess` in the middle, L* down by a third of it."""
    return _shifted(lab, blobs(centres, diameter_mm) * a_excess, (-0.35, 1.0, 0.2))


def add_brown_spots(lab: Lab, centres: Centres, *, diameter_mm: float = 4.0, deficit: float = 0.2) -> Lab:
    """Freckles, moles, lentigines: L* down by `deficit` of its own value, b* slightly up, a* hardly changed."""
    spots = blobs(centres, diameter_mm)
    return _shifted(lab, spots * deficit * lab[..., 0], (-1.0, 0.06, 0.12))


def add_lines(lab: Lab, lines: Sequence[Points], *, width_px: float = 2.0, depth: float = 0.12) -> Lab:
    """Creases along polylines ((N, 2) working px): L* down by `depth` of its own value."""
    drawn = np.zeros(lab.shape[:2], np.uint8)
    points = [np.round(line * 16).astype(np.int32) for line in lines]
    cv2.polylines(drawn, points, False, 255, max(1, round(width_px)), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), 0.5 * width_px)
    return _shifted(lab, soft / max(float(soft.max()), 1e-6) * depth * lab[..., 0], (-1.0, 0.0, 0.0))


def add_pores(lab: Lab, centres: Centres, *, diameter_mm: float = 0.7, deficit: float = 0.1) -> Lab:
    """Small dark dots: L* down by `deficit` of its own value."""
    return _shifted(lab, blobs(centres, diameter_mm) * deficit * lab[..., 0], (-1.0, 0.0, 0.0))


def add_texture(lab: Lab, sd: float, *, grain_px: float = 1.5, seed: int = 7) -> Lab:
    """Roughness: L* noise of standard deviation `sd` and grain size `grain_px`."""
    return _shifted(lab, sd * _grain(1, grain_px, seed)[..., 0], (1.0, 0.0, 0.0))


def add_under_eye_darkening(lab: Lab, deficit: float, *, sides: Sequence[str] = ("left", "right")) -> Lab:
    """Dark circles: L* down by `deficit` of its own value under the eyes, b* down by a quarter of that."""
    area = np.any([geometry.fill(region_polygons()[f"{side}_under_eye"]) for side in sides], axis=0).astype(np.float32)
    return _shifted(lab, cv2.GaussianBlur(area, (0, 0), 4) * deficit * lab[..., 0], (-1.0, 0.05, -0.25))


def add_uneven_pigment(lab: Lab, sd: float, *, patch_px: float = 18.0, seed: int = 5) -> Lab:
    """Blotches: L* noise of `sd` and patch size `patch_px`, browner where darker."""
    return _shifted(lab, sd * _grain(1, patch_px, seed)[..., 0], (1.0, -0.1, -0.3))


def blobs(centres: Centres, diameter_mm: float) -> NDArray[np.float32]:
    """(512, 512) float32 0..1: smooth bumps whose half height is `diameter_mm` across; overlaps do not add up."""
    y, x = np.mgrid[0 : geometry.SIZE, 0 : geometry.SIZE].astype(np.float32)
    sigma = diameter_mm * geometry.PX_PER_MM / 2.355
    height = np.zeros((geometry.SIZE, geometry.SIZE), np.float32)
    for centre_x, centre_y in centres:
        squared = (x - centre_x) ** 2 + (y - centre_y) ** 2
        height = np.maximum(height, np.exp(-squared / (2 * sigma**2)))
    return height


def spread(count: int, *regions: str, seed: int = 3, apart_px: float = 16.0, inset_px: int = 12) -> Centres:
    """`count` places inside regions (all skin when none is named), `apart_px` from each other, `inset_px` from edges.

    The first n places are the same for every count, so that more spots means the same spots and further ones.
    """
    area = np.any([region_mask(name) for name in regions], axis=0) if regions else skin_mask()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * inset_px + 1,) * 2)
    inner = cv2.erode((area & skin_mask()).astype(np.uint8), disc, borderValue=0)
    candidates = np.argwhere(inner)[:, ::-1]
    kept: list[NDArray[np.int64]] = []
    for point in np.random.default_rng(seed).permutation(candidates):
        if len(kept) == count:
            return np.float32(kept).reshape(-1, 2)
        if all(np.hypot(*(point - other)) >= apart_px for other in kept):
            kept.append(point)
    raise ValueError(f"no room for {count} places in {regions or 'the face'}")


@cache
def landmarks() -> Mapping[str, Points]:
    """Landmarks of the mean frontal face in working px, symmetric about `MIDDLE`."""
    eyes = np.float32([[160, 180], [240, 180]])
    mean = geometry.predict_landmarks(Face(Box(100, 100, 200, 200), 1.0, eyes, 0.0, "generated"))
    to_working = geometry.align(mean)
    return {name: geometry.transform(to_working, points) - np.float32([0.5, 0]) for name, points in mean.items()}


@cache
def skin_mask() -> Mask:
    """(512, 512) bool: the face outline without features; symmetric."""
    mask = geometry.fill(geometry.outline(landmarks()))
    mask &= ~geometry.fill(*geometry.feature_polygons(landmarks()).values())
    return mask & mask[:, ::-1]


def region_polygons() -> Mapping[str, Points]:
    return geometry.region_polygons(landmarks())


def region_mask(name: str) -> Mask:
    return geometry.fill(region_polygons()[name]) & skin_mask()


def roi_of(lab: Lab, *, scale: float = 1.0, mask: Mask | None = None) -> Roi:
    """Roi of a canvas; `scale` is working px per original px and sets where lesion boxes lie in the original.

    The picture loses the detail that an original of this size could not hold.
    """
    rgb = to_rgb(lab)
    if scale > 1:
        side = round(geometry.SIZE / scale)
        small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(small, (geometry.SIZE, geometry.SIZE), interpolation=cv2.INTER_CUBIC)
    to_original = np.float32([[1 / scale, 0, 0], [0, 1 / scale, 0]])
    return roi.from_parts(
        rgb,
        (skin_mask() if mask is None else mask).copy(),
        _copied(landmarks()),
        to_original=to_original,
        scale=scale,
        yaw_deg=0.0,
    )


def close_up_of(lab: Lab) -> Roi:
    """Roi of skin without a face: no landmarks, one region, all of it skin."""
    return roi.from_parts(to_rgb(lab), np.ones(lab.shape[:2], bool), {})


def to_rgb(lab: Lab) -> Rgb:
    """(H, W, 3) uint8 sRGB of CIELAB."""
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.clip(np.round(rgb * 255), 0, 255).astype(np.uint8)


def flipped(lab: Lab) -> Lab:
    """The mirrored canvas; landmarks and mask are symmetric and stay."""
    return lab[:, ::-1].copy()


def _with_features(lab: Lab) -> Lab:
    points = landmarks()
    colours = {
        "right_brow": (22.0, 4.0, 6.0),
        "left_brow": (22.0, 4.0, 6.0),
        "right_eye": (45.0, 2.0, 0.0),
        "left_eye": (45.0, 2.0, 0.0),
        "lips_outer": (0.75 * float(lab[..., 0].mean()), 28.0, 12.0),
    }
    for name, colour in colours.items():
        weight = cv2.GaussianBlur(geometry.fill(geometry.grow(points[name], 0.0)).astype(np.float32), (0, 0), 1.5)[
            ..., None
        ]
        lab = lab * (1 - weight) + np.float32(colour) * weight
    nostrils = np.float32([[MIDDLE - 22, 302], [MIDDLE + 22, 302]])
    return _shifted(lab, blobs(nostrils, 3.0) * 0.6 * lab[..., 0], (-1.0, 0.0, 0.0))


def _shifted(lab: Lab, amount: NDArray[np.float32], direction: tuple[float, float, float]) -> Lab:
    return (lab + amount[..., None] * np.float32(direction)).astype(np.float32)


def _grain(channels: int, sigma_px: float, seed: int) -> NDArray[np.float32]:
    """(512, 512, channels) noise of standard deviation 1 and grain size sigma_px."""
    noise = np.random.default_rng(seed).standard_normal((geometry.SIZE, geometry.SIZE, channels)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma_px).reshape(noise.shape)
    return smooth / smooth.std(axis=(0, 1))


def _copied(points: Mapping[str, Points]) -> dict[str, Points]:
    return {name: group.copy() for name, group in points.items()}
