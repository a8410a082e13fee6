"""Response -> the same with the headers that tell browsers what they must not do; on every answer, errors included."""

from __future__ import annotations

from flask import Flask, Response, request

PAGES = ("home", "docs", "asset")
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PERMISSIONS = "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()"
# Seconds, a year. No includeSubDomains: other names of the domain are not ours to decide.
TRANSPORT = "max-age=31536000"
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Permissions-Policy": PERMISSIONS,
    "Cross-Origin-Opener-Policy": "same-origin",
}


def register(app: Flask) -> None:
    """Put the headers on every answer of the app."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    response.headers.update(SAFETY)
    response.headers.setdefault("Cache-Control", "no-cache" if request.endpoint in PAGES else "no-store")
    if _came_encrypted():
        response.headers["Strict-Transport-Security"] = TRANSPORT
    return response


def _came_encrypted() -> bool:
    """Whether the outermost proxy was called by https. Who forges this gains nothing: browsers heed the header over https only."""
    return request.headers.get("X-Forwarded-Proto", request.scheme).split(",")[0].strip().lower() == "https"
