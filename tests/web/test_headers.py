"""What browsers are told not to do, on every answer; and that everything that goes wrong is JSON."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.web import records
from tests.web.records import ANALYZE, PAGE

STRICT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NOWHERE = (
    "/static/", "/static", "/pages/", "/static/../application.py", "/..%2f..%2fetc/passwd", "/static/%00", "/%ff%fe",
    "/.git/config", "/.env", "/application.py", "/models/", "/api/", "/" + "x" * 2000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("GET", "/docs", 200), ("GET", "/static/page.js", 200), ("GET", "/health", 200),
        ("OPTIONS", ANALYZE, 200), ("POST", ANALYZE, 400), ("GET", ANALYZE, 405), ("GET", "/nowhere", 404),
    ],
)  # fmt: skip
def test_every_answer_has_the_strict_headers(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in STRICT} == STRICT
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "camera=(self)" in answer.headers["Permissions-Policy"]
    assert "Server" not in answer.headers
    assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(
    ("forwarded", "told"), [("https", True), ("HTTPS, http", True), ("http", False), ("http, https", False)]
)
def test_encrypted_transport_is_demanded_only_where_it_was_used(
    client: FlaskClient, forwarded: str, told: bool
) -> None:
    for path in ("/", "/nowhere"):
        answer = client.get(path, headers={"X-Forwarded-Proto": forwarded})
        assert ("Strict-Transport-Security" in answer.headers) is told


@pytest.mark.parametrize("path", NOWHERE)
def test_no_folder_is_listed_and_no_file_outside_the_pages_is_served(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers={"Origin": PAGE})
    assert (answer.status_code, answer.json["error_code"]) == (404, "not_found")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    records.check_schema("failure", answer.json)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "FOO"])
@pytest.mark.parametrize("path", ["/", ANALYZE, "/health", "/metrics"])
def test_other_methods_are_405_as_json(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json["error_code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"]
