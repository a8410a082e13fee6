"""Photos and a port -> what many clients at once saw of a service, and what its process held: statuses, times, memory, open files.

Every client keeps one connection and sends photo after photo, the next one when the last was answered; after a 503 it waits
as long as Retry-After says, within a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROUTE = "/api/v6/skin/analyze-hare-run"
ANSWER_S = 60.0  # for one answer; longer counts as a fault


@dataclass(frozen=True)
class Plan:
    """What the clients do. Attributes: bodies; clients at once; seconds that they send, wait after a 503, and for an answer."""

    photos: Sequence[bytes]
    connections: int
    seconds: float
    longest_wait_s: float
    answer_s: float = ANSWER_S


@dataclass(frozen=True)
class Held:
    """What a process and its children held at a moment. Attributes: seconds since the begin, resident MiB, open files."""

    second: float
    mib: float
    files: int


@dataclass
class Tally:
    """What all clients saw: seconds by status, faults by name, and what the service held, second by second."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    held: list[Held] = field(default_factory=list)


def drive(pid: int, port: int, plan: Plan) -> Tally:
    """Carry the plan out against a service; client n begins with photo n."""
    tally = Tally()
    requests = [encoded_request(photo) for photo in plan.photos]
    end = time.monotonic() + plan.seconds

    async def all_of_them() -> None:
        firsts = [number % len(requests) for number in range(plan.connections)]
        clients = [client(port, requests[first:] + requests[:first], end, plan, tally) for first in firsts]
        await asyncio.gather(watch(pid, end, tally), *clients)

    asyncio.run(all_of_them())
    return tally


def encoded_request(photo: bytes) -> bytes:
    lines = f"POST {ROUTE} HTTP/1.1", "Host: localhost", "Content-Type: image/jpeg", f"Content-Length: {len(photo)}"
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + photo


async def client(port: int, requests: Sequence[bytes], end: float, plan: Plan, tally: Tally) -> None:
    """Send again and again until the end, on one connection as long as the service keeps it."""
    stream, turn = None, 0
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            stream = stream or await asyncio.open_connection("127.0.0.1", port)
            status, headers = await asyncio.wait_for(exchange(*stream, requests[turn % len(requests)]), plan.answer_s)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            tally.faults[type(error).__name__] += 1
            stream = close(stream)
            continue
        turn += 1
        tally.seconds.setdefault(status, []).append(time.monotonic() - begun)
        if headers.get("connection", "").lower() == "close":
            stream = close(stream)
        if status == 503:
            asked_s = float(headers.get("retry-after", 1))
            await asyncio.sleep(min(asked_s, plan.longest_wait_s, max(0.0, end - time.monotonic())))
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


async def watch(pid: int, end: float, tally: Tally) -> None:
    begun = time.monotonic()
    while time.monotonic() < end:
        tally.held.append(held(pid, time.monotonic() - begun))
        await asyncio.sleep(1.0)


def held(pid: int, second: float) -> Held:
    """Return what a process and its children hold now (Linux); the open files of the service are shown to root alone, else 0."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    total_kib, files = 0, 0
    for one in (str(pid), *children):
        with contextlib.suppress(OSError):  # a child may end in between
            lines = Path(f"/proc/{one}/status").read_text(encoding="ascii").splitlines()
            total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
            files += len(list(Path(f"/proc/{one}/fd").iterdir()))
    return Held(second, total_kib / 1024, files)
