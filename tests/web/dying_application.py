"""The application with one more route, which ends the process as a native library does: a line on file descriptor 2, then abort."""

from __future__ import annotations

import os

from application import create_app

LAST_WORDS = b"free(): invalid pointer of 'Quechua.jpg'"
application = create_app()


@application.post("/die")
def die() -> str:
    """Write a line without an end and abort."""
    os.write(2, LAST_WORDS)
    os.abort()
