"""The application with two more routes: a native library that warns on file descriptor 2, and one that aborts behind a line there."""

from __future__ import annotations

import os

import cv2

from application import create_app

LAST_WORDS = b"free(): invalid pointer of 'Quechua.jpg'"
application = create_app()


@application.post("/warn")
def warn() -> str:
    """Have OpenCV warn of a file that is not there."""
    assert cv2.imread("/absent/Quechua.jpg") is None
    return "warned"


@application.post("/die")
def die() -> str:
    """Write a line without an end and abort."""
    os.write(2, LAST_WORDS)
    os.abort()
