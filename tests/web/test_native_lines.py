"""Lines of native libraries: JSON, bounded, without what a picture could put there, and not lost with the process that wrote them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.web.test_server import WAIT_S, Server, running, until
from tests.web.test_swap import worker
from web.native_lines import BURST, CHUNK, LONGEST, PER_SECOND, Budget, json_line, lines

UNPRIVILEGED = ("setpriv", "--bounding-set", "-all") if os.geteuid() == 0 else ()


def log_lines(server: Server) -> list[dict[str, Any]]:
    """Return every line of the log, each of which is JSON."""
    return [json.loads(line) for line in server.log.splitlines()]


def native_lines(server: Server) -> list[str]:
    """Return the lines of native libraries in the log."""
    return [line["line"] for line in log_lines(server) if line["event"] == "native_warning"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose processes have no capabilities, as those of an ordinary user."""
    folder = tmp_path_factory.mktemp("native")
    with running(folder, "tests.web.dying_application:application", before=UNPRIVILEGED) as server:
        yield server


def test_a_warning_of_a_native_library_is_a_line_of_the_log(server: Server) -> None:
    assert requests.post(f"{server.url}/warn", timeout=WAIT_S).text == "warned"
    until(lambda: any("imread" in line for line in native_lines(server)))
    (line,) = (line for line in log_lines(server) if "imread" in line.get("line", ""))
    assert line.keys() == {"time", "level", "logger", "event", "line", "left_out"}
    assert "Quechua" not in line["line"]


def test_other_programs_of_the_same_user_cannot_read_the_memory_of_the_server(server: Server) -> None:
    """A process that may be dumped shows its environment and its memory's places to its own user; these hold keys and photos."""
    sleeper = subprocess.Popen([*UNPRIVILEGED, "sleep", "60"])
    try:
        until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
        for pid, readable in ((sleeper.pid, True), (server.process.pid, False), (worker(server), False)):
            for name in ("environ", "maps"):
                reading = subprocess.run(
                    [*UNPRIVILEGED, "cat", f"/proc/{pid}/{name}"], capture_output=True, check=False
                )
                assert (reading.returncode == 0) is readable, (name, reading.stderr)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_last_words_of_a_dying_worker_are_logged(server: Server) -> None:
    died = worker(server)
    with contextlib.suppress(requests.ConnectionError):
        requests.post(f"{server.url}/die", timeout=WAIT_S)
    until(lambda: "free(): invalid pointer of '...'" in native_lines(server))
    server.wait_ready()
    assert worker(server) != died
    assert "Quechua" not in server.log


def test_lines_come_whole_and_unfinished_ones_in_time() -> None:
    reader, writer = os.pipe()
    read = lines(reader)
    os.write(writer, b"one\ntwo ")
    assert next(read) == b"one"
    os.write(writer, b"halves\nthree")
    assert [next(read), next(read)] == [b"two halves", b"three"]
    os.write(writer, b"four")
    os.close(writer)
    assert list(read) == [b"four"]


def test_a_line_without_an_end_does_not_grow_for_ever() -> None:
    reader, writer = os.pipe()
    read = lines(reader)
    os.write(writer, b"x" * CHUNK)
    os.set_blocking(writer, False)
    assert next(read) == b"x" * CHUNK, "after a moment of silence"
    os.close(writer)
    assert list(read) == []


def test_lines_beyond_the_budget_are_counted() -> None:
    now = 0.0
    budget = Budget(lambda: now)
    assert sum(budget.allows() for _ in range(100)) == BURST
    assert budget.take_left_out() == 100 - BURST
    now = 5.0
    assert sum(budget.allows() for _ in range(100)) == 5.0 * PER_SECOND


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"Corrupt JPEG data: premature end of data segment", "Corrupt JPEG data: premature end of data segment"),
        (b"iCCP: profile 'Lima's \"own\" one': 7: invalid", "iCCP: profile '...': 7: invalid"),
        (b"marker \xff\xd8\x00 \xe2\x82\xac", "marker ? ?"),
        (b"x" * 1000, "x" * LONGEST),
    ],
)
def test_what_a_picture_could_put_into_a_line_stays_out(line: bytes, shown: str) -> None:
    assert json.loads(json_line(line, 3)) | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "web.native",
        "event": "native_warning",
        "line": shown,
        "left_out": 3,
    }


def test_a_flood_neither_stops_the_writer_nor_fills_the_log(tmp_path: Path) -> None:
    program = """
import os, sys
from web.native_lines import NativeLines
native = NativeLines()
if os.fork() == 0:
    native.divert()
    for number in range(100_000):
        try:
            os.write(2, b"warning %d\\n" % number)
        except BlockingIOError:
            pass
    os._exit(0)
os.wait()
native.stop()
"""
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    records = [json.loads(line) for line in ended.stderr.splitlines()]
    seconds = time.monotonic() - begun
    assert BURST <= len(records) <= BURST + 2 + PER_SECOND * seconds
    assert re.fullmatch(r"warning \d+", records[0]["line"])
    assert sum(record["left_out"] for record in records) > 1000
