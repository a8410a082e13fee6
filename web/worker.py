"""gunicorn's threaded worker, mended where a client could hold it up, and with error pages of its own.

- A head must be complete within READ_TIMEOUT_S and costs no thread until then (`heads`); gunicorn waits for it with a thread.
- Where a new connection is one too many, the one that is needed least is closed; gunicorn takes no further one.
- After the last answer of a connection its client has ENDING_S to end its side; gunicorn's main loop waits for it and does nothing else.
- A request that cannot be parsed is answered as JSON, and nothing of it, nor the caller's address, reaches the log.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import time
import uuid
from functools import partial
from typing import Any

import orjson
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException, UnsupportedTransferCoding
from gunicorn.workers.gthread import ThreadWorker

from analyzer import settings
from web import wire
from web.headers import SAFETY
from web.heads import Heads, is_complete
from web.words import FAULT, NOT_UNDERSTOOD

log = logging.getLogger("web.worker")

NO_FILES = (errno.EMFILE, errno.ENFILE)
NO_FILES_S = 0.05  # pause of a worker that can neither take a connection nor close an idle one
ENDING_S = 2.0  # that a client has to end its side after the answer
MOST_DROPPED_BYTES = 64 * 1024  # of what it sends meanwhile, at a time
INCOMPLETE = object()  # what `handle` answers while a head is under way
STATUS = {
    LimitRequestLine: (414, "URI Too Long"),
    LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    UnsupportedTransferCoding: (501, "Not Implemented"),
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads that answer; heads that come slowly, idle connections and clients that do not hang up cost a connection, and no time."""

    def init_process(self) -> None:
        self._heads = Heads(
            settings.read().read_timeout_s,
            arrived=lambda conn: self.method_queue.defer(self.enqueue_req, conn),
            late=lambda conn: self.method_queue.defer(self._give_up, conn),
            stopping=lambda: not self.alive,
        )
        self.max_keepalived = self.worker_connections  # every one may stay until its place is needed
        self._ending: dict[Any, float] = {}  # connection -> when it is closed at the latest, the oldest first
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Take a connection; where no file is left for it, one that is open gives way."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in NO_FILES:
                raise
            log.warning("no_open_files")
            if not self._close_idle():
                time.sleep(NO_FILES_S)

    def handle(self, conn: Any) -> Any:
        """Serve a connection in a thread of the pool, if there is something to serve."""
        if not is_complete(conn):
            return INCOMPLETE
        conn.data_ready = True
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        served = not fs.cancelled() and fs.exception() is None
        if served and fs.result() is INCOMPLETE:
            self._heads.wait_for(conn)
        elif served and not fs.result():
            self._end(conn)
        else:
            super().finish_request(conn, fs)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        if conn in self.keepalived_conns:  # it may have been closed since the poller named it
            super().on_client_socket_readable(conn, client)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what has waited for long enough, and make room for the next connection; the main loop calls this in every round."""
        super().murder_keepalived(force)
        if self.nr_conns >= self.worker_connections:
            self._close_idle()
        now = time.monotonic()
        for conn in [conn for conn, end in self._ending.items() if force or now > end]:
            self._close_ending(conn)

    def _end(self, conn: Any) -> None:
        """End our side, and close when the client has ended its own: to close at once could take the answer away from it."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self._ending[conn] = time.monotonic() + ENDING_S
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._drop, conn))

    def _drop(self, conn: Any, client: socket.socket) -> None:
        """Drop what a client sends after its answer; one that sends much is closed."""
        if conn not in self._ending:  # it may have been closed since the poller named it
            return
        with contextlib.suppress(OSError):
            if 0 < len(client.recv(MOST_DROPPED_BYTES)) < MOST_DROPPED_BYTES:
                return
        self._close_ending(conn)

    def _close_idle(self) -> bool:
        """Close the connection that is needed least: after its answer, between two requests, with its head under way; the oldest first."""
        if self._ending:
            self._close_ending(next(iter(self._ending)))
        elif self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._close(conn)
        elif (conn := self._heads.give_up()) is not None:
            self._close(conn)
        else:
            return False
        return True

    def _close_ending(self, conn: Any) -> None:
        del self._ending[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _give_up(self, conn: Any) -> None:
        log.info("slow_head")
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what never became a request, or what failed outside the application."""
        malformed = isinstance(exc, ParseException)
        status, reason = next((known for kind, known in STATUS.items() if isinstance(exc, kind)), (400, "Bad Request"))
        if not malformed:
            status, reason = 500, "Internal Server Error"
        request_id = uuid.uuid4().hex
        fields = {"request_id": request_id, "status": status, "type": type(exc).__name__}
        log.log(
            logging.INFO if malformed else logging.ERROR,
            "malformed" if malformed else "fault",
            extra={"fields": fields},
        )
        with contextlib.suppress(OSError):
            client.settimeout(1.0)
            client.sendall(page(status, reason, request_id))


def page(status: int, reason: str, request_id: str) -> bytes:
    """A whole answer: status line, the safety headers, and the body of any other failure."""
    body = orjson.dumps(wire.failure(*(FAULT if status == 500 else NOT_UNDERSTOOD), request_id).model_dump(mode="json"))
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Request-ID": request_id,
        **SAFETY,
    }
    lines = (f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
