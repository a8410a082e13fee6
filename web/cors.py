"""Cross-origin headers on every response, errors and preflights included."""

from __future__ import annotations

from flask import Flask
from flask_cors import CORS

METHODS = ["GET", "POST", "OPTIONS"]
HEADERS = ["Content-Type", "Authorization", "Accept"]
EXPOSED = ["X-Request-ID", "Retry-After"]
PREFLIGHT_S = 600  # how long a browser may remember a preflight


def register(app: Flask, origins: tuple[str, ...]) -> None:
    """Answer pages of `origins`; credentials are never allowed."""
    CORS(
        app,
        origins=list(origins),
        methods=METHODS,
        allow_headers=HEADERS,
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_S,
        supports_credentials=False,
        always_send=False,  # without an Origin nobody is answered in particular
        send_wildcard=True,  # "*" itself when all origins are allowed
    )
