"""photo + faces + Roi -> quality checks, each with code, measured value, limit and unit. docs/quality.md says why.

A check that *refuses* ends the analysis; one that *warns* lets it go on and is shown to the person. Limits were set on the
tuning half of the real pictures (`python -m benchmarks.quality` prints the spread of every value) so that usable selfies of all
skin tones pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from analyzer import eyelids, geometry
from analyzer.roi import CLIPPED_VALUE, Roi
from analyzer.values import Check, Face, Guidance, Photo
from analyzer.vocabulary import CheckCode

MIN_CONFIDENCE = 0.5  # calibrated probability of a face
SURE_CONFIDENCE = 0.99  # hardly a whole face that looks into the camera lies below
MIN_FACE_PX = 120.0  # width of the face box in original pixels; below, most conditions cannot be measured
LARGE_SHARE = 0.4  # of the photo's width, from which moving closer is no advice
RIVAL_AREA = 0.3  # share of the primary face's area from which another face counts
MIN_INSIDE = 0.85  # share of the face outline inside the picture
MAX_TILT_DEG = 35.0
MAX_YAW_DEG = 35.0  # beyond, five of six faces show one cheek as a strip of less than `geometry.LEAST_CHEEK_PX`
MIN_BRIGHT_L = 22.0  # L*: 95th percentile over the face; highlights and eye whites are bright on dark skin too
MAX_BURNT = 0.35  # share of skin pixels at the top of the scale
MAX_CLIPPED = 0.2  # share of skin pixels with one channel at the top of the scale
MAX_UNEVEN = 0.45  # difference of the halves of the face, as a share of their mean L*
MIN_CONTRAST_L = 12.0  # L*: 95th minus 5th percentile over the face
MAX_BLUR_PX = 3.2  # sigma in working px; beyond, neither pores nor texture nor wrinkles can be measured
MIN_OPENNESS = 0.55  # contrast of what fills the eye with the skin around it
MAX_HUE_EXCESS_DEG = 0.0
MIN_SKIN = 0.25  # share of the face outline that is visible skin
STRIDE = 4  # every fourth pixel in x and y is enough for percentiles


def check_faces(photo: Photo, faces: Sequence[Face]) -> tuple[Check, ...]:
    """Checks of the boxes alone; the first one (`no_face`) is all there is when nothing was found."""
    if not faces:
        return (_no_face(0.0),)
    primary = faces[0]
    rivals = sum(face.box.area >= RIVAL_AREA * primary.box.area for face in faces[1:])
    width = primary.box.width / photo.scale
    inside = share_inside(photo, primary)
    yaw = None if primary.yaw_deg is None else abs(primary.yaw_deg)
    return (
        _no_face(primary.confidence),
        _least(
            CheckCode.FACE_UNSURE,
            primary.confidence,
            SURE_CONFIDENCE,
            "probability",
            False,
            "Show the whole face with both eyes, from forehead to chin: this may be a part of one, or none.",
        ),
        _most(
            CheckCode.SEVERAL_FACES,
            rivals,
            0,
            "other faces",
            False,
            "Make sure that only one face is in the photo; the largest was taken.",
        ),
        _least(
            CheckCode.FACE_TOO_SMALL,
            width,
            MIN_FACE_PX,
            "px",
            True,
            "Move closer, so that the face fills about half of the photo's width."
            if primary.box.width < LARGE_SHARE * photo.rgb.shape[1]
            else "Send the photo in its original size: the face is large in it, but has too few pixels.",
        ),
        _least(
            CheckCode.FACE_CUT_OFF,
            inside,
            MIN_INSIDE,
            "share inside",
            True,
            "Move the whole face, from forehead to chin, into the photo.",
        ),
        _most(
            CheckCode.TILTED, abs(tilt_deg(primary)), MAX_TILT_DEG, "deg", False, "Hold the head and the phone upright."
        ),
        _most(
            CheckCode.NOT_FRONTAL,
            yaw,
            MAX_YAW_DEG,
            "deg",
            False,
            "Look straight into the camera to have both cheeks measured.",
        ),
    )


def check_roi(roi: Roi) -> tuple[Check, ...]:
    """Checks of light, sharpness and visible skin in the aligned face."""
    face = geometry.face_mask(roi.landmarks)
    lightness = roi.lab[::STRIDE, ::STRIDE, 0][face[::STRIDE, ::STRIDE]]
    low, high = np.percentile(lightness, [5, 95]) if lightness.size else (0.0, 0.0)
    hue_excess, grey = hue_deviation(roi)
    visible = float(roi.skin.sum() / max(face.sum(), 1))
    return (
        _least(CheckCode.TOO_DARK, high, MIN_BRIGHT_L, "L*", True, "Find more light: face a window or a lamp."),
        _most(
            CheckCode.TOO_BRIGHT,
            burnt_share(roi),
            MAX_BURNT,
            "share of skin",
            True,
            "Avoid direct sun or flash; the skin is overexposed.",
        ),
        _most(
            CheckCode.OVEREXPOSED,
            roi.clipped_share,
            MAX_CLIPPED,
            "share of skin",
            False,
            "Turn away from bright light or lower the exposure: parts of the skin are overexposed and lose their colour.",
        ),
        _most(
            CheckCode.UNEVEN_LIGHT,
            unevenness(roi),
            MAX_UNEVEN,
            "share of L*",
            False,
            "Turn towards the light, so that both sides are lit alike.",
        ),
        _least(
            CheckCode.LOW_CONTRAST,
            high - low,
            MIN_CONTRAST_L,
            "L*",
            False,
            "Wipe the lens and avoid light from behind.",
        ),
        _most(
            CheckCode.BLUR,
            roi.edge_blur_px,
            MAX_BLUR_PX,
            "px at 512 px",
            True,
            "Hold the phone still and tap the face to focus.",
        ),
        _least(
            CheckCode.EYES_CLOSED,
            openness(roi),
            MIN_OPENNESS,
            "contrast",
            False,
            "Open the eyes and look into the camera: closed lids change the skin below the eyes.",
        ),
        _least(
            CheckCode.NOT_ENOUGH_SKIN,
            visible,
            MIN_SKIN,
            "share of face",
            True,
            "Move hair, glasses or hands off the face.",
        ),
        _most(
            CheckCode.COLOUR_CAST,
            hue_excess,
            MAX_HUE_EXCESS_DEG,
            "deg of hue outside skin colours",
            grey,
            "Use a colour photo in daylight, without a filter."
            if grey
            else "Use daylight or white light, without coloured lamps or filters.",
        ),
    )


def refusal(checks: Iterable[Check]) -> Check | None:
    """The first failed check that refuses."""
    return next((check for check in checks if check.refuses and not check.passed), None)


def guidance(checks: Sequence[Check], accepted_message: str) -> Guidance:
    """What to tell the person: the refusal first, then the warnings that still hold where the light is refused."""
    stop = refusal(checks)
    unsure = UNSURE_IN_BAD_LIGHT if stop is not None and stop.code in BAD_LIGHT else ()
    warnings = [check.advice for check in checks if not check.passed and check is not stop and check.code not in unsure]
    if stop is None:
        return Guidance(accepted_message, tuple(warnings))
    return Guidance(REFUSALS.get(stop.code, stop.advice), (stop.advice, *warnings))


BAD_LIGHT = (CheckCode.TOO_DARK, CheckCode.TOO_BRIGHT, CheckCode.COLOUR_CAST)
# What such light makes of any face.
UNSURE_IN_BAD_LIGHT = (
    CheckCode.OVEREXPOSED,
    CheckCode.LOW_CONTRAST,
    CheckCode.EYES_CLOSED,
    CheckCode.COLOUR_CAST,
    CheckCode.NOT_ENOUGH_SKIN,
)
REFUSALS: Mapping[CheckCode, str] = {
    CheckCode.NO_FACE: "No face was found in this photo.",
    CheckCode.FACE_TOO_SMALL: "The face is too small in this photo.",
    CheckCode.FACE_CUT_OFF: "Part of the face is outside the photo.",
    CheckCode.TOO_DARK: "The photo is too dark to see the skin.",
    CheckCode.TOO_BRIGHT: "The photo is too bright: the skin is overexposed.",
    CheckCode.BLUR: "The photo is too blurred to see the skin.",
    CheckCode.NOT_ENOUGH_SKIN: "Too little skin is visible in this photo.",
    CheckCode.COLOUR_CAST: "This is a black-and-white photo; skin colour cannot be measured on it.",
}


def share_inside(photo: Photo, face: Face) -> float:
    """Share of the face outline that lies inside the picture, 0..1."""
    points = geometry.landmarks(face)
    upright = geometry.align(points)  # the outline knows the forehead only in an upright face
    working = {name: geometry.transform(upright, group) for name, group in points.items()}
    outline = geometry.transform(cv2.invertAffineTransform(upright), np.concatenate(geometry.face_polygons(working)))
    height, width = photo.rgb.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    hull = cv2.convexHull(outline.astype(np.float32))
    common, _ = cv2.intersectConvexConvex(hull, frame)
    return float(common / max(cv2.contourArea(hull), 1e-6))


def tilt_deg(face: Face) -> float:
    """Roll of a face, clockwise positive, -180..180: of its landmarks, which tell that of a profile too, where there are some."""
    return face.roll_deg if face.landmarks is None else math.degrees(geometry.roll_rad(face.landmarks))


def openness(roi: Roi) -> float | None:
    """Contrast of the open eye (`analyzer.eyelids`); None in a picture too blurred to tell lashes from an iris."""
    return eyelids.openness(roi) if roi.edge_blur_px <= MAX_BLUR_PX else None


def burnt_share(roi: Roi) -> float:
    """Share of the skin at the top of the scale in all channels, 0..1."""
    skin = roi.rgb[::STRIDE, ::STRIDE][roi.skin[::STRIDE, ::STRIDE]]
    return float((skin >= CLIPPED_VALUE).all(axis=1).mean()) if skin.size else 0.0


def unevenness(roi: Roi) -> float | None:
    """Difference of median L* between the halves of the visible skin as a share of their mean; None without both halves."""
    middle = geometry.SIZE // 2
    parts = (slice(0, middle, STRIDE), slice(middle, None, STRIDE))
    halves = [roi.lab[::STRIDE, part, 0][roi.skin[::STRIDE, part]] for part in parts]
    if min(half.size for half in halves) < 500 / STRIDE**2:
        return None
    left, right = (float(np.median(half)) for half in halves)
    return abs(left - right) / max((left + right) / 2, 1.0)


def hue_deviation(roi: Roi) -> tuple[float | None, bool]:
    """Degrees by which the skin's CIELAB hue lies outside the usual range, and whether the picture is black and white."""
    if not np.isfinite(roi.baseline_lab).all():
        return None, False
    if roi.is_grey:
        return 180.0, True
    return roi.hue_excess_deg, False


def _no_face(confidence: float) -> Check:
    advice = "Hold the phone at arm's length, face the camera in even light, and take off sunglasses or a mask."
    return _least(CheckCode.NO_FACE, confidence, MIN_CONFIDENCE, "probability", True, advice)


def _least(code: CheckCode, value: float | None, limit: float, unit: str, refuses: bool, advice: str) -> Check:
    return Check(code, value is None or bool(value >= limit), refuses, _plain(value), limit, unit, advice)


def _most(code: CheckCode, value: float | None, limit: float, unit: str, refuses: bool, advice: str) -> Check:
    return Check(code, value is None or bool(value <= limit), refuses, _plain(value), limit, unit, advice)


def _plain(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
