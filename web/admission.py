"""How much work the process takes on at once: gates with bounded queues and a deadline, else ``busy``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from analyzer import containers
from analyzer.errors import AnalyzerError
from analyzer.settings import MIB, Settings

LARGE_PIXELS = 16_000_000  # pixels; 48 MB as RGB. Ordinary phone photos (12 MP) stay below
LARGE_BODY_BYTES = MIB  # bodies above this count against BODIES_IN_MEMORY
BODIES_IN_MEMORY = 16  # large bodies held at once: at most 16 x (24 + 18) MiB as base64 and as bytes
RETRY_AFTER_S = 2  # one queue's worth of analyses takes about this long on two cores


class Busy(AnalyzerError):
    """No place became free in time."""

    code = "busy"

    def __init__(self) -> None:
        super().__init__("The service is busy at the moment.", "Please try again in a few seconds.")


class Gate:
    """A counting lock that serves in order of arrival and lets only a bounded number wait."""

    def __init__(self, places: int, queue: int, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._places = places
        self._queue = queue
        self._timeout_s = timeout_s
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return self._places - self._free

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            Busy: the queue is full, or the deadline passed.
        """
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._queue:
                raise Busy
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(self._timeout_s):
            return
        with self._lock:
            if turn.is_set():  # the place was handed over between the deadline and this line
                return
            self._waiting.remove(turn)
        raise Busy

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # hands the place over: nobody can slip in between
            else:
                self._free += 1


class Admission:
    """The gates of one process: bodies in memory, pictures being analysed, large pictures among them."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.max_pixels
        self.bodies = Gate(BODIES_IN_MEMORY, settings.max_queue, settings.queue_timeout_s)
        self.analyses = Gate(settings.max_analyses, settings.max_queue, settings.queue_timeout_s)
        self.large = Gate(settings.max_large, settings.max_queue, settings.queue_timeout_s)

    @contextmanager
    def body(self, length: int | None) -> Iterator[None]:
        """Hold a body of `length` bytes (None: unknown) in memory."""
        with ExitStack() as held:
            if length is None or length > LARGE_BODY_BYTES:
                held.enter_context(self.bodies.place())
            yield

    @contextmanager
    def analysis(self, data: bytes) -> Iterator[float]:
        """Hold a place for decoding and analysing; yields the seconds that were waited.

        Raises:
            Busy: no place became free in time.
            BadPhoto: the header tells already that the picture cannot be taken; no place was held.
        """
        header = containers.read_header(data, max_pixels=self._max_pixels)
        start = time.perf_counter()
        with ExitStack() as held:
            if header.pixels > LARGE_PIXELS:
                held.enter_context(self.large.place())
            held.enter_context(self.analyses.place())
            yield time.perf_counter() - start
