"""Refusals of requests that hold no photo in a form that is taken: what is wrong, and what to do about it."""

from __future__ import annotations

from analyzer.errors import AnalyzerError
from analyzer.vocabulary import ErrorCode


class BadUpload(AnalyzerError):
    """The request does not hold a picture in a form that is taken."""

    code = ErrorCode.MISSING_IMAGE


class CompressedBody(BadUpload):
    """The body is compressed as a whole (``Content-Encoding``), which is not taken."""

    code = ErrorCode.UNSUPPORTED_TYPE

    def __init__(self) -> None:
        super().__init__(
            "The body is compressed (Content-Encoding), which is not taken.",
            "Send it as it is: photos are compressed already.",
        )


def missing_image() -> BadUpload:
    """Return the refusal of a request without a photo."""
    return BadUpload(
        "No photo arrived.",
        'Choose a photo and send it again; a program sends it as the body or in the field "image".',
    )


def placeholder() -> BadUpload:
    """Return the refusal of a word that a program writes where it has no photo, such as "undefined"."""
    return BadUpload(
        "No photo arrived, only a word that a program writes in its place.",
        "Send the content of the file, not the variable that stands for it.",
    )


def several_pictures() -> BadUpload:
    """Return the refusal of several photos under names that say nothing."""
    return BadUpload("Several photos arrived, none of them as the image.", 'Send one photo in the field "image".')


def broken_form(cause: str, hint: str) -> BadUpload:
    """Return the refusal of a multipart form for a cause, which is the end of a sentence."""
    return BadUpload(f"The form cannot be read: {cause}.", hint)


def oversized_form(cause: str) -> BadUpload:
    """Return the refusal of a form that has too much of something."""
    return BadUpload(f"The form is too large: {cause}.", 'Send the photo as the part "image".', ErrorCode.TOO_LARGE)


def bad_json(message: str, hint: str = 'Send {"image": "<base64>"}.') -> BadUpload:
    """Return the refusal of a body or a field that is no JSON, or JSON of another shape."""
    return BadUpload(message, hint, ErrorCode.BAD_JSON)


def bad_base64(cause: str, hint: str = "Encode the bytes of the file as base64.") -> BadUpload:
    """Return the refusal of a text that encodes nothing, for a cause, which is the end of a sentence."""
    return BadUpload(f"The image is not valid base64: {cause}.", hint, ErrorCode.BAD_BASE64)


def address() -> BadUpload:
    """Return the refusal of a path or an address in place of a photo."""
    return BadUpload(
        "The image is the name or address of a file, which only the sender can open.",
        "Send the content of the file: as base64, or as a file in multipart/form-data.",
        ErrorCode.BAD_BASE64,
    )


def read_as_text() -> BadUpload:
    """Return the refusal of a photo whose bytes were decoded as UTF-8, which replaces most of them."""
    return BadUpload(
        "The photo was read as text on its way, which destroyed it.",
        "Read the file as bytes (arrayBuffer, readAsDataURL), not as text.",
        ErrorCode.BAD_IMAGE,
    )


def stripped_by_curl() -> BadUpload:
    """Return the refusal of a file that lost its line breaks and zero bytes to `curl -d`."""
    return BadUpload(
        "The photo is damaged: curl -d removes line breaks and zero bytes from a file.",
        "Use curl --data-binary @photo.jpg, or curl -F image=@photo.jpg.",
        ErrorCode.BAD_IMAGE,
    )


def unsupported_type(media_type: str) -> BadUpload:
    """Return the refusal of a body of another type."""
    return BadUpload(
        f"Bodies of the type {media_type[:60]} are not taken.",
        "Send JSON, multipart/form-data or an image.",
        ErrorCode.UNSUPPORTED_TYPE,
    )
