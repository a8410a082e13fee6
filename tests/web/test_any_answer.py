"""Whatever the pipeline answers goes out: 200, in the shape of the contract and of the description, readable by the pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analyzer.values import Detection, Report
from tests.web import records, strategies
from tests.web.conftest import FakePipeline
from tests.web.page_reads import read_faces, read_report
from tests.web.records import ANALYZE, DETECT
from tests.web.schema_checks import check_answer, check_described, mended
from web.fields import INCLUDABLE

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # an overflow is no error in a server either
PICTURE = records.encoded(records.picture())
# What is drawn costs a hundred times as much as the rest: a few examples have it.
INCLUDES = st.sampled_from([[], [], [], [], [], [], [], ["lesions", "landmarks"], list(INCLUDABLE)])
repeatably = settings(
    max_examples=40,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def send(client: FlaskClient, path: str, include: list[str]) -> Any:
    answer = client.post(path, json={"image": PICTURE, "include": include})
    assert answer.status_code == 200
    return answer


@repeatably
@given(detection=strategies.detections(), include=INCLUDES)
def test_any_detection_goes_out(
    client: FlaskClient, fake: FakePipeline, detection: Detection, include: list[str]
) -> None:
    fake.detection = detection
    body = check_answer(send(client, DETECT, include), DETECT)
    assert read_faces(body) is bool(detection.faces)


@repeatably
@given(report=strategies.reports(), include=INCLUDES)
def test_any_report_goes_out(client: FlaskClient, fake: FakePipeline, report: Report, include: list[str]) -> None:
    fake.report = report
    answer = send(client, ANALYZE, include)
    body = check_answer(answer, ANALYZE)
    assert body["success"] is (report.error_code is None)
    read_report(body, len(answer.data))


@repeatably
@given(detection=strategies.detections(strategies.FINITE))
def test_a_detection_of_finite_numbers_goes_out_whole(
    app: Flask, client: FlaskClient, fake: FakePipeline, detection: Detection
) -> None:
    fake.detection = detection
    check_answer(send(client, DETECT, ["landmarks"]), DETECT)
    assert mended(app) == 0


@repeatably
@given(report=strategies.reports(strategies.FINITE, strategies.SHARES))
def test_a_report_of_finite_numbers_goes_out_whole(
    app: Flask, client: FlaskClient, fake: FakePipeline, report: Report
) -> None:
    fake.report = report
    check_answer(send(client, ANALYZE, ["lesions"]), ANALYZE)
    assert mended(app) == 0


@repeatably
@given(data=st.data())
def test_a_detection_with_a_wrong_value_goes_out_without_it(
    client: FlaskClient, fake: FakePipeline, data: st.DataObject
) -> None:
    fake.detection = data.draw(strategies.spoilt(records.detection_with_landmarks()))
    answer = send(client, DETECT, ["landmarks"])
    check_described(answer, DETECT)
    read_faces(answer.json)


@repeatably
@given(data=st.data())
def test_a_report_with_a_wrong_value_goes_out_without_it(
    client: FlaskClient, fake: FakePipeline, data: st.DataObject
) -> None:
    fake.report = data.draw(strategies.spoilt(records.report()))
    answer = send(client, ANALYZE, ["lesions"])
    check_described(answer, ANALYZE)
    read_report(json.loads(answer.data), len(answer.data))
