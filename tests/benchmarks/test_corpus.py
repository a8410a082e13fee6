"""The table over a folder of files: what is posted where, what fails the run, and what a resumed run posts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import corpus, dataset

ANSWERS = {b"report": (200, None), b"damaged": (400, "bad_image"), b"fault": (500, "internal_error")}


class Service(ThreadingHTTPServer):
    """A service that answers by the body, and is busy at the first request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Content-Type"], body))
        status, code = (503, "busy") if len(self.server.requests) == 1 else ANSWERS[body]
        content = json.dumps({"error_code": code}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dataset, "RESULTS", tmp_path / "results")
    place = tmp_path / "pictures"
    (place / "below").mkdir(parents=True)
    (place / "a.jpg").write_bytes(b"report")
    (place / "below" / "b.unknown").write_bytes(b"damaged")
    return place


def run(service: Service, folder: Path, *arguments: str) -> int:
    journal = folder.parent / "journal.jsonl"
    return corpus.main([str(folder), "--port", str(service.server_port), "--journal", str(journal), *arguments])


def test_each_file_is_posted_as_its_type_to_both_routes(
    service: Service, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(service, folder) == 0
    assert sorted(set(service.requests)) == [
        ("/api/v4/face/detect", "application/octet-stream", b"damaged"),
        ("/api/v4/face/detect", "image/jpeg", b"report"),
        ("/api/v6/skin/analyze-hare-run", "application/octet-stream", b"damaged"),
        ("/api/v6/skin/analyze-hare-run", "image/jpeg", b"report"),
    ]
    assert len(service.requests) == 5  # the busy answer is no answer
    assert "400 bad_image" in capsys.readouterr().out


def test_a_fault_fails_the_run_and_names_the_file(
    service: Service, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.png").write_bytes(b"fault")
    assert run(service, folder) == 1
    assert "500 internal_error" in capsys.readouterr().out
    assert [answer["file"] for answer in json.loads((dataset.RESULTS / "corpus.json").read_text())["faults"]] == [
        str(folder / "c.png")
    ] * 2


def test_a_service_that_is_gone_fails_the_run(service: Service, folder: Path) -> None:
    service.shutdown()
    service.server_close()
    assert run(service, folder) == 1


def test_a_slow_answer_fails_the_run(service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "LONGEST_ANSWER_S", -1.0)
    assert run(service, folder) == 1


def test_a_resumed_run_posts_only_what_has_no_answer(service: Service, folder: Path) -> None:
    run(service, folder)
    (folder / "new.jpg").write_bytes(b"report")
    journal = folder.parent / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"file": "cut')
    service.requests[1:] = []
    assert run(service, folder, "--resume") == 0
    assert len(service.requests) == 3
    assert json.loads((dataset.RESULTS / "corpus.json").read_text())["answers"] == 6
    assert len(corpus.read_journal(journal)) == 6  # the cut line is gone and has spoiled no other


def test_installed_packages_ship_pictures() -> None:
    assert {path.suffix for path in corpus.package_pictures()} >= {".png", ".jpg"}
