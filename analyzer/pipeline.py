"""The whole story in two functions: `detect_faces` and `analyze_photo`."""

from __future__ import annotations

from analyzer.ensemble import Ensemble
from analyzer.photo import MAX_PIXELS
from analyzer.values import Demographics, Detection, Report


def detect_faces(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Detection:
    """Find the faces of a picture that an analysis would accept.

    Args:
        data: bytes of a picture file (JPEG, PNG, WebP, GIF, HEIC).
        max_pixels: pixel count above which the header is refused before decoding.

    Raises:
        BadPhoto: (or a subclass) the bytes are no picture that is taken.
    """
    raise NotImplementedError


def analyze_photo(
    data: bytes,
    ensemble: Ensemble,
    *,
    demographics: Demographics = Demographics(),
    max_pixels: int = MAX_PIXELS,
) -> Report:
    """Analyse the primary face of a picture.

    A photo that can be read but not analysed gives a Report with `error_code`, not an exception.

    Args:
        data: bytes of a picture file.
        ensemble: the learned part; when it is unavailable the report says so and rests on the classical part alone.
        demographics: self-reported; echoed and used for wording.
        max_pixels: see `detect_faces`.

    Raises:
        BadPhoto: (or a subclass) the bytes are no picture that is taken.
    """
    raise NotImplementedError
