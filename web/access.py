"""Who may see `/metrics` and where files lie: direct callers from this machine, or holders of the token."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from flask import Request

from analyzer.settings import Settings

PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_operator(request: Request, settings: Settings) -> bool:
    """True for an authorised caller. A proxy on this machine does not make its clients local."""
    return (settings.operator_local and _is_direct_and_local(request)) or _has_token(request, settings.operator_token)


def _is_direct_and_local(request: Request) -> bool:
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _has_token(request: Request, token: str | None) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return token is not None and scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
