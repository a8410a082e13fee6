"""A client and the present moment -> may it send a picture, or how many seconds must it wait.

The generic cell rate algorithm (ITU-T I.371): a bucket of one minute's pictures that fills up steadily, kept as one number per client,
the moment at which its bucket is full again. In memory, or in Redis where several processes count together.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from analyzer.errors import BadSetting

log = logging.getLogger("web.rate_limit")

MINUTE_S = 60.0
# Remembered at once, 9 MB of them (tracemalloc); the one that has been silent longest is forgotten first.
MOST_CLIENTS = 50_000
REDIS_TIMEOUT_S = 0.25  # of one call; a picture must not wait longer for Redis
REDIS_PAUSE_S = 5.0  # after a failed call, before Redis is asked again
PREFIX = "skin:rate:"
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = full - now - tonumber(ARGV[2])
if wait > 0 then return wait end
full = full + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
"""  # the same algorithm as `MemoryBuckets`, in microseconds of Redis' own clock; the entry goes when the bucket is full


class Buckets(Protocol):
    """What counts."""

    def take(self, client: str) -> float:
        """Seconds that a client must wait; 0 when its picture is taken, which is then counted."""


class MemoryBuckets:
    """The buckets of one process."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = MINUTE_S / per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, client: str) -> float:
        now = self._clock()
        with self._lock:
            full_at = max(self._full_at.get(client, now), now)
            wait_s = full_at + self._interval_s - now - MINUTE_S
            if wait_s <= 1e-6:
                full_at, wait_s = full_at + self._interval_s, 0.0
            self._full_at[client] = full_at
            self._full_at.move_to_end(client)
            if len(self._full_at) > MOST_CLIENTS:
                self._full_at.popitem(last=False)
        return wait_s

    def __len__(self) -> int:
        return len(self._full_at)


class RedisBuckets:
    """Buckets that several processes share; while Redis does not answer, each process counts for itself."""

    def __init__(self, redis: Any, per_minute: int, on_failure: Callable[[], None]) -> None:
        self._redis = redis
        self._own = MemoryBuckets(per_minute)
        self._interval_us = round(1e6 * MINUTE_S / per_minute)
        self._on_failure = on_failure
        self._ask_again_at = 0.0

    def take(self, client: str) -> float:
        if time.monotonic() < self._ask_again_at:
            return self._own.take(client)
        burst_us = round(1e6 * MINUTE_S) - self._interval_us
        try:
            wait_us = self._redis.eval(TAKE, 1, PREFIX + client, self._interval_us, burst_us)
        except (OSError, import_module("redis").RedisError) as error:
            self._ask_again_at = time.monotonic() + REDIS_PAUSE_S
            self._on_failure()
            log.warning("rate_limit_redis_failed", extra={"fields": {"type": type(error).__name__}})
            return self._own.take(client)
        return int(wait_us) / 1e6


def buckets(per_minute: int, redis_url: str | None, on_failure: Callable[[], None]) -> Buckets | None:
    """What the settings ask for; None without a limit.

    Raises:
        BadSetting: a Redis is named and the package `redis` is not installed, or the address makes no sense to it.
    """
    if per_minute == 0:
        return None
    if redis_url is None:
        return MemoryBuckets(per_minute)
    try:
        timeouts = {"socket_timeout": REDIS_TIMEOUT_S, "socket_connect_timeout": REDIS_TIMEOUT_S}
        redis = import_module("redis").Redis.from_url(redis_url, **timeouts)
    except ImportError:
        raise BadSetting("RATE_LIMIT_REDIS_URL needs the package redis.", "Run: pip install redis.") from None
    except ValueError:
        raise BadSetting("RATE_LIMIT_REDIS_URL is no address that redis knows.", "Write redis://host:6379/0.") from None
    return RedisBuckets(redis, per_minute, on_failure)
