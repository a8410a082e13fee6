"""Who a client is: the address that the outermost trusted proxy saw, IPv6 by its /64."""

from __future__ import annotations

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from web.clients import UNKNOWN, client, network

CHAIN = "6.6.6.6, 192.0.2.7, 10.0.0.5"


@pytest.mark.parametrize(
    ("text", "known_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", UNKNOWN),
        ("me", UNKNOWN),
        ("203.0.113.999", UNKNOWN),
        ("1" * 5000, UNKNOWN),
    ],
)
def test_addresses(text: str, known_as: str) -> None:
    assert network(text) == known_as


def test_addresses_of_one_subscriber_are_one_client() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("hops", "chain", "known_as"),
    [
        (0, CHAIN, "10.9.9.9"),
        (1, CHAIN, "10.0.0.5"),
        (2, CHAIN, "192.0.2.7"),
        (3, CHAIN, "6.6.6.6"),
        (4, CHAIN, "10.9.9.9"),
        (1, None, "10.9.9.9"),
        (2, "192.0.2.7", "10.9.9.9"),
        (2, "junk, 10.0.0.5", UNKNOWN),
    ],
)
def test_the_entry_that_a_trusted_proxy_wrote(hops: int, chain: str | None, known_as: str) -> None:
    headers = {} if chain is None else {"X-Forwarded-For": chain}
    environment = EnvironBuilder(headers=headers, environ_overrides={"REMOTE_ADDR": "10.9.9.9"}).get_environ()
    assert client(Request(environment), hops) == known_as
