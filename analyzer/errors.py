"""Named failures of the analyzer. Raised deep, translated once at the border (`web/errors.py`, `__main__.py`)."""

from __future__ import annotations

from analyzer.vocabulary import ErrorCode, OperatorCode


class AnalyzerError(Exception):
    """A failure that a person can act on.

    Attributes:
        code: stable machine-readable word, e.g. ``"truncated_image"``.
        message: one plain sentence: what is wrong.
        hint: one plain sentence: what to do about it.
    """

    code: ErrorCode | OperatorCode = ErrorCode.INTERNAL_ERROR

    def __init__(self, message: str, hint: str, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.message = message
        self.hint = hint


class BadPhoto(AnalyzerError):
    """The bytes are not a picture that can be read (``bad_image``, ``truncated_image``)."""

    code = ErrorCode.BAD_IMAGE


class UnsupportedType(BadPhoto):
    """A picture, or another file, of a type that is not taken."""

    code = ErrorCode.UNSUPPORTED_TYPE


class TooManyPixels(BadPhoto):
    """The header announces more pixels than the limit; nothing was decoded."""

    code = ErrorCode.TOO_MANY_PIXELS


class Abandoned(Exception):
    """Nobody waits for the result any more, so that the work was given up.

    Attributes:
        stage: the stage that was not begun, or not waited for.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(f"Given up before {stage}.")
        self.stage = stage


class ModelUnavailable(AnalyzerError):
    """No verified artefact can be used; the work goes on without it and says so."""

    code = OperatorCode.MODEL_UNAVAILABLE


class BadModel(ModelUnavailable):
    """An artefact is damaged, does not match its card, or cannot be read; nothing of it is used."""


class CrashingModel(BadModel):
    """An artefact ended the process that opened it, or took more memory or time than an artefact may."""


class BadSetting(AnalyzerError):
    """An environment variable or a calibration number is missing, malformed or out of its range."""

    code = OperatorCode.BAD_SETTING
