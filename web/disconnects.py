"""Whether the client of a request still waits for its answer.

A connection that was reset, or that both sides have ended, has nobody at its other end. Where only the client's side has ended (FIN), it
may still read: RFC 9112, 9.6, says so, and `nc -N` does it. But a closed page, a killed program and nginx whose own client left look the
same. So the service asks, once, by an interim answer 100: every client of HTTP/1.1 skips it (RFC 9110, 15.2), and the system of one that
has closed its socket answers with a reset (RFC 9293, 3.10.7.1). Why not otherwise: docs/decisions/0020-admission.md.
"""

from __future__ import annotations

import contextlib
import select
import socket

from flask import Request

QUESTION = b"HTTP/1.1 100 Continue\r\n\r\n"
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
ENDED = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere only resets are noticed


class Client:
    """The other end of a request's connection.

    Args:
        connection: its socket; None where the server gives none: such a client never leaves.
        takes_interim: whether it may be asked by an interim answer, which HTTP/1.0 does not know.
    """

    def __init__(self, connection: socket.socket | None, takes_interim: bool) -> None:
        self._connection = connection
        self._may_ask = takes_interim
        self._poll = select.poll()
        if connection is not None:
            self._poll.register(connection, ENDED)

    def is_waiting(self) -> bool:
        """Return whether somebody may still read the answer; takes microseconds, and nothing from the connection."""
        events = self._events()
        if events & ENDED and not events & GONE and self._may_ask:
            self._ask()
            events = self._events()
        return not events & GONE

    def _events(self) -> int:
        return sum(events for _, events in self._poll.poll(0))

    def _ask(self) -> None:
        """The answer of a client on this machine, as of its proxy, is there at once; that of others at the next look."""
        self._may_ask = False
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(QUESTION, socket.MSG_DONTWAIT)


def client(request: Request) -> Client:
    """Return the client of a request that gunicorn serves."""
    environ = request.environ
    return Client(environ.get("gunicorn.socket"), environ.get("SERVER_PROTOCOL") == "HTTP/1.1")
