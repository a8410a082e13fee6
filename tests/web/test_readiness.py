"""Ready only after one picture went through the whole analysis."""

from __future__ import annotations

import threading

from analyzer import pipeline
from analyzer.ensemble import Ensemble
from analyzer.settings import Settings
from application import create_app
from tests.web.conftest import FakePipeline
from web.readiness import Readiness, generated_portrait


def test_not_ready_before_the_warm_up_ended() -> None:
    go_on = threading.Event()
    readiness = Readiness(lambda: go_on.wait(10))
    assert readiness.state == "cold"
    readiness.start()
    readiness.start()
    assert (readiness.state, readiness.ready) == ("warming", False)
    go_on.set()
    assert readiness.wait(10)
    assert readiness.state == "ready"


def test_a_failed_warm_up_is_not_ready_and_is_tried_again() -> None:
    tries: list[int] = []

    def warm_up() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no cascade")

    readiness = Readiness(warm_up)
    readiness.start()
    assert not readiness.wait(10)
    assert readiness.state == "failed"
    readiness.start()
    assert readiness.wait(10)
    assert len(tries) == 2


def test_the_route_says_503_until_ready(fake: FakePipeline) -> None:
    go_on = threading.Event()
    fake.report = lambda: go_on.wait(10)
    app = create_app(Settings())
    client = app.test_client()
    cold = client.get("/ready")
    assert (cold.status_code, cold.json["ready"]) == (503, False)
    go_on.set()
    assert app.extensions["service"].readiness.wait(10)
    assert client.get("/ready").json["state"] == "ready"
    assert client.get("/ready").status_code == 200


def test_the_generated_portrait_passes_every_stage() -> None:
    report = pipeline.analyze_photo(generated_portrait(), Ensemble())
    assert report.error_code is None, report.guidance
    assert {"decode", "face", "conditions"} <= set(report.timings_ms)
