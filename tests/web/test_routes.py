"""Routes, aliases, methods, CORS, request ids, error bodies, operators and pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from analyzer.ensemble import Ensemble
from analyzer.errors import AnalyzerError
from analyzer.settings import Settings
from analyzer.values import ModelState
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE, DETECT, PAGE

DETECT_PATHS = (DETECT, "/api/v1/face/detect", "/api/v3/face/detect")
ANALYZE_PATHS = (
    ANALYZE,
    "/api/v6/skin/analyze-advanced",
    "/api/v6/skin/analyze-production-model",
    "/api/v4/skin/analyze-enhanced",
    "/api/v5/skin/analyze-fixed",
)
GET_PATHS = (
    "/api/v5/skin/model-status",
    "/health",
    "/api/health",
    "/api/v3/system/health",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
)
PREFLIGHT = {  # what a browser sends before it posts
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "accept, authorization, content-type",
}
BODY = {"image": records.encoded(records.picture())}


def allowed_origin(answer: TestResponse) -> str | None:
    return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", DETECT_PATHS)
def test_every_detection_path_detects(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    records.check_schema("face", client.post(path, json=BODY).json)


@pytest.mark.parametrize("path", ANALYZE_PATHS)
def test_every_analysis_path_analyses(client: FlaskClient, fake: FakePipeline, path: str) -> None:
    answer = client.post(path, json=BODY)
    records.check_schema("analysis", answer.json)
    assert answer.json["api_metadata"]["endpoint"] == path


@pytest.mark.parametrize("path", GET_PATHS)
def test_every_other_route_answers_pages_of_other_origins(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert allowed_origin(answer) == PAGE


@pytest.mark.parametrize("path", [DETECT, ANALYZE])
@pytest.mark.parametrize("slashes", ["//", "///"])
def test_doubled_slashes_reach_the_route_without_a_redirect(
    client: FlaskClient, fake: FakePipeline, path: str, slashes: str
) -> None:
    doubled = slashes + path.lstrip("/").replace("/", "//", 1)
    answer = client.post("/", environ_overrides={"PATH_INFO": doubled}, json=BODY)
    assert (answer.status_code, answer.json["success"]) == (200, True)
    preflight = client.options("/", environ_overrides={"PATH_INFO": doubled}, headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


def test_health_is_text(client: FlaskClient) -> None:
    assert (client.get("/health").text, client.get("/health").mimetype) == ("OK", "text/plain")


@pytest.mark.parametrize("path", [DETECT, ANALYZE, "/nowhere"])
def test_preflights_are_allowed_for_known_origins(client: FlaskClient, path: str) -> None:
    answer = client.options(path, headers=PREFLIGHT)
    assert allowed_origin(answer) == PAGE
    assert {"GET", "POST", "OPTIONS"} <= set(re.split(r",\s*", answer.headers["Access-Control-Allow-Methods"]))
    allowed = {name.lower() for name in re.split(r",\s*", answer.headers["Access-Control-Allow-Headers"])}
    assert allowed == {"content-type", "authorization", "accept"}
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_unknown_origins_are_not_allowed_and_nothing_is_cached_for_others(client: FlaskClient) -> None:
    answer = client.get("/health", headers={"Origin": "https://elsewhere.example"})
    assert allowed_origin(answer) is None
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("origins", [Settings().cors_origins, (PAGE,), ("*",)])
def test_a_call_without_an_origin_is_told_of_none(origins: tuple[str, ...]) -> None:
    client = create_app(Settings(cors_origins=origins)).test_client()
    for answer in (client.get("/health"), client.options(ANALYZE), client.post(ANALYZE, json={})):
        assert allowed_origin(answer) is None


def test_star_allows_every_origin() -> None:
    client = create_app(Settings(cors_origins=("*",))).test_client()
    assert allowed_origin(client.get("/health", headers={"Origin": "https://elsewhere.example"})) == "*"


@pytest.mark.parametrize(("path", "schema"), [(DETECT, "face_refusal"), (ANALYZE, "analysis_refusal")])
def test_bad_input_has_the_shape_of_its_route_and_cors(client: FlaskClient, path: str, schema: str) -> None:
    answer = client.post(path, json={"image": "%%%"}, headers={"Origin": PAGE})
    assert (answer.status_code, answer.json["error_code"]) == (400, "bad_base64")
    assert allowed_origin(answer) == PAGE
    records.check_schema(schema, answer.json)
    records.check_schema("failure", answer.json)


def test_unknown_paths_and_methods_are_json(client: FlaskClient) -> None:
    missing = client.get("/api/nowhere", headers={"Origin": PAGE})
    assert (missing.status_code, missing.json["error_code"]) == (404, "not_found")
    wrong = client.get(ANALYZE, headers={"Origin": PAGE})
    assert (wrong.status_code, wrong.json["error_code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"]
    for answer in (missing, wrong):
        assert allowed_origin(answer) == PAGE
        records.check_schema("failure", answer.json)


def test_a_body_above_the_limit_is_413_json(fake: FakePipeline) -> None:
    client = create_app(Settings(max_body_bytes=1000)).test_client()
    for options in ({"json": {"image": "A" * 2000}}, {"data": b"\xff\xd8\xff" * 900, "content_type": "image/jpeg"}):
        answer = client.post(ANALYZE, headers={"Origin": PAGE}, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json["error_code"]) == (413, "too_large")
        assert allowed_origin(answer) == PAGE
        records.check_schema("analysis_refusal", answer.json)
    assert not fake.calls


def test_too_many_pixels_are_refused_before_anything_is_decoded(fake: FakePipeline) -> None:
    client = create_app(Settings(max_pixels=100_000)).test_client()
    answer = client.post(ANALYZE, data=records.picture(400, 300), content_type="image/png")
    assert (answer.status_code, answer.json["error_code"]) == (413, "too_many_pixels")
    assert not fake.calls


def test_an_unexpected_fault_is_500_with_its_id_and_without_its_message(
    client: FlaskClient, fake: FakePipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.report = ValueError("the secret that it stumbled over")
    client = create_app(Settings()).test_client()  # logs to the captured stream
    answer = client.post(ANALYZE, json=BODY, headers={"Origin": PAGE, "X-Request-ID": "trace-me"})
    assert (answer.status_code, answer.json["error_code"], answer.json["request_id"]) == (
        500,
        "internal_error",
        "trace-me",
    )
    assert allowed_origin(answer) == PAGE
    records.check_schema("analysis_refusal", answer.json)
    log = capsys.readouterr().err
    assert "trace-me" in log
    assert "builtins.ValueError" in log
    assert "secret" not in log + answer.text


def test_an_analyzer_error_outside_the_table_is_an_internal_error(client: FlaskClient, fake: FakePipeline) -> None:
    fake.report = AnalyzerError("calibration is broken", "restore it", "bad_setting")
    answer = client.post(ANALYZE, json=BODY)
    assert (answer.status_code, answer.json["error_code"]) == (500, "internal_error")
    assert "calibration" not in answer.text


@pytest.mark.parametrize("given", ["abc-123", "0" * 64, "a.b_c"])
def test_sane_request_ids_are_kept(client: FlaskClient, fake: FakePipeline, given: str) -> None:
    answer = client.post(ANALYZE, json=BODY, headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == answer.json["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", '"}'])
def test_other_request_ids_are_replaced(client: FlaskClient, fake: FakePipeline, given: str) -> None:
    answer = client.post(ANALYZE, json=BODY, headers={"X-Request-ID": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.9", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("203.0.113.9", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("203.0.113.9", {"Authorization": f"Bearer {TOKEN}x"}, 403),
        ("203.0.113.9", {"Authorization": f"Basic {TOKEN}"}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"Host": "127.0.0.1:8000"}, 200),
        ("::1", {"Host": "[::1]:8000"}, 200),
        ("127.0.0.1", {"Host": "LOCALHOST"}, 200),
        ("127.0.0.1", {"Host": "rebound.example"}, 403),
        ("127.0.0.1", {"Host": "localhost.rebound.example:8000"}, 403),
        ("127.0.0.1", {"Host": "127.0.0.1.rebound.example"}, 403),
        ("127.0.0.1", {"Host": "rebound.example@127.0.0.1"}, 403),
        ("127.0.0.1", {"Host": "[rebound]"}, 403),
        ("127.0.0.1", {"Host": "203.0.113.9"}, 403),
        ("127.0.0.1", {"Host": ""}, 403),
        ("203.0.113.9", {"Host": "localhost"}, 403),
        ("127.0.0.1", {"Host": "rebound.example", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_metrics_are_for_operators(address: str, headers: dict[str, str], status: int) -> None:
    client = create_app(Settings(operator_token=TOKEN)).test_client()
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == status
    if status == 403:
        records.check_schema("failure", answer.json)


def test_local_callers_need_the_token_when_the_setting_says_so() -> None:
    client = create_app(Settings(operator_local=False)).test_client()
    assert client.get("/metrics").status_code == 403


def test_metrics_count_requests_refusals_and_stages(client: FlaskClient, fake: FakePipeline) -> None:
    client.post(ANALYZE, json=BODY)
    client.post(ANALYZE, json={})
    fake.report = records.refusal("too_dark")
    client.post(ANALYZE, json=BODY)
    text = client.get("/metrics").text
    assert 'skin_requests_total{method="POST",route="analyze",status="200"} 2.0' in text
    assert 'skin_requests_total{method="POST",route="analyze",status="400"} 1.0' in text
    assert 'skin_refusals_total{code="missing_image"} 1.0' in text
    assert 'skin_refusals_total{code="too_dark"} 1.0' in text
    assert 'skin_stage_seconds_count{stage="face"} 2.0' in text
    assert 'skin_gate_running{gate="analyses"} 0.0' in text


class Installed(Ensemble):
    """An ensemble's place with an artefact in it."""

    def state(self) -> ModelState:
        return ModelState(
            True,
            None,
            {"version": "6.1", "path": "models/x", "s3_location": "s3://bucket/x", "labels": ("acne", "healthy")},
        )


