"""Photos arrive byte for byte, whichever client sends them; what cannot be taken gets an error that names the cause."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE
from tests.web.refused_transports import REFUSED
from tests.web.transports import PHOTO, TAKEN, Transport

SNIPPETS = (
    b"%",
    b"\\",
    b'"',
    b"[",
    b"{",
    b"data:",
    b"base64,",
    b"\r\n--x\r\n",
    b"\r\n\r\n",
    b"--",
    b" ",
    b"=",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\\ud800",
)


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    """A client that all rows share: no row changes the app."""
    with create_app(Settings()).test_client() as client:
        yield client


def send(client: FlaskClient, transport: Transport) -> TestResponse:
    headers = dict(transport.headers)
    if transport.content_type is not None:
        headers["Content-Type"] = transport.content_type
    return client.open(ANALYZE, method="POST", data=transport.body, headers=headers)


@pytest.mark.parametrize("name", TAKEN)
def test_the_photo_arrives_byte_for_byte(client: FlaskClient, fake: FakePipeline, name: str) -> None:
    answer = send(client, TAKEN[name])
    assert (answer.status_code, answer.json["error"] if answer.status_code != 200 else None) == (200, None)
    assert fake.calls[-1][0] == PHOTO


@pytest.mark.parametrize("name", REFUSED)
def test_the_error_names_the_cause(client: FlaskClient, fake: FakePipeline, name: str) -> None:
    transport, status, code, words = REFUSED[name]
    answer = send(client, transport)
    assert (answer.status_code, answer.json["error_code"]) == (status, code), answer.json["error"]
    assert words in answer.json["error"] + answer.json["guidance"]["suggestions"][0]
    records.check_schema("analysis_refusal", answer.json)
    assert not fake.calls


def test_lost_pluses_of_a_photo_that_is_cut_are_restored_first(client: FlaskClient, portrait_jpeg: bytes) -> None:
    text = base64.b64encode(portrait_jpeg[: len(portrait_jpeg) // 6 * 3]).decode().replace("+", " ")
    answer = client.post(ANALYZE, json={"image": text})
    assert (answer.status_code, answer.json["error_code"]) == (400, "truncated_image")


def test_a_compressed_body_gets_the_encoding_that_is_taken(client: FlaskClient, fake: FakePipeline) -> None:
    assert send(client, REFUSED["gzip"][0]).headers["Accept-Encoding"] == "identity"


def test_the_documentation_has_a_row_for_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    kinds = {name.partition(":")[0] for name in TAKEN} - {"text in a part"}
    assert len(kinds) == 6
    assert [kind for kind in kinds if f"\n| {kind} |" not in page] == []


@st.composite
def mutated(draw: st.DrawFn) -> Transport:
    """A request of the tables with bytes cut out, put in or repeated, perhaps under the type of another one."""
    transports = [*TAKEN.values(), *(transport for transport, *_ in REFUSED.values())]
    transport = draw(st.sampled_from(transports))
    body = bytearray(transport.body)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + draw(st.sampled_from((1, 40, 10_000))))))
        body[start:end] = draw(st.binary(max_size=8) | st.sampled_from(SNIPPETS) | st.just(bytes(body[start:end]) * 2))
    content_type = draw(st.sampled_from(transports)).content_type if draw(st.booleans()) else transport.content_type
    return transport._replace(body=bytes(body), content_type=content_type)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transport=mutated())
def test_whatever_arrives_is_taken_or_refused(client: FlaskClient, fake: FakePipeline, transport: Transport) -> None:
    answer = send(client, transport)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.json
    records.check_schema("analysis" if answer.status_code == 200 else "analysis_refusal", answer.json)
