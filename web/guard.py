"""Request -> let through, or refused before its body is looked at: too many pictures from one client, or no key.

Only the routes that take pictures are guarded: health, readiness, metrics and model status must answer when it matters most, and
a page costs nothing. A preflight carries neither key nor picture, so it passes.
"""

from __future__ import annotations

import hmac
import math

from flask import Flask, request

from analyzer.errors import AnalyzerError
from analyzer.settings import Settings
from analyzer.vocabulary import ErrorCode
from web.clients import client
from web.rate_limit import Buckets

GUARDED = ("detect_faces", "analyze")
SCHEME = "bearer"  # Authorization is the only header of the contract's CORS that can carry a key


class TooMany(AnalyzerError):
    """One client sent more pictures than it may.

    Attributes:
        retry_after_s: whole seconds until the next one is taken.
    """

    code = ErrorCode.RATE_LIMITED

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__("Too many photos in a short time.", f"Please try again in {self.retry_after_s} seconds.")


class NoKey(AnalyzerError):
    """The request has no key, or one that is not known."""

    code = ErrorCode.UNAUTHORIZED

    def __init__(self) -> None:
        super().__init__(
            "An API key is needed.", "Send the header Authorization: Bearer KEY with a key of this service."
        )


def register(app: Flask, settings: Settings, buckets: Buckets | None) -> None:
    """Guard the app; attempts without a key count against the limit."""

    @app.before_request
    def check() -> None:
        if request.endpoint not in GUARDED or request.method != "POST":
            return
        if buckets is not None and (wait_s := buckets.take(client(request, settings.trusted_hops))) > 0:
            raise TooMany(wait_s)
        if settings.api_keys and not has_key(request.headers.get("Authorization", ""), settings.api_keys):
            raise NoKey


def has_key(authorization: str, keys: tuple[str, ...]) -> bool:
    """Whether the header holds one of the keys; each is compared in full, so that the time tells nothing."""
    scheme, _, given = authorization.partition(" ")
    matches = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in keys]
    return scheme.lower() == SCHEME and any(matches)
