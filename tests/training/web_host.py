"""A small web server that holds files and fails as it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Host:
    """What a small web server holds and how it fails."""

    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)  # bytes of each next answer, then the connection ends
    resets: bool = False  # … with a reset, which may swallow bytes on their way
    statuses: list[int] = field(default_factory=list)  # of the next answers
    etag: str = '"one"'
    ranges: bool = True
    wanted_login: str | None = None
    kind: str = "application/octet-stream"
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    host: Host

    def do_GET(self) -> None:
        host = self.host
        host.asked.append({name.lower(): value for name, value in self.headers.items()})
        if host.statuses:
            return self._only(host.statuses.pop(0))
        if self.path in host.moved:
            return self._only(302, {"Location": host.moved[self.path]})
        if host.wanted_login and self.headers.get("Authorization") != host.wanted_login:
            return self._only(403 if "Authorization" in self.headers else 401)
        body = host.files.get(self.path)
        if body is None:
            return self._only(404)
        start = 0
        told = self.headers.get("Range", "")
        if told and host.ranges and self.headers.get("If-Range") == host.etag:
            start = int(told.removeprefix("bytes=").rstrip("-"))
        if start >= len(body) > 0:
            return self._only(416, {"Content-Range": f"bytes */{len(body)}"})
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", host.etag)
        self.send_header("Content-Type", host.kind)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if host.breaks_after:
            self.wfile.write(body[start : start + host.breaks_after.pop(0)])
            self.wfile.flush()
            if host.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        with contextlib.suppress(BrokenPipeError):  # who has seen enough of it goes away
            self.wfile.write(body[start:])
        return None

    def _only(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def hosting(files: dict[str, bytes] | None = None) -> Iterator[Host]:
    """A running server with these files, by path."""
    host = Host(files or {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_OwnHandler", (_Handler,), {"host": host}))
    host.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
