"""The real server process: gunicorn with its configuration file, the real pipeline, real sockets."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.web import records
from tests.web.records import ANALYZE, DETECT, PAGE
from web.admission import BODIES_IN_MEMORY

ROOT = Path(__file__).parents[2]
START_S = 90.0  # a few on a quiet machine
WAIT_S = 30.0
PORTS = range(20000, 32000)


class Server:
    """A running gunicorn, its address, and what it wrote."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.url}/ready", timeout=5).status_code == 200:
                    return
            except requests.RequestException:  # it does not listen, or the worker is still importing
                assert self.process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(f"not ready in {START_S} s: {self.log[-2000:]}")


def free_port() -> int:
    """A port below those of outgoing connections: one of these could take it away before somebody listens on it."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


@contextmanager
def running(
    folder: Path,
    app: str = "application:application",
    before: tuple[str, ...] = (),
    *,
    ready: bool = True,
    **environment: str,
) -> Iterator[Server]:
    """A server that is ready, or merely begun; `before` is a command that starts it."""
    port, log = free_port(), folder / "server.log"
    scratch = folder / "tmp"
    scratch.mkdir()
    command = [*before, sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", app]
    places = {"PORT": str(port), "HOST": "127.0.0.1", "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **places, **environment}, stdout=stream, stderr=stream
        )
        try:
            server = Server(process, port, log)
            if ready:
                server.wait_ready()
            yield server
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to one that does not end in time."""
    process.terminate()
    try:
        process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), LOG_LEVEL="debug") as server:
        yield server


@contextmanager
def holding(folder: Path, **environment: str) -> Iterator[tuple[Server, Path]]:
    """A server whose analyses wait as long as a file is there, and that file."""
    hold = folder / "hold"
    with running(folder, "tests.web.slow_application:application", HOLD_FILE=str(hold), **environment) as server:
        yield server, hold


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def held(server: Server, gate: str) -> float:
    """How many requests hold a place behind a gate or wait for one, as the metrics tell."""
    text = requests.get(f"{server.url}/metrics", timeout=WAIT_S).text
    return sum(map(float, re.findall(rf'^skin_gate_(?:running|waiting){{gate="{gate}"}} (\S+)', text, re.MULTILINE)))


def post(server: Server, path: str, data: bytes, **options: Any) -> requests.Response:
    headers = {"Content-Type": "image/jpeg", "Origin": PAGE, **options.pop("headers", {})}
    return requests.post(server.url + path, data=data, headers=headers, timeout=WAIT_S, **options)


def raw_head(length: int) -> bytes:
    """Head of a detection request whose body is announced with `length` bytes."""
    return f"POST {DETECT} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n".encode()


def talk(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes as they are and read all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_two_clients_at_once_get_their_own_answers(server: Server, portrait_jpeg: bytes) -> None:
    def ask(number: int) -> tuple[int, dict[str, Any]]:
        answer = post(
            server, (DETECT, ANALYZE)[number % 2], portrait_jpeg, headers={"X-Request-ID": f"client-{number}"}
        )
        return number, answer.json()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, range(8)))
    for number, answer in answers:
        records.check_schema(("face", "analysis")[number % 2], answer)
        assert answer["request_id"] == f"client-{number}"


def test_the_same_picture_gives_the_same_report(server: Server, portrait_jpeg: bytes) -> None:
    with ThreadPoolExecutor(3) as pool:
        reports = list(
            pool.map(lambda _: post(server, ANALYZE, portrait_jpeg).json()["result"]["conditions"], range(3))
        )
    assert reports[0] == reports[1] == reports[2]


