"""The load client counts what a server really answers; its verdict fails when it should."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from benchmarks import load
from benchmarks.load import Tally

ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    503: b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 0\r\nConnection: close\r\n\r\nno",
    500: b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
    0: b"",  # the connection ends without an answer
}


def served(plan: list[int], seconds: float = 0.4) -> tuple[Tally, list[bytes]]:
    """One client against a server that answers after the plan, then 200 for ever."""
    bodies: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            bodies.append(await reader.readexactly(length))
            status = plan[len(bodies) - 1] if len(bodies) <= len(plan) else 200
            writer.write(ANSWERS[status])
            if status in (0, 503):
                break
            await asyncio.sleep(0.01)
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def play() -> Tally:
        tally = Tally()
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await load.client(port, load.encoded_request(b"picture"), time.monotonic() + seconds, 1.0, tally)
        server.close()
        await asyncio.sleep(0.05)  # the handler sees the end of the connection
        return tally

    return asyncio.run(play()), bodies


def test_answers_are_counted_by_status() -> None:
    tally, bodies = served([200, 503, 500, 503])
    assert tally.faults == {}
    assert {status: len(times) for status, times in tally.seconds.items() if status != 200} == {503: 2, 500: 1}
    assert len(tally.seconds[200]) == len(bodies) - 3
    assert set(bodies) == {b"picture"}


def test_dropped_connection_is_a_fault_and_the_client_goes_on() -> None:
    tally, _ = served([200, 0, 0])
    assert sum(tally.faults.values()) == 2
    assert len(tally.seconds[200]) > 1


def test_nobody_listening_is_a_fault() -> None:
    tally = Tally()
    request = load.encoded_request(b"picture")
    asyncio.run(load.client(load.free_port(), request, time.monotonic() + 0.05, 1.0, tally))
    assert set(tally.faults) == {"ConnectionRefusedError"}


def tally_of(counts: dict[int, int], faults: int = 0, growth_mib_per_s: float = 0.0) -> Tally:
    memory = [(float(second), 100.0 + growth_mib_per_s * second) for second in range(60)]
    tally = Tally(seconds={status: [0.1] * count for status, count in counts.items()}, memory=memory)
    tally.faults.update({"ConnectionResetError": faults} if faults else {})
    return tally


@pytest.mark.parametrize(
    ("tally", "stopped_cleanly", "passed"),
    [
        (tally_of({200: 10, 503: 4}), True, True),
        (tally_of({200: 10, 500: 1}), True, False),
        (tally_of({503: 10}), True, False),
        (tally_of({200: 10}, faults=1), True, False),
        (tally_of({200: 10}, growth_mib_per_s=1.0), True, False),
        (tally_of({200: 10}), False, False),
    ],
)
def test_verdict(tally: Tally, stopped_cleanly: bool, passed: bool) -> None:
    assert load.summary(tally, 1, 60.0, stopped_cleanly)["passed"] is passed


def test_slope_is_mib_per_minute() -> None:
    table = load.summary(tally_of({200: 1}, growth_mib_per_s=0.5), 1, 60.0, True)
    assert table["memory_slope_mib_per_minute"] == pytest.approx(30.0)


def test_resident_memory_of_this_process_is_plausible() -> None:
    assert 20 < load.resident_mib(os.getpid()) < 20_000
