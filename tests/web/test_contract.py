"""Answers against the hand-written schemas of the contract."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import asdict, replace
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from flask.testing import FlaskClient

from analyzer import face
from analyzer.face import FaceStage
from analyzer.values import Demographics, ModelState
from analyzer.vocabulary import CheckCode, Severity
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE, DETECT

BODY = {"image": records.encoded(records.picture())}


def test_detection_has_the_shape_of_the_contract(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(DETECT, json=BODY)
    assert answer.status_code == 200
    records.check_schema("face", answer.json)


def test_detection_speaks_in_pixels_of_the_original(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(DETECT, json=BODY).json
    assert answer["face_bounds"] == {"x": 212, "y": 96, "width": 231, "height": 231}
    assert answer["faces"][0]["eyes"] == [{"x": 270, "y": 170}, {"x": 380, "y": 168}]
    assert answer["image_dimensions"] == {"width": 640, "height": 480}


def test_face_crop_is_a_png_of_the_promised_size(client: FlaskClient, fake: FakePipeline) -> None:
    crop = base64.b64decode(client.post(DETECT, json=BODY).json["faces"][0]["cropped_face_image"], validate=True)
    bgr = cv2.imdecode(np.frombuffer(crop, np.uint8), cv2.IMREAD_COLOR)
    assert bgr.shape[0] == bgr.shape[1]
    assert 256 <= bgr.shape[0] <= 384
    assert tuple(bgr[bgr.shape[0] // 2, bgr.shape[1] // 2]) == (140, 160, 200)  # the face, in the right channel order


@pytest.mark.parametrize("path", [DETECT, "/api/v1/face/detect", "/api/v3/face/detect"])
def test_landmarks_come_when_asked_in_pixels_of_the_original(
    client: FlaskClient, fake: FakePipeline, path: str
) -> None:
    fake.detection = records.detection_with_landmarks()
    answer = client.post(path, json={**BODY, "include": ["landmarks"]}).json
    records.check_schema("face", answer)
    entry = answer["faces"][0]
    assert entry["landmarks"] == {"face_oval": [[220.5, 96.2], [430.0, 310.0]], "iris_centres": [[270.0, 170.0]]}
    assert (entry["roll_deg"], entry["yaw_deg"]) == (-1.2, 12.3)
    form = {"image": (io.BytesIO(records.picture()), "x.png"), "include": "landmarks"}
    assert client.post(path, data=form).json["faces"][0]["landmarks"] == entry["landmarks"]


def test_landmarks_stay_away_unless_asked_and_are_null_where_none_were_measured(
    client: FlaskClient, fake: FakePipeline
) -> None:
    without = client.post(DETECT, json={**BODY, "include": ["landmarks"]}).json
    records.check_schema("face", without)
    assert without["faces"][0]["landmarks"] is None
    assert without["faces"][0]["yaw_deg"] is None
    fake.detection = records.detection_with_landmarks()
    assert client.post(DETECT, json={**BODY, "include": ["lesions"]}).json["faces"][0]["landmarks"] is None


@pytest.mark.parametrize("code", ["no_face", "too_dark", "face_too_small"])
def test_refused_detection_keeps_the_shape(client: FlaskClient, fake: FakePipeline, code: str) -> None:
    fake.detection = records.detection(code)
    answer = client.post(DETECT, json=BODY)
    assert answer.status_code == 200
    records.check_schema("face_refusal", answer.json)
    assert answer.json["error_code"] == code
    assert answer.json["status"] == ("no_face" if code == "no_face" else "error")
    assert answer.json["faces_found"] == (0 if code == "no_face" else 1)


def test_report_has_the_shape_of_the_contract(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, json=BODY)
    assert answer.status_code == 200
    records.check_schema("analysis", answer.json)


def test_names_and_severity_words_are_those_that_pages_match_on(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, json=BODY).json
    assert answer["primary_condition"] == answer["result"]["primary_condition"] == "hyperpigmentation"
    assert [entry["name"] for entry in answer["detected_conditions"]] == ["hyperpigmentation", "acne"]
    assert answer["result"]["conditions"]["pigmentation"]["severity"] == "high"
    assert answer["result"]["severity_levels"]["pigmentation"] == answer["severity_level"] == "severe"
    assert answer["severity"] == 0.9
    assert answer["primary_concerns"] == ["hyperpigmentation", "acne"]
    assert b"mild" not in client.post(ANALYZE, json=BODY).data


def test_what_was_not_measured_has_a_reason_and_no_number(client: FlaskClient, fake: FakePipeline) -> None:
    pores = client.post(ANALYZE, json=BODY).json["result"]["conditions"]["pores"]
    assert pores["score"] is None
    assert pores["score_interval"] is None
    assert pores["percentage"] is None
    assert pores["reason"].startswith("too_blurred")


def test_missing_findings_are_listed_as_not_measured(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = records.report(records.findings(acne=Severity.LOW)[:2])
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    assert answer["result"]["conditions"]["under_eye"]["reason"].startswith("not_measured")


def test_healthy_skin_has_one_healthy_entry_and_shown_floors(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = replace(records.report(records.findings()), health_score=0.0)
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    assert answer["primary_condition"] == "healthy"
    assert [entry["name"] for entry in answer["detected_conditions"]] == ["healthy"]
    assert answer["severity"] == answer["skin_health_score"] == 0.01


def test_without_ensemble_the_answer_says_so(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, json=BODY).json
    assert (answer["enhanced_ml"], answer["degraded"], answer["accuracy"]) == (False, True, None)
    assert answer["degraded_reason"]
    assert answer["model_info"]["version"] is None
    assert answer["model_info"]["type"] == "classical"


def test_an_ensemble_fills_its_fields(client: FlaskClient, fake: FakePipeline) -> None:
    details = {
        "version": "6.1",
        "accuracy": "0.80 on held-out faces",
        "classes": 6,
        "source": "local",
        "labels": ("acne",),
    }
    fake.report = replace(records.report(), model=ModelState(True, None, details))
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    assert (answer["enhanced_ml"], answer["degraded"], answer["degraded_reason"]) == (True, False, None)
    assert (answer["model_version"], answer["model_info"]["classes"]) == ("6.1", 6)


@pytest.mark.parametrize("code", ["no_face", "too_dark", "blur"])
def test_refused_report_is_200_with_empty_collections(client: FlaskClient, fake: FakePipeline, code: str) -> None:
    fake.report = records.refusal(code)
    answer = client.post(ANALYZE, json=BODY)
    assert answer.status_code == 200
    records.check_schema("analysis_refusal", answer.json)
    assert answer.json["error_code"] == code


def test_numbers_that_are_not_finite_never_leave(client: FlaskClient, fake: FakePipeline) -> None:
    broken = tuple(
        replace(one, evidence={"raw": math.nan}, regions={"chin": math.inf}, interval=(math.nan, 1.0))
        for one in records.findings(acne=Severity.LOW)
    )
    fake.report = replace(
        records.report(broken), health_score=math.nan, confidence=math.nan, timings_ms={"face": math.nan}
    )
    answer = client.post(ANALYZE, json=BODY)
    records.check_schema("analysis", answer.json)
    assert answer.json["result"]["conditions"]["acne"]["evidence"] == {"raw": None}
    assert answer.json["health_score"] == 0.0


def test_numpy_numbers_are_written_as_plain_ones(client: FlaskClient, fake: FakePipeline) -> None:
    checks = tuple(
        replace(check, passed=np.True_, value=np.float32(1.5))
        for check in records.checks()  # type: ignore[arg-type]
    )
    fake.report = replace(records.report(), checks=checks, confidence=np.float32(0.5), health_score=np.float64(60.0))
    answer = client.post(ANALYZE, json=BODY)
    records.check_schema("analysis", answer.json)
    assert answer.json["confidence"] == 0.5


def test_body_is_small_and_holds_no_picture_unless_asked(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, json=BODY)
    assert len(answer.data) < 64 * 1024
    assert b"iVBOR" not in answer.data
    assert {"overlays", "lesions", "region_outlines"}.isdisjoint(answer.json)


def test_heavy_parts_come_when_asked(client: FlaskClient, fake: FakePipeline) -> None:
    include = ["overlays", "regions", "lesions", "explanation", "nonsense"]
    answer = client.post(ANALYZE, json={**BODY, "include": include}).json
    records.check_schema("analysis", answer)
    assert base64.b64decode(answer["overlays"]["annotated"]).startswith(b"\x89PNG")
    assert len(answer["lesions"]["acne"]) == 9
    assert answer["lesions"]["acne"][0]["x"] == 250  # lesions are original pixels already
    assert answer["explanation"] is None
    assert answer["explanation_reason"]
    assert answer["region_outlines"] == {}


def test_demographics_are_handed_on_and_echoed(client: FlaskClient, fake: FakePipeline) -> None:
    said = {"age": 34, "ethnicity": "Igbo", "gender": "woman", "fitzpatrick": "v", "shoe_size": 40}
    fake.report = lambda: records.report(demographics=fake.calls[-1][1]["demographics"])
    result = client.post(ANALYZE, json={**BODY, "demographics": said}).json["result"]
    assert fake.calls[-1][1]["demographics"] == Demographics(34, "Igbo", "woman", "V")
    assert (result["age_group"], result["ethnicity"], result["gender"]) == ("30-39", "Igbo", "woman")
    assert result["fitzpatrick"] == "V"


@pytest.mark.parametrize(
    ("said", "ignored"),
    [
        ([1], ["demographics"]),
        ("young", ["demographics"]),
        (34, ["demographics"]),
        ({"age": "25-34"}, ["age"]),
        ({"age": -1}, ["age"]),
        ({"age": -0.5}, ["age"]),
        ({"age": 121}, ["age"]),
        ({"age": True}, ["age"]),
        ({"age": "9" * 5000}, ["age"]),
        ({"gender": 5}, ["gender"]),
        ({"ethnicity": "x" * 65}, ["ethnicity"]),
        ({"fitzpatrick": "VII"}, ["fitzpatrick"]),
        ({"fitzpatrick": 0}, ["fitzpatrick"]),
        ({"fitzpatrick": 2.5}, ["fitzpatrick"]),
        ({"fitzpatrick": True}, ["fitzpatrick"]),
        ({"fitzpatrick": [1], "age": {}}, ["age", "fitzpatrick"]),
    ],
)
def test_demographics_that_cannot_be_used_are_named_and_cost_nothing(
    client: FlaskClient, fake: FakePipeline, said: Any, ignored: list[str]
) -> None:
    answer = client.post(ANALYZE, json={**BODY, "demographics": said})
    records.check_schema("analysis", answer.json)
    assert answer.json["result"]["demographics_ignored"] == ignored
    assert fake.calls[-1][1]["demographics"] == Demographics()
    assert (answer.json["result"]["age_group"], answer.json["result"]["gender"]) == (None, None)


def test_usable_demographics_are_kept_beside_others(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = lambda: replace(records.refusal("blur"), demographics=fake.calls[-1][1]["demographics"])
    said = {"age": "25-34", "gender": "woman"}
    result = client.post(ANALYZE, json={**BODY, "demographics": said}).json["result"]
    assert fake.calls[-1][1]["demographics"] == Demographics(gender="woman")
    assert (result["gender"], result["demographics_ignored"]) == ("woman", ["age"])


def test_an_include_of_the_wrong_type_is_400(client: FlaskClient, fake: FakePipeline) -> None:
    answer = client.post(ANALYZE, json={**BODY, "include": 7})
    assert (answer.status_code, answer.json["error_code"]) == (400, "bad_json")
    assert "include" in answer.json["message"]


@pytest.mark.parametrize("age", ["34", "34.5", 34.0, 34.9, 34])
def test_ages_that_mean_a_number_are_taken(client: FlaskClient, fake: FakePipeline, age: Any) -> None:
    answer = client.post(ANALYZE, json={**BODY, "demographics": {"age": age, "gender": ""}})
    assert answer.json["result"]["demographics_ignored"] == []
    assert fake.calls[-1][1]["demographics"] == Demographics(34)


@pytest.mark.parametrize(("type_", "kept"), [(1, "I"), (3, "III"), ("6", "VI"), (4.0, "IV"), (" ii ", "II")])
def test_fitzpatrick_types_may_be_numbers(client: FlaskClient, fake: FakePipeline, type_: Any, kept: str) -> None:
    client.post(ANALYZE, json={**BODY, "demographics": {"fitzpatrick": type_}})
    assert fake.calls[-1][1]["demographics"] == Demographics(fitzpatrick=kept)


def test_errors_say_what_they_rest_on_like_other_answers(client: FlaskClient, fake: FakePipeline) -> None:
    whole = client.post(ANALYZE, json=BODY).json
    for answer in (client.post(ANALYZE, json={}).json, client.post(ANALYZE, json={"image": "AAAA" * 9}).json):
        assert answer["degraded"] is True
        assert answer["degraded_reason"]
        assert answer["model_version"] == whole["model_version"] == "classical-1"


def test_model_status_is_honest_without_a_model(client: FlaskClient) -> None:
    answer = client.get("/api/v5/skin/model-status")
    assert answer.status_code == 200
    records.check_schema("model_status", answer.json)
    assert answer.json["status"] == "degraded"
    assert answer.json["model_status"]["fallback_reason"]


@pytest.mark.parametrize(
    "stage", [FaceStage("network", "1.2"), FaceStage("haar", "haar-1", "No artefact is installed."), None]
)
def test_model_status_tells_what_finds_the_faces(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, stage: FaceStage | None
) -> None:
    monkeypatch.setattr(face, "stage", lambda: stage)
    answer = client.get("/api/v5/skin/model-status").json
    records.check_schema("model_status", answer)
    assert answer["face_stage"] == (None if stage is None else asdict(stage))


def test_asking_for_the_model_status_loads_no_face_stage(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face, "_chosen", None)
    assert client.get("/api/v5/skin/model-status").json["face_stage"] is None
    assert face.stage() is None


@pytest.mark.parametrize("path", ["/api/health", "/api/v3/system/health"])
def test_health_as_json(client: FlaskClient, path: str) -> None:
    records.check_schema("health", client.get(path).json)


def test_real_pipeline_reports_on_a_real_face(client: FlaskClient, portrait_jpeg: bytes) -> None:
    found = client.post(DETECT, data=portrait_jpeg, content_type="image/jpeg")
    records.check_schema("face", found.json)
    answer = client.post(ANALYZE, json={"image": records.encoded(portrait_jpeg)})
    records.check_schema("analysis", answer.json)
    assert len(found.json["quality_checks"]) == len(answer.json["quality_checks"]) == len(CheckCode)
    assert answer.json["regions"]["forehead"]
    assert answer.json["skin_tone"]
    assert answer.json["face_detection"]["face_bounds"] == found.json["face_bounds"]
    scores = [condition["score"] for condition in answer.json["result"]["conditions"].values()]
    assert sum(score is not None for score in scores) >= 4


def test_real_pipeline_draws_when_asked(client: FlaskClient, portrait_jpeg: bytes) -> None:
    include = ["overlays", "regions", "lesions"]
    answer = client.post(ANALYZE, json={"image": records.encoded(portrait_jpeg), "include": include}).json
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(answer["overlays"]["annotated"]), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape[1] >= 256
    width, height = answer["face_detection"]["image_dimensions"]
    points = [point for polygons in answer["region_outlines"].values() for polygon in polygons for point in polygon]
    assert len(points) > 20
    assert all(-width <= x <= 2 * width and -height <= y <= 2 * height for x, y in points)


def test_real_pipeline_refuses_a_picture_without_a_face(client: FlaskClient) -> None:
    flat = records.picture(400, 400)
    records.check_schema("face_refusal", client.post(DETECT, data=flat, content_type="image/png").json)
    answer = client.post(ANALYZE, data=flat, content_type="image/png").json
    records.check_schema("analysis_refusal", answer)
    assert answer["error_code"] == "no_face"


@pytest.mark.data
def test_real_pipeline_reports_on_a_selfie(client: FlaskClient, face_jpeg: bytes) -> None:
    answer = client.post(ANALYZE, data=face_jpeg, content_type="image/jpeg")
    records.check_schema("analysis", orjson.loads(answer.data))
