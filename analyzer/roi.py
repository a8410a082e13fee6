"""rgb + face -> Roi: the aligned crop, its skin mask and its regions, colour conversions computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import geometry, sharpness, skin
from analyzer.values import Box, Face, Mask, Photo, Points, Rgb
from analyzer.vocabulary import ReasonCode, Region

REDUCE_BELOW = 0.6  # working px per photo px under which the photo is area-averaged before the warp, against aliasing
CROP_MARGIN_PX = 4  # photo px kept around the crop when it is averaged
BASELINE_REGIONS = (Region.FOREHEAD, Region.LEFT_CHEEK, Region.RIGHT_CHEEK)
BASELINE_PX = 500  # working px of cheeks and forehead from which their colour is the baseline
GREY_CHROMA = 4.0  # CIELAB chroma of the baseline under which the picture is black and white
HUE_RANGE_DEG = (10.0, 85.0)  # hue angle of skin in CIELAB under usual light
UNREADABLE_EXCESS_DEG = 20.0  # outside that range, beyond which the light has taken the colours' place
GREY = (ReasonCode.NO_COLOUR, "The picture holds almost no colour.")
COLOURED = (ReasonCode.COLOURED_LIGHT, "The light is too strongly coloured to tell the colours of the skin.")
CLIPPED_VALUE = 250  # uint8, from which on a channel was or may have been cut off at the top of the scale
UNREADABLE_CLIPPED = 0.4  # share of the skin with such a channel, beyond which pale and red skin cannot be told apart
OVEREXPOSED = (ReasonCode.OVEREXPOSED, "Much of the skin is overexposed, so that its colours are lost.")
SMOOTH_ABOVE = 1.5  # working px per photo px from which cubic interpolation is worth its time


@dataclass(frozen=True, eq=False)
class Roi:
    """The aligned face. All arrays are read-only; all (H, W) are (512, 512) working pixels (`analyzer.geometry`).

    Attributes:
        rgb: (H, W, 3) uint8 sRGB.
        skin: (H, W) bool: visible facial skin, without eyes, brows, lips, nostrils, hair, beard, glasses, background.
        regions: name → (H, W) bool, the skin of forehead, nose, left_cheek, right_cheek, chin, left_under_eye,
            right_under_eye, perioral. Left and right are the picture's sides. They may be empty.
        landmarks: group → (N, 2) float32 working px; `measured_landmarks` tells whether a detector saw them or a prior
            predicted them.
        to_original: (2, 3) float32 affine from working px to original px.
        scale: working px per original px; above 1 the crop was enlarged and fine detail is missing.
        yaw_deg: turn of the head as the detector gave it, None = unknown.
    """

    rgb: Rgb
    skin: Mask
    regions: Mapping[Region, Mask]
    landmarks: Mapping[str, Points]
    measured_landmarks: bool
    to_original: NDArray[np.float32]
    scale: float
    yaw_deg: float | None

    @cached_property
    def lab(self) -> NDArray[np.float32]:
        """(H, W, 3) float32 CIELAB (D65): L* 0..100, a* and b* about -127..127."""
        return _frozen(cv2.cvtColor(np.multiply(self.rgb, 1 / 255, dtype=np.float32), cv2.COLOR_RGB2LAB))

    @cached_property
    def hsv(self) -> NDArray[np.float32]:
        """(H, W, 3) float32: hue 0..360 degrees, saturation 0..1, value 0..1."""
        return _frozen(cv2.cvtColor(np.multiply(self.rgb, 1 / 255, dtype=np.float32), cv2.COLOR_RGB2HSV))

    @cached_property
    def gray(self) -> NDArray[np.uint8]:
        """(H, W) uint8 luma (BT.601)."""
        return _frozen(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY))

    @cached_property
    def baseline_lab(self) -> NDArray[np.float32]:
        """(3,) float32: median CIELAB of the person's own cheeks and forehead (of all skin where those are hidden)."""
        seeds = [self.regions[name] for name in BASELINE_REGIONS if name in self.regions]
        seen = np.any(seeds, axis=0) if seeds else self.skin
        mask = seen if seen.sum() >= BASELINE_PX else self.skin
        colours = self.lab[::2, ::2][mask[::2, ::2]]
        return _frozen(np.median(colours, axis=0) if colours.size else np.full(3, np.nan, np.float32))

    @cached_property
    def edge_blur_px(self) -> float:
        """Blur as the standard deviation of a Gaussian, working px (`analyzer.sharpness`)."""
        return sharpness.edge_blur_px(self.lab[..., 0], self.landmarks)

    @property
    def is_grey(self) -> bool:
        """The skin has next to no colour: a black-and-white picture. False where no skin is visible."""
        return bool(np.hypot(*self.baseline_lab[1:]) < GREY_CHROMA)

    @property
    def hue_excess_deg(self) -> float:
        """Degrees by which the skin's CIELAB hue lies outside the usual range, 0..180; nan where no skin is visible."""
        _, a, b = self.baseline_lab
        hue, (low, high) = np.degrees(np.arctan2(b, a)), HUE_RANGE_DEG
        return float(np.maximum(np.maximum(low - hue, hue - high), 0.0))

    @cached_property
    def clipped_share(self) -> float:
        """Share of the skin with a channel at the top of the scale, 0..1; red comes there first, and pales the skin."""
        skin = self.rgb[::4, ::4][self.skin[::4, ::4]]
        return float((skin >= CLIPPED_VALUE).any(axis=1).mean()) if skin.size else 0.0

    @property
    def unreadable_colour(self) -> tuple[ReasonCode, str] | None:
        """Why nothing can be told by colour, as code and sentence; None where it can."""
        if self.is_grey:
            return GREY
        return COLOURED if self.hue_excess_deg > UNREADABLE_EXCESS_DEG else None

    @property
    def overexposed(self) -> tuple[ReasonCode, str] | None:
        """Why pale and red skin cannot be told apart, as code and sentence; None where they can."""
        return OVEREXPOSED if self.clipped_share > UNREADABLE_CLIPPED else None

    def region_at(self, x: float, y: float) -> Region | None:
        """The region whose skin holds a place in working pixels; None on no skin, in no region, outside the crop."""
        column, row = int(x), int(y)
        height, width = self.skin.shape
        if not (0 <= column < width and 0 <= row < height):
            return None
        return next((name for name, mask in self.regions.items() if mask[row, column]), None)

    def per_region(
        self, skin: Mask, least_px: int, value: Callable[[Mask], float | None]
    ) -> dict[Region, float | None]:
        """Region → a value of the skin in it, None where fewer than `least_px` pixels of it are visible.

        Args:
            skin: mask of the crop at full size or every second, fourth ... pixel; the unit of `least_px`.
            value: gets the part of `skin` that lies in the region.
        """
        step = self.skin.shape[0] // skin.shape[0]
        inside = {name: mask[::step, ::step] & skin for name, mask in self.regions.items()}
        return {name: value(mask) if np.count_nonzero(mask) >= least_px else None for name, mask in inside.items()}

    def original_box(self, x: float, y: float, width: float, height: float) -> Box:
        """Upright box in original pixels around a box in working pixels."""
        corners = np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]], np.float32)
        points = geometry.transform(self.to_original, corners)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return Box(float(left), float(top), float(right - left), float(bottom - top))


