"""Detection and Report -> the JSON of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from analyzer import calibration
from analyzer.values import Demographics, Detection, ModelState, Report, SkinTone
from analyzer.vocabulary import CheckCode, ErrorCode
from analyzer.wording import DISCLAIMER
from web import faces, findings, numbers, opinion, pictures, shapes, words
from web.mending import part
from web.vocabulary import DemographicName, Status

LEAST_SHOWN = 0.01  # pages write `severity || 0.5`, so that a zero would turn into a half
DECADE_YEARS = 10
NO_MODEL = ModelState(False, words.LEFT_OUT)


@dataclass(frozen=True)
class Call:
    """What every answer says about its own request."""

    request_id: str
    endpoint: str
    elapsed_s: float

    @property
    def seconds(self) -> float:
        return round(self.elapsed_s, 4)


def timestamp() -> str:
    """Now, in UTC with seconds, e.g. ``2025-01-01T00:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def failure(code: ErrorCode, message: str, hint: str, request_id: str) -> shapes.Failure:
    """Answer of a request that no route took."""
    guidance = shapes.Guidance(message=message, suggestions=[hint] if hint else [])
    return shapes.Failure(
        error_code=code, error=message, message=message, guidance=guidance, request_id=request_id, timestamp=timestamp()
    )


def failed_detection(code: ErrorCode, message: str, hint: str, call: Call) -> shapes.FaceAnswer:
    """Answer of a face detection whose input could not be read."""
    told = failure(code, message, hint, call.request_id).model_dump(exclude={"success", "status"})
    return shapes.FaceAnswer(**told, processing_time_ms=round(call.elapsed_s * 1000, 2))


def failed_analysis(code: ErrorCode, message: str, hint: str, call: Call, model: ModelState) -> shapes.AnalysisAnswer:
    """Answer of an analysis whose input could not be read."""
    told = failure(code, message, hint, call.request_id).model_dump(exclude={"success", "status"})
    return shapes.AnalysisAnswer(
        **told,
        **_clock(call, told["timestamp"]),
        **_model(model),
        summary=message,
        analysis_summary=message,
        disclaimer=DISCLAIMER,
    )


def detection(found: Detection, include: frozenset[str], call: Call) -> shapes.FaceAnswer:
    """Write the answer of the face detection; parts that fail are left out, at worst all of it."""
    return part("answer", lambda: _detection(found, include, call), lambda: failed_detection(*words.FAULT, call))


def _detection(found: Detection, include: frozenset[str], call: Call) -> shapes.FaceAnswer:
    photo, primary = found.photo, found.faces[0] if found.faces else None
    code = None if primary else _refusal(found.error_code or CheckCode.NO_FACE)
    guidance = _guidance(found)
    bounds = faces.original_bounds(primary.box, photo) if primary else {}
    confidence = numbers.share(primary.confidence) if primary else 0.0
    listed = faces.face_entries(found, include)
    return shapes.FaceAnswer(
        success=code is None,
        status=Status.SUCCESS if code is None else Status.NO_FACE if code == CheckCode.NO_FACE else Status.ERROR,
        error_code=code,
        error=None if code is None else guidance.message,
        face_detected=primary is not None,
        faces_detected=len(listed),
        face_count=len(listed),
        faces_found=numbers.whole(found.faces_found, len(listed), numbers.LARGEST_COUNT),
        confidence=confidence,
        face_bounds=shapes.Bounds(**bounds),
        faces=listed,
        primary_face=shapes.PrimaryFace(**bounds, confidence=confidence),
        image_dimensions=shapes.Dimensions(width=photo.original_size[0], height=photo.original_size[1]),
        quality_metrics=part(
            "quality_metrics", lambda: faces.quality_metrics(found.checks, primary, photo), shapes.QualityMetrics
        ),
        quality_checks=faces.check_entries(found.checks),
        guidance=guidance,
        message=guidance.message,
        processing_time_ms=round(call.elapsed_s * 1000, 2),
        timings_ms=_timings(found.timings_ms),
        request_id=call.request_id,
        timestamp=timestamp(),
    )


