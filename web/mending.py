"""The last line of defence: a part of an answer that fails is left out, the rest goes out, and log and counter tell.

Nothing here is meant to happen. A photo that was analysed is answered even if one of its parts cannot be built, if its shape
refuses it, or if it cannot be written as JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import cv2
import numpy as np
from flask import g, has_app_context
from pydantic import ValidationError

log = logging.getLogger("web.mending")

T = TypeVar("T")
A = TypeVar("A")
LARGEST_INTEGER = 2**53  # what every reader of JSON holds exactly


def part(path: str, build: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return the part of an answer that `build` makes, or what `otherwise` makes where that fails.

    Args:
        path: where the part stands in the answer, for the log, e.g. ``"result.conditions.acne"``.

    Raises:
        MemoryError, cv2.error: there is no memory; that is answered ``busy``.
    """
    try:
        return build()
    except Exception as error:
        if is_memory_short(error):
            raise
        note(path, error)
        return otherwise()


def entries(path: str, build: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """Return the entries of a list that can be built; the others are left out."""

    def attempt(item: A) -> list[T]:
        return part(path, lambda: [build(item)], list)

    return [entry for item in items for entry in attempt(item)]


def note(path: str, error: Exception) -> None:
    """Log that a part failed, with places and kinds but without data, and mark the request for the counter."""
    fields: dict[str, Any] = {"part": path}
    if isinstance(error, ValidationError):
        refusals = error.errors(include_url=False, include_context=False, include_input=False)
        fields["refused"] = [f"{'.'.join(map(str, refusal['loc']))}: {refusal['type']}" for refusal in refusals]
    if has_app_context():
        g.mended = [*g.get("mended", ()), path]
        fields["request_id"] = g.get("request_id")
    log.error("answer_mended", exc_info=error, extra={"fields": fields})


def is_memory_short(error: Exception) -> bool:
    """Tell whether an exception says that there is no memory left."""
    return isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem


def readable(text: Any) -> Any:
    """Replace what UTF-8 cannot hold in a text, lone surrogates, by question marks; other values stay as they are."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, with null for everything that it cannot hold."""
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {readable(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, str):
        return readable(str(value))
    if isinstance(value, bool | float | None):
        return value
    return value if isinstance(value, int) and abs(value) <= LARGEST_INTEGER else None
