"""Values as the pipeline makes them, with invented numbers: what the HTTP layer is tested with."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jsonschema import Draft202012Validator

from analyzer.quality import REFUSALS
from analyzer.values import (
    Box,
    Check,
    Demographics,
    Detection,
    Face,
    Finding,
    Guidance,
    Lesion,
    ModelState,
    Photo,
    Prediction,
    Recommendations,
    Report,
    SkinTone,
)
from analyzer.vocabulary import CheckCode, ConditionName, Fitzpatrick, ItaGroup, ReasonCode, Region, Severity, Verdict

SCHEMAS = Path(__file__).with_name("schemas")
PAGE = "http://localhost:3000"
DETECT = "/api/v4/face/detect"
ANALYZE = "/api/v6/skin/analyze-hare-run"
NAMES = tuple(ConditionName)


def check_schema(name: str, answer: Any) -> None:
    """Hold an answer against the hand-written schema `name`."""
    errors = sorted(_validator(name).iter_errors(answer), key=str)
    assert not errors, [f"{error.json_path}: {error.message[:200]}" for error in errors]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text()))


def picture(width: int = 64, height: int = 48, suffix: str = ".png") -> bytes:
    """Bytes of a small valid picture with a gradient."""
    ramp = np.linspace(0, 255, width * height * 3).astype(np.uint8).reshape(height, width, 3)
    return cv2.imencode(suffix, ramp)[1].tobytes()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def photo() -> Photo:
    """A photo that was decoded at half its size."""
    rgb = np.full((240, 320, 3), 150, np.uint8)
    rgb[60:160, 110:210] = (200, 160, 140)
    return Photo(rgb=rgb, original_size=(640, 480), scale=0.5, media_type="image/jpeg")


def face() -> Face:
    return Face(
        box=Box(106.0, 48.0, 115.5, 115.5),
        confidence=0.97,
        eyes=np.array([[135, 85], [190, 84]], np.float32),
        roll_deg=-1.0,
        method="haar-alt2",
    )


def checks(failing: str | None = None) -> tuple[Check, ...]:
    """Every check there is; the one that is named fails."""
    return tuple(
        Check(code, code != failing, code in REFUSALS, 142.0, 60.0, "px", f"Mend {code}.") for code in CheckCode
    )


def detection(failing: str | None = None) -> Detection:
    return Detection(
        photo=photo(),
        faces=() if failing else (face(),),
        faces_found=0 if failing == "no_face" else 1,
        checks=checks(failing),
        error_code=None if failing is None else CheckCode(failing),
        guidance=Guidance(f"Refused: {failing}." if failing else "Face found", ("Mend it.",) if failing else ()),
        timings_ms={"decode": 1.5, "face": 20.25},
    )


def detection_with_landmarks() -> Detection:
    """As a stage answers that measures landmarks; here two groups of a few points."""
    landmarks = {
        "face_oval": np.array([[110.25, 48.12], [215.0, 155.0]], np.float32),
        "iris_centres": np.array([[135.0, 85.0]], np.float32),
    }
    turned = replace(face(), roll_deg=-1.23, yaw_deg=12.34, landmarks=landmarks, method="network")
    return replace(detection(), faces=(turned,))


def finding(name: str, score: float | None, severity: Severity, **more: Any) -> Finding:
    measured = score is not None
    return Finding(
        name=ConditionName(name),
        score=score,
        interval=(max(0.0, score - 0.06), min(1.0, score + 0.06)) if score is not None else None,
        severity=severity,
        confidence=0.81 if measured else 0.0,
        formula=f"{name}-1",
        reason=None if measured else "too_blurred: The photo is too blurred.",
        reason_code=None if measured else ReasonCode.TOO_BLURRED,
        **({"area_fraction": 0.02 if measured else None} | more),
    )


def findings(**severities: Severity) -> tuple[Finding, ...]:
    """All eight; those that are named get their severity with a fitting score, the others nothing noticeable."""
    scores = dict(zip(Severity, (0.05, 0.15, 0.3, 0.55, 0.9), strict=True))
    more: dict[str, dict[str, Any]] = {
        ConditionName.ACNE: {
            "area_fraction": 0.03,
            "lesions": tuple(Lesion(Box(250.0 + i, 300.0, 9.0, 8.0), 5.0, Region.CHIN) for i in range(9)),
            "regions": {Region.CHIN: 0.6, Region.FOREHEAD: 0.2, Region.NOSE: None},
            "evidence": {"raw": 1.2},
        }
    }
    found = ((name, severities.get(name, Severity.NONE)) for name in NAMES)
    return tuple(finding(name, scores[word], word, **more.get(name, {})) for name, word in found)


def report(
    found: tuple[Finding, ...] | None = None,
    demographics: Demographics = Demographics(),  # noqa: B008
    prediction: Prediction | None = None,
) -> Report:
    """A report; by default moderate acne, high pigmentation and unmeasurable pores."""
    if found is None:
        found = findings(acne=Severity.MODERATE, pigmentation=Severity.HIGH)
        found = tuple(finding("pores", None, Severity.NONE) if one.name == "pores" else one for one in found)
    concerns = sorted((one for one in found if one.detected), key=lambda one: -(one.score or 0.0))
    return Report(
        photo=photo(),
        face=face(),
        checks=checks(),
        error_code=None,
        guidance=Guidance("Analysis complete"),
        findings=found,
        skin_tone=SkinTone(31.0, ItaGroup.INTERMEDIATE, Fitzpatrick.III, 5, True),
        primary_condition=concerns[0].name if concerns else Verdict.HEALTHY,
        primary_concerns=tuple(one.name for one in concerns),
        health_score=71.0,
        confidence=0.81,
        summary="Most visible in this photo: something.",
        recommendations=Recommendations(immediate_actions=("Cleanse.",), lifestyle_changes=("Sleep.",)),
        model=ModelState(False, "No ensemble artefact is installed."),
        demographics=demographics,
        timings_ms={"decode": 1.5, "face": 20.25, "conditions": 12.0, "ensemble": 0.01},
        prediction=prediction,
    )


def refusal(code: str) -> Report:
    whole = report(())
    return replace(
        whole,
        face=None if code == "no_face" else whole.face,
        checks=checks(code),
        error_code=CheckCode(code),
        guidance=Guidance(f"Refused: {code}.", ("Mend it.",)),
        skin_tone=None,
        primary_condition=Verdict.UNKNOWN,
        health_score=None,
        confidence=0.0,
        summary="",
        recommendations=Recommendations(),
    )
