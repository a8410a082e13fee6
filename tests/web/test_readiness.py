"""Ready only after one picture went through the whole analysis."""

from __future__ import annotations

import subprocess
import sys
import threading

from analyzer import pipeline
from analyzer.ensemble import Ensemble
from analyzer.settings import Settings
from application import create_app
from tests.conftest import ROOT
from tests.web.conftest import FakePipeline
from web.readiness import Readiness, generated_portrait

PARSING = """
import ast, sys, threading
from analyzer.settings import Settings
from application import create_app

parsing = set()

def hook(event, arguments):
    if event == "compile" and sys._getframe(1).f_code is ast.parse.__code__:
        parsing.add(threading.current_thread().name)

app = create_app(Settings())
sys.addaudithook(hook)
service = app.extensions["service"]
service.ensemble.start()
service.readiness.start()
assert service.readiness.wait(60)
print(*sorted(parsing))
"""


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


def test_at_the_start_only_one_thread_parses_python() -> None:
    """Of two at once, one may fail in CPython before 3.11.8 (gh-106905)."""
    ended = subprocess.run([sys.executable, "-c", PARSING], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stdout.split() == ["ensemble"], ended.stderr
