"""A real nginx with this repository's proxy configuration in front of the real server: what is broken or hostile at the border."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.deploy.layout import Proxy, Release, proxying
from tests.faults.smuggling import ATTEMPTS, SMUGGLED
from tests.faults.test_http import deliver, ids
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import ROOT, START_S, Server, running

LIMIT = 3  # pictures in a minute


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"LOG_LEVEL": "debug", "RATE_LIMIT_PER_MINUTE": str(LIMIT), "TRUSTED_HOPS": "1", "THREADS": "8"}
    with running(tmp_path_factory.mktemp("behind"), **limits) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Proxy]:
    with proxying(Release(ROOT, Path(sys.executable).parent), server.port) as running:
        yield running


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_is_smuggled_past_the_proxy(server: Server, proxy: Proxy, name: str) -> None:
    """What the service takes for a request, the proxy took for one, too; it writes its line after the answer.

    A client that has ended its stream before the answer is gone for the proxy (499); the service may have answered all the same.
    """

    def counted() -> tuple[int, int, int]:
        statuses = [line["status"] for line in proxy.requests_logged() if line["request_id"] == SMUGGLED]
        return statuses.count("200"), ids(server).count(SMUGGLED), statuses.count("200") + statuses.count("499")

    def agreed() -> bool:
        answered, served, passed_on = counted()
        return answered <= served <= passed_on

    deliver(proxy.port, ATTEMPTS[name])
    assert requests.get(f"{proxy.url}/health", timeout=5).text == "OK"
    end = time.monotonic() + START_S
    while not agreed() and time.monotonic() < end:
        time.sleep(0.05)
    assert agreed(), counted()


def test_what_the_proxy_itself_refuses_is_json(proxy: Proxy) -> None:
    answer = deliver(proxy.port, b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"error_code":"bad_request"' in answer


def test_slow_heads_at_the_proxy_keep_nobody_out(proxy: Proxy) -> None:
    slow = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(100)]
    try:
        for one in slow:
            one.send(b"POST " + DETECT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert requests.get(f"{proxy.url}/health", timeout=5).text == "OK"
    finally:
        for one in slow:
            one.close()


def test_slow_bodies_at_the_proxy_take_no_thread_of_the_service(server: Server, proxy: Proxy) -> None:
    head = f"POST {ANALYZE} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(30)]
    try:
        for one in slow:
            one.send(head + b"\xff\xd8\xff")
        for address in (server.url, proxy.url):
            assert requests.get(f"{address}/health", timeout=5).text == "OK"
    finally:
        for one in slow:
            one.close()


def test_an_address_cannot_be_forged_through_the_proxy(proxy: Proxy) -> None:
    answers = [
        requests.post(
            f"{proxy.url}{DETECT}",
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
