"""Faces and quality checks -> their part of the JSON, in pixels of the upright original."""

from __future__ import annotations

from collections.abc import Iterable

from analyzer.values import Box, Check, Face, Photo, Report
from web import numbers, pictures, shapes, words

CENTRED_WITHIN = 0.2  # of the picture's side: how far the middle of a centred face lies from the picture's middle


def analysed_face(report: Report) -> shapes.AnalysedFace:
    """The face that an analysis rests on; nothing but the picture's size when there is none."""
    photo, face = report.photo, report.face
    if face is None:
        return shapes.AnalysedFace(image_dimensions=list(photo.original_size))
    quality = quality_metrics(report.checks, face, photo)
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


def face_entry(face: Face, photo: Photo, include: frozenset[str] = frozenset()) -> shapes.FaceEntry:
    """One accepted face with its crop; its landmarks when `include` names them."""
    bounds = original_bounds(face.box, photo)
    eyes = () if face.eyes is None else face.eyes / photo.scale
    return shapes.FaceEntry(
        **bounds,
        confidence=numbers.share(face.confidence),
        bounds=shapes.Bounds(**bounds),
        eyes=[shapes.Point(x=round(float(x)), y=round(float(y))) for x, y in eyes],
        roll_deg=round(float(face.roll_deg), 1),
        yaw_deg=None if face.yaw_deg is None else round(float(face.yaw_deg), 1),
        landmarks=_landmarks(face, photo) if "landmarks" in include else None,
        cropped_face_image=pictures.face_crop(photo, face),
    )


def _landmarks(face: Face, photo: Photo) -> dict[str, list[list[float]]] | None:
    """Group → places in original pixels to 0.1; None for a stage that measures none: guesses of the prior are not shown."""
    if face.landmarks is None:
        return None
    return {
        name: [[round(float(x), 1), round(float(y), 1)] for x, y in points / photo.scale]
        for name, points in face.landmarks.items()
    }


def original_bounds(box: Box, photo: Photo) -> dict[str, int]:
    """Box in photo pixels -> whole original pixels inside the picture."""
    return clipped_bounds(box.scaled(1 / photo.scale), photo)


def clipped_bounds(box: Box, photo: Photo) -> dict[str, int]:
    """Box in original pixels -> whole pixels inside the picture."""
    width, height = photo.original_size
    left, right = (min(max(round(x), 0), width) for x in (box.x, box.x + box.width))
    top, bottom = (min(max(round(y), 0), height) for y in (box.y, box.y + box.height))
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def quality_metrics(checks: tuple[Check, ...], face: Face | None, photo: Photo) -> shapes.QualityMetrics:
    """Words for people about the checks; the score is the share of checks that were passed."""
    if not checks:
        return shapes.QualityMetrics()
    failed = [check for check in checks if not check.passed]
    positioning = words.word(checks, words.POSITIONING, "centered")
    if face is None:
        positioning = "unknown"
    elif positioning == "centered" and not _is_centred(face.box, photo):
        positioning = "off_center"
    return shapes.QualityMetrics.model_validate(
        {
            "lighting": words.word(checks, words.LIGHTING, "good"),
            "sharpness": words.word(checks, words.SHARPNESS, "sharp"),
            "positioning": positioning,
            "overall_quality": "poor" if any(check.refuses for check in failed) else "fair" if failed else "good",
            "quality_score": round(1 - len(failed) / len(checks), 4),
        }
    )


def _is_centred(box: Box, photo: Photo) -> bool:
    height, width = photo.rgb.shape[:2]
    x, y = box.centre
    return abs(x / width - 0.5) <= CENTRED_WITHIN and abs(y / height - 0.5) <= CENTRED_WITHIN


def check_entries(checks: Iterable[Check]) -> list[shapes.QualityCheck]:
    """The checks with their measured values and limits."""
    return [
        shapes.QualityCheck(
            code=check.code,
            passed=bool(check.passed),
            refuses=check.refuses,
            value=numbers.rounded(check.value),
            limit=numbers.rounded(check.limit),
            unit=check.unit,
        )
        for check in checks
    ]
