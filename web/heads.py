"""Connections whose request head is not yet complete: watched until it is, or comes too late.

A thread is given to a request only when all of its head is there; until then its connection costs a socket. The kernel tells which of
them have received something, so that thousands of silent ones cost nothing.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

MOST_BYTES = 32 * 1024  # of one head; the server's own limits of lines and headers are looked at when it is complete
LOOK_S = 0.5  # between two looks at the clock, while nothing arrives
LOOK_AT_ALL_S = 0.05  # between two looks at every connection, where there is no epoll
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
    """Watches waiting connections from a thread of its own.

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
        self._since: dict[Any, float] = {}  # connection -> when its wait began, the longest wait first
        self._connections: dict[int, Any] = {}  # by file descriptor
        self._lock = threading.Lock()
        self._arrivals = Arrivals()
        threading.Thread(target=self._watch, name="heads", daemon=True).start()

    def wait_for(self, connection: Any) -> None:
        """Have a gunicorn connection watched; it comes back through `arrived` or `late`, or from `give_up`."""
        descriptor = connection.sock.fileno()
        with self._lock:
            self._since[connection] = time.monotonic()
            self._connections[descriptor] = connection
            self._arrivals.add(descriptor)

    def give_up(self) -> Any:
        """Return the connection that has waited for longest, no longer watched; None where there is none."""
        with self._lock:
            connection = next(iter(self._since), None)
        return connection if connection is not None and self._forget(connection) else None

    def _watch(self) -> None:
        while True:
            for descriptor in self._arrivals.wait():
                connection = self._connections.get(descriptor)
                if connection is not None and is_complete(connection) and self._forget(connection):
                    self._arrived(connection)
            for connection in self._overdue():
                if self._forget(connection):
                    self._late(connection)

    def _overdue(self) -> list[Any]:
        allowed_s = min(STOP_S, self._seconds) if self._stopping() else self._seconds
        latest = time.monotonic() - allowed_s
        with self._lock:
            return [connection for connection, _ in takewhile(lambda entry: entry[1] < latest, self._since.items())]

    def _forget(self, connection: Any) -> bool:
        """Whether the connection was still watched: who forgets it first has it."""
        descriptor = connection.sock.fileno()
        with self._lock:
            if self._since.pop(connection, None) is None:
                return False
            del self._connections[descriptor]
            self._arrivals.remove(descriptor)
            return True


class Arrivals:
    """File descriptors on which something has arrived since they were added, or since they were last named.

    Without epoll, which Linux has, all of them are named every time.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._descriptors: set[int] = set()

    def add(self, descriptor: int) -> None:
        self._descriptors.add(descriptor)
        if self._epoll is not None:
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def remove(self, descriptor: int) -> None:
        self._descriptors.remove(descriptor)
        if self._epoll is not None:
            self._epoll.unregister(descriptor)

    def wait(self) -> list[int]:
        """Return the descriptors; none of them when the time has come to look at the clock."""
        if self._epoll is not None:
            return [descriptor for descriptor, _ in self._epoll.poll(LOOK_S)]
        time.sleep(LOOK_AT_ALL_S)
        return list(self._descriptors)
