"""Waiting connections: named when their head is there or too late, given up from the oldest on, at no cost while they are silent."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from tests.web.test_gates import wait_until
from web import heads
from web.heads import Heads

HEAD = b"GET / HTTP/1.1\r\n\r\n"


class Connection:
    """What `Heads` needs of a gunicorn connection, and the client's end of it."""

    parser = None

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()


class Watch:
    """Heads, and what they named."""

    def __init__(self, seconds: float) -> None:
        self.arrived: list[Connection] = []
        self.late: list[Connection] = []
        self.stopping = False
        self._made: list[Connection] = []
        self.heads = Heads(seconds, self.arrived.append, self.late.append, lambda: self.stopping)

    def begin(self, sent: bytes = b"") -> Connection:
        connection = Connection()
        self._made.append(connection)
        connection.client.send(sent)
        self.heads.wait_for(connection)
        return connection

    def close(self) -> None:
        while self.heads.give_up():
            pass
        for connection in self._made:
            connection.sock.close()
            connection.client.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch(seconds=60.0)
    yield watch
    watch.close()


@pytest.fixture
def hasty() -> Iterator[Watch]:
    watch = Watch(seconds=0.1)
    yield watch
    watch.close()


@pytest.mark.parametrize("epoll", [True, False])
def test_a_head_is_named_once_when_all_of_it_is_there(epoll: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not epoll:
        monkeypatch.delattr(select, "epoll", raising=False)
    watch = Watch(seconds=60.0)
    slow, early, silent = watch.begin(HEAD[:5]), watch.begin(HEAD), watch.begin()
    wait_until(lambda: watch.arrived == [early])
    slow.client.send(HEAD[5:])
    wait_until(lambda: watch.arrived == [early, slow])
    silent.client.close()
    wait_until(lambda: watch.arrived == [early, slow, silent])
    watch.close()
    assert watch.late == []


def test_a_connection_may_wait_again(watch: Watch) -> None:
    connection = watch.begin(HEAD)
    for count in (1, 2, 3):
        wait_until(lambda count=count: watch.arrived == [connection] * count)
        watch.heads.wait_for(connection)
    wait_until(lambda: len(watch.arrived) == 4)


def test_who_is_late_is_named_once(hasty: Watch) -> None:
    silent, trickling = hasty.begin(), hasty.begin(HEAD[:5])
    wait_until(lambda: hasty.late == [silent, trickling])
    trickling.client.send(HEAD[5:])
    time.sleep(0.05)
    assert hasty.arrived == []


def test_a_stopping_server_waits_less(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "STOP_S", 0.05)
    silent = watch.begin()
    watch.stopping = True
    wait_until(lambda: watch.late == [silent])


def test_the_oldest_one_is_given_up_and_not_named_any_more(watch: Watch) -> None:
    first, second = watch.begin(), watch.begin()
    assert watch.heads.give_up() is first
    first.client.send(HEAD)
    second.client.send(HEAD)
    wait_until(lambda: watch.arrived == [second])
    assert watch.heads.give_up() is None


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="without epoll every connection is looked at")
def test_silent_connections_are_not_looked_at(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(heads, "is_complete", lambda connection: looks.append(connection) or True)
    monkeypatch.setattr(heads, "LOOK_S", 0.01)
    silent = [watch.begin() for _ in range(200)]
    time.sleep(0.2)
    assert looks == []
    silent[-1].client.send(b"G")
    wait_until(lambda: watch.arrived == [silent[-1]])
    assert looks == [silent[-1]]
