"""Gates: bounded, in order, with a deadline; what waits too long is told so."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE, PAGE
from web.admission import BODIES_IN_MEMORY, LARGE_PIXELS, LEAST_HOLDS, Admission, Busy, Gate


def wait_until(condition: Any, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.002)


def gate_of(places: int, *, waiting: int = 100, timeout_s: float = 10.0) -> Gate:
    return Gate(places, timeout_s, threading.Semaphore(waiting))


def test_a_free_gate_lets_through_and_counts() -> None:
    gate = gate_of(2, waiting=0)
    with gate.place(), gate.place():
        assert gate.running == 2
        with pytest.raises(Busy), gate.place():
            pass
    assert (gate.running, gate.waiting) == (0, 0)


def test_a_place_is_given_back_after_a_fault() -> None:
    gate = gate_of(1, waiting=0)
    with pytest.raises(ZeroDivisionError), gate.place():
        raise ZeroDivisionError
    with gate.place():
        assert gate.running == 1


def test_the_deadline_ends_the_waiting() -> None:
    gate = gate_of(1, timeout_s=0.05)
    with gate.place():
        start = time.monotonic()
        with pytest.raises(Busy), gate.place():
            pass
        assert 0.04 < time.monotonic() - start < 2.0
    assert gate.waiting == 0


def test_who_would_wait_too_long_is_told_at_once() -> None:
    gate = gate_of(2, timeout_s=30.0)
    for _ in range(LEAST_HOLDS):
        assert gate.expected_wait_s == 0.0, "the first holds tell nothing"
        with gate.place():
            time.sleep(0.02)
    assert 0.01 <= gate.expected_wait_s < 5.0
    gate._held_s = 61.0  # as if analyses took a minute
    with gate.place(), gate.place():
        start = time.monotonic()
        with pytest.raises(Busy), gate.place():
            pass
        assert time.monotonic() - start < 10
    assert gate.expected_wait_s < 30.0, "holds that became short again count"


def test_the_last_ones_are_told_as_soon_as_they_wait_in_vain() -> None:
    gate = gate_of(1, timeout_s=60.0)
    for _ in range(LEAST_HOLDS):
        gate._enter()
        gate._leave(0.1)
    told: list[int] = []

    def enter(number: int) -> None:
        try:
            gate._enter()
        except Busy:
            told.append(number)

    gate._enter()
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=enter, args=(number,)))
        threads[-1].start()
        wait_until(lambda count=number + 1: gate.waiting == count)
    gate._held_s = 40.0  # as if analyses had become slow
    gate._leave(40.0)  # the first one gets the place; of the others only one can expect it within the minute
    wait_until(lambda: len(told) == 3)
    assert (sorted(told), gate.waiting, gate.running) == ([2, 3, 4], 1, 1)
    gate._leave(40.0)
    for thread in threads:
        thread.join(5)
    assert (len(told), gate.waiting, gate.running) == (3, 0, 1)


def test_gates_share_the_waiting_room() -> None:
    room = threading.Semaphore(1)
    first, second = Gate(1, 5.0, room), Gate(1, 5.0, room)
    waiting = threading.Thread(target=lambda: first._enter())
    with second.place():
        with first.place():
            waiting.start()
            wait_until(lambda: first.waiting == 1)
            with pytest.raises(Busy), second.place():
                pass
        waiting.join(5)
    assert room.acquire(blocking=False), "who has got a place waits no longer"


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


def test_places_are_given_in_order_of_arrival() -> None:
    gate = gate_of(1)
    order: list[int] = []

    def enter(number: int) -> None:
        with gate.place():
            order.append(number)

    with gate.place():
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=enter, args=(number,)))
            threads[-1].start()
            wait_until(lambda count=number + 1: gate.waiting == count)
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]


def test_many_threads_never_exceed_the_places() -> None:
    gate = gate_of(3)
    seen: list[int] = []

    def enter() -> None:
        for _ in range(50):
            with gate.place():
                seen.append(gate.running)

    threads = [threading.Thread(target=enter) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 600
    assert max(seen) <= 3
    assert gate.running == 0


def test_large_pictures_share_their_own_gate() -> None:
    admission = Admission(Settings(max_analyses=4, max_large=1, max_queue=0, queue_timeout_s=0.0))
    side = int(LARGE_PIXELS**0.5) + 1
    large = records.picture(side, side, ".jpg")
    with admission.analysis(large):
        assert (admission.large.running, admission.analyses.running) == (1, 1)
        with pytest.raises(Busy), admission.analysis(large):
            pass
        with admission.analysis(records.picture()):
            assert admission.analyses.running == 2


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
