"""Detection and Report -> the JSON of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from analyzer import calibration
from analyzer.values import Demographics, Detection, Finding, ModelState, Report, Severity, SkinTone
from analyzer.wording import DISCLAIMER
from web import faces, findings, numbers, opinion, pictures, shapes, words

LEAST_SHOWN = 0.01  # pages write `severity || 0.5`, so that a zero would turn into a half
DECADE_YEARS = 10


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


def failure(code: str, message: str, hint: str, request_id: str) -> shapes.Failure:
    """Answer of a request that no route took."""
    guidance = shapes.Guidance(message=message, suggestions=[hint] if hint else [])
    return shapes.Failure(
        error_code=code, error=message, message=message, guidance=guidance, request_id=request_id, timestamp=timestamp()
    )


def failed_detection(code: str, message: str, hint: str, call: Call) -> shapes.FaceAnswer:
    """Answer of a face detection whose input could not be read."""
    told = failure(code, message, hint, call.request_id).model_dump(exclude={"success", "status"})
    return shapes.FaceAnswer(**told, processing_time_ms=round(call.elapsed_s * 1000, 2))


def failed_analysis(code: str, message: str, hint: str, call: Call, model: ModelState) -> shapes.AnalysisAnswer:
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
    """Answer of the face detection."""
    photo, primary = found.photo, found.faces[0] if found.faces else None
    code = None if primary else found.error_code or "no_face"
    bounds = faces.original_bounds(primary.box, photo) if primary else {}
    confidence = numbers.share(primary.confidence) if primary else 0.0
    return shapes.FaceAnswer(
        success=code is None,
        status="success" if code is None else "no_face" if code == "no_face" else "error",
        error_code=code,
        error=None if code is None else found.guidance.message,
        face_detected=primary is not None,
        faces_detected=len(found.faces),
        face_count=len(found.faces),
        faces_found=found.faces_found,
        confidence=confidence,
        face_bounds=shapes.Bounds(**bounds),
        faces=[faces.face_entry(face, photo, include) for face in found.faces],
        primary_face=shapes.PrimaryFace(**bounds, confidence=confidence),
        image_dimensions=shapes.Dimensions(width=photo.original_size[0], height=photo.original_size[1]),
        quality_metrics=faces.quality_metrics(found.checks, primary, photo),
        quality_checks=faces.check_entries(found.checks),
        guidance=_guidance(found),
        message=found.guidance.message,
        processing_time_ms=round(call.elapsed_s * 1000, 2),
        timings_ms=numbers.timings(found.timings_ms),
        request_id=call.request_id,
        timestamp=timestamp(),
    )


def analysis(
    report: Report, include: frozenset[str], call: Call, demographics_ignored: tuple[str, ...] = ()
) -> shapes.AnalysisAnswer:
    """Answer of the skin analysis, refusals included."""
    now = timestamp()
    echo = _echo(report.demographics, demographics_ignored)
    shared = _shared(report, call, now)
    if report.error_code is not None:
        return shapes.AnalysisAnswer(
            **shared,
            error_code=report.error_code,
            error=report.guidance.message,
            message=report.guidance.message,
            summary=report.summary or report.guidance.message,
            analysis_summary=report.summary or report.guidance.message,
            result=shapes.Result(**echo, processing_time_seconds=call.seconds),
        )
    headline = _headline(report)
    conditions = findings.by_condition(report)
    detected = [*findings.detected_conditions(report), *opinion.listed(report)]
    predictions = findings.predictions(detected)
    return shapes.AnalysisAnswer(
        **shared,
        **headline,
        success=True,
        status="success",
        message=report.summary,
        percentage=round(100 * headline["confidence"], 1),
        confidence_score=headline["confidence"],
        severity_level=findings.level_word(findings.primary_finding(report)),
        summary=report.summary,
        analysis_summary=report.summary,
        detected_conditions=detected,
        all_predictions={entry.condition: entry.confidence for entry in predictions},
        top_3_predictions=predictions[:3],
        ensemble=opinion.block(report),
        regions=findings.region_scores(report.findings),
        skin_analysis=_skin_analysis(report, headline),
        recommendations=_recommendations(report),
        result=shapes.Result(
            **headline,
            **echo,
            processing_time_seconds=call.seconds,
            severity_levels={name: findings.level_word(finding) for name, finding in conditions.items()},
            conditions={name: findings.condition_entry(finding) for name, finding in conditions.items()},
            detected_conditions=detected,
            model_info=shared["model_info"],
        ),
        **_heavy(report, include),
    )


def _shared(report: Report, call: Call, now: str) -> dict[str, Any]:
    """Fields of reports and refusals alike."""
    return {
        **_clock(call, now),
        **_model(report.model),
        "request_id": call.request_id,
        "timestamp": now,
        "timings_ms": numbers.timings(report.timings_ms),
        "face_detection": faces.analysed_face(report),
        "quality_checks": faces.check_entries(report.checks),
        "skin_tone": _skin_tone(report.skin_tone),
        "guidance": _guidance(report),
        "disclaimer": DISCLAIMER,
    }


def _model(model: ModelState) -> dict[str, Any]:
    """What every answer of the analysis says about the ensemble, errors included."""
    accuracy = model.details.get("accuracy")
    return {
        "enhanced_ml": model.available,
        "degraded": not model.available,
        "degraded_reason": model.reason,
        "model_version": str(model.details.get("version") or f"classical-{calibration.document()['version']}"),
        "accuracy": None if accuracy is None else str(accuracy),
        "model_info": model_info(model),
    }


def _skin_tone(tone: SkinTone | None) -> shapes.SkinTone | None:
    return None if tone is None else shapes.SkinTone(**numbers.finite_fields(asdict(tone)))


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


def _skin_analysis(report: Report, headline: Mapping[str, Any]) -> shapes.SkinAnalysis:
    conditions = findings.by_condition(report)
    return shapes.SkinAnalysis(
        overall_health_score=headline["skin_health_score"],
        texture=_severity_word(conditions["texture"], words.TEXTURE),
        tone=_severity_word(conditions["pigmentation"], words.TONE),
        analysis_confidence=headline["confidence"],
        conditions_detected=[
            shapes.LocatedCondition(
                condition=findings.wire_name(finding.name),
                severity=finding.severity.value,
                confidence=numbers.share(finding.confidence),
                location=words.location(finding),
                description=words.describe(finding, finding.spot_count),
            )
            for finding in conditions.values()
            if finding.detected
        ],
    )


def _severity_word(finding: Finding, words: Mapping[Severity, str]) -> str:
    return "unknown" if finding.score is None else words[finding.severity]


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
        heavy["overlays"] = {"annotated": pictures.annotated(report)}
    if "regions" in include:
        heavy["region_outlines"] = pictures.region_outlines(report)
    if "lesions" in include:
        heavy["lesions"] = {
            findings.wire_name(found.name): [findings.lesion_entry(lesion, report.photo) for lesion in found.lesions]
            for found in report.findings
            if found.lesions
        }
    if "explanation" in include:
        explained = opinion.explain(report)
        reason = report.model.reason or words.NO_EXPLANATION
        heavy |= {"explanation": explained} if explained else {"explanation_reason": reason}
    return heavy


def model_info(model: ModelState) -> shapes.ModelInfo:
    """The part of a model's details that `model_info` names."""
    names = shapes.ModelInfo.model_fields
    return shapes.ModelInfo(**{name: value for name, value in model.details.items() if name in names})


def _guidance(answer: Detection | Report) -> shapes.Guidance:
    return shapes.Guidance(message=answer.guidance.message, suggestions=list(answer.guidance.suggestions))


def _echo(demographics: Demographics, ignored: tuple[str, ...]) -> dict[str, Any]:
    decade = None if demographics.age is None else demographics.age // DECADE_YEARS * DECADE_YEARS
    return {
        "age_group": None if decade is None else f"{decade}-{decade + DECADE_YEARS - 1}",
        "ethnicity": demographics.ethnicity,
        "gender": demographics.gender,
        "fitzpatrick": demographics.fitzpatrick,
        "demographics_ignored": list(ignored),
    }