def test_a_target_with_two_slashes_reaches_the_route(server: Server) -> None:
    body = records.encoded(b"%PDF-1.7 " + bytes(64)).join(('{"image": "', '"}')).encode()
    head = f"POST /{DETECT} HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}\r\nContent-Type: application/json\r\n"
    answer = talk(server.port, f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 415")
    assert b'"error_code":"unsupported_type"' in answer


def test_a_chunked_body_is_read(server: Server, portrait_jpeg: bytes) -> None:
    pieces = (portrait_jpeg[i : i + 50_000] for i in range(0, len(portrait_jpeg), 50_000))
    answer = requests.post(server.url + DETECT, data=pieces, headers={"Content-Type": "image/jpeg"}, timeout=WAIT_S)
    records.check_schema("face", answer.json())


def test_a_large_photo_that_comes_when_all_is_busy_gets_its_answer(tmp_path: Path) -> None:
    """It is told before its body was read; closing then would lose the answer on the way."""
    with running(tmp_path, MAX_QUEUE="0", READ_TIMEOUT_S="60") as server:
        uploads = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(BODIES_IN_MEMORY)]
        try:
            for one in uploads:
                one.sendall(raw_head(5_000_000) + b"\xff\xd8\xff")
            until(lambda: held(server, "bodies") == BODIES_IN_MEMORY, START_S)
            head = raw_head(20_000_000).replace(b"Host: x", b"Host: x\r\nConnection: close")
            answer = talk(server.port, head + bytes(20_000_000))
        finally:
            for one in uploads:
                one.close()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b'"error_code":"busy"' in answer
        assert re.search(rb"Retry-After: [345]\r\n", answer), "nothing is known of the wait yet"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_gets_its_answer(server: Server, chunked: bool) -> None:
    body = b"\xff\xd8\xff" + bytes(26 * 1024 * 1024)
    answer = post(server, ANALYZE, iter([body[: len(body) // 2], body[len(body) // 2 :]]) if chunked else body)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["error_code"]) == (413, "too_large")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    records.check_schema("analysis_refusal", answer.json())


@pytest.mark.parametrize(
    ("target", "media_type", "code"),
    [
        (DETECT, "text/html", "unsupported_type"),
        ("/nowhere", "image/jpeg", "not_found"),
        ("/health", "image/jpeg", "method_not_allowed"),
    ],
)
def test_a_large_body_that_nobody_reads_gets_its_answer(
    server: Server, target: str, media_type: str, code: str
) -> None:
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nContent-Length: 20000000\r\n"
    answer = talk(server.port, f"{head}Connection: close\r\n\r\n".encode() + bytes(20_000_000))
    assert f'"error_code":"{code}"'.encode() in answer


def test_nothing_of_a_picture_is_left_on_disk_or_in_the_log(
    server: Server, portrait_jpeg: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = server._log.parent / "tmp"
    before = {path for path in ROOT.rglob("*") if ".git" not in path.parts and "__pycache__" not in path.parts}
    start = time.time()
    text = records.encoded(portrait_jpeg)
    said = {"ethnicity": "Quechua", "gender": "nonbinary"}
    requests.post(
        server.url + ANALYZE, json={"image": text, "demographics": said, "include": ["overlays"]}, timeout=WAIT_S
    )
    requests.post(server.url + ANALYZE, json={"image": text[:-4000]}, timeout=WAIT_S)
    requests.post(server.url + DETECT, files={"image": ("Quechua.jpg", portrait_jpeg)}, timeout=WAIT_S)
    requests.post(server.url + DETECT, files={"image": ("x.jpg", portrait_jpeg + bytes(2_000_000))}, timeout=WAIT_S)
    assert list(scratch.rglob("*")) == []
    after = {path for path in ROOT.rglob("*") if ".git" not in path.parts and "__pycache__" not in path.parts}
    magic = portrait_jpeg[:64]
    fresh = [path for path in after - before if path.is_file() and path.stat().st_mtime >= start]
    assert [path for path in fresh if magic in path.read_bytes()] == []
    open_files = worker_files(server)
    assert not [name for name in open_files if name.endswith((".jpg", ".png")) or name.startswith(str(scratch))]
    log = server.log
    assert "Quechua" not in log
    assert "nonbinary" not in log
    assert not [i for i in range(0, len(text) - 32, 32) if text[i : i + 32] in log]


def worker_files(server: Server) -> list[str]:
    """Names of the open files of the worker process (Linux)."""
    if not Path("/proc").is_dir():
        pytest.skip("open files are listed on Linux only")
    if os.geteuid() != 0:
        pytest.skip("the service hides its open files from other programs of the same user")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [
        os.fspath(link.readlink())
        for child in children
        for link in Path(f"/proc/{child}/fd").iterdir()
        if link.is_symlink()
    ]


def test_every_log_line_is_json_and_requests_carry_their_id(server: Server) -> None:
    requests.get(server.url + "/nowhere", headers={"X-Request-ID": "find-me"}, timeout=WAIT_S)
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line["status"] for line in lines if line.get("request_id") == "find-me"] == [404]


def test_a_client_that_goes_away_leaves_the_server_well(server: Server, portrait_jpeg: bytes) -> None:
    head = (
        f"POST {DETECT} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(portrait_jpeg)}\r\n\r\n"
    )
    for part in (head.encode(), head.encode() + portrait_jpeg[:1000], head.encode() + portrait_jpeg):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(part)
    records.check_schema("face", post(server, DETECT, portrait_jpeg).json())


def test_metrics_count_what_this_process_did(server: Server, portrait_jpeg: bytes) -> None:
    name = 'skin_requests_total{method="POST",route="analyze",status="200"} '

    def count() -> float:
        lines = requests.get(server.url + "/metrics", timeout=WAIT_S).text.splitlines()
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)

    before = count()
    for _ in range(3):
        post(server, ANALYZE, portrait_jpeg)
    assert count() - before == 3


def test_overload_is_busy_and_health_goes_on(tmp_path: Path, portrait_jpeg: bytes) -> None:
    limits = {"MAX_ANALYSES": "1", "MAX_QUEUE": "1", "QUEUE_TIMEOUT_S": "60"}
    with holding(tmp_path, **limits) as (server, hold), ThreadPoolExecutor(5) as pool:
        hold.touch()
        answers = [pool.submit(post, server, ANALYZE, portrait_jpeg) for _ in range(5)]
        until(lambda: sum(answer.done() for answer in answers) == 3)
        assert requests.get(server.url + "/health", timeout=1).text == "OK"
        hold.unlink()
        results = [answer.result() for answer in answers]
    statuses = sorted(result.status_code for result in results)
    assert statuses == [200, 200, 503, 503, 503]
    for busy in (result for result in results if result.status_code == 503):
        assert int(busy.headers["Retry-After"]) >= 1
        assert busy.json()["error_code"] == "busy"
        assert busy.headers["Access-Control-Allow-Origin"] == PAGE


def test_an_upload_that_stalls_is_given_up(tmp_path: Path) -> None:
    head = (
        b"POST "
        + DETECT.encode()
        + b" HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"
    )
    with running(tmp_path, READ_TIMEOUT_S="1") as server:
        start = time.monotonic()
        answer = talk(server.port, head + b"\xff\xd8\xff")
        assert time.monotonic() - start < 10
    assert b"incomplete_upload" in answer
    assert answer.startswith(b"HTTP/1.1 400")


def test_a_stopping_server_finishes_what_it_began(tmp_path: Path, portrait_jpeg: bytes) -> None:
    def answers() -> bool:
        try:
            return requests.get(server.url + "/health", timeout=2).ok
        except requests.RequestException:  # refused, or left unanswered by a socket about to close
            return False

    with holding(tmp_path) as (server, hold), ThreadPoolExecutor(1) as pool:
        hold.touch()
        answer = pool.submit(post, server, ANALYZE, portrait_jpeg)
        until(lambda: held(server, "analyses") == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not answers())
        assert not answer.done()
        hold.unlink()
        result = answer.result(WAIT_S)
        records.check_schema("analysis", result.json())
        assert server.process.wait(WAIT_S) == 0


def test_a_server_that_is_stopped_while_it_warms_up_does_not_crash(tmp_path: Path) -> None:
    with running(tmp_path, ready=False) as server:
        until(lambda: "Listening at" in server.log)
        until(lambda: b"200 OK" in talk(server.port, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert server.process.returncode == 0
    assert '"event":"ready"' in server.log, "it was not stopped while it warmed up: the warm-up ends before the stop"
    assert "was sent SIG" not in server.log
    assert "terminate called" not in server.log


def test_a_wrong_setting_stops_the_start_with_its_name() -> None:
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--check-config"]
    environment = {**os.environ, "MAX_QUEUE": "many"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=WAIT_S, check=False)
    assert ended.returncode != 0
    assert b"MAX_QUEUE must be a whole number" in ended.stderr
    assert b"Traceback" not in ended.stderr
