"""Gates: bounded, in order, with a deadline; who waits in vain is sent away, who left gives up its turn."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from analyzer.errors import Abandoned
from web import gates
from web.gates import LONGEST_RETRY_S, Busy, Gate, Turn, retry_after_s
from web.hold_times import HALF_LIFE_S, LEAST_HOLDS, HoldTimes


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_until(condition: Any, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to this"
        time.sleep(0.002)


def gate_of(places: int, *, waiting: int = 100, timeout_s: float = 10.0, **options: Any) -> Gate:
    return Gate(places, timeout_s, threading.Semaphore(waiting), **options)


def hold_for(gate: Gate, clock: Clock, seconds: float, times: int = LEAST_HOLDS) -> None:
    """Hold a place again and again, each time for some seconds."""
    for _ in range(times):
        turn = gate.enter()
        clock.now += seconds
        gate.leave(turn)


def states(*turns: Turn) -> str:
    """P for a turn that holds a place, w for one that waits, - for one that was sent away."""
    return "".join("P" if turn.has_place else "-" if turn.decided.is_set() else "w" for turn in turns)


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


def test_the_first_holds_tell_nothing() -> None:
    clock = Clock()
    gate = gate_of(2, clock=clock)
    hold_for(gate, clock, 4.0, LEAST_HOLDS - 1)
    assert gate.expected_wait_s == 0.0
    hold_for(gate, clock, 4.0, 1)
    assert gate.expected_wait_s == pytest.approx(2.0, rel=0.2), "one of two places is held for 4 s each"


def test_who_would_wait_too_long_is_told_at_once() -> None:
    clock = Clock()
    gate = gate_of(2, timeout_s=30.0, clock=clock)
    hold_for(gate, clock, 61.0, 40)
    turns = [gate.enter() for _ in range(4)]
    assert states(*turns) == "PPww"
    with pytest.raises(Busy):
        gate.enter()


def test_nobody_is_refused_while_the_queue_is_short() -> None:
    clock = Clock()
    gate = gate_of(3, timeout_s=30.0, clock=clock)
    hold_for(gate, clock, 600.0, 40)
    turns = [gate.enter() for _ in range(6)]
    assert states(*turns) == "PPPwww"
    with pytest.raises(Busy):
        gate.enter()
    clock.now += 29.0
    gate.leave(turns[0])
    assert states(*turns[1:]) == "PPPww", "a hold as long as was feared sends nobody of a short queue away"


def test_an_old_slow_burst_refuses_nobody() -> None:
    clock = Clock()
    gate = gate_of(1, timeout_s=15.0, clock=clock)
    hold_for(gate, clock, 61.0, 40)
    turns = [gate.enter(), gate.enter()]
    with pytest.raises(Busy):
        gate.enter()
    for turn in turns:
        gate.leave(turn)
    clock.now += 120.0
    turns = [gate.enter() for _ in range(8)]
    assert states(*turns) == "Pwwwwwww"


def test_what_is_known_of_holds_fades_and_steady_ones_are_told_well() -> None:
    times = HoldTimes()
    for number in range(100):
        times.add(2.0, number * 0.5)
    assert times.mean_s(50.0) == pytest.approx(2.0, rel=0.12)
    faded = [times.mean_s(50.0 + n * HALF_LIFE_S) for n in range(12)]
    assert faded == sorted(faded, reverse=True)
    assert faded[-1] < 0.04, "two minutes later it is as good as forgotten"


def test_the_last_ones_are_sent_away_as_soon_as_they_wait_in_vain() -> None:
    clock = Clock()
    gate = gate_of(1, timeout_s=60.0, clock=clock)
    hold_for(gate, clock, 0.1, 40)
    holder = gate.enter()
    turns = [gate.enter() for _ in range(5)]
    clock.now += 40.0  # the mean is about 15 s from now on, and 20 s are left
    gate.leave(holder)
    assert states(*turns) == "Pw---"
    assert gate.waiting == 1


def test_a_thread_that_waits_is_told_that_it_waits_in_vain() -> None:
    gate = gate_of(1, timeout_s=60.0)
    outcomes: list[str] = []

    def enter() -> None:
        try:
            with gate.place():
                outcomes.append("served")
        except Busy:
            outcomes.append("busy")

    holder = gate.enter()
    threads = [threading.Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: gate.waiting == 3)
    for _ in range(40):
        gate._hold_times.add(40.0, time.monotonic())  # as if analyses had become slow
    gate.leave(holder)
    for thread in threads:
        thread.join(5)
    assert sorted(outcomes) == ["busy", "served", "served"]


def test_gates_share_the_waiting_room() -> None:
    room = threading.Semaphore(1)
    first, second = Gate(1, 5.0, room), Gate(1, 5.0, room)
    waiting = threading.Thread(target=lambda: first.enter())
    with second.place():
        with first.place():
            waiting.start()
            wait_until(lambda: first.waiting == 1)
            with pytest.raises(Busy), second.place():
                pass
        waiting.join(5)
    assert room.acquire(blocking=False), "who has got a place waits no longer"


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


def test_many_threads_never_exceed_places_and_memory() -> None:
    gate = gate_of(3, memory=10)
    seen: list[tuple[int, float]] = []

    def enter(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(50):
            with gate.place(chance.choice((1, 4, 7, 30))):
                seen.append((gate.running, gate.held_memory))

    threads = [threading.Thread(target=enter, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(seen) == 600
    assert max(running for running, _ in seen) <= 3
    assert max(memory for _, memory in seen) <= 10
    assert (gate.running, gate.waiting, gate.held_memory) == (0, 0, 0)


def test_memory_bounds_what_runs_and_one_that_needs_more_than_all_of_it_runs_alone() -> None:
    gate = gate_of(4, memory=100)
    turns = [gate.enter(memory) for memory in (40, 60, 1)]
    assert states(*turns) == "PPw"
    gate.leave(turns[0])
    assert states(*turns[1:]) == "PP"
    huge = gate.enter(5000)
    assert states(huge) == "w"
    gate.leave(turns[1])
    gate.leave(turns[2])
    assert states(huge, gate.enter(1)) == "Pw"


def test_small_ones_pass_a_large_one_as_far_as_they_fit_beside_it() -> None:
    gate = gate_of(4, memory=100)
    first, large, *small = (gate.enter(memory) for memory in (50, 60, 30, 10, 10))
    assert states(first, large, *small) == "PwPPw", "the last one would make the large one wait"
    gate.leave(first)
    assert states(large, *small) == "PPPw"


@pytest.mark.parametrize("wait_s", [0.0, 0.2, 4.0, 15.0, 3000.0])
def test_the_retry_follows_the_wait(wait_s: float) -> None:
    seconds = {retry_after_s(wait_s) for _ in range(300)}
    expected_s = wait_s or gates.UNKNOWN_WAIT_S
    assert min(seconds) >= min(max(1, expected_s / 2), LONGEST_RETRY_S)
    assert max(seconds) <= min(max(1, expected_s + 1), LONGEST_RETRY_S)
    assert len(seconds) > 1 or wait_s in (0.2, 3000.0)


def test_the_busy_ones_are_told_the_wait() -> None:
    clock = Clock()
    gate = gate_of(1, timeout_s=15.0, clock=clock)
    hold_for(gate, clock, 10.0, 40)
    assert states(gate.enter(), gate.enter()) == "Pw"
    with pytest.raises(Busy) as refusal:
        gate.enter()
    assert 8 <= refusal.value.retry_after_s <= 20, "two turns of 10 s, by the estimate"


def test_a_request_that_nobody_wants_takes_no_place() -> None:
    gate = gate_of(1)
    with pytest.raises(Abandoned) as given_up, gate.place(is_wanted=lambda: False):
        pass
    assert given_up.value.stage == "queue"
    assert (gate.running, gate.waiting) == (0, 0)


def test_a_waiting_request_that_nobody_wants_any_more_leaves_the_queue() -> None:
    wanted, outcomes = [True, True, True], []
    gate = gate_of(1)

    def enter(number: int) -> None:
        try:
            with gate.place(is_wanted=lambda: wanted[number]):
                outcomes.append(number)
        except Abandoned:
            outcomes.append(-number)

    with gate.place():
        threads = [threading.Thread(target=enter, args=(number,)) for number in (1, 2)]
        for count, thread in enumerate(threads, 1):
            thread.start()
            wait_until(lambda count=count: gate.waiting == count)
        wanted[1] = False
        wait_until(lambda: gate.waiting == 1)
        assert outcomes == [-1], "it leaves although no place became free"
    for thread in threads:
        thread.join(5)
    assert outcomes == [-1, 2]


def test_a_place_that_comes_to_one_who_left_goes_on_to_the_next() -> None:
    wanted = True
    gate = gate_of(1)
    outcomes: list[str] = []

    def enter(name: str, is_wanted: Callable[[], bool]) -> None:
        try:
            with gate.place(is_wanted=is_wanted):
                outcomes.append(name)
        except Abandoned:
            outcomes.append(f"{name} left")

    holder = gate.enter()
    threads = [
        threading.Thread(target=enter, args=("first", lambda: wanted)),
        threading.Thread(target=enter, args=("second", lambda: True)),
    ]
    for count, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda count=count: gate.waiting == count)
    wanted = False
    gate.leave(holder)
    for thread in threads:
        thread.join(5)
    assert outcomes == ["first left", "second"]