def extract(photo: Photo, face: Face) -> Roi:
    """Cut the aligned face out of a photo and find its skin.

    Args:
        photo: the decoded picture.
        face: a face in pixels of `photo.rgb`; its landmarks are used when it has some, else a prior from eyes and box.
    """
    points = geometry.landmarks(face)
    to_working = geometry.align(points)
    rgb, inside = _warp(photo.rgb, to_working)
    working = {name: geometry.transform(to_working, group) for name, group in points.items()}
    mask = skin.segment(rgb, working) & inside
    to_photo = cv2.invertAffineTransform(to_working)
    return from_parts(
        rgb,
        mask,
        working,
        measured_landmarks=face.landmarks is not None,
        to_original=(to_photo / photo.scale).astype(np.float32),
        scale=float(np.hypot(to_working[0, 0], to_working[0, 1])) * photo.scale,
        yaw_deg=face.yaw_deg,
    )


def from_parts(
    rgb: Rgb,
    mask: Mask,
    landmarks: Mapping[str, Points],
    *,
    measured_landmarks: bool = True,
    to_original: NDArray[np.float32] = np.eye(2, 3, dtype=np.float32),  # noqa: B008 - never written to
    scale: float = 1.0,
    yaw_deg: float | None = None,
) -> Roi:
    """A Roi from its parts: for generated skin in tests and for benchmark pictures without a whole face.

    Without landmarks (an empty mapping) there is one region, ``"whole"``: all of the skin.
    """
    polygons = geometry.region_polygons(landmarks) if landmarks else {Region.WHOLE: geometry.FRAME}
    regions = {name: _frozen(geometry.fill(polygon) & mask) for name, polygon in polygons.items()}
    return Roi(
        rgb=_frozen(rgb),
        skin=_frozen(mask),
        regions=MappingProxyType(regions),
        landmarks=MappingProxyType({name: _frozen(points) for name, points in landmarks.items()}),
        measured_landmarks=measured_landmarks,
        to_original=_frozen(to_original),
        scale=scale,
        yaw_deg=yaw_deg,
    )


def _warp(rgb: Rgb, to_working: NDArray[np.float32]) -> tuple[Rgb, Mask]:
    """The aligned crop and where it lies inside the photo."""
    height, width = rgb.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inside = geometry.fill(geometry.transform(to_working, frame))
    factor = float(np.hypot(to_working[0, 0], to_working[0, 1]))
    if factor < REDUCE_BELOW:
        rgb, to_working = _reduced(rgb, to_working, factor)
    interpolation = cv2.INTER_CUBIC if factor > SMOOTH_ABOVE else cv2.INTER_LINEAR
    side = geometry.SIZE
    return cv2.warpAffine(rgb, to_working, (side, side), flags=interpolation, borderMode=cv2.BORDER_REPLICATE), inside


def _reduced(rgb: Rgb, to_working: NDArray[np.float32], factor: float) -> tuple[Rgb, NDArray[np.float32]]:
    """What the crop shows of a photo, averaged over areas to about working size, and the affine from there."""
    limit = np.array(rgb.shape[1::-1])
    corners = geometry.transform(cv2.invertAffineTransform(to_working), geometry.FRAME)
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int) - CROP_MARGIN_PX, 0, limit - 1)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int) + CROP_MARGIN_PX, [left + 1, top + 1], limit)
    width, height = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    small = cv2.resize(rgb[top:bottom, left:right], (width, height), interpolation=cv2.INTER_AREA)
    step_x, step_y = (right - left) / width, (bottom - top) / height
    # a pixel of the small copy lies in the middle of those that it averages
    to_photo = [[step_x, 0, left + (step_x - 1) / 2], [0, step_y, top + (step_y - 1) / 2], [0, 0, 1]]
    return np.asarray(small, np.uint8), (to_working @ np.array(to_photo)).astype(np.float32)


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array