def analysis(
    report: Report, include: frozenset[str], call: Call, demographics_ignored: tuple[DemographicName, ...] = ()
) -> shapes.AnalysisAnswer:
    """Write the answer of the skin analysis, refusals included; parts that fail are left out, at worst all of it."""
    return part(
        "answer",
        lambda: _analysis(findings.sound(report), include, call, demographics_ignored),
        lambda: failed_analysis(*words.FAULT, call, report.model),
    )


def _analysis(
    report: Report, include: frozenset[str], call: Call, demographics_ignored: tuple[DemographicName, ...]
) -> shapes.AnalysisAnswer:
    now = timestamp()
    echo = part("result.demographics", lambda: _echo(report.demographics, demographics_ignored), dict[str, Any])
    shared = _shared(report, call, now)
    if report.error_code is not None:
        message = shared["guidance"].message
        return shapes.AnalysisAnswer(
            **shared,
            error_code=_refusal(report.error_code),
            error=message,
            message=message,
            summary=report.summary or message,
            analysis_summary=report.summary or message,
            result=shapes.Result(**echo, processing_time_seconds=call.seconds),
        )
    headline = _headline(report)
    detected = [
        *findings.detected_conditions(report),
        *part("detected_conditions", lambda: opinion.listed(report), list[shapes.DetectedCondition]),
    ]
    predictions = findings.predictions(detected)
    return shapes.AnalysisAnswer(
        **shared,
        **headline,
        success=True,
        status=Status.SUCCESS,
        message=report.summary,
        percentage=round(100 * headline["confidence"], 1),
        confidence_score=headline["confidence"],
        severity_level=findings.level_word(findings.primary_finding(report)),
        summary=report.summary,
        analysis_summary=report.summary,
        detected_conditions=detected,
        all_predictions={entry.condition: entry.confidence for entry in predictions},
        top_3_predictions=predictions[:3],
        ensemble=part("ensemble", lambda: opinion.block(report), nothing),
        regions=part("regions", lambda: findings.region_scores(report.findings), dict),
        skin_analysis=part("skin_analysis", lambda: findings.skin_analysis(report, headline), shapes.SkinAnalysis),
        recommendations=part("recommendations", lambda: _recommendations(report), shapes.Recommendations),
        result=_result(report, headline, detected, {**echo, "model_info": shared["model_info"]}, call),
        **_heavy(report, include),
    )


def _refusal(code: CheckCode) -> CheckCode | ErrorCode:
    """Return the code of a refusal; one that the wire does not know is a fault of ours."""
    return part("error_code", partial(_known, code), lambda: ErrorCode.INTERNAL_ERROR)


def _known(code: CheckCode) -> CheckCode | ErrorCode:
    return CheckCode(code)


def _result(
    report: Report,
    headline: Mapping[str, Any],
    detected: list[shapes.DetectedCondition],
    others: Mapping[str, Any],
    call: Call,
) -> shapes.Result:
    conditions = findings.condition_entries(report)
    return shapes.Result(
        **headline,
        **others,
        processing_time_seconds=call.seconds,
        severity_levels={name: words.LEVELS[entry.severity] for name, entry in conditions.items()},
        unmeasured_conditions=[name for name, entry in conditions.items() if not entry.measured],
        conditions=conditions,
        detected_conditions=detected,
    )


def _shared(report: Report, call: Call, now: str) -> dict[str, Any]:
    """Fields of reports and refusals alike."""
    return {
        **_clock(call, now),
        **_model(report.model),
        "request_id": call.request_id,
        "timestamp": now,
        "timings_ms": _timings(report.timings_ms),
        "face_detection": part("face_detection", lambda: faces.analysed_face(report), shapes.AnalysedFace),
        "quality_checks": faces.check_entries(report.checks),
        "skin_tone": part("skin_tone", lambda: _skin_tone(report.skin_tone), nothing),
        "guidance": _guidance(report),
        "disclaimer": DISCLAIMER,
    }


def _model(model: ModelState) -> dict[str, Any]:
    """What every answer of the analysis says about the ensemble, errors included."""
    return part("model", lambda: _model_fields(model), lambda: _model_fields(NO_MODEL))


