"""Refusals of a picture file, and the guard that turns every exception of a decoder into one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analyzer.errors import AnalyzerError, BadPhoto, TooManyPixels, UnsupportedType
from analyzer.image import text_damage
from analyzer.vocabulary import ErrorCode

TAKEN = "JPEG, PNG, WebP, GIF, HEIC or AVIF"
TRUNCATED = ErrorCode.TRUNCATED_IMAGE

_OUT_OF_MEMORY = ("out of memory", "insufficient memory", "memory allocation failure")  # of Pillow and libjpeg-turbo


def bad_photo() -> BadPhoto:
    """Return the refusal of a picture whose parts contradict the standard of its type."""
    return BadPhoto("This picture is damaged and cannot be read.", f"Send the original {TAKEN} photo.")


def truncated_photo() -> BadPhoto:
    """Return the refusal of a picture that ends too early."""
    return BadPhoto("This picture is incomplete: its end is missing.", "Send the photo again.", code=TRUNCATED)


def unsupported_type(kind: str) -> UnsupportedType:
    """Return the refusal of a file of another type, which `kind` names."""
    return UnsupportedType(f"Files of this kind ({kind}) are not taken.", f"Send a {TAKEN} photo.")


@contextmanager
def refusing(data: bytes) -> Iterator[None]:
    """Turn every exception of a reader or decoder of `data` into a refusal of the picture that names the cause.

    Raises:
        BadPhoto: for every exception but those below.
        MemoryError: the machine had too little memory.
        OSError: with an `errno`: the system failed.
    """
    try:
        yield
    except (UnsupportedType, TooManyPixels):
        raise
    except Exception as error:
        refusal = text_damage.refusal(data) or _refusal(error)
        if refusal is error:
            raise
        raise refusal from error


def _refusal(error: Exception) -> Exception:
    """Return what to raise for an exception; the exception itself where it may pass."""
    if isinstance(error, AnalyzerError | MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    text = str(error).lower()
    if any(words in text for words in _OUT_OF_MEMORY):
        return MemoryError(text)
    return truncated_photo() if "truncated" in text or "end of file" in text else bad_photo()
