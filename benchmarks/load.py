"""Many clients at once: starts the service as in production, keeps every connection busy, watches errors and memory.

Run:     python -m benchmarks.load [--connections 100] [--seconds 60]
Cost:    the seconds given, and a few for start and stop. The clients share the machine with the service.
Expects: no answer but 200 and 503, and resident memory that does not grow.

Each client sends one 640 × 480 JPEG again and again on a kept-alive connection of the loopback; after a 503 it waits
as long as Retry-After says, within --longest-wait.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import corpus, latency

ROUTE = "/api/v6/skin/analyze-hare-run"
START_S = 60  # for the first answer of /ready
STOP_S = 45  # from SIGTERM to the end of the process
ANSWER_S = 60  # for one answer; longer counts as an error
FLAT_MIB_PER_MINUTE = 5.0


@dataclass
class Tally:
    """What all clients saw: seconds by status, faults by name, and (second, MiB) of the service's memory."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100, help="clients at the same time (default 100)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they send (default 60)")
    parser.add_argument("--longest-wait", type=float, default=2.0, help="seconds a client waits after 503 (default 2)")
    options = parser.parse_args()
    port = free_port()
    service = start(port)
    try:
        wait_until_ready(service, port)
        tally = asyncio.run(drive(service.pid, port, options.connections, options.seconds, options.longest_wait))
    finally:
        stopped_cleanly = stop(service)
    table = summary(tally, options.connections, options.seconds, stopped_cleanly)
    print_table(table)
    print(f"written to {corpus.write('load', table)}")
    return 0 if table["passed"] else 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(port: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "application:application"]
    return subprocess.Popen(command, cwd=corpus.ROOT, env=environment)


def wait_until_ready(service: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and service.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit(f"the service was not ready within {START_S} s")


def stop(service: subprocess.Popen[bytes]) -> bool:
    """SIGTERM; True when the service ended by itself with status 0."""
    service.send_signal(signal.SIGTERM)
    try:
        return service.wait(STOP_S) == 0
    except subprocess.TimeoutExpired:
        service.kill()
        return False


async def drive(pid: int, port: int, connections: int, seconds: float, longest_wait_s: float) -> Tally:
    tally = Tally()
    request = encoded_request(latency.photos("640x480", 1)[0])
    end = time.monotonic() + seconds
    clients = [client(port, request, end, longest_wait_s, tally) for _ in range(connections)]
    await asyncio.gather(watch_memory(pid, end, tally), *clients)
    return tally


def encoded_request(picture: bytes) -> bytes:
    lines = f"POST {ROUTE} HTTP/1.1", "Host: localhost", "Content-Type: image/jpeg", f"Content-Length: {len(picture)}"
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + picture


async def client(port: int, request: bytes, end: float, longest_wait_s: float, tally: Tally) -> None:
    """Send again and again until the end, on one connection as long as the service keeps it."""
    stream = None
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            stream = stream or await asyncio.open_connection("127.0.0.1", port)
            status, headers = await asyncio.wait_for(exchange(*stream, request), ANSWER_S)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            tally.faults[type(error).__name__] += 1
            stream = close(stream)
            continue
        tally.seconds.setdefault(status, []).append(time.monotonic() - begun)
        if headers.get("connection", "").lower() == "close":
            stream = close(stream)
        if status == 503:
            wait_s = min(float(headers.get("retry-after", 1)), longest_wait_s, max(0.0, end - time.monotonic()))
            await asyncio.sleep(wait_s)
    close(stream)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, Mapping[str, str]]:
    """One request and its answer: status and lower-case headers; the body is read and dropped."""
    writer.write(request)
    with contextlib.suppress(ConnectionError):  # an answer may come before the whole body was taken
        await writer.drain()
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers


def close(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if stream is not None:
        stream[1].close()


async def watch_memory(pid: int, end: float, tally: Tally) -> None:
    begun = time.monotonic()
    while time.monotonic() < end:
        tally.memory.append((time.monotonic() - begun, resident_mib(pid)))
        await asyncio.sleep(1.0)


def resident_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    total_kib = 0
    for one in (str(pid), *children):
        with contextlib.suppress(OSError):  # a child may end in between
            lines = Path(f"/proc/{one}/status").read_text(encoding="ascii").splitlines()
            total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total_kib / 1024


def summary(tally: Tally, connections: int, seconds: float, stopped_cleanly: bool) -> dict[str, object]:
    """Counts, percentiles in ms, memory and its slope over the second half; `passed`: as this file's head expects."""
    counts = {status: len(times) for status, times in sorted(tally.seconds.items())}
    percentiles = {
        status: {f"p{level}": 1000 * float(np.percentile(times, level)) for level in (50, 95, 99)}
        for status, times in sorted(tally.seconds.items())
    }
    late = np.array(tally.memory[len(tally.memory) // 2 :])
    slope = 60 * float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) if len(late) > 2 else 0.0
    clean = not tally.faults and set(counts) <= {200, 503} and counts.get(200, 0) > 0
    return {
        "connections": connections,
        "seconds": seconds,
        "counts": counts,
        "faults": dict(tally.faults),
        "analyses_per_second": counts.get(200, 0) / seconds,
        "percentiles_ms": percentiles,
        "memory_mib": {
            "first": tally.memory[0][1],
            "last": tally.memory[-1][1],
            "most": max(m for _, m in tally.memory),
        },
        "memory_by_second_mib": [round(mib) for _, mib in tally.memory],
        "memory_slope_mib_per_minute": slope,
        "stopped_cleanly": stopped_cleanly,
        "passed": clean and stopped_cleanly and slope < FLAT_MIB_PER_MINUTE,
    }


def print_table(table: Mapping[str, object]) -> None:
    for name, value in table.items():
        print(f"{name:<28} {value}")


if __name__ == "__main__":
    sys.exit(main())