def _model_fields(model: ModelState) -> dict[str, Any]:
    accuracy = model.details.get("accuracy")
    return {
        "enhanced_ml": bool(model.available),
        "degraded": not model.available,
        "degraded_reason": None if model.reason is None else str(model.reason),
        "model_version": str(model.details.get("version") or f"classical-{calibration.document()['version']}"),
        "accuracy": None if accuracy is None else str(accuracy),
        "model_info": model_info(model),
    }


def _skin_tone(tone: SkinTone | None) -> shapes.SkinTone | None:
    return None if tone is None else shapes.SkinTone(**numbers.finite_fields(asdict(tone)))


def _timings(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return part("timings_ms", lambda: numbers.timings(timings_ms), dict)


def _clock(call: Call, now: str) -> dict[str, Any]:
    metadata = shapes.ApiMetadata(endpoint=call.endpoint, timestamp=now, processing_time=call.seconds)
    return {"processing_time_seconds": call.seconds, "api_metadata": metadata}


def _headline(report: Report) -> dict[str, Any]:
    """Fields that stand at the top level and in `result`."""
    primary = findings.primary_finding(report)
    health = min(max(numbers.finite(report.health_score) or 0.0, 0.0), 100.0)
    return {
        "primary_condition": findings.wire_name(report.primary_condition),
        "confidence": numbers.share(report.confidence),
        "severity": max(numbers.share(primary.score if primary else None), LEAST_SHOWN),
        "health_score": round(health, 1),
        "skin_health_score": max(round(health / 100, 4), LEAST_SHOWN),
        "primary_concerns": [findings.wire_name(name) for name in report.primary_concerns],
    }


def _recommendations(report: Report) -> shapes.Recommendations:
    given = report.recommendations
    return shapes.Recommendations(
        immediate_actions=list(given.immediate_actions),
        lifestyle_changes=list(given.lifestyle_changes),
        professional_advice=list(given.professional_advice),
        products=list(given.products),
        immediate_care=list(given.immediate_actions),
        long_term_care=list(given.lifestyle_changes),
        professional_consultation=given.professional_consultation,
    )


def _heavy(report: Report, include: frozenset[str]) -> dict[str, Any]:
    """Fields that are there only when they were asked for."""
    heavy: dict[str, Any] = {}
    if "overlays" in include:
        heavy["overlays"] = part("overlays", lambda: {"annotated": pictures.annotated(report)}, nothing)
    if "regions" in include:
        heavy["region_outlines"] = part("region_outlines", lambda: pictures.region_outlines(report), nothing)
    if "lesions" in include:
        heavy["lesions"] = part("lesions", lambda: findings.lesions(report), nothing)
    if "explanation" in include:
        explained = part("explanation", lambda: opinion.explain(report), nothing)
        reason = report.model.reason or words.NO_EXPLANATION
        heavy |= {"explanation": explained} if explained else {"explanation_reason": reason}
    return heavy


def nothing() -> None:
    """Stand for a part that failed, where null is allowed."""


def model_info(model: ModelState) -> shapes.ModelInfo:
    """The part of a model's details that `model_info` names."""
    names = shapes.ModelInfo.model_fields
    details = {name: value for name, value in model.details.items() if name in names}
    return part("model_info", lambda: shapes.ModelInfo(**details), shapes.ModelInfo)


def _guidance(answer: Detection | Report) -> shapes.Guidance:
    advice = answer.guidance
    return part(
        "guidance",
        lambda: shapes.Guidance(message=advice.message, suggestions=list(advice.suggestions)),
        lambda: shapes.Guidance(message=words.LEFT_OUT),
    )


def _echo(demographics: Demographics, ignored: tuple[DemographicName, ...]) -> dict[str, Any]:
    decade = None if demographics.age is None else demographics.age // DECADE_YEARS * DECADE_YEARS
    return {
        "age_group": None if decade is None else f"{decade}-{decade + DECADE_YEARS - 1}",
        "ethnicity": demographics.ethnicity,
        "gender": demographics.gender,
        "fitzpatrick": demographics.fitzpatrick,
        "demographics_ignored": list(ignored),
    }
