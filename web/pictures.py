"""Pictures and outlines for an answer: the face crop, the annotated photo, region borders."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from analyzer import overlay
from analyzer.values import Box, Face, Photo, Report, Rgb
from analyzer.vocabulary import Region
from web import numbers

CROP_SIDE = (256, 384)  # pixels, least and most
GREY = 128
CROP_MARGIN = 0.25  # of the face's width on each side, so that forehead and chin are whole
OUTLINE_TOLERANCE = 1.5  # working pixels that a simplified border may lie off
LEAST_OUTLINE_AREA = 40.0  # working pixels; smaller scraps are left out


def png_base64(rgb: Rgb) -> str:
    """(H, W, 3) uint8 sRGB as raw base64 of a PNG file."""
    encoded, buffer = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise RuntimeError("PNG encoding failed")
    return base64.b64encode(buffer.tobytes()).decode("ascii")


def face_crop(photo: Photo, face: Face) -> str:
    """The face with a margin as base64 PNG, a square of 256 to 384 px; beyond the photo its edge is continued."""
    rgb = _square(photo.rgb, face.box)
    side = int(np.clip(rgb.shape[0], *CROP_SIDE))
    method = cv2.INTER_AREA if side < rgb.shape[0] else cv2.INTER_CUBIC
    return png_base64(cv2.resize(rgb, (side, side), interpolation=method).astype(np.uint8))


def grey_crop() -> str:
    """Return a grey square in the place of a crop that cannot be made."""
    return png_base64(np.full((CROP_SIDE[0], CROP_SIDE[0], 3), GREY, np.uint8))


def _square(rgb: Rgb, box: Box) -> Rgb:
    """Cut a square around a box; a box outside the photo, or larger than it, is moved and cut first."""
    height, width = rgb.shape[:2]
    half = numbers.within(max(box.width, box.height) * (0.5 + CROP_MARGIN), 1, max(width, height))
    x, y = numbers.within(box.centre[0], 0, width), numbers.within(box.centre[1], 0, height)
    side = max(2, round(2 * half))
    left, top = round(x - half), round(y - half)
    columns = np.clip(np.arange(left, left + side), 0, rgb.shape[1] - 1)
    rows = np.clip(np.arange(top, top + side), 0, rgb.shape[0] - 1)
    return rgb[rows[:, None], columns[None, :]]


def annotated(report: Report) -> str:
    """The photo with boxes, mask, regions and lesions drawn in, as base64 PNG."""
    return png_base64(overlay.draw(report))


def region_outlines(report: Report) -> dict[Region, list[list[list[int]]]]:
    """Region name → polygons of [x, y] in original pixels; empty for a refusal."""
    if report.roi is None:
        return {}
    affine = np.asarray(report.roi.to_original, np.float64)
    outlines: dict[Region, list[list[list[int]]]] = {}
    for name, mask in report.roi.regions.items():
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        large = (contour for contour in contours if cv2.contourArea(contour) >= LEAST_OUTLINE_AREA)
        simple = (cv2.approxPolyDP(contour, OUTLINE_TOLERANCE, True).reshape(-1, 2) for contour in large)
        outlines[name] = [np.rint(points @ affine[:, :2].T + affine[:, 2]).astype(int).tolist() for points in simple]
    return outlines
