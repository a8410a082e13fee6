"""HTTP that is broken, slow, half or hostile, at the real server: answers are JSON, no thread is lost, nothing is smuggled."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.smuggling import ATTEMPTS, INNER, SMUGGLED
from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import ROOT, WAIT_S, Server, raw_head, running, talk, until
from tests.web.test_swap import worker

HEAD_S = 2  # seconds for a head, in these tests
THREADS = 8
FILES = 700  # that the server may open: enough for some 190 connections
CLIENTS = 5
BATCH = 40
MALFORMED = {
    "no version": b"GET /health\r\n\r\n",
    "no method": b" /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method of signs": b"G<T /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
    "no colon": b"GET /health HTTP/1.1\r\nHost x\r\n\r\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET /health HTTP/1.1\r\nHost: x\r\nX-Secret: Quechua\r\n folded\r\n\r\n",
    "a zero in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(200)) + b"\r\n",
    "a long header": b"GET /health HTTP/1.1\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
    "a negative length": b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a length of words": b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
    "an unknown coding": b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: magic\r\n\r\n",
    "a chunk size of words": (
        b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"
    ),
    "an unknown expectation": b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n",
}  # fmt: skip
# What only the senders above told; "a" 40 times, since a request's id of 32 hexadecimal digits may hold a few in a row.
TOLD = ("Quechua", "G<T", "a" * 40, "miracles", "127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"LOG_LEVEL": "debug", "THREADS": str(THREADS), "READ_TIMEOUT_S": str(HEAD_S)}
    few_files = ("bash", "-c", f'ulimit -n {FILES}; exec "$@"', "limited")
    with running(tmp_path_factory.mktemp("http"), before=few_files, **limits) as server:
        yield server


def healthy(server: Server) -> bool:
    return requests.get(f"{server.url}/health", timeout=2).text == "OK"


def deliver(port: int, data: bytes) -> bytes:
    """Send bytes as they are, end the stream, and read all that comes back until the other side ends it, too."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def ids(server: Server) -> list[Any]:
    """Ids of the requests that the application saw."""
    return [json.loads(line).get("request_id") for line in server.log.splitlines() if '"event":"request"' in line]


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_http_is_answered_as_json_and_not_logged(server: Server, kind: str) -> None:
    answer = talk(server.port, MALFORMED[kind])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"400", b"414", b"417", b"431", b"501"), answer
    assert b"application/json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    told = json.loads(body)
    records.check_schema("failure", told)
    assert told["error_code"] == "bad_request"
    assert healthy(server)
    assert not [word for word in TOLD if word in server.log.split("ready")[-1]]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_no_second_request_is_smuggled_in_a_first(server: Server, name: str) -> None:
    deliver(server.port, ATTEMPTS[name])
    assert healthy(server)
    assert SMUGGLED not in ids(server)


def test_a_smuggled_request_would_be_seen(server: Server) -> None:
    deliver(server.port, INNER.replace(SMUGGLED.encode(), b"control"))
    assert "control" in ids(server)


def test_heads_that_trickle_in_cost_no_thread(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * THREADS)]
    try:
        for one in slow:
            one.send(b"GET /health HTTP/1.1\r\nX-A: ")
        assert healthy(server)
        end = time.monotonic() + HEAD_S + 3
        while time.monotonic() < end and not all(trickled_out(one) for one in slow):
            time.sleep(0.2)
        assert all(trickled_out(one) for one in slow)
    finally:
        for one in slow:
            one.close()
    assert "slow_head" in server.log


def trickled_out(connection: socket.socket) -> bool:
    """Send one more byte of a head; True once the server has ended the connection."""
    connection.setblocking(False)
    try:
        connection.send(b"a")
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_connections_that_say_nothing_cost_no_thread(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * THREADS)]
    try:
        assert healthy(server)
    finally:
        for one in silent:
            one.close()


