"""A gate: a bounded number of places and bytes, given in order of arrival to requests that wait no longer than makes sense."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from analyzer.errors import Abandoned, AnalyzerError
from analyzer.pipeline import always_wanted
from analyzer.vocabulary import ErrorCode
from web.hold_times import HoldTimes

QUEUE = "queue"  # the stage of a request that waits
LOOK_S = 0.25  # between two looks whether a waiting request is still wanted
UNKNOWN_WAIT_S = 5  # what is taken for the wait while nothing is known of how long places are held
LONGEST_RETRY_S = 60  # beyond it an estimate says nothing


class Busy(AnalyzerError):
    """No place became free in time.

    Attributes:
        retry_after_s: whole seconds until trying again makes sense.
    """

    code = ErrorCode.BUSY

    def __init__(self, expected_wait_s: float = 0.0) -> None:
        super().__init__("The service is busy at the moment.", "Please try again in a few seconds.")
        self.retry_after_s = retry_after_s(expected_wait_s)


def retry_after_s(expected_wait_s: float) -> int:
    """Return whole seconds after which at least half of those who wait now have been served.

    Chance spreads them over the other half of the wait, so that requests that were refused together do not come back together.

    Args:
        expected_wait_s: 0 where it is not known.
    """
    spread_s = (expected_wait_s or UNKNOWN_WAIT_S) * random.uniform(0.5, 1.0)
    return min(max(1, math.ceil(spread_s)), LONGEST_RETRY_S)


@dataclass(eq=False)
class Turn:
    """A request at a gate: it waits, holds a place, or has been sent away.

    Attributes:
        number: its place in the order of arrival.
        memory: bytes that it holds together with its place.
        until_s: when its wait ends in vain, on the gate's clock.
        begun_s: when it got its place, on the gate's clock; infinite before.
        seated: whether it holds a seat in the waiting room.
        decided: set as soon as it has a place or waits in vain.
    """

    number: int
    memory: float
    until_s: float
    begun_s: float = math.inf
    seated: bool = False
    decided: threading.Event = field(default_factory=threading.Event)

    @property
    def has_place(self) -> bool:
        return self.begun_s < math.inf


class Gate:
    """A lock of several places and some memory that serves in order of arrival and lets only those wait who can expect a place in time.

    A request whose memory is not free yet lets later ones pass, but only as many as fit beside it, so that it waits for no one who
    came after it. Places that are held longer than was hoped shorten the queue from its end. As many as there are places may always
    wait for their whole time, whatever is expected.

    Args:
        places: how many requests may hold one.
        timeout_s: longest wait of a request, at all gates together.
        room: seats to wait; gates that share it share the bound.
        memory: bytes that all holders may take together; a request that takes more than all of it gets all of it, and passes alone.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        places: int,
        timeout_s: float,
        room: threading.Semaphore,
        memory: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._memory = places, memory
        self._timeout_s = timeout_s
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: list[Turn] = []
        self._holding: list[Turn] = []
        self._hold_times = HoldTimes()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._holding)

    @property
    def held_memory(self) -> float:
        """Bytes that the holders take."""
        return _memory(tuple(self._holding))

    @contextmanager
    def place(
        self, memory: float = 0.0, waited_s: float = 0.0, is_wanted: Callable[[], bool] = always_wanted
    ) -> Iterator[None]:
        """Hold one place.

        Args:
            memory: bytes that are held with it.
            waited_s: what the request has waited elsewhere already; it counts.
            is_wanted: asked before a place is taken, and now and then while waiting.

        Raises:
            Busy: the waiting room is full, no place is to be expected before the deadline, or the deadline passed.
            Abandoned: the request is not wanted any more.
        """
        if not is_wanted():
            raise Abandoned(QUEUE)
        turn = self.enter(memory, waited_s)
        try:
            if not turn.has_place:
                self._wait(turn, is_wanted)
            yield
        finally:
            self.leave(turn)

    def enter(self, memory: float = 0.0, waited_s: float = 0.0) -> Turn:
        """Take a place, or a seat in the waiting room; `leave` gives back either.

        Raises:
            Busy: neither is to be had, or the place would come too late.
        """
        with self._lock:
            now = self._clock()
            turn = Turn(next(self._numbers), min(memory, self._memory), now + self._timeout_s - waited_s)
            self._waiting.append(turn)
            self._serve(now)
            if not turn.has_place:
                self._seat(turn, now)
            return turn

    def leave(self, turn: Turn) -> None:
        """Give back the place or the seat of a turn; nothing where it has been sent away."""
        with self._lock:
            now = self._clock()
            if turn in self._holding:
                self._holding.remove(turn)
                self._hold_times.add(now - turn.begun_s, now)
            elif turn in self._waiting:
                self._dismiss(turn)
            self._serve(now)
            self._shorten(now)

    def _wait(self, turn: Turn, is_wanted: Callable[[], bool]) -> None:
        while (left_s := turn.until_s - self._clock()) > 0 and not turn.decided.wait(min(LOOK_S, left_s)):
            if not is_wanted():
                raise Abandoned(QUEUE)
        if not turn.has_place:
            raise Busy(self.expected_wait_s)
        if not is_wanted():
            raise Abandoned(QUEUE)

    @property
    def expected_wait_s(self) -> float:
        """Seconds that the next request would wait, as long as places were held of late; 0 where that is not known."""
        with self._lock:
            return self._expected_wait_s(self._clock(), newcomers=1)

    def _expected_wait_s(self, now: float, newcomers: int = 0) -> float:
        """Seconds until the last of those who wait, and of some newcomers, is served."""
        rounds = (len(self._waiting) + newcomers) / self._places
        return self._hold_times.mean_s(now) * max(rounds, _memory(self._waiting) / self._memory)

    def _serve(self, now: float) -> None:
        blocked: Turn | None = None
        for turn in tuple(self._waiting):
            if len(self._holding) == self._places:
                return
            if self._fits(turn) and (blocked is None or self._may_pass(turn, blocked)):
                self._give_place(turn, now)
            else:
                blocked = blocked or turn

    def _fits(self, turn: Turn) -> bool:
        return _memory(self._holding) + turn.memory <= self._memory

    def _may_pass(self, turn: Turn, blocked: Turn) -> bool:
        """Whether there is memory for the blocked one beside this one and all others that came after it."""
        passed = [holder for holder in self._holding if holder.number > blocked.number]
        return _memory([*passed, turn, blocked]) <= self._memory

    def _give_place(self, turn: Turn, now: float) -> None:
        self._dismiss(turn)
        self._holding.append(turn)
        turn.begun_s = now
        turn.decided.set()

    def _seat(self, turn: Turn, now: float) -> None:
        """Let the last one of the queue wait, or send it away."""
        in_vain = now >= turn.until_s or self._is_too_long(now)
        turn.seated = not in_vain and self._room.acquire(blocking=False)
        if not turn.seated:
            self._waiting.remove(turn)
            raise Busy(self._expected_wait_s(now, newcomers=1))

    def _shorten(self, now: float) -> None:
        """Send away the last ones as long as they cannot expect a place in time."""
        while self._is_too_long(now):
            turn = self._waiting[-1]
            self._dismiss(turn)
            turn.decided.set()

    def _is_too_long(self, now: float) -> bool:
        """Whether the last one of a queue longer than the places waits in vain."""
        return len(self._waiting) > self._places and now + self._expected_wait_s(now) > self._waiting[-1].until_s

    def _dismiss(self, turn: Turn) -> None:
        self._waiting.remove(turn)
        if turn.seated:
            self._room.release()


def _memory(turns: Sequence[Turn]) -> float:
    return sum(turn.memory for turn in turns)
