"""Logs tell what happened and nothing about the picture or the person."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE
from web.logs import JsonFormatter

SAID = {"age": 47, "ethnicity": "Quechua", "gender": "nonbinary", "fitzpatrick": "IV"}
PICTURE = records.picture(200, 200)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def log(fake: FakePipeline, capsys: pytest.CaptureFixture[str]) -> Any:
    client = create_app(Settings(log_level="debug")).test_client()

    def post(**options: Any) -> str:
        capsys.readouterr()
        client.post(ANALYZE, **options)
        return capsys.readouterr().err

    return post


def test_a_request_is_one_line_with_its_id_and_figures(log: Any) -> None:
    body = {"image": records.encoded(PICTURE)}
    (line,) = lines(log(json=body, headers={"X-Request-ID": "seen-here"}))
    assert line["event"] == "request"
    assert line["request_id"] == "seen-here"
    assert (line["status"], line["route"], line["path"]) == (200, "analyze", ANALYZE)
    assert line["ms"] >= 0
    assert line["timings_ms"]["face"] == 20.2
    assert line["bytes_in"] > len(PICTURE)


@pytest.mark.parametrize("how", ["json", "cut", "junk", "raw", "multipart", "bad fields"])
def test_no_picture_and_no_demographics_in_the_log(log: Any, how: str) -> None:
    text = records.encoded(PICTURE)
    options: dict[str, Any] = {
        "json": {"json": {"image": text, "demographics": SAID}},
        "cut": {"json": {"image": text[:400], "demographics": SAID}},
        "junk": {"json": {"image": "§" + text, "demographics": SAID}},
        "raw": {"data": PICTURE, "content_type": "image/png"},
        "multipart": {"data": {"image": (io.BytesIO(PICTURE), "Quechua.png"), "demographics": json.dumps(SAID)}},
        "bad fields": {"json": {"image": text, "demographics": {**SAID, "age": "47 years"}}},
    }[how]
    written = log(**options)
    assert lines(written)
    assert not [text[i : i + 24] for i in range(0, len(text) - 24, 24) if text[i : i + 24] in written]
    for word in (*(value for value in SAID.values() if isinstance(value, str) and len(value) > 2), "47 years"):
        assert word not in written


def test_a_query_does_not_reach_the_log(log: Any) -> None:
    assert "Quechua" not in log(json={}, query_string={"who": "Quechua"})


def test_faults_are_logged_by_type_and_place(log: Any, fake: FakePipeline) -> None:
    fake.report = KeyError("Quechua")
    written = lines(log(json={"image": records.encoded(PICTURE)}))
    fault = next(line for line in written if line["event"] == "fault")["fault"]
    assert fault["type"] == "builtins.KeyError"
    assert any("conftest.py" in place for place in fault["at"])
    assert "Quechua" not in str(written)


def test_system_faults_keep_their_number() -> None:
    try:
        raise FileNotFoundError(2, "No such file", "/secret")
    except FileNotFoundError:
        record = logging.LogRecord("web", logging.ERROR, __file__, 1, "fault", None, sys.exc_info())
    line = JsonFormatter().format(record)
    assert json.loads(line)["fault"]["errno"] == 2
    assert "secret" not in line
