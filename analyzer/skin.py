"""Aligned crop + landmarks -> skin mask, seeded from the person's own cheeks, forehead and nose.

The expected skin colour is a smooth surface over the face (quadratic in x and y for each of L*, a*, b*), fitted robustly to the
seeds and then to what agrees with them. It follows the light across the face, so no fixed colour box is needed and very
light and very dark skin are treated alike: tolerances in lightness are relative to the expected lightness. Hair, beard
and glasses fall out by being darker or of another chroma than the surface, or by their texture; what is red or spotted
inside the face stays in, since that is what is to be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry
from analyzer.values import Mask, Points, Rgb

WORK = 256  # px, side at which colours are compared
GRID = 64  # px, side at which the surface is fitted
FIT_ROUNDS = 4
FIT_TOLERANCE = np.array([9.0, 6.0, 6.0], np.float32)  # CIELAB units: what still supports the surface
DARKER = 0.22  # share of the expected L* by which skin may be darker than the surface (shadow of nose and jaw)
DARKER_FLOOR = 6.0  # L*, added to it
BRIGHTER = 60.0  # L*, highlights
A_RANGE = (-9.0, 30.0)  # a* difference; inflamed skin is redder by up to about 25
B_RANGE = (-13.0, 15.0)  # b* difference
TEXTURE_RATIO = 3.2  # local fine contrast, times that of the seeds, above which dark pixels are hair
TEXTURE_FLOOR = 1.3  # L*
HOLE_PX = 2500  # area in working px up to which a hole in the mask is a spot, not a gap
MIN_PART = 0.02  # share of the largest part under which a separate part is dropped
MIN_STRANGER = 0.15  # the same for a part without a seed: often background beside the hair


def segment(rgb: Rgb, landmarks: Mapping[str, Points]) -> Mask:
    """Visible facial skin.

    Args:
        rgb: (512, 512, 3) uint8 sRGB, aligned.
        landmarks: groups of points in working px.

    Returns:
        (512, 512) bool; all False when the seeds hold no usable skin.
    """
    face = geometry.face_mask(landmarks)
    features = geometry.fill(*geometry.feature_polygons(landmarks).values())
    lab = _lab(rgb, WORK)
    allowed = _shrink(face & ~features, WORK)
    seeds = _shrink(geometry.fill(*seed_polygons(landmarks)) & face & ~features, WORK)
    if seeds.sum() < 50 or not _shrink(seeds, GRID).any():
        return np.zeros_like(face)
    expected = _surface(lab, allowed, seeds)
    similar = _similar(lab, expected) & ~_pale_at_edge(lab, expected, allowed) & ~_hairy(rgb, lab, expected, seeds)
    mask = _tidy(similar & allowed, seeds)
    return _enlarge(mask) & face & ~features


def segment_close_up(rgb: Rgb) -> Mask:
    """Skin of an aligned-size picture that shows skin but no whole face, seeded from its middle; same method.

    Args:
        rgb: (512, 512, 3) uint8 sRGB.
    """
    lab = _lab(rgb, WORK)
    allowed = np.ones((WORK, WORK), bool)
    seeds = _shrink(geometry.fill(geometry.ellipse(np.array([geometry.SIZE / 2] * 2, np.float32), 150, 150)), WORK)
    expected = _surface(lab, allowed, seeds)
    mask = _tidy(_similar(lab, expected) & ~_hairy(rgb, lab, expected, seeds), seeds)
    return _enlarge(mask)


def seed_polygons(landmarks: Mapping[str, Points]) -> list[Points]:
    """Patches that are skin on nearly every face: upper cheeks, nose ridge, middle of the lower forehead."""
    nose = landmarks["nose"]
    brows = np.concatenate([landmarks["right_brow"], landmarks["left_brow"]])
    middle = np.array([nose[0, 0], brows[:, 1].min() - 28], np.float32)
    patches = [geometry.ellipse(middle, 45, 18), geometry.ellipse(nose[:6].mean(axis=0), 10, 35)]
    for eye in (landmarks["right_eye"], landmarks["left_eye"]):
        below = np.array([eye[:, 0].mean(), eye[:, 1].max() + 52], np.float32)
        patches.append(geometry.ellipse(below, max(float(np.ptp(eye[:, 0])) * 0.45, 10), 22))
    return patches


def _lab(rgb: Rgb, side: int) -> NDArray[np.float32]:
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _shrink(mask: Mask, side: int) -> Mask:
    return cv2.resize(mask.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST).astype(bool)


def _enlarge(mask: Mask) -> Mask:
    return cv2.resize(mask.astype(np.uint8), (geometry.SIZE,) * 2, interpolation=cv2.INTER_LINEAR).astype(bool)


def _surface(lab: NDArray[np.float32], allowed: Mask, seeds: Mask) -> NDArray[np.float32]:
    """(WORK, WORK, 3) expected skin colour: robust fit, plane first, quadratic after."""
    small = cv2.resize(lab, (GRID, GRID), interpolation=cv2.INTER_AREA)
    allowed, seeds = _shrink(allowed, GRID), _shrink(seeds, GRID)
    basis = _basis(GRID)
    support = _main_cluster(small, seeds)
    weights = np.zeros((6, 3), np.float32)
    for turn in range(FIT_ROUNDS):
        terms = 1 if turn == 0 else 3 if turn == 1 else 6
        used = basis[support][:, :terms]
        if len(used) < 4 * terms:
            break
        weights = np.zeros((6, 3), np.float32)
        ridge = 1e-2 * np.eye(terms, dtype=np.float32)
        weights[:terms] = np.linalg.solve(used.T @ used + ridge, used.T @ small[support])
        support = allowed & (np.abs(small - basis @ weights) < FIT_TOLERANCE).all(axis=2)
    return _basis(WORK) @ weights


def _main_cluster(lab: NDArray[np.float32], seeds: Mask) -> Mask:
    """The seeds of one colour: those near the seed that most others agree with (a turned head hides a cheek)."""
    colours = lab[seeds]
    near = (np.abs(colours[:, None] - colours[None]) < 2 * FIT_TOLERANCE).all(axis=2)
    centre = colours[near.sum(axis=1).argmax()]
    return seeds & (np.abs(lab - centre) < 2 * FIT_TOLERANCE).all(axis=2)


@cache
def _basis(side: int) -> NDArray[np.float32]:
    """(side, side, 6): 1, x, y, x², xy, y² with x and y in -1..1; read-only."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) * (2 / (side - 1)) - 1
    basis = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
    basis.flags.writeable = False
    return basis


