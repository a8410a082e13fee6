"""The one picture among the fields of a request."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence
from typing import Any

from web import bad_uploads
from web.bad_uploads import BadUpload
from web.file_signatures import is_picture, without_junk
from web.json_texts import parse_option
from web.picture_texts import decode_picture, refuse_text_damage

IMAGE_FIELDS = ("image", "image_data")
MAX_VALUES = 100  # of an object or a list that is searched for the picture
MAX_DEPTH = 2  # objects or lists within each other, in a field
NUMBERS = re.compile(r"-?\d{1,3},\s*-?\d{1,3},")

Fields = Sequence[tuple[str, Any]]


def find_picture(fields: Fields) -> bytes:
    """Return the picture of a request, or the bytes that stand in its place.

    The first of `image` and `image_data` that is a picture is taken. Where both are empty, it is the only other field
    that is a picture.

    Raises:
        BadUpload: ``missing_image``, ``bad_base64``, ``bad_image`` or ``bad_json``.
    """
    named = [value for name in IMAGE_FIELDS for field, value in fields if field == name and not _is_empty(value)]
    if named:
        return _first_picture(*named)
    picture = _only_picture([value for _, value in fields], depth=1)
    if picture is None:
        raise bad_uploads.missing_image()
    return picture


def read_picture(value: Any, depth: int = 0) -> bytes | None:
    """Return the picture that a value holds; None if it holds none."""
    try:
        data = _read(value, depth)
    except BadUpload:
        return None
    return data if is_picture(data) else None


def _first_picture(first: Any, *others: Any) -> bytes:
    """Return the first of some values that is a picture; if none is, the bytes of the very first, or its refusal."""
    pictures = (picture for value in others if (picture := read_picture(value)) is not None)
    try:
        data = _read(first)
    except BadUpload:
        if (picture := next(pictures, None)) is None:
            raise
        return picture
    return data if is_picture(data) else next(pictures, data)


def _is_empty(value: Any) -> bool:
    return not value or (isinstance(value, str | bytes) and not value.strip())


def _read(value: Any, depth: int = 0) -> bytes:
    """Return the bytes of a value, which may be no picture.

    Args:
        value: text, bytes, numbers, or an object or a list around them.
        depth: objects and lists around the value.
    """
    if isinstance(value, bytes):
        return without_junk(_read_bytes(value))
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, str):
        return without_junk(decode_picture(value))
    if isinstance(value, list) and (data := _bytes_of_numbers(value)) is not None:
        return data
    if isinstance(value, dict | list):
        return _read_container(value, depth)
    raise bad_uploads.bad_json("The image must be a base64 string.")


def _parsed(text: str) -> Any:
    """Return the object or list whose JSON a text is; other texts as they are.

    Numbers may lack their brackets, as a `Uint8Array` does that became a text in a form.
    """
    return parse_option(f"[{text}]" if NUMBERS.match(text) else text)


def _read_bytes(data: bytes) -> bytes:
    """Return the picture that the bytes are, or the one that they are the text of; else the bytes."""
    if is_picture(data):
        return data
    refuse_text_damage(data)
    try:
        decoded = decode_picture(data.decode())
    except (UnicodeDecodeError, BadUpload):
        return data
    return decoded if is_picture(decoded) else data


def _bytes_of_numbers(values: list[Any]) -> bytes | None:
    """Return the bytes of a list of whole numbers, as Node.js, Dart (0 to 255) and Java (-128 to 127) write them."""
    try:
        return bytes(values)
    except (TypeError, ValueError):
        pass
    try:
        return array("b", values).tobytes()
    except (TypeError, OverflowError):
        return None


def _read_container(value: dict[str, Any] | list[Any], depth: int) -> bytes:
    """Return the picture in an object such as ``{"type": "Buffer", "data": [...]}`` or ``{"uri": "data:..."}``."""
    values = value.values() if isinstance(value, dict) else value
    picture = _only_picture(values, depth + 1) if depth < MAX_DEPTH else None
    if picture is None:
        hint = "Send the bytes of the file as base64, or the file itself as multipart/form-data."
        raise bad_uploads.bad_json("The image is an object or a list that holds no photo.", hint)
    return picture


def _only_picture(values: Collection[Any], depth: int) -> bytes | None:
    """Return the picture among a few values, if there is one; the same picture may be there twice.

    Raises:
        BadUpload: ``missing_image``: there are several.
    """
    if len(values) > MAX_VALUES:
        return None
    pictures = {picture for value in values if (picture := read_picture(value, depth)) is not None}
    if len(pictures) > 1:
        raise bad_uploads.several_pictures()
    return pictures.pop() if pictures else None