@pytest.mark.parametrize("sent", [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"GET /health HTTP/1.1\r\nX-A: "])
def test_more_idle_connections_than_the_server_may_have_keep_nobody_out(server: Server, sent: bytes) -> None:
    """Kept alive after an answer, silent from the begin, or in the middle of a head."""
    pid = worker(server)
    idle: list[socket.socket] = []
    try:
        for _ in range(FILES):
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S))
            idle[-1].sendall(sent)
            if sent.endswith(b"\r\n\r\n"):
                assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")
        until(lambda: ended(idle[0]))
        assert ready(server)
        assert not ended(idle[-1]), "those that have been idle for longest gave way"
    finally:
        for connection in idle:
            connection.close()
    assert worker(server) == pid


def test_a_server_without_a_free_file_closes_idle_connections(server: Server) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are set on Linux and macOS only")
    pid = worker(server)
    files = Path(f"/proc/{pid}/fd")
    until(lambda: len(list(files.iterdir())) < FILES // 4)  # connections of the tests before are closed
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(files.iterdir())) + 10, FILES))
    idle = []
    try:
        for _ in range(30):
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S))
        until(lambda: "no_open_files" in server.log)
        assert healthy(server)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for connection in idle:
            connection.close()
    assert worker(server) == pid


def test_clients_that_do_not_hang_up_after_their_answer_keep_nobody_waiting(server: Server) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) for _ in range(10)]
    try:
        for client in clients:
            client.sendall(request)
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200") for client in clients)
        assert healthy(server)
        clients[0].sendall(b"more")
        until(lambda: all(ended(client) for client in clients))
        until(lambda: all(refuses(client) for client in clients))
    finally:
        for client in clients:
            client.close()


def refuses(client: socket.socket) -> bool:
    """Whether the server has closed a connection, not only ended its side: what is sent then is answered with a reset."""
    try:
        client.send(b"a")
        return False
    except ConnectionError:
        return True


def test_too_few_files_stop_the_start_with_what_to_do() -> None:
    command = 'ulimit -n 600; exec "$@"', "limited", sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py"
    ended = subprocess.run(
        ["bash", "-c", *command, "--check-config"], cwd=ROOT, capture_output=True, timeout=WAIT_S, check=False
    )
    assert ended.returncode != 0
    assert b"THREADS=160 needs 673 open files: raise the limit (ulimit -Hn), or lower THREADS." in ended.stderr
    assert b"Traceback" not in ended.stderr


def ready(server: Server) -> bool:
    return requests.get(f"{server.url}/ready", timeout=2).status_code == 200


def ended(connection: socket.socket) -> bool:
    """Whether the server has ended a connection; what else it sent is dropped."""
    connection.setblocking(False)
    try:
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET", raw_head(5000), raw_head(5000) + b"\xff\xd8\xff"])
def test_a_client_that_sends_no_more_but_listens_is_answered_or_let_go(server: Server, sent: bytes) -> None:
    answer = deliver(server.port, sent)
    assert answer == b"" if len(sent) < 10 else answer.startswith(b"HTTP/1.1 400")
    assert healthy(server)


def test_ten_thousand_tiny_requests(server: Server) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = sum(pool.map(lambda _: batches(server.port), range(CLIENTS)), Counter())
    assert seen == {b"200": 7500, b"400": 2500}
    assert healthy(server)


def batches(port: int) -> Counter[bytes]:
    """Statuses of the answers to many requests, some of them pictures that are none, sent in batches on one connection."""
    get = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    post = f"POST {ANALYZE} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    seen: Counter[bytes] = Counter()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection,
        connection.makefile("rb") as answers,
    ):
        for _ in range(10_000 // CLIENTS // BATCH):
            connection.sendall((get * 3 + post) * (BATCH // 4))
            for _ in range(BATCH):
                status, *headers = iter(answers.readline, b"\r\n")
                length = next(
                    int(line.split(b":")[1]) for line in headers if line.lower().startswith(b"content-length")
                )
                answers.read(length)
                seen[status.split()[1]] += 1
    return seen