def _similar(lab: NDArray[np.float32], expected: NDArray[np.float32]) -> Mask:
    difference = lab - expected
    darker = -(DARKER * np.clip(expected[..., 0], 0, 100) + DARKER_FLOOR)
    lightness = (difference[..., 0] > darker) & (difference[..., 0] < BRIGHTER)
    glare = np.clip(difference[..., 0], 0, None)  # highlights lose chroma
    red = (difference[..., 1] > A_RANGE[0] - 0.5 * glare) & (difference[..., 1] < A_RANGE[1])
    yellow = (difference[..., 2] > B_RANGE[0] - glare) & (difference[..., 2] < B_RANGE[1])
    return lightness & red & yellow


def _pale_at_edge(lab: NDArray[np.float32], expected: NDArray[np.float32], allowed: Mask) -> Mask:
    """Paler than skin without glare, and joined to the edge of the face: a bright wall, not a highlight."""
    difference = lab - expected
    pale = allowed & ((difference[..., 1] < A_RANGE[0]) | (difference[..., 2] < B_RANGE[0]))
    _, labels = cv2.connectedComponents(pale.astype(np.uint8), connectivity=4)
    edge = allowed & ~cv2.erode(allowed.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return pale & np.isin(labels, labels[edge & pale])


def _hairy(rgb: Rgb, lab: NDArray[np.float32], expected: NDArray[np.float32], seeds: Mask) -> Mask:
    """Fine dark texture: hair strands, stubble, lashes."""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    fine = cv2.absdiff(gray, cv2.blur(gray, (9, 9)))
    fine = cv2.resize(fine, (WORK, WORK), interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(100 / 255)
    energy = cv2.blur(fine, (7, 7))
    limit = max(TEXTURE_RATIO * float(np.median(energy[seeds])), TEXTURE_FLOOR)
    return (energy > limit) & (lab[..., 0] < expected[..., 0])


def _tidy(mask: Mask, seeds: Mask) -> Mask:
    """Without specks, with spots filled in, only parts of some size."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return np.zeros_like(mask)
    areas = stats[1:, cv2.CC_STAT_AREA]
    seeded = np.isin(np.arange(1, count), labels[seeds])
    kept = np.flatnonzero(areas >= np.where(seeded, MIN_PART, MIN_STRANGER) * areas.max()) + 1
    solid = np.isin(labels, kept)
    holes, hole_labels, hole_stats, _ = cv2.connectedComponentsWithStats((~solid).astype(np.uint8), connectivity=4)
    limit = HOLE_PX * (WORK / geometry.SIZE) ** 2
    small = np.flatnonzero(hole_stats[1:, cv2.CC_STAT_AREA] <= limit) + 1
    return solid | np.isin(hole_labels, small) if holes > 1 else solid
