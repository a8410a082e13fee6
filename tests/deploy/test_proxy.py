"""The real nginx with the bundle's configuration, in front of a stand-in that remembers what it was sent."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast

import pytest
import requests

from tests.deploy.layout import BALANCER, PAGE, Proxy, Release, proxying
from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import WAIT_S, free_port, talk, until
from web import headers

MIB = 1024 * 1024
FORGED = "6.6.6.6"
PERSONAL = "Quechua"
CLIENT = "203.0.113.9"
PER_CALLER, OF_ALL = 48, 160  # requests that the proxy takes at a time: of one caller, and with bodies of all
EACH = 60  # requests that a caller of the tests below begins


class StandIn(BaseHTTPRequestHandler):
    """Answers everything with 200 and the size of the body; keeps the headers that came."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        padding = "x" * 3_000_000 if self.path == "/much" else ""
        body = json.dumps({"length": length, "padding": padding}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.SAFETY.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def proxy(release: Release) -> Iterator[Proxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as stand_in:
        threading.Thread(target=stand_in.serve_forever, daemon=True).start()
        with proxying(release, stand_in.server_port) as running:
            running.refuse_spooling()
            yield running
        stand_in.shutdown()


@pytest.fixture(scope="module")
def deserted(release: Release) -> Iterator[Proxy]:
    """A proxy whose service is not there."""
    with proxying(release, free_port()) as running:
        yield running


def through_balancer(proxy: Proxy, forwarded: str) -> dict[str, str]:
    """Headers that the service gets of a request that comes from the load balancer's address."""
    head = f"GET /seen HTTP/1.1\r\nHost: skin.example\r\nX-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), WAIT_S, source_address=(BALANCER, 0)) as connection:
        connection.sendall(
            f"{head}Forwarded: for={FORGED}\r\nX-Real-IP: {FORGED}\r\nConnection: close\r\n\r\n".encode()
        )
        while connection.recv(65536):
            pass
    return StandIn.seen[-1]


def test_the_caller_is_who_the_load_balancer_saw(proxy: Proxy) -> None:
    sent = through_balancer(proxy, f"{FORGED}, 10.0.0.1, {CLIENT}")
    assert {sent["x-forwarded-for"], sent["x-real-ip"]} == {CLIENT}
    assert (sent["x-forwarded-proto"], sent["x-forwarded-host"], sent["host"]) == (
        "https",
        "skin.example",
        "skin.example",
    )
    assert "forwarded" not in sent


def test_a_caller_inside_the_private_networks_cannot_forge_either(proxy: Proxy) -> None:
    assert through_balancer(proxy, f"{FORGED}, 10.1.2.3")["x-forwarded-for"] == "10.1.2.3"


def test_who_is_no_load_balancer_is_not_believed(proxy: Proxy) -> None:
    requests.get(f"{proxy.url}/seen", headers={"X-Forwarded-For": FORGED}, timeout=WAIT_S)
    assert StandIn.seen[-1]["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize(("given", "kept"), [("find-me_1.x", True), ("no spaces", False), ("x" * 65, False)])
def test_the_request_id_reaches_the_service_if_it_is_sane(proxy: Proxy, given: str, kept: bool) -> None:
    requests.get(f"{proxy.url}/seen", headers={"X-Request-ID": given}, timeout=WAIT_S)
    passed = StandIn.seen[-1]["x-request-id"]
    assert (passed == given) is kept
    assert len(passed) <= 64


def test_bodies_up_to_the_limit_pass_and_nothing_touches_the_disk(proxy: Proxy) -> None:
    for length in (1, 16 * MIB, 24 * MIB):
        answer = requests.post(f"{proxy.url}/any", data=bytes(length), timeout=WAIT_S)
        assert answer.json()["length"] == length
    assert len(requests.post(f"{proxy.url}/much", timeout=WAIT_S).json()["padding"]) == 3_000_000
    assert list((proxy.folder / "spool").rglob("*")) == []
    assert "spool" not in proxy.logged("error")


@pytest.mark.parametrize(
    ("path", "schema"),
    [(ANALYZE, "analysis_refusal"), (f"/{DETECT}/?x=1", "face_refusal"), ("/nowhere", "failure")],
)
def test_a_larger_body_is_told_in_the_shape_of_its_route(proxy: Proxy, path: str, schema: str) -> None:
    headers = {"Origin": PAGE, "Content-Type": "image/jpeg", "X-Request-ID": "find-me"}
    answer = requests.post(proxy.url + path, data=bytes(30 * MIB), headers=headers, timeout=WAIT_S)
    told = answer.json()
    assert (answer.status_code, told["error_code"], told["request_id"]) == (413, "too_large", "find-me")
    assert told["error"] == "The request is larger than 24 MiB."
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["X-Request-ID"] == "find-me"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    records.check_schema(schema, told)


def test_a_larger_body_of_unknown_length_is_told_too(proxy: Proxy) -> None:
    pieces = (bytes(MIB) for _ in range(30))
    answer = requests.post(proxy.url + DETECT, data=pieces, timeout=WAIT_S)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "too_large")


def test_a_page_of_another_origin_is_not_answered(proxy: Proxy) -> None:
    answer = requests.post(
        proxy.url + ANALYZE, data=bytes(25 * MIB), headers={"Origin": "https://evil.example"}, timeout=WAIT_S
    )
    assert answer.status_code == 413
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nBad Header\r\nHost: x\r\n", 400),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET /%zz HTTP/1.1\r\nHost: x\r\n", 400),
        (f"GET /{'x' * 40_000} HTTP/1.1\r\nHost: x\r\n", 414),
        (f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 40_000}\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: x\r\n", 505),
    ],
)
def test_what_is_no_request_gets_json(proxy: Proxy, head: str, status: int) -> None:
    answer = talk(proxy.port, f"{head}Connection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] == str(status).encode()
    told = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert told["error_code"] == "bad_request"
    records.check_schema("failure", told)


def test_without_its_service_the_proxy_says_busy(deserted: Proxy) -> None:
    answer = requests.post(deserted.url + ANALYZE, data=b"x", headers={"Origin": PAGE}, timeout=WAIT_S)
    assert (answer.status_code, answer.json()["error_code"]) == (502, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After, X-Request-ID"
    records.check_schema("analysis_refusal", answer.json())


def test_the_proxy_spreads_those_whom_it_sends_away(deserted: Proxy) -> None:
    waits = {requests.get(deserted.url, timeout=WAIT_S).headers["Retry-After"] for _ in range(40)}
    assert waits == {"3", "4", "5"}


def test_too_many_requests_of_one_caller_are_told_to_wait(proxy: Proxy) -> None:
    told = refused_of(proxy, ["127.0.0.1"], beyond=EACH - PER_CALLER)
    records.check_schema("face_refusal", told)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_bodies_of_all_callers_together_are_bounded(proxy: Proxy, method: str) -> None:
    callers = [f"127.0.0.{number}" for number in range(2, 8)]
    assert len(callers) * PER_CALLER > OF_ALL
    refused_of(proxy, callers, beyond=len(callers) * EACH - OF_ALL, method=method)


def refused_of(proxy: Proxy, callers: Sequence[str], *, beyond: int, method: str = "POST") -> dict[str, Any]:
    """What exactly so many of the requests are told that callers begin, `EACH` of each, and do not end; all the others wait."""
    head = f"{method} {DETECT} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode()
    told: list[dict[str, Any]] = []
    with contextlib.ExitStack() as held, selectors.DefaultSelector() as answers:
        for caller in [caller for caller in callers for _ in range(EACH)]:
            made = socket.create_connection(("127.0.0.1", proxy.port), WAIT_S, source_address=(caller, 0))
            answers.register(held.enter_context(made), selectors.EVENT_READ)
            made.sendall(head)
        while ready := answers.select(WAIT_S if len(told) < beyond else 0.5):
            for key, _ in ready:
                answers.unregister(key.fileobj)
                answer = http.client.HTTPResponse(cast(socket.socket, key.fileobj))
                try:
                    answer.begin()
                except http.client.RemoteDisconnected:  # it waited for 20 s, on a machine that stood still
                    continue
                assert answer.status == 503
                told.append(json.loads(answer.read()))
        if "127.0.0.1" not in callers:  # who sends no body is not kept out by the bodies of others
            assert requests.get(f"{proxy.url}/health", timeout=WAIT_S).status_code == 200
    assert {answer["error_code"] for answer in told} == {"busy"}
    assert len(told) == beyond
    assert asked(proxy, 200), "their places come free when they go"
    return told[0]


def asked(proxy: Proxy, status: int) -> bool:
    """Whether a caller who asks again and again gets this status in time."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if requests.post(proxy.url + DETECT, data=b"x", timeout=WAIT_S).status_code == status:
            return True
        time.sleep(0.05)
    return False


def refused(proxy: Proxy, **more: str) -> http.client.HTTPResponse:
    """The proxy's own answer to a body that announces itself too large."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=WAIT_S)
    connection.putrequest("POST", ANALYZE)
    for name, value in {"Content-Length": str(30 * MIB), **more}.items():
        connection.putheader(name, value)
    connection.endheaders()
    with contextlib.closing(connection):
        answer = connection.getresponse()
        answer.read()
        return answer


def test_own_answers_have_the_headers_of_the_service_and_tell_no_version(proxy: Proxy) -> None:
    plain = refused(proxy)
    assert (plain.status, plain.headers["Server"]) == (413, "nginx")
    for name in ("X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"):
        assert plain.headers[name] == headers.SAFETY[name]
    assert plain.headers["Permissions-Policy"].startswith("camera=(self)")
    assert "Strict-Transport-Security" not in plain.headers
    assert refused(proxy, **{"X-Forwarded-Proto": "https"}).headers["Strict-Transport-Security"] == headers.TRANSPORT


def test_headers_of_the_service_come_through_once(proxy: Proxy) -> None:
    given = requests.get(f"{proxy.url}/any", timeout=WAIT_S).raw.headers
    assert {name: given.getlist(name) for name in headers.SAFETY} == {
        name: [value] for name, value in headers.SAFETY.items()
    }
    assert given["Server"] == "nginx"


def log_line(proxy: Proxy, identity: str) -> dict[str, Any]:
    """Return the line of a request in the access log, which nginx writes after the answer."""
    lines: list[dict[str, Any]] = []

    def is_written() -> bool:
        lines[:] = [line for line in proxy.requests_logged() if line["request_id"] == identity]
        return bool(lines)

    until(is_written, WAIT_S)
    return lines[0]


def test_the_logs_of_the_proxy_hold_a_request_and_nothing_of_the_person(proxy: Proxy) -> None:
    """Neither those of requests that were passed on or refused, nor the health agent's, nor that of errors."""
    about = dict.fromkeys(("User-Agent", "Referer", "Authorization", "Cookie", "X-Forwarded-For", "Via"), PERSONAL)
    requests.post(
        f"{proxy.url}/{ANALYZE}?who={PERSONAL}", data=b"x", headers={**about, "X-Request-ID": "log-1"}, timeout=WAIT_S
    )
    requests.post(proxy.url + DETECT, data=bytes(30 * MIB), headers={**about, "X-Request-ID": "log-2"}, timeout=WAIT_S)
    requests.get(f"{proxy.url}/{PERSONAL}", headers={**about, "X-Request-ID": "log-3"}, timeout=WAIT_S)
    talk(
        proxy.port, f"{PERSONAL.upper()} /{PERSONAL} HTTP/1.1\r\nHost: {PERSONAL}\r\nConnection: close\r\n\r\n".encode()
    )
    talk(proxy.port, f"GET /{PERSONAL} HTTP/1.1\r\nHost: x\r\nBad Header: {PERSONAL}\r\n\r\n".encode())
    known = [log_line(proxy, f"log-{number}") for number in (1, 2, 3)]
    assert [(line["path"], line["status"]) for line in known] == [(ANALYZE, "200"), (DETECT, "413"), ("other", "200")]
    assert known[0].keys() == {
        "time", "event", "request_id", "method", "path", "status", "seconds", "upstream_seconds", "bytes_in", "bytes_out",
    }  # fmt: skip
    written = "".join(path.read_text() for path in (proxy.folder / "log").rglob("*") if path.is_file())
    assert PERSONAL.lower() not in written.lower()
    assert "127.0.0." not in written


def test_the_health_agent_finds_its_log_in_the_documented_form(proxy: Proxy) -> None:
    headers = {"X-Forwarded-For": CLIENT, "X-Request-ID": "for-the-agent"}
    requests.get(f"{proxy.url}/health?x=1", headers=headers, timeout=WAIT_S)
    log_line(proxy, "for-the-agent")
    (log,) = (proxy.folder / "log/healthd").iterdir()
    assert re.fullmatch(r"application\.log\.\d{4}-\d\d-\d\d-\d\d", log.name)
    line = log.read_text().splitlines()[-1]
    assert re.fullmatch(r'\d+\.\d{3}"/health"200"\d+\.\d{3}"\d+\.\d{3}"-', line)


def test_a_service_that_is_away_leaves_no_address_either(deserted: Proxy) -> None:
    requests.get(f"{deserted.url}/ready", headers={"X-Request-ID": "in-vain"}, timeout=WAIT_S)
    assert log_line(deserted, "in-vain")["status"] == "502"
    assert "client" not in deserted.logged("error")


def test_a_connection_is_kept_for_the_next_request(proxy: Proxy) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port, WAIT_S)) as connection:
        connection.connect()
        first = connection.sock
        for path in ("/any", ANALYZE, "/any"):
            connection.request("POST", path, b"x")
            assert connection.getresponse().read()
            assert connection.sock is first


def test_a_slow_upload_reaches_the_service_in_one_piece(proxy: Proxy) -> None:
    before = len(StandIn.seen)
    with socket.create_connection(("127.0.0.1", proxy.port), WAIT_S) as connection:
        connection.sendall(b"POST /any HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n")
        for piece in (b"ab", b"cd"):
            connection.sendall(piece)
            time.sleep(0.2)
        assert len(StandIn.seen) == before  # the service knows nothing of it yet
        connection.sendall(b"ef")
        assert b'"length": 6' in connection.recv(65536)
