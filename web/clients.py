"""Request -> who sent it, as the rate limit counts clients. What a caller writes into headers never decides."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address

from flask import Request

SUBSCRIBER_BITS = 64  # of an IPv6 address; one subscriber has all addresses behind them (RFC 6177)
WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+")  # as a load balancer writes that keeps ports
UNKNOWN = "unknown"


def client(request: Request, trusted_hops: int) -> str:
    """An IPv4 address, or the /64 network of an IPv6 address; ``"unknown"`` when there is none.

    Args:
        trusted_hops: proxies in front. Each appends the address that it was called from to `X-Forwarded-For`, so that the
            entry that far from the right was written by the outermost of them; entries left of it are the caller's own.
    """
    peer = request.remote_addr or ""
    if trusted_hops == 0:
        return network(peer)
    entries = [entry for entry in request.headers.get("X-Forwarded-For", "").split(",") if entry.strip()]
    return network(entries[-trusted_hops] if len(entries) >= trusted_hops else peer)


def network(text: str) -> str:
    """What counts as one client: ``"203.0.113.9"``, ``"2001:db8:1:2::/64"`` or ``"unknown"``."""
    text = text.strip()
    if found := WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Network((int(address), SUBSCRIBER_BITS), strict=False))
        return str(address.ipv4_mapped)
    return str(address)
