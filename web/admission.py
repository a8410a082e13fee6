"""How much work the process takes on at once: gates with one bounded waiting room and a deadline, else ``busy``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from analyzer import containers
from analyzer.image import memory
from analyzer.pipeline import always_wanted
from analyzer.settings import MIB, Settings
from web.gates import Gate

LARGE_BODY_BYTES = MIB  # bodies above this count against BODIES_IN_MEMORY
BODIES_IN_MEMORY = 16  # large bodies held at once: at most 16 x (24 + 18) MiB as base64 and as bytes
SPARE_THREADS = 16  # that never wait for a place: health, and those who are told that all is busy


class Admission:
    """The gates of one process: large bodies in memory, and pictures being analysed with the memory that decoding them takes."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.max_pixels
        room = threading.Semaphore(max(0, min(settings.max_queue, settings.threads - SPARE_THREADS)))
        self.bodies = Gate(BODIES_IN_MEMORY, settings.queue_timeout_s, room)
        self.analyses = Gate(settings.max_analyses, settings.queue_timeout_s, room, settings.max_decode_bytes)

    @contextmanager
    def body(self, length: int | None, is_wanted: Callable[[], bool] = always_wanted) -> Iterator[float]:
        """Hold a body of `length` bytes (None: unknown) in memory; yields the seconds that were waited.

        Raises:
            Busy: no place became free in time.
            Abandoned: the request is not wanted any more.
        """
        start = time.perf_counter()
        with ExitStack() as held:
            if length is None or length > LARGE_BODY_BYTES:
                held.enter_context(self.bodies.place(is_wanted=is_wanted))
            yield time.perf_counter() - start

    @contextmanager
    def analysis(
        self, data: bytes, waited_s: float = 0.0, is_wanted: Callable[[], bool] = always_wanted
    ) -> Iterator[float]:
        """Hold a place and memory for decoding and analysing; yields the seconds that were waited, those for the body too.

        Args:
            data: the picture.
            waited_s: for the body.
            is_wanted: whether the client still waits for its answer.

        Raises:
            Busy: no place became free in time.
            Abandoned: the request is not wanted any more.
            BadPhoto: the header tells already that the picture cannot be taken; no place was held.
        """
        header = containers.read_header(data, max_pixels=self._max_pixels)
        start = time.perf_counter() - waited_s
        with self.analyses.place(memory.peak_bytes(header), waited_s, is_wanted):
            yield time.perf_counter() - start
