"""Cross-origin headers on every response, errors and preflights included."""

from __future__ import annotations

from flask import Flask, Response, request

METHODS = "GET, POST, OPTIONS"
HEADERS = "Content-Type, Authorization, Accept, X-Request-ID"
EXPOSED = "X-Request-ID, Retry-After"
PREFLIGHT_SECONDS = "600"  # how long a browser may remember a preflight


def register(app: Flask, origins: tuple[str, ...]) -> None:
    """Answer pages of `origins`; credentials are never allowed."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        origin = request.headers.get("Origin")
        if "*" in origins:
            response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.vary.add("Origin")
            if origin not in origins:
                return response
            response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return response
