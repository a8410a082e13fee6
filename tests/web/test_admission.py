"""What the service takes on at once: large bodies, pictures by places and by the memory that decoding takes."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from analyzer import photo
from analyzer.errors import Abandoned
from analyzer.image import memory
from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE, DETECT, PAGE
from tests.web.test_gates import wait_until
from web.admission import BODIES_IN_MEMORY, Admission
from web.gates import Busy


def test_some_threads_never_wait() -> None:
    admission = Admission(Settings(threads=17, max_queue=128, max_analyses=1, queue_timeout_s=5.0))
    picture, begun = records.picture(), threading.Event()

    def hold() -> None:
        with admission.analysis(picture):
            begun.set()

    with admission.analysis(picture):
        waiting = threading.Thread(target=hold)
        waiting.start()
        wait_until(lambda: admission.analyses.waiting == 1)
        with pytest.raises(Busy), admission.analysis(picture):
            pass
    waiting.join(5)
    assert begun.is_set()


def cost(picture: bytes) -> int:
    return memory.peak_bytes(photo.read_header(picture))


def test_small_bodies_that_decode_large_do_not_add_up() -> None:
    large = records.picture(3000, 2000, ".jpg")
    admission = Admission(Settings(max_analyses=8, max_queue=0, max_decode_bytes=2 * cost(large)))
    assert len(large) < 1024 * 1024 < cost(large)
    with admission.analysis(large), admission.analysis(large):
        assert admission.analyses.held_memory == 2 * cost(large)
        with pytest.raises(Busy), admission.analysis(large):
            pass
    with admission.analysis(large), admission.analysis(records.picture()), admission.analysis(records.picture()):
        assert admission.analyses.running == 3


def test_a_picture_larger_than_the_budget_is_analysed_alone() -> None:
    large = records.picture(3000, 2000, ".jpg")
    admission = Admission(Settings(max_analyses=8, max_queue=0, max_decode_bytes=cost(large) // 2))
    with admission.analysis(large), pytest.raises(Busy), admission.analysis(records.picture()):
        pass
    with admission.analysis(records.picture()), pytest.raises(Busy), admission.analysis(large):
        pass


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp"])
def test_what_a_picture_costs_grows_with_its_pixels_and_not_with_its_bytes(kind: str) -> None:
    sizes = [cost(records.picture(side, side, kind)) / side**2 for side in (50, 500)]
    assert sizes[0] == sizes[1] >= 10


def test_nothing_is_held_for_a_client_that_left() -> None:
    admission = Admission(Settings())
    with pytest.raises(Abandoned), admission.body(5_000_000, lambda: False):
        pass
    with pytest.raises(Abandoned), admission.analysis(records.picture(), 0.0, lambda: False):
        pass
    assert (admission.bodies.running, admission.analyses.running, admission.analyses.held_memory) == (0, 0, 0)


def test_large_bodies_share_their_own_gate() -> None:
    admission = Admission(Settings())
    with admission.body(100):
        assert admission.bodies.running == 0
    for length in (None, 5_000_000):
        with admission.body(length):
            assert admission.bodies.running == 1


def test_the_waits_of_one_request_count_together() -> None:
    admission = Admission(Settings(max_analyses=1, queue_timeout_s=60.0))
    picture, start = records.picture(), time.monotonic()
    with admission.analysis(picture), pytest.raises(Busy), admission.analysis(picture, 60.0):
        pass
    assert time.monotonic() - start < 30, "it waited the whole time once more"


def test_the_wait_for_a_body_is_told() -> None:
    admission = Admission(Settings())
    with ExitStack() as held:
        for _ in range(BODIES_IN_MEMORY - 1):
            held.enter_context(admission.body(None))
        first = admission.body(None)
        first.__enter__()
        threading.Timer(0.05, first.__exit__, (None, None, None)).start()
        with admission.body(None) as waited_s:
            assert waited_s > 0.03
            with admission.analysis(records.picture(), waited_s) as all_s:
                assert all_s >= waited_s


def test_overload_is_503_busy_with_retry_after(fake: FakePipeline) -> None:
    go_on, started = threading.Event(), threading.Event()

    def slow() -> Any:
        started.set()
        assert go_on.wait(10)
        return records.report()

    fake.report = slow
    app = create_app(Settings(max_analyses=1, max_queue=0))
    body = {"image": records.encoded(records.picture())}
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(app.test_client().post(ANALYZE, json=body).status_code))
    thread.start()
    assert started.wait(10)
    answer = app.test_client().post(ANALYZE, json=body, headers={"Origin": PAGE})
    health = app.test_client().get("/health").status_code
    go_on.set()
    thread.join(10)
    assert (answer.status_code, answer.json["error_code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    records.check_schema("analysis_refusal", answer.json)
    assert health == 200
    assert first == [200]


@pytest.mark.parametrize(("path", "view"), [(ANALYZE, "analyze_photo"), (DETECT, "detect_faces")])
def test_a_request_whose_client_left_is_counted_and_logged_once(
    path: str, view: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def given_up(*args: Any, is_wanted: Any, **options: Any) -> Any:
        assert is_wanted()
        raise Abandoned("face")

    monkeypatch.setattr(f"analyzer.pipeline.{view}", given_up)
    app = create_app(Settings())
    answer = app.test_client().post(path, data=records.picture(), content_type="image/png")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (answer.status_code, answer.data, answer.headers["Connection"]) == (499, b"", "close")
    assert [(line["event"], line["status"], line["abandoned_before"]) for line in lines] == [("request", 499, "face")]
    metrics = app.extensions["service"].metrics.text().decode()
    assert 'skin_requests_abandoned_total{stage="face"} 1.0' in metrics
    assert 'skin_requests_abandoned_total{stage="queue"} 0.0' in metrics
    assert app.extensions["service"].admission.analyses.running == 0
