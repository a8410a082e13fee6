"""JSON lines about requests and faults: never a picture, never what a person said about themselves.

A fault is logged as its type and the places in the code that it passed; its message stays out, because messages quote
the data that they stumbled over.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, ClassVar, TextIO

import orjson

FRAMES = 12  # innermost places of a fault that are written
LOGGERS = ("web", "analyzer")
_Fields = dict[str, Any]


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, event, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: _Fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["fault"] = fault(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


class StandardError(logging.Handler):
    """Writes to what `sys.stderr` is at that moment; a record that cannot be written is lost, not shown otherwise.

    Attributes:
        stream: where the log goes in a process whose file descriptor 2 leads elsewhere (`web.native_lines`).
    """

    stream: ClassVar[TextIO | None] = None

    def emit(self, record: logging.LogRecord) -> None:
        stream = self.stream or sys.stderr
        with contextlib.suppress(OSError, ValueError):
            stream.write(f"{self.format(record)}\n")
            stream.flush()


def fault(error: BaseException) -> _Fields:
    """Type, operating system error number and code places of an exception, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    described: _Fields = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, OSError) and error.errno is not None:
        described["errno"] = error.errno
    return described


def configure(level: str) -> None:
    """Send the records of our packages to standard error as JSON lines."""
    handler = StandardError()
    handler.setFormatter(JsonFormatter())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False
