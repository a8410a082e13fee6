"""The application with an analysis that takes a second longer: what a server does under load can then be watched."""

from __future__ import annotations

import time
from typing import Any

from analyzer import pipeline
from application import create_app

DELAY_S = 1.0
_analyze_photo = pipeline.analyze_photo


def analyze_slowly(*args: Any, **options: Any) -> Any:
    time.sleep(DELAY_S)
    return _analyze_photo(*args, **options)


pipeline.analyze_photo = analyze_slowly
application = create_app()
