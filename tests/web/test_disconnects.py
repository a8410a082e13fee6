"""Who still waits for an answer, told from the connection alone; every case on a real TCP connection."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from web.disconnects import QUESTION, Client

NO_LINGER = struct.pack("ii", 1, 0)  # close() sends a reset

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only resets are noticed")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def leaves(client: Client) -> bool:
    """Whether a client is seen to have left within a second."""
    end = time.monotonic() + 1.0
    while client.is_waiting():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_silent_client_waits_and_is_not_asked(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=True)
    assert client.is_waiting()
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(100)


def test_a_closed_connection_is_a_client_that_left(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=True)
    theirs.close()
    assert leaves(client)


def test_a_reset_is_a_client_that_left_whatever_it_speaks(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=False)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    theirs.close()
    assert leaves(client)


def test_a_client_that_only_ended_its_own_side_is_asked_once_and_waits(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=True)
    theirs.shutdown(socket.SHUT_WR)
    assert all(client.is_waiting() for _ in range(50))
    ours.sendall(b"the answer")
    ours.close()
    assert b"".join(iter(lambda: theirs.recv(100), b"")) == QUESTION + b"the answer"


def test_it_may_leave_after_it_was_asked(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=True)
    theirs.shutdown(socket.SHUT_WR)
    assert client.is_waiting()
    theirs.close()
    assert leaves(client)


def test_a_client_of_http_1_0_is_not_asked_and_gets_its_answer(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=False)
    theirs.shutdown(socket.SHUT_WR)
    assert all(client.is_waiting() for _ in range(50))
    ours.sendall(b"the answer")
    assert theirs.recv(100) == b"the answer"


def test_bytes_of_a_next_request_are_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    client = Client(ours, takes_interim=True)
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert client.is_waiting()
    assert ours.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    theirs.close()
    assert leaves(client), "whoever has closed reads no answer, whatever it sent before"


def test_where_the_server_gives_no_socket_everybody_waits() -> None:
    assert Client(None, takes_interim=True).is_waiting()
