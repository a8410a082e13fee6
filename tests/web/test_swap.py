"""A real server with requests in flight while its artefact is exchanged, refused, or cannot be fetched."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from analyzer.model_command import main
from tests.analyzer import store_server
from tests.analyzer.store_server import BUCKET, CREDENTIALS, PREFIX, Fault, Line, artefact
from tests.web.records import ANALYZE
from tests.web.test_server import Server, post, running, until

APP = "tests.web.swap_application:application"
WAIT_S = 20.0
CLIENTS = 3


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A line to an S3 with an empty bucket that keeps versions."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with store_server.moto() as port:
        client = store_server.s3(port)
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        client.close()
        line = Line(port)
        yield line
        line.close()
        requests.post(f"http://127.0.0.1:{port}/moto-api/reset", timeout=WAIT_S)


@pytest.fixture
def environment(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """For the server and for the commands of this process: version 1 in the local folder, S3 behind the line."""
    artefact(tmp_path / "models", "1")
    places = {
        "S3_BUCKET": BUCKET,
        "AWS_ENDPOINT_URL": line.url,
        "MODEL_ALLOW_UNSIGNED": "yes",
        "MODEL_DIR": str(tmp_path / "models"),
        "MODEL_CACHE_DIR": str(tmp_path / "cache"),
        "MODEL_POLL_S": "0",
    }
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    return places


def publish(folder: Path, version: str, **how: Any) -> None:
    assert main(["publish", str(artefact(folder / f"published-{version}", version, **how))]) == 0


def status(server: Server) -> dict[str, Any]:
    told: dict[str, Any] = requests.get(f"{server.url}/api/v5/skin/model-status", timeout=WAIT_S).json()["model_status"]
    return told


def serves(server: Server, version: str) -> Callable[[], bool]:
    return lambda: status(server)["model_details"]["facial"]["version"] == version


def worker(server: Server) -> int:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if not children.exists():
        pytest.skip("children of a process are listed on Linux only")
    return int(children.read_text().split()[-1])


@contextmanager
def load(server: Server, picture: bytes) -> Iterator[list[tuple[int, Any, bool]]]:
    """Clients that ask all the time, each request on a connection of its own; (status, version, degraded) of each answer."""
    answers: list[tuple[int, Any, bool]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                answer = post(server, ANALYZE, picture)
                answers.append((answer.status_code, answer.json()["model_version"], answer.json()["degraded"]))
            except requests.RequestException as error:
                answers.append((0, str(error), True))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        ended.set()
        for client in clients:
            client.join()


def answered(answers: list[tuple[int, Any, bool]], version: str) -> Callable[[], bool]:
    return lambda: sum(answer[1] == version for answer in list(answers)) >= 2 * CLIENTS


def test_versions_are_exchanged_and_refused_without_a_failed_request(
    environment: dict[str, str], tmp_path: Path, portrait_jpeg: bytes, line: Line
) -> None:
    publish(tmp_path, "2")
    polling = {**environment, "MODEL_POLL_S": "0.2"}
    with running(tmp_path, APP, **polling) as server, load(server, portrait_jpeg) as answers:
        until(answered(answers, "2"))
        publish(tmp_path, "3")
        until(answered(answers, "3"))
        publish(tmp_path, "4", broken=True)
        until(lambda: "The self-test failed" in str(status(server)["fallback_reason"]))
        assert status(server)["model_details"]["facial"]["version"] == "3"
        before = len(answers)
        until(lambda: len(answers) > before + 2 * CLIENTS)
        assert all(answer[1] == "3" for answer in answers[before + CLIENTS :])
        publish(tmp_path, "5")
        until(answered(answers, "5"))
    assert {answer[::2] for answer in answers} == {(200, False)}, Counter(answers)
    assert [head for head in line.asked(f"GET /{BUCKET}/{PREFIX}") if ".keras" in head.split()[1]] == []
    refusals = [entry for entry in server.log.splitlines() if "What S3 holds was refused" in entry]
    assert len(refusals) == 1, "told once, not at every look"


def test_a_worker_looks_for_a_newer_version_on_sighup(environment: dict[str, str], tmp_path: Path) -> None:
    publish(tmp_path, "2")
    with running(tmp_path, APP, **environment) as server:
        until(serves(server, "2"))
        pid = worker(server)
        publish(tmp_path, "3")
        os.kill(pid, signal.SIGHUP)
        until(serves(server, "3"))
        assert worker(server) == pid
        details = status(server)["model_details"]["facial"]
        assert (details["source"], details["s3_location"]) == ("s3", f"s3://{BUCKET}/{PREFIX}")
        assert details["s3_version_id"]


def test_sighup_to_the_master_exchanges_the_worker_without_a_failed_request(
    environment: dict[str, str], tmp_path: Path, portrait_jpeg: bytes
) -> None:
    publish(tmp_path, "2")
    with running(tmp_path, APP, **environment) as server, load(server, portrait_jpeg) as answers:
        until(answered(answers, "2"))
        pid = worker(server)
        publish(tmp_path, "3")
        server.process.send_signal(signal.SIGHUP)
        until(answered(answers, "3"))
        assert worker(server) != pid
    assert {answer[::2] for answer in answers} == {(200, False)}, Counter(answers)


def test_a_silent_s3_blocks_neither_health_nor_the_start(
    environment: dict[str, str], tmp_path: Path, line: Line
) -> None:
    line.faults.append(Fault("", kind="stall"))
    with running(tmp_path, APP, MODEL_START_WAIT_S="0.5", **environment) as server:
        assert requests.get(f"{server.url}/health", timeout=1).text == "OK"
        until(lambda: "S3 had not delivered within 0.5 s" in str(status(server)["fallback_reason"]))
        assert status(server)["model_details"]["facial"]["source"] == "local"
