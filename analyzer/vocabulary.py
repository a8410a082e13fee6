"""The closed vocabularies of the analyzer: every word that a value may hold where only a few are allowed.

Each is defined here once. The shapes of `web.shapes` use the same enums, so that nothing can be said that the wire does not
know. Words that only the wire has stand in `web.vocabulary`.
"""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How noticeable a condition is, mildest first."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"


class ConditionName(StrEnum):
    """What is measured, in the order of the report."""

    ACNE = "acne"
    REDNESS = "redness"
    DARK_SPOTS = "dark_spots"
    TEXTURE = "texture"
    PORES = "pores"
    WRINKLES = "wrinkles"
    PIGMENTATION = "pigmentation"
    UNDER_EYE = "under_eye"


class Verdict(StrEnum):
    """What stands in the place of a condition where none is named."""

    HEALTHY = "healthy"  # nothing noticeable
    UNKNOWN = "unknown"  # nothing could be measured
    SEE_A_PROFESSIONAL = "see_a_professional"  # the ensemble's outcome for all classes that are never stated


class Region(StrEnum):
    """A part of the face; left and right are sides of the picture."""

    FOREHEAD = "forehead"
    NOSE = "nose"
    CHIN = "chin"
    PERIORAL = "perioral"
    LEFT_CHEEK = "left_cheek"
    RIGHT_CHEEK = "right_cheek"
    LEFT_UNDER_EYE = "left_under_eye"
    RIGHT_UNDER_EYE = "right_under_eye"
    LEFT_CROWS_FEET = "left_crows_feet"
    RIGHT_CROWS_FEET = "right_crows_feet"
    LEFT_NASOLABIAL = "left_nasolabial"
    RIGHT_NASOLABIAL = "right_nasolabial"
    WHOLE = "whole"  # the only one of a close-up, which has no landmarks


class CheckCode(StrEnum):
    """The quality checks; a refusing one that fails is the `error_code` of the refusal."""

    NO_FACE = "no_face"
    FACE_UNSURE = "face_unsure"
    SEVERAL_FACES = "several_faces"
    FACE_TOO_SMALL = "face_too_small"
    FACE_CUT_OFF = "face_cut_off"
    TILTED = "tilted"
    NOT_FRONTAL = "not_frontal"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    OVEREXPOSED = "overexposed"
    UNEVEN_LIGHT = "uneven_light"
    LOW_CONTRAST = "low_contrast"
    BLUR = "blur"
    EYES_CLOSED = "eyes_closed"
    NOT_ENOUGH_SKIN = "not_enough_skin"
    COLOUR_CAST = "colour_cast"


class ReasonCode(StrEnum):
    """Why a condition was not measured."""

    TOO_SMALL = "too_small"
    TOO_BLURRED = "too_blurred"
    TOO_FEW_PIXELS = "too_few_pixels"
    NO_COLOUR = "no_colour"
    COLOURED_LIGHT = "coloured_light"
    OVEREXPOSED = "overexposed"
    UNDEFINED = "undefined"  # the measurement has no defined value
    NOT_MEASURED = "not_measured"  # nobody looked


class ErrorCode(StrEnum):
    """Failures that a caller may be told; `web.errors` gives each its HTTP status."""

    BAD_JSON = "bad_json"
    MISSING_IMAGE = "missing_image"
    BAD_BASE64 = "bad_base64"
    BAD_IMAGE = "bad_image"
    TRUNCATED_IMAGE = "truncated_image"
    INCOMPLETE_UPLOAD = "incomplete_upload"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNSUPPORTED_TYPE = "unsupported_type"
    RATE_LIMITED = "rate_limited"
    INTERNAL_ERROR = "internal_error"
    BUSY = "busy"


class OperatorCode(StrEnum):
    """Failures that only operators meet; a caller would be told `ErrorCode.INTERNAL_ERROR`."""

    MODEL_UNAVAILABLE = "model_unavailable"
    BAD_SETTING = "bad_setting"


class Source(StrEnum):
    """Who found a condition: the measurements or the learned ensemble."""

    CLASSICAL = "classical"
    ENSEMBLE = "ensemble"


class EnsembleKind(StrEnum):
    """What an ensemble answers: the one class that a face shows, whether each class is there, or that and its severity."""

    ONE_CLASS = "one_class"
    MULTILABEL = "multilabel"
    MULTILABEL_SEVERITY = "multilabel_severity"


class Abstention(StrEnum):
    """Why an ensemble does not judge a photo."""

    UNFAMILIAR = "unfamiliar"  # out of distribution
    UNDECIDED = "undecided"  # below the threshold


class Agreement(StrEnum):
    """How the ensemble's answer stands to the measurements."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_COMPARABLE = "not_comparable"


class ModelSource(StrEnum):
    """Where the artefact that answers comes from."""

    S3 = "s3"
    CACHE = "cache"
    LOCAL = "local"


class StageName(StrEnum):
    """What finds the faces."""

    NETWORK = "network"
    HAAR = "haar"


class Fitzpatrick(StrEnum):
    """Types of skin by their reaction to the sun."""

    I = "I"  # noqa: E741 - the name of the type
    II = "II"
    III = "III"
    IV = "IV"
    V = "V"
    VI = "VI"


class ItaGroup(StrEnum):
    """Groups of skin by their individual typology angle, darkest first (Chardon 1991)."""

    DARK = "dark"
    BROWN = "brown"
    TAN = "tan"
    INTERMEDIATE = "intermediate"
    LIGHT = "light"
    VERY_LIGHT = "very light"
