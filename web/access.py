"""Who may see `/metrics` and where files lie: direct callers from this machine, or holders of the token.

A browser on this machine is a direct caller, too, and a page in it may have its own name lead to 127.0.0.1 (DNS rebinding): its
requests then name that host, and not the loopback.
"""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address

from flask import Request

from analyzer.settings import Settings

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d+)?", re.IGNORECASE)
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_operator(request: Request, settings: Settings) -> bool:
    """Return True for an authorised caller. A proxy on this machine does not make its clients local."""
    return (settings.operator_local and _is_direct_and_local(request)) or _has_token(request, settings.operator_token)


def _is_direct_and_local(request: Request) -> bool:
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    return _is_loopback(request.remote_addr or "") and _names_the_loopback(request.headers.get("Host", ""))


def _names_the_loopback(host: str) -> bool:
    found = HOST.fullmatch(host)
    name = (found[1] or found[2]).lower() if found else ""
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _has_token(request: Request, token: str | None) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return token is not None and scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
