"""The frontend's flow, played as the contract tells it: camera page, analysis, result pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from analyzer import face
from analyzer.calibration import not_measured
from analyzer.values import Report
from analyzer.vocabulary import CheckCode, ConditionName, ReasonCode, Severity, Verdict
from tests.analyzer.predictions import graded, prediction, probable
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.page_reads import is_green, read_faces, read_model_status, read_report
from tests.web.records import DETECT
from tests.web.schema_checks import mended

LIVE_FLOW = "/api/v6/skin/analyze-advanced"
PICTURE = records.encoded(records.picture())
LENS_PX = 45  # radius of a dark lens that hides an eye of the portrait and leaves a face that is not quite sure


def unmeasured_report() -> Report:
    findings = (not_measured(name, ReasonCode.TOO_BLURRED, "It is too blurred.") for name in ConditionName)
    return replace(records.report(tuple(findings)), primary_condition=Verdict.UNKNOWN)


REPORTS = {
    "some": records.report(),
    "healthy": records.report(records.findings()),
    "all high": records.report(records.findings(**dict.fromkeys(ConditionName, Severity.HIGH))),
    "nothing measured": unmeasured_report(),
    "refused": records.refusal(CheckCode.TOO_DARK),
    "no face": records.refusal(CheckCode.NO_FACE),
    "an ensemble sees acne": records.report(prediction=prediction(probable("acne"))),
    "an ensemble grades": records.report(prediction=graded({"acne": (0.9, 3), "redness": (0.8, 2)})),
}


def play(client: FlaskClient, picture: str) -> Any:
    """Detection, then the analysis that the camera page sends if there is a face; the last answer."""
    detection = client.post(DETECT, json={"image": f"data:image/jpeg;base64,{picture}"})
    assert detection.status_code == 200
    if not read_faces(detection.json):
        return detection.json
    sent = {"image_data": picture, "preprocessing_metadata": {"face_detected": True, "quality": 0.9}}
    answer = client.post(LIVE_FLOW, json=sent)
    assert answer.status_code == 200
    read_report(answer.json, len(answer.data))
    return answer.json


@pytest.mark.parametrize("kind", REPORTS)
def test_every_page_can_read_every_report(client: FlaskClient, fake: FakePipeline, kind: str, app: Flask) -> None:
    fake.report = REPORTS[kind]
    play(client, PICTURE)
    assert mended(app) == 0


@pytest.mark.parametrize("code", CheckCode)
def test_the_flow_goes_on_as_far_as_the_photo_allows(client: FlaskClient, fake: FakePipeline, code: CheckCode) -> None:
    fake.detection = replace(records.detection(), checks=records.checks(code))
    fake.report = replace(records.report(), checks=records.checks(code))
    refuses = any(check.code == code and check.refuses for check in records.checks())
    if refuses:
        fake.detection, fake.report = records.detection(code), records.refusal(code)
    assert play(client, PICTURE)["success"] is not refuses


def test_an_unsure_face_goes_on_to_its_report(client: FlaskClient, fake: FakePipeline) -> None:
    unsure = replace(records.face(), confidence=0.62)
    checks = records.checks(CheckCode.FACE_UNSURE)
    fake.detection = replace(records.detection(), faces=(unsure,), checks=checks)
    fake.report = replace(records.report(), face=unsure, checks=checks)
    detection = client.post(DETECT, json={"image": PICTURE}).json
    assert (detection["quality_metrics"]["positioning"], detection["quality_metrics"]["overall_quality"]) == (
        "unsure",
        "fair",
    )
    assert detection["faces"][0]["confidence"] == 0.62
    assert play(client, PICTURE)["success"] is True


def test_a_real_face_behind_dark_glasses_goes_on_to_its_report(client: FlaskClient, portrait_jpeg: bytes) -> None:
    behind_glasses = in_dark_glasses(portrait_jpeg)
    detection = client.post(DETECT, data=behind_glasses, content_type="image/jpeg").json
    assert "face_unsure" in [check["code"] for check in detection["quality_checks"] if not check["passed"]]
    answer = play(client, records.encoded(behind_glasses))
    assert (answer["success"], answer["face_detection"]["detected"]) == (True, True)
    assert "unsure" in client.post(DETECT, data=behind_glasses, content_type="image/jpeg").text


def in_dark_glasses(jpeg: bytes) -> bytes:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    eyes = face.detect(np.ascontiguousarray(bgr[..., ::-1]))[0].eyes
    assert eyes is not None
    for x, y in eyes:
        cv2.circle(bgr, (round(float(x)), round(float(y))), LENS_PX, (15, 15, 15), -1)
    return cv2.imencode(".jpg", bgr)[1].tobytes()


def test_what_was_not_measured_is_told_apart_from_what_is_not_there(client: FlaskClient, fake: FakePipeline) -> None:
    result = play(client, PICTURE)["result"]
    assert result["severity_levels"]["pores"] == result["severity_levels"]["redness"] == "none"
    assert result["unmeasured_conditions"] == ["pores"]
    assert is_green(result["conditions"]["redness"])
    assert not is_green(result["conditions"]["pores"])


def test_a_severity_that_a_model_does_not_grade_is_told_as_not_measured(
    client: FlaskClient, fake: FakePipeline
) -> None:
    fake.report = records.report(records.findings(redness=Severity.LOW), prediction=prediction(probable("acne")))
    entries = {entry["name"]: entry for entry in play(client, PICTURE)["detected_conditions"]}
    assert (entries["acne"]["severity"], entries["acne"]["measured"]) == ("none", False)
    assert entries["redness"]["measured"] is True


def test_the_page_of_the_model_can_read_its_status(client: FlaskClient) -> None:
    read_model_status(client.get("/api/v5/skin/model-status").json)
