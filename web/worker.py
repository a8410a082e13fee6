"""gunicorn's threaded worker, with two things mended: heads that trickle in, and its own error pages.

A head must be complete within READ_TIMEOUT_S and costs no thread until then (`heads`); gunicorn itself waits for it with a thread, as
long as the client likes. A request that cannot be parsed is answered as JSON, and nothing of it, nor the caller's address, reaches the log.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import uuid
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

INCOMPLETE = object()  # what `handle` answers while a head is under way
STATUS = {
    LimitRequestLine: (414, "URI Too Long"),
    LimitRequestHeaders: (431, "Request Header Fields Too Large"),
    UnsupportedTransferCoding: (501, "Not Implemented"),
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads that answer; a head that comes too slowly costs its connection, not a thread."""

    def init_process(self) -> None:
        self._heads = Heads(
            settings.read().read_timeout_s,
            arrived=lambda conn: self.method_queue.defer(self.enqueue_req, conn),
            late=lambda conn: self.method_queue.defer(self._give_up, conn),
            stopping=lambda: not self.alive,
        )
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve a connection in a thread of the pool, if there is something to serve."""
        if not is_complete(conn):
            return INCOMPLETE
        conn.data_ready = True
        return super().handle(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        if not fs.cancelled() and fs.exception() is None and fs.result() is INCOMPLETE:
            self._heads.wait_for(conn)
        else:
            super().finish_request(conn, fs)

    def _give_up(self, conn: Any) -> None:
        log.info("slow_head")
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
