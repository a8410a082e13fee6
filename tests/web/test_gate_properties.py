"""A gate in any order of events: bounds, order, no lost wakeups, nobody refused while the queue is short."""

from __future__ import annotations

import threading

from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.web.test_gates import Clock
from web.gates import Busy, Gate, Turn

PLACES, SEATS, TIMEOUT_S, MEMORY = 3, 8, 15.0, 100


class GateOfManyKinds(RuleBasedStateMachine):
    """Requests that come, are served, leave, run out of time and are held for any time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.room = threading.Semaphore(SEATS)
        self.gate = Gate(PLACES, TIMEOUT_S, self.room, MEMORY, self.clock)
        self.turns: list[Turn] = []  # that hold a place or wait

    def of(self, has_place: bool) -> list[Turn]:
        return [turn for turn in self.turns if turn.has_place == has_place]

    @rule(memory=st.sampled_from((0, 1, 30, 60, 100, 5000)))
    def come(self, memory: int) -> None:
        try:
            self.turns.append(self.gate.enter(memory))
        except Busy:
            waiting = self.of(False)
            needed = sum(turn.memory for turn in waiting) + min(memory, MEMORY)
            rounds = max((len(waiting) + 1) / PLACES, needed / MEMORY)
            assert len(waiting) >= PLACES, "refused while the queue was short"
            assert len(waiting) == SEATS or self.gate._hold_times.mean_s(self.clock.now) * rounds > TIMEOUT_S

    @precondition(lambda self: self.of(True))
    @rule(data=st.data(), seconds=st.sampled_from((0.0, 0.1, 2.0, 20.0)))
    def end(self, data: st.DataObject, seconds: float) -> None:
        self.clock.now += seconds
        self._leave(data.draw(st.sampled_from(self.of(True))))

    @precondition(lambda self: self.of(False))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.of(False)))
        self._leave(turn)
        assert turn not in self.gate._waiting

    @rule(seconds=st.sampled_from((0.5, 5.0, 60.0)))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    def _leave(self, turn: Turn) -> None:
        self.turns.remove(turn)
        waiting = self.of(False)
        self.gate.leave(turn)
        sent_away = [turn for turn in self.turns if turn.decided.is_set() and not turn.has_place]
        assert all(turn in waiting for turn in sent_away)
        self.turns = [turn for turn in self.turns if turn not in sent_away]
        if sent_away:
            assert len(self.of(False)) >= PLACES, "sent away while the queue was short"
            assert sent_away == waiting[-len(sent_away) :], "somebody else than the last ones was sent away"

    @invariant()
    def places_and_memory_are_bounded(self) -> None:
        assert self.gate.running == len(self.of(True)) <= PLACES
        assert self.gate.held_memory <= MEMORY

    @invariant()
    def no_wakeup_is_lost(self) -> None:
        assert all(turn.decided.is_set() == turn.has_place for turn in self.turns)
        assert self.gate._waiting == self.of(False)

    @invariant()
    def nobody_waits_for_those_who_came_later_alone(self) -> None:
        first = next(iter(self.of(False)), None)
        assert first is None or any(turn.number < first.number for turn in self.of(True))

    @invariant()
    def equals_are_served_in_order(self) -> None:
        for memory in {turn.memory for turn in self.turns}:
            kind = [turn.has_place for turn in self.turns if turn.memory == memory]
            assert kind == sorted(kind, reverse=True)

    @invariant()
    def every_waiting_one_has_a_seat_and_nobody_else(self) -> None:
        assert self.room._value == SEATS - len(self.of(False))

    @invariant()
    def nobody_waits_beside_a_place_that_fits(self) -> None:
        first = next(iter(self.of(False)), None)
        if first is not None and self.gate.running < PLACES:
            assert self.gate.held_memory + first.memory > MEMORY


TestGateOfManyKinds = GateOfManyKinds.TestCase
TestGateOfManyKinds.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=40, deadline=None, phases=(Phase.generate,)
)
