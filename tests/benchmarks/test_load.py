"""The load client counts what a server really answers; its verdict fails when it should."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from benchmarks import clients, load
from benchmarks.clients import Held, Plan, Tally

ANSWERS = {
    200: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    503: b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 0\r\nConnection: close\r\n\r\nno",
    500: b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
    0: b"",  # the connection ends without an answer
}

PLAN = Plan([], connections=1, seconds=0.0, longest_wait_s=1.0)


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
        await clients.client(port, [clients.encoded_request(b"picture")], time.monotonic() + seconds, PLAN, tally)
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
    requests = [clients.encoded_request(b"picture")]
    asyncio.run(clients.client(load.free_port(), requests, time.monotonic() + 0.05, PLAN, tally))
    assert set(tally.faults) == {"ConnectionRefusedError"}


def tally_of(counts: dict[int, int], faults: int = 0, growth_mib_per_s: float = 0.0, files_per_s: float = 0.0) -> Tally:
    held = [
        Held(float(second), 100.0 + growth_mib_per_s * second, round(50 + files_per_s * second)) for second in range(60)
    ]
    tally = Tally(seconds={status: [0.1] * count for status, count in counts.items()}, held=held)
    tally.faults.update({"ConnectionResetError": faults} if faults else {})
    return tally


@pytest.mark.parametrize(
    ("tally", "passed"),
    [
        (tally_of({200: 10, 503: 4}), True),
        (tally_of({200: 10, 500: 1}), False),
        (tally_of({503: 10}), False),
        (tally_of({200: 10}, faults=1), False),
        (tally_of({200: 10}, growth_mib_per_s=1.0), False),
        (tally_of({200: 10}, files_per_s=1.0), False),
    ],
)
def test_verdict(tally: Tally, passed: bool) -> None:
    assert load.summary(tally, 60.0)["passed"] is passed


def test_slopes_are_per_minute_and_shares_of_all_answers() -> None:
    table = load.summary(tally_of({200: 60, 503: 20}, growth_mib_per_s=0.5, files_per_s=1.0), 30.0)
    assert table["memory_slope_mib_per_minute"] == pytest.approx(30.0)
    assert table["open_files_slope_per_minute"] == pytest.approx(60.0)
    assert table["answers_per_second"] == pytest.approx(2.0)
    assert table["busy_share"] == pytest.approx(0.25)


def test_clients_take_the_photos_in_turn_each_from_its_own_first() -> None:
    sent: list[list[bytes]] = []

    async def noted(_port: int, requests: list[bytes], *_: object) -> None:
        sent.append([one.rpartition(b"\r\n")[2] for one in requests])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "client", noted)
        clients.drive(os.getpid(), 1, Plan([b"a", b"b", b"c"], connections=4, seconds=0.01, longest_wait_s=1.0))
    assert sent == [[b"a", b"b", b"c"], [b"b", b"c", b"a"], [b"c", b"a", b"b"], [b"a", b"b", b"c"]]


def test_what_this_process_holds_is_plausible() -> None:
    with Path(os.devnull).open():
        more = clients.held(os.getpid(), 0.0)
    assert 20 < more.mib < 20_000
    assert more.files == clients.held(os.getpid(), 0.0).files + 1
