"""The rate limit: a bucket of one minute, bounded memory, the same in Redis, and what happens without Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from analyzer.errors import BadSetting
from tests.web.test_server import free_port
from web import rate_limit
from web.rate_limit import MemoryBuckets, buckets

ROOT = Path(__file__).parents[2]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def unexpected() -> None:
    raise AssertionError("Redis failed")


def test_a_minutes_worth_at_once_then_steadily() -> None:
    clock = Clock()
    limit = MemoryBuckets(6, clock)
    assert [limit.take("a") for _ in range(7)] == [0.0] * 6 + [pytest.approx(10.0)]
    clock.now += 9.9
    assert limit.take("a") == pytest.approx(0.1)
    clock.now += 0.1
    assert (limit.take("a"), limit.take("b")) == (0.0, 0.0)
    assert limit.take("a") == pytest.approx(10.0)
    clock.now += 3600
    assert [limit.take("a") for _ in range(6)] == [0.0] * 6


def test_refused_attempts_are_not_held_against_a_client() -> None:
    clock = Clock()
    limit = MemoryBuckets(1, clock)
    limit.take("a")
    assert {limit.take("a") for _ in range(100)} == {60.0}
    clock.now += 60
    assert limit.take("a") == 0.0


def test_many_addresses_take_bounded_memory_and_free_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MOST_CLIENTS", 100)
    limit = MemoryBuckets(1, Clock())
    limit.take("busy")
    for number in range(1000):
        limit.take(f"10.0.{number // 256}.{number % 256}")
        assert limit.take("busy") > 0
    assert len(limit) == 100


def test_off_and_in_memory() -> None:
    assert buckets(0, None, unexpected) is None
    assert isinstance(buckets(5, None, unexpected), MemoryBuckets)


def test_a_redis_without_its_package_is_told_at_the_start() -> None:
    program = (
        "import sys; sys.modules['redis'] = None; from analyzer.errors import BadSetting\n"
        "from web.rate_limit import buckets\n"
        "try: buckets(5, 'redis://h/0', print)\n"
        "except BadSetting as error: print(error.message, error.hint)"
    )
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "RATE_LIMIT_REDIS_URL needs the package redis. Run: pip install redis."


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own, ended afterwards."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is absent: apt-get install redis-server")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", os.fspath(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as asked:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    asked.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def shared(redis_url: str) -> Iterator[Any]:
    """An empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


def test_processes_count_together_in_redis(redis_url: str, shared: Any) -> None:
    first, second = (buckets(3, redis_url, unexpected) for _ in range(2))
    assert first is not None
    assert second is not None
    assert [one.take("192.0.2.7") for one in (first, second, first)] == [0.0] * 3
    assert 15 < second.take("192.0.2.7") <= 20
    assert second.take("192.0.2.8") == 0.0
    lifetimes = {key.decode(): shared.pttl(key) for key in shared.keys("*")}
    assert set(lifetimes) == {"skin:rate:192.0.2.7", "skin:rate:192.0.2.8"}
    assert all(0 < lifetime <= 60_000 for lifetime in lifetimes.values())
    for one in (first, second):
        one._redis.close()  # type: ignore[attr-defined]


def test_redis_lets_the_next_one_through_in_time(redis_url: str, shared: Any) -> None:
    quick = buckets(600, redis_url, unexpected)  # one every 0.1 s
    assert quick is not None
    taken = [quick.take("a") for _ in range(601)]
    assert taken[:600] == [0.0] * 600
    deadline = time.monotonic() + 5
    while quick.take("a") > 0:
        assert time.monotonic() < deadline
    quick._redis.close()  # type: ignore[attr-defined]


def test_without_redis_each_process_counts_for_itself_and_does_not_wait_for_it_every_time() -> None:
    failures: list[int] = []
    limit = buckets(2, f"redis://127.0.0.1:{free_port()}/0", lambda: failures.append(1))
    assert limit is not None
    assert [limit.take("a") > 0 for _ in range(3)] == [False, False, True]
    assert len(failures) == 1


def test_an_address_that_redis_does_not_know_is_told() -> None:
    with pytest.raises(BadSetting, match="no address"):
        buckets(2, "redis://h:port/0", unexpected)
