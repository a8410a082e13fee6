"""Faces and quality checks -> their part of the JSON, in pixels of the upright original."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analyzer.values import Box, Check, Detection, Face, Photo, Points, Report
from web import mending, numbers, pictures, shapes, words
from web.vocabulary import OverallQuality, Positioning

CENTRED_WITHIN = 0.2  # of the picture's side: how far the middle of a centred face lies from the picture's middle


def analysed_face(report: Report) -> shapes.AnalysedFace:
    """The face that an analysis rests on; nothing but the picture's size when there is none."""
    photo, face = report.photo, report.face
    if face is None:
        return shapes.AnalysedFace(image_dimensions=list(photo.original_size))
    quality = mending.part(
        "face_detection.quality_metrics",
        lambda: quality_metrics(report.checks, face, photo),
        shapes.QualityMetrics,
    )
    return shapes.AnalysedFace(
        detected=True,
        confidence=numbers.share(face.confidence),
        face_bounds=shapes.Bounds(**original_bounds(face.box, photo)),
        image_dimensions=list(photo.original_size),
        method=face.method,
        quality_metrics=shapes.FaceQuality(
            overall_quality=quality.overall_quality, quality_score=quality.quality_score
        ),
    )


def face_entries(found: Detection, include: frozenset[str]) -> list[shapes.FaceEntry]:
    """Return the accepted faces. Without the primary one there is no answer, so that its failure is not caught here."""
    if not found.faces:
        return []
    others = mending.entries("faces", lambda face: face_entry(face, found.photo, include), found.faces[1:])
    return [face_entry(found.faces[0], found.photo, include), *others]


def face_entry(face: Face, photo: Photo, include: frozenset[str] = frozenset()) -> shapes.FaceEntry:
    """One accepted face with its crop; its landmarks when `include` names them."""
    bounds = original_bounds(face.box, photo)
    return shapes.FaceEntry(
        **bounds,
        confidence=numbers.share(face.confidence),
        bounds=shapes.Bounds(**bounds),
        eyes=mending.part("faces.eyes", lambda: _eyes(face, photo), list[shapes.Point]),
        roll_deg=numbers.angle(face.roll_deg, 180.0) or 0.0,
        yaw_deg=numbers.angle(face.yaw_deg, 90.0),
        landmarks=mending.part("faces.landmarks", lambda: _landmarks(face, photo), _no_landmarks)
        if "landmarks" in include
        else None,
        cropped_face_image=mending.part(
            "faces.cropped_face_image", lambda: pictures.face_crop(photo, face), pictures.grey_crop
        ),
    )


def _eyes(face: Face, photo: Photo) -> list[shapes.Point]:
    """Return both eyes in original pixels; none where they were not found or are no finite places."""
    if face.eyes is None or not np.isfinite(face.eyes).all():
        return []
    width, height = photo.original_size
    return [
        shapes.Point(x=numbers.whole(x, -width, 2 * width), y=numbers.whole(y, -height, 2 * height))
        for x, y in _original(face.eyes, photo)
    ]


def _landmarks(face: Face, photo: Photo) -> dict[str, list[list[float]]] | None:
    """Group → places in original pixels to 0.1; None for a stage that measures none: guesses of the prior are not shown."""
    if face.landmarks is None or not all(np.isfinite(points).all() for points in face.landmarks.values()):
        return None
    return {
        name: [[round(x, 1), round(y, 1)] for x, y in _original(points, photo)]
        for name, points in face.landmarks.items()
    }


def _original(points: Points, photo: Photo) -> list[list[float]]:
    """Convert places in photo pixels to [x, y] in original pixels."""
    return (points.astype(np.float64) / photo.scale).tolist()


def _no_landmarks() -> None:
    """Stand for landmarks that cannot be shown."""


def original_bounds(box: Box, photo: Photo) -> dict[str, int]:
    """Box in photo pixels -> whole original pixels inside the picture."""
    return clipped_bounds(box.scaled(1 / photo.scale), photo)


def clipped_bounds(box: Box, photo: Photo) -> dict[str, int]:
    """Round a box in original pixels to whole pixels inside the picture, one at least."""
    width, height = photo.original_size
    left, top = numbers.whole(box.x, 0, width - 1), numbers.whole(box.y, 0, height - 1)
    right = numbers.whole(box.x + box.width, left + 1, width)
    bottom = numbers.whole(box.y + box.height, top + 1, height)
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def quality_metrics(checks: tuple[Check, ...], face: Face | None, photo: Photo) -> shapes.QualityMetrics:
    """Words for people about the checks; the score is the share of checks that were passed."""
    if not checks:
        return shapes.QualityMetrics()
    failed = [check for check in checks if not check.passed]
    return shapes.QualityMetrics(
        lighting=words.word(checks, words.LIGHTING),
        sharpness=words.word(checks, words.SHARPNESS),
        positioning=_positioning(checks, face, photo),
        overall_quality=_overall(failed),
        quality_score=numbers.share(1 - len(failed) / len(checks)),
    )


def _positioning(checks: tuple[Check, ...], face: Face | None, photo: Photo) -> Positioning:
    if face is None:
        return Positioning.UNKNOWN
    word = words.word(checks, words.POSITIONING)
    is_centred = word != Positioning.CENTERED or _is_centred(face.box, photo)
    return word if is_centred else Positioning.OFF_CENTER


def _overall(failed: list[Check]) -> OverallQuality:
    if any(check.refuses for check in failed):
        return OverallQuality.POOR
    return OverallQuality.FAIR if failed else OverallQuality.GOOD


def _is_centred(box: Box, photo: Photo) -> bool:
    height, width = photo.rgb.shape[:2]
    x, y = box.centre
    return abs(x / width - 0.5) <= CENTRED_WITHIN and abs(y / height - 0.5) <= CENTRED_WITHIN


def check_entries(checks: Iterable[Check]) -> list[shapes.QualityCheck]:
    """The checks with their measured values and limits."""
    return mending.entries("quality_checks", check_entry, checks)


def check_entry(check: Check) -> shapes.QualityCheck:
    """Return a check with its measured value and limit."""
    return shapes.QualityCheck(
        code=check.code,
        passed=bool(check.passed),
        refuses=bool(check.refuses),
        value=numbers.rounded(check.value),
        limit=numbers.rounded(check.limit),
        unit=check.unit,
    )