def test_paths_in_the_model_status_are_for_operators() -> None:
    client = create_app(Settings(operator_token=TOKEN), Installed()).test_client()
    seen = client.get("/api/v5/skin/model-status").json
    hidden = client.get("/api/v5/skin/model-status", environ_overrides={"REMOTE_ADDR": "203.0.113.9"}).json
    for answer in (seen, hidden):
        records.check_schema("model_status", answer)
        assert (answer["status"], answer["classes"]) == ("healthy", ["acne", "healthy"])
    assert seen["model_status"]["model_details"]["facial"]["s3_location"] == "s3://bucket/x"
    assert hidden["model_status"]["model_details"]["facial"]["s3_location"] is None
    assert hidden["model_status"]["model_details"]["facial"]["path"] is None
    assert seen["model_status"]["config"]["max_queue"] == 128
    assert hidden["model_status"]["config"] == {}
    assert TOKEN not in str(seen)


def test_pages_need_nothing_from_elsewhere(client: FlaskClient) -> None:
    for page in ("/", "/docs"):
        html = client.get(page).text
        assert 'rel="icon"' in html, "else browsers ask for /favicon.ico"
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
        for name in re.findall(r'(?:src|href)="((?:static/)?[\w.-]+\.\w+)"', html):
            assert client.get(f"/{name}").status_code == 200, name


def test_files_outside_the_pages_are_not_served(client: FlaskClient) -> None:
    for path in ("/../application.py", "/static/../routes.py", "/routes.py", "/.env"):
        assert client.get(path).status_code == 404


def test_every_route_of_the_app_stands_in_the_api_document(app: Flask) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    paths = {*DETECT_PATHS, *ANALYZE_PATHS, *GET_PATHS, "/ready"}
    served = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint != "asset"}
    assert served == paths
    assert [path for path in sorted(paths) if f"`{path}`" not in text] == []
