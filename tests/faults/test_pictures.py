"""A thousand damaged pictures over HTTP: every answer is JSON and 200 or 4xx, the service stays well, and memory stays bounded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from benchmarks.damaged_pictures import damaged
from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import WAIT_S, Server, running
from tests.web.test_swap import worker

FIRST = 1000  # number of the first picture; lower ones are decoded by tests/analyzer/test_photo_bounds.py
COUNT = 1000
GROUPS = 20
MOST_GROWTH_MIB = 250.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("fuzz"), MAX_QUEUE="64", QUEUE_TIMEOUT_S="60") as server:
        yield server


def test_damaged_pictures_are_answered_as_json_and_leave_the_service_well(server: Server) -> None:
    before, pid = resident_mib(server), worker(server)

    def ask(group: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        with requests.Session() as session:
            for number in range(FIRST + group, FIRST + COUNT, GROUPS):
                kind, data = damaged(number)
                is_analysis = bool(number // GROUPS % 2)
                path = ANALYZE if is_analysis else DETECT
                answer = session.post(server.url + path, data=data, headers={"Content-Type": "image/*"}, timeout=WAIT_S)
                assert answer.status_code in (200, 400, 413, 415), f"{kind} {number}: {answer.text[:300]}"
                told = answer.json()
                assert (told["success"], bool(told["error_code"])) == (False, True)
                if number // GROUPS % 10 < 2:  # one of each route in ten pictures: a schema takes longer than an answer
                    records.check_schema("analysis_refusal" if is_analysis else "face_refusal", told)
                seen[answer.status_code] += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = sum(pool.map(ask, range(GROUPS)), Counter())
    assert seen.total() == COUNT
    assert min(seen[200], seen[400], seen[415]) > 20, f"damage of every kind: {seen}"
    assert (worker(server), requests.get(f"{server.url}/health", timeout=WAIT_S).text) == (pid, "OK")
    assert '"level":"error"' not in server.log
    assert resident_mib(server) - before < MOST_GROWTH_MIB


def resident_mib(server: Server) -> float:
    """Memory of the worker."""
    pages = int(Path(f"/proc/{worker(server)}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
