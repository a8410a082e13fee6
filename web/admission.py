"""How much work the process takes on at once: gates with one bounded waiting room and a deadline, else ``busy``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from analyzer import containers
from analyzer.errors import AnalyzerError
from analyzer.settings import MIB, Settings
from analyzer.vocabulary import ErrorCode

LARGE_PIXELS = 16_000_000  # pixels; 48 MB as RGB. Ordinary phone photos (12 MP) stay below
LARGE_BODY_BYTES = MIB  # bodies above this count against BODIES_IN_MEMORY
BODIES_IN_MEMORY = 16  # large bodies held at once: at most 16 x (24 + 18) MiB as base64 and as bytes
RETRY_AFTER_S = 5  # a third of the longest wait: by then as many have left the queue
SPARE_THREADS = 16  # that never wait for a place: health, and those who are told that all is busy
LATEST = 0.1  # weight of the latest hold in the mean of them
LEAST_HOLDS = 10  # of which the mean is made before anything is expected of it: the first ones are slow


class Busy(AnalyzerError):
    """No place became free in time.

    Attributes:
        retry_after_s: whole seconds until trying again makes sense.
    """

    code = ErrorCode.BUSY
    retry_after_s = RETRY_AFTER_S

    def __init__(self) -> None:
        super().__init__("The service is busy at the moment.", "Please try again in a few seconds.")


@dataclass(eq=False)
class _Turn:
    """One who waits. Attributes: when its wait ends in vain (monotonic s); whether it got a place; set when that is known."""

    until_s: float
    served: bool = False
    told: threading.Event = field(default_factory=threading.Event)


class Gate:
    """A counting lock that serves in order of arrival and lets only those wait who can expect a place in time.

    Analyses that take longer than was hoped shorten the queue from its end, so that nobody waits in vain for the whole time.

    Args:
        places: how many may hold one.
        timeout_s: longest wait of a request, at all gates together.
        room: permits to wait; gates that share it share the bound, and each waiting thread holds one.
    """

    def __init__(self, places: int, timeout_s: float, room: threading.Semaphore) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._places = places
        self._timeout_s = timeout_s
        self._room = room
        self._waiting: deque[_Turn] = deque()
        self._held_s = 0.0  # mean of the latest holds
        self._holds = 0  # that have ended

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return self._places - self._free

    @property
    def expected_wait_s(self) -> float:
        """Seconds that the next one would wait, as long as places were held of late; 0 until that is known."""
        return self._wait_s(self.waiting + 1)

    def _wait_s(self, position: int) -> float:
        return position * self._held_s / self._places if self._holds >= LEAST_HOLDS else 0.0

    @contextmanager
    def place(self, waited_s: float = 0.0) -> Iterator[None]:
        """Hold one place.

        Args:
            waited_s: what the request has waited elsewhere already; it counts.

        Raises:
            Busy: the waiting room is full, no place is to be expected before the deadline, or the deadline passed.
        """
        self._enter(waited_s)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._leave(time.perf_counter() - begun)

    def _enter(self, waited_s: float = 0.0) -> None:
        left_s = self._timeout_s - waited_s
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if self.expected_wait_s > left_s or not self._room.acquire(blocking=False):
                raise Busy
            turn = _Turn(time.monotonic() + left_s)
            self._waiting.append(turn)
        try:
            self._wait(turn)
        finally:
            self._room.release()

    def _wait(self, turn: _Turn) -> None:
        turn.told.wait(turn.until_s - time.monotonic())
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
        if not turn.served:
            raise Busy

    def _leave(self, held_s: float) -> None:
        with self._lock:
            self._holds += 1
            self._held_s += (held_s - self._held_s) * max(LATEST, 1 / self._holds)
            if self._waiting:
                self._hand_over(self._waiting.popleft())
            else:
                self._free += 1
            self._send_away()

    def _hand_over(self, turn: _Turn) -> None:
        """Nobody can slip in between: the place does not become free."""
        turn.served = True
        turn.told.set()

    def _send_away(self) -> None:
        """Tell the last ones who can no longer expect a place in time."""
        now = time.monotonic()
        while self._waiting and now + self._wait_s(len(self._waiting)) > self._waiting[-1].until_s:
            self._waiting.pop().told.set()


class Admission:
    """The gates of one process: bodies in memory, pictures being analysed, large pictures among them."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.max_pixels
        room = threading.Semaphore(max(0, min(settings.max_queue, settings.threads - SPARE_THREADS)))
        self.bodies = Gate(BODIES_IN_MEMORY, settings.queue_timeout_s, room)
        self.analyses = Gate(settings.max_analyses, settings.queue_timeout_s, room)
        self.large = Gate(settings.max_large, settings.queue_timeout_s, room)

    @contextmanager
    def body(self, length: int | None) -> Iterator[float]:
        """Hold a body of `length` bytes (None: unknown) in memory; yields the seconds that were waited.

        Raises:
            Busy: no place became free in time.
        """
        start = time.perf_counter()
        with ExitStack() as held:
            if length is None or length > LARGE_BODY_BYTES:
                held.enter_context(self.bodies.place())
            yield time.perf_counter() - start

    @contextmanager
    def analysis(self, data: bytes, waited_s: float = 0.0) -> Iterator[float]:
        """Hold a place for decoding and analysing; yields the seconds that were waited, those for the body too.

        Args:
            data: the picture.
            waited_s: for the body.

        Raises:
            Busy: no place became free in time.
            BadPhoto: the header tells already that the picture cannot be taken; no place was held.
        """
        header = containers.read_header(data, max_pixels=self._max_pixels)
        start = time.perf_counter() - waited_s
        with ExitStack() as held:
            if header.pixels > LARGE_PIXELS:
                held.enter_context(self.large.place(waited_s))
            held.enter_context(self.analyses.place(time.perf_counter() - start))
            yield time.perf_counter() - start
