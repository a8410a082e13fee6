"""Connections whose request head is not yet complete -> those whose head is, or the news that it comes too late.

A thread is given to a request only when all of its head is there; until then its connection costs a socket and is looked at now and then.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

MOST_BYTES = 32 * 1024  # of one head; the server's own limits of lines and headers are looked at when it is complete
LOOK_S = 0.05  # between two looks
STOP_S = 1.0  # that a stopping server waits for heads
HEAD_END = b"\r\n\r\n"


def is_complete(connection: Any) -> bool:
    """Whether a head, too much for one, or the end of the stream has arrived at a gunicorn connection; nothing is taken from it."""
    # What was read with the request before.
    ahead: bytes = connection.parser.unreader.buf.getvalue() if connection.parser else b""
    try:
        connection.sock.setblocking(False)
        arrived = connection.sock.recv(MOST_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return HEAD_END in ahead
    except OSError:
        return True  # whoever reads finds out
    return not arrived or HEAD_END in ahead + arrived or len(ahead + arrived) >= MOST_BYTES


class Heads:
    """Looks at waiting connections from a thread of its own.

    Args:
        seconds: until a head must be complete.
        arrived: told of each connection whose head is complete.
        late: told of each one whose head is not, in time.
        stopping: whether the server stops.
    """

    def __init__(
        self, seconds: float, arrived: Callable[[Any], None], late: Callable[[Any], None], stopping: Callable[[], bool]
    ) -> None:
        self._seconds = seconds
        self._arrived, self._late, self._stopping = arrived, late, stopping
        self._waiting: dict[Any, float] = {}
        self._some = threading.Condition()
        threading.Thread(target=self._watch, name="heads", daemon=True).start()

    def wait_for(self, connection: Any) -> None:
        """Have a gunicorn connection watched; it comes back through `arrived` or `late`."""
        with self._some:
            self._waiting[connection] = time.monotonic() + self._seconds
            self._some.notify()

    def _watch(self) -> None:
        while True:
            with self._some:
                while not self._waiting:
                    self._some.wait()
                waiting = list(self._waiting.items())
            now = time.monotonic()
            for connection, end in waiting:
                if is_complete(connection):
                    self._release(connection, self._arrived)
                elif now > end:
                    self._release(connection, self._late)
                elif self._stopping():
                    self._waiting[connection] = min(end, now + STOP_S)
            time.sleep(LOOK_S)

    def _release(self, connection: Any, told: Callable[[Any], None]) -> None:
        with self._some:
            del self._waiting[connection]
        told(connection)
