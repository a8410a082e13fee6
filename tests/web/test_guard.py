"""Rate limit and keys at the routes: who is counted, what is exempt, what a refusal looks like, what is never told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE, DETECT, PAGE
from tests.web.test_routes import PREFLIGHT

KEYS = ("first-key-0123456789", "second-key-0123456789")
EXEMPT = ("/health", "/api/health", "/ready", "/metrics", "/api/v5/skin/model-status", "/", "/docs", "/openapi.json")
BODY = {"image": records.encoded(records.picture())}


def client(**settings: Any) -> FlaskClient:
    return create_app(Settings(**settings)).test_client()


def post(client: FlaskClient, path: str = ANALYZE, address: str = "203.0.113.9", **headers: str) -> Any:
    origin = {"Origin": PAGE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.post(path, json=BODY, headers=origin, environ_overrides={"REMOTE_ADDR": address})


@pytest.mark.parametrize(("path", "schema"), [(DETECT, "face_refusal"), (ANALYZE, "analysis_refusal")])
def test_beyond_the_limit_is_429_in_the_shape_of_the_route(fake: FakePipeline, path: str, schema: str) -> None:
    limited = client(rate_limit=2)
    assert [post(limited, path).status_code for _ in range(2)] == [200, 200]
    refused = post(limited, path)
    assert (refused.status_code, refused.json["error_code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    records.check_schema(schema, refused.json)
    assert len(fake.calls) == 2
    assert post(limited, path, address="203.0.113.10").status_code == 200


def test_the_limit_counts_both_routes_together_and_is_off_by_default(fake: FakePipeline) -> None:
    limited = client(rate_limit=1)
    assert [post(limited, path).status_code for path in (DETECT, ANALYZE)] == [200, 429]
    unlimited = client()
    assert {post(unlimited).status_code for _ in range(30)} == {200}


def test_a_forwarded_address_is_believed_only_as_far_as_proxies_wrote_it(fake: FakePipeline) -> None:
    direct = client(rate_limit=1)
    forged = [post(direct, X_Forwarded_For=f"198.51.100.{i}").status_code for i in range(3)]
    assert forged == [200, 429, 429]
    behind = client(rate_limit=1, trusted_hops=2)
    chains = ("192.0.2.7, 10.0.0.5", "1.2.3.4, 192.0.2.7, 10.0.0.5", "192.0.2.8, 10.0.0.5")
    assert [post(behind, X_Forwarded_For=chain).status_code for chain in chains] == [200, 429, 200]


@pytest.mark.parametrize("path", EXEMPT)
def test_what_must_answer_always_needs_neither_key_nor_patience(fake: FakePipeline, path: str) -> None:
    guarded = client(rate_limit=1, api_keys=KEYS)
    assert {guarded.get(path).status_code for _ in range(5)} <= {200, 503 if path == "/ready" else 200}


@pytest.mark.parametrize("given", ["Bearer {}", "bearer {}", "BEARER  {}"])
@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens(fake: FakePipeline, key: str, given: str) -> None:
    assert post(client(api_keys=KEYS), Authorization=given.format(key)).status_code == 200


@pytest.mark.parametrize(
    "given",
    ["", KEYS[0], f"Basic {KEYS[0]}", "Bearer", "Bearer ", f"Bearer {KEYS[0]}x", f"Bearer {KEYS[0][:-1]}", "Bearer ü"],
)
@pytest.mark.parametrize(("path", "schema"), [(DETECT, "face_refusal"), (ANALYZE, "analysis_refusal")])
def test_without_a_key_is_401_in_the_shape_of_the_route(fake: FakePipeline, given: str, path: str, schema: str) -> None:
    refused = post(client(api_keys=KEYS), path, Authorization=given)
    assert (refused.status_code, refused.json["error_code"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE
    records.check_schema(schema, refused.json)
    assert not fake.calls


def test_a_preflight_needs_no_key_and_may_name_its_header() -> None:
    answer = client(api_keys=KEYS, rate_limit=1).options(ANALYZE, headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_guessing_keys_counts_against_the_limit() -> None:
    guarded = client(api_keys=KEYS, rate_limit=2)
    assert [post(guarded, Authorization=f"Bearer guess-{i:016}").status_code for i in range(3)] == [401, 401, 429]


def test_keys_reach_neither_log_nor_status(fake: FakePipeline, capsys: pytest.CaptureFixture[str]) -> None:
    redis = "redis://:the-password@127.0.0.1:1/0"
    guarded = client(api_keys=KEYS, log_level="debug", rate_limit_redis_url=redis)
    post(guarded, Authorization=f"Bearer {KEYS[0]}")
    post(guarded, Authorization="Bearer a-wrong-key-0123456789")
    fake.report = ValueError(KEYS[0])
    post(guarded, Authorization=f"Bearer {KEYS[1]}")
    status = guarded.get("/api/v5/skin/model-status").text
    for text in (capsys.readouterr().err, status, repr(guarded.application.extensions["service"].settings)):
        assert not [secret for secret in (*KEYS, "a-wrong-key", "the-password") if secret in text]
    assert json.loads(status)["model_status"]["config"]["trusted_hops"] == 0


def test_refusals_are_counted() -> None:
    guarded = client(api_keys=KEYS, rate_limit=1)
    for _ in range(3):
        post(guarded)
    lines = guarded.get("/metrics").text.splitlines()
    assert 'skin_refusals_total{code="unauthorized"} 1.0' in lines
    assert 'skin_refusals_total{code="rate_limited"} 2.0' in lines
