"""Clients that leave before their answer, at the real server and through the real proxy: nothing is analysed for them."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.deploy.layout import Release, proxying
from tests.web import records
from tests.web.records import ANALYZE
from tests.web.test_server import ROOT, WAIT_S, Server, held, holding, until
from web.disconnects import QUESTION

Held = tuple[Server, Path]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """A server with one place for analyses, which are held as long as a file is there."""
    with holding(tmp_path_factory.mktemp("left"), MAX_ANALYSES="1", MAX_QUEUE="2", QUEUE_TIMEOUT_S="60") as held:
        yield held


def begin(port: int, picture: bytes, version: str = "1.1") -> socket.socket:
    """Send a picture whole, and read nothing."""
    head = f"POST {ANALYZE} HTTP/{version}\r\nHost: x\r\nConnection: close\r\nContent-Type: image/jpeg\r\n"
    client = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    client.sendall(f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture)
    return client


def answer(client: socket.socket) -> bytes:
    with client:
        return b"".join(iter(lambda: client.recv(65536), b""))


def abandoned(server: Server, stage: str) -> float:
    text = requests.get(f"{server.url}/metrics", timeout=WAIT_S).text
    return float(re.findall(rf'^skin_requests_abandoned_total{{stage="{stage}"}} (\S+)', text, re.MULTILINE)[0])


def given_up(server: Server) -> list[str]:
    """The stages in the log lines of requests that were given up."""
    lines = [json.loads(line) for line in server.log.splitlines()]
    return [line["abandoned_before"] for line in lines if line.get("status") == 499]


def test_who_leaves_the_queue_or_the_analysis_is_not_analysed(busy: Held, portrait_jpeg: bytes) -> None:
    server, hold = busy
    hold.touch()
    first = begin(server.port, portrait_jpeg)
    until(lambda: held(server, "analyses") == 1)
    second, third = begin(server.port, portrait_jpeg), begin(server.port, portrait_jpeg)
    until(lambda: held(server, "analyses") == 3)
    second.close()
    until(lambda: held(server, "analyses") == 2)
    assert abandoned(server, "queue") == 1, "it left the queue while the place was held"
    first.close()
    hold.unlink()
    records.check_schema("analysis", json.loads(answer(third).partition(b"\r\n\r\n")[2]))
    assert abandoned(server, "decode") == 1
    assert held(server, "analyses") == 0
    assert given_up(server) == ["queue", "decode"]


@pytest.mark.parametrize(("version", "asked"), [("1.1", QUESTION), ("1.0", b"")], ids=["1.1", "1.0"])
def test_who_only_ends_its_own_side_is_answered(busy: Held, portrait_jpeg: bytes, version: str, asked: bytes) -> None:
    server, hold = busy
    before = len(given_up(server))
    hold.touch()
    first, second = (begin(server.port, portrait_jpeg, version) for _ in range(2))
    for client in (first, second):
        client.shutdown(socket.SHUT_WR)
    until(lambda: held(server, "analyses") == 2)
    hold.unlink()
    for client in (first, second):
        text = answer(client)
        assert text.startswith(asked + f"HTTP/{version} 200 OK\r\n".encode())
        records.check_schema("analysis", json.loads(text.removeprefix(asked).partition(b"\r\n\r\n")[2]))
    assert len(given_up(server)) == before


def test_the_proxy_passes_on_who_leaves_and_when_to_come_back(busy: Held, portrait_jpeg: bytes) -> None:
    server, hold = busy
    with proxying(Release(ROOT, Path(sys.executable).parent), server.port) as proxy:
        before = abandoned(server, "queue")
        hold.touch()
        first = begin(proxy.port, portrait_jpeg)
        until(lambda: held(server, "analyses") == 1)
        second = begin(proxy.port, portrait_jpeg)
        until(lambda: held(server, "analyses") == 2)
        third = begin(proxy.port, portrait_jpeg)
        until(lambda: held(server, "analyses") == 3)
        refused = requests.post(proxy.url + ANALYZE, data=portrait_jpeg, timeout=WAIT_S)
        assert (refused.status_code, refused.json()["message"]) == (503, "The service is busy at the moment.")
        assert refused.headers["Retry-After"] in ("3", "4", "5"), "the service's own word, once"
        for client in (second, third):
            client.close()
        until(lambda: held(server, "analyses") == 1)
        assert abandoned(server, "queue") == before + 2
        hold.unlink()
        assert answer(first).startswith(b"HTTP/1.1 200 OK")
        until(lambda: [line["status"] for line in proxy.requests_logged()].count("499") == 2)
