"""Paths with doubled slashes, as a base URL with a trailing slash makes them, reach their route without a redirect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SLASHES = re.compile("/{2,}")


class SlashNormaliser:
    """WSGI middleware: ``//api//x`` is served as ``/api/x``. A redirect would break the CORS preflight."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = SLASHES.sub("/", environ.get("PATH_INFO", ""))
        return self._app(environ, start_response)
