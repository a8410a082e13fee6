"""The table of error codes with status, meaning and remedy, for the OpenAPI description and the documentation page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from analyzer.quality import REFUSALS
from web.errors import STATUS

RETAKE = "Show guidance to the person; take another photo."
MEANINGS: Mapping[str, tuple[str, str]] = {
    "bad_json": ("The body is not a JSON object, or a field has the wrong type.", 'Send {"image": "<base64>"}.'),
    "missing_image": (
        "The request holds no photo.",
        "Send it as the field image, as the file part image of a form, or as the body itself.",
    ),
    "bad_base64": ("The text in image is not base64.", "Encode the bytes of the file; a data URL prefix may stay."),
    "bad_image": (
        "The bytes cannot be read as a picture.",
        "Check that the file opens on the device, or send another.",
    ),
    "truncated_image": ("The end of the picture is missing.", "Send the file again, whole."),
    "incomplete_upload": ("The upload broke off or paused for too long.", "Send the photo again on a new connection."),
    "bad_request": ("The request is not valid HTTP.", "Let an HTTP library write the request line, headers and body."),
    "unauthorized": ("This service needs an API key.", "Send the header Authorization: Bearer KEY."),
    "forbidden": (
        "Only operators may read this.",
        "Call from the machine of the service, or send the operator token as a bearer token.",
    ),
    "not_found": ("There is nothing at this address.", "Compare the path with the routes of this service."),
    "method_not_allowed": ("The address does not take this method.", "Use a method that the header Allow names."),
    "too_large": ("The body is larger than the limit (24 MiB by default).", "Send a smaller copy of the photo."),
    "too_many_pixels": (
        "The picture has more pixels than the limit (50 million by default).",
        "Send a smaller copy of the photo.",
    ),
    "unsupported_type": (
        "The file is of a type that is not read, or the header Content-Type names one that is not taken.",
        "Send a JPEG, PNG, WebP, GIF, HEIC or AVIF photo, as JSON, as multipart/form-data or as the body itself.",
    ),
    "rate_limited": ("This client sent too many photos.", "Wait for the seconds that the header Retry-After names."),
    "internal_error": ("The service made a mistake.", "Try again; if it stays, report the request_id."),
    "busy": (
        "The service had no free place in time.",
        "Wait for the seconds that the header Retry-After names, then send the same request again.",
    ),
}


class FailureCode(NamedTuple):
    """One row of the table; a refused photo has the status 200."""

    code: str
    status: int
    meaning: str
    remedy: str


def failure_codes() -> list[FailureCode]:
    """Return every code that an answer can carry, ordered by status."""
    refusals = [FailureCode(str(code), 200, meaning, RETAKE) for code, meaning in REFUSALS.items()]
    failures = [FailureCode(str(code), status, *MEANINGS[code]) for code, status in STATUS.items()]
    return [*refusals, *sorted(failures, key=lambda failure: failure.status)]


def codes_of(status: int) -> str:
    """Return the codes of a status in words, e.g. "too_large or too_many_pixels"."""
    *others, last = [failure.code for failure in failure_codes() if failure.status == status]
    return f"{', '.join(others)} or {last}" if others else last
