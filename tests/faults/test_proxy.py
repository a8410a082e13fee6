"""A real nginx with this repository's proxy configuration in front of the real server: what is broken or hostile at the border."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.faults.smuggling import ATTEMPTS, SMUGGLED
from tests.faults.test_http import deliver, ids
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import ROOT, START_S, Server, free_port, running

CONFIGURATION = ROOT / ".platform" / "nginx" / "conf.d"
LIMIT = 3  # pictures in a minute
FRAME = """
{user}
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    log_format seen '$http_x_request_id $upstream_status';
    access_log {folder}/seen.log seen;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/conf.d/*.conf;
    server {{ listen 127.0.0.1:{port}; include {folder}/conf.d/elasticbeanstalk/*.conf; }}
}}
"""  # what the platform's own nginx.conf does: conf.d inside http {}, conf.d/elasticbeanstalk inside server {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"LOG_LEVEL": "debug", "RATE_LIMIT_PER_MINUTE": str(LIMIT), "TRUSTED_HOPS": "1", "THREADS": "8"}
    with running(tmp_path_factory.mktemp("behind"), **limits) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a running nginx; its port is in the file `port`."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is absent: apt-get install nginx")
    if not CONFIGURATION.is_dir():
        pytest.skip("there is no proxy configuration in .platform/nginx/conf.d")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    shutil.copytree(CONFIGURATION, folder / "conf.d")
    for file in (folder / "conf.d").rglob("*.conf"):
        file.write_text(file.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(FRAME.format(folder=folder, port=port, user=user))
    (folder / "port").write_text(str(port))
    process = subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        wait_until_open(port, folder)
        yield folder
    finally:
        process.terminate()
        process.wait(START_S)


def wait_until_open(port: int, folder: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError((folder / "error.log").read_text())


def port_of(proxy: Path) -> int:
    return int((proxy / "port").read_text())


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_is_smuggled_past_the_proxy(server: Server, proxy: Path, name: str) -> None:
    """What the service takes for a request, the proxy took for one, too; it writes its line after the answer."""

    def taken() -> int:
        return (proxy / "seen.log").read_text().count(f"{SMUGGLED} ")

    before, served_before = taken(), ids(server).count(SMUGGLED)
    deliver(port_of(proxy), ATTEMPTS[name])
    assert requests.get(f"http://127.0.0.1:{port_of(proxy)}/health", timeout=5).text == "OK"
    served, end = ids(server).count(SMUGGLED) - served_before, time.monotonic() + START_S
    while taken() - before < served and time.monotonic() < end:
        time.sleep(0.05)
    assert served <= taken() - before


def test_what_the_proxy_itself_refuses_is_json(proxy: Path) -> None:
    answer = deliver(port_of(proxy), b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"error_code":"bad_request"' in answer


def test_slow_heads_at_the_proxy_keep_nobody_out(proxy: Path) -> None:
    slow = [socket.create_connection(("127.0.0.1", port_of(proxy))) for _ in range(100)]
    try:
        for one in slow:
            one.send(b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert requests.get(f"http://127.0.0.1:{port_of(proxy)}/health", timeout=5).text == "OK"
    finally:
        for one in slow:
            one.close()


def test_slow_bodies_at_the_proxy_take_no_thread_of_the_service(server: Server, proxy: Path) -> None:
    head = f"POST {ANALYZE} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", port_of(proxy))) for _ in range(30)]
    try:
        for one in slow:
            one.send(head + b"\xff\xd8\xff")
        for address in (server.url, f"http://127.0.0.1:{port_of(proxy)}"):
            assert requests.get(f"{address}/health", timeout=5).text == "OK"
    finally:
        for one in slow:
            one.close()


def test_an_address_cannot_be_forged_through_the_proxy(proxy: Path) -> None:
    answers = [
        requests.post(
            f"http://127.0.0.1:{port_of(proxy)}{DETECT}",
            data=b"x",
            headers={
                "X-Forwarded-For": f"198.51.100.{number}",
                "X-Real-IP": "9.9.9.9",
                "Forwarded": f"for=8.8.8.{number}",
            },
            timeout=5,
        )
        for number in range(30)
    ]
    assert 429 in {answer.status_code for answer in answers}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
