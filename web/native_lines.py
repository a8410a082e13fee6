"""Output of native libraries on file descriptor 2, logged as JSON by the master process.

libjpeg ("Corrupt JPEG data: ..."), the C library and the C++ runtime write there without asking Python's logging. A worker's
descriptor 2 leads into a pipe, and a thread of the master reads it: the last lines of a worker that dies are in the pipe and not lost. The
worker's own log does not go through it. The pipe never makes a worker wait; lines beyond its room are lost. The thread takes no lock of
logging or of a stream, since the master forks while it runs.
"""

from __future__ import annotations

import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator

from web.logs import JsonFormatter, StandardError

EVENT = "native_warning"
STANDARD_ERROR = 2
LONGEST = 200  # characters of a line that are logged
UNFINISHED_S = 1.0  # silence after which a line without an end is logged
BURST, PER_SECOND = 20, 2.0  # lines that are logged; the next one says how many were left out
UNPRINTABLE = re.compile(rb"[^ -~]+")
QUOTED = re.compile(
    r"(['\"`]).*\1"
)  # from the first to the last: names out of a file, such as that of a colour profile
CHUNK = 65536  # bytes; the room of a pipe


class NativeLines:
    """A pipe from the workers to a thread of the master, which writes one JSON line for each line that comes."""

    def __init__(self, log: int = STANDARD_ERROR) -> None:
        """Open the pipe and begin to read; `log` is the file descriptor to write to."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._log = log
        self._thread = threading.Thread(target=self._copy, name="native-lines", daemon=True)
        self._thread.start()

    def divert(self) -> None:
        """Lead file descriptor 2 of this worker, just forked, into the pipe; its log keeps the one that was there."""
        StandardError.stream = os.fdopen(os.dup(STANDARD_ERROR), "w", encoding="utf-8")
        os.dup2(self._writer, STANDARD_ERROR)
        os.close(self._reader)
        os.close(self._writer)

    def stop(self) -> None:
        """Log what is still in the pipe, after the last worker has ended."""
        os.close(self._writer)
        self._thread.join(UNFINISHED_S)

    def _copy(self) -> None:
        budget = Budget()
        for line in lines(self._reader):
            if line.strip() and budget.allows():
                os.write(self._log, json_line(line, budget.take_left_out()))
        if left_out := budget.take_left_out():
            os.write(self._log, json_line(b"", left_out))


class Budget:
    """`BURST` lines at once, then `PER_SECOND`; counts those beyond."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left, self._at = float(BURST), clock()
        self._left_out = 0

    def allows(self) -> bool:
        """Tell whether one more line may be logged now, and count it either way."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        if self._left < 1.0:
            self._left_out += 1
            return False
        self._left -= 1.0
        return True

    def take_left_out(self) -> int:
        """Return how many lines were left out since the last call."""
        count, self._left_out = self._left_out, 0
        return count


def lines(descriptor: int) -> Iterator[bytes]:
    """Yield what comes line by line until every writer has closed; a line that stays unfinished, or grows too long, as it is."""
    rest = b""
    while True:
        if rest and not select.select([descriptor], [], [], UNFINISHED_S)[0]:
            yield rest
            rest = b""
        data = os.read(descriptor, CHUNK)
        *whole, rest = (rest + data).split(b"\n")
        yield from whole
        if rest and (not data or len(rest) > CHUNK):
            yield rest
            rest = b""
        if not data:
            return


def json_line(line: bytes, left_out: int) -> bytes:
    """Return the record of a line; what stands in quotation marks, or is not printable, stays out."""
    text = QUOTED.sub("'...'", UNPRINTABLE.sub(b"?", line).decode("ascii"))
    record = logging.makeLogRecord({"name": "web.native", "levelname": "WARNING", "msg": EVENT})
    record.fields = {"line": text[:LONGEST], "left_out": left_out}
    return f"{JsonFormatter().format(record)}\n".encode()
