"""The closed vocabularies that only the wire has; those of the analyzer stand in `analyzer.vocabulary`."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a detection or an analysis ended."""

    SUCCESS = "success"
    ERROR = "error"
    NO_FACE = "no_face"  # of a detection


class WireName(StrEnum):
    """What an answer names: a condition, as pages match on it, or what stands in its place."""

    ACNE = "acne"
    REDNESS = "redness"
    DARK_SPOTS = "dark_spots"
    TEXTURE = "texture"
    PORES = "pores"
    WRINKLES = "wrinkles"
    HYPERPIGMENTATION = "hyperpigmentation"
    UNDER_EYE = "under_eye"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    SEE_A_PROFESSIONAL = "see_a_professional"


class Level(StrEnum):
    """Severity as `severity_levels` and `severity_level` say it; `severity` says "high" for "severe"."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MODERATE = "moderate"
    SEVERE = "severe"


class Lighting(StrEnum):
    """The checks of light in one word."""

    GOOD = "good"
    DARK = "dark"
    BRIGHT = "bright"
    UNEVEN = "uneven"
    FLAT = "flat"
    TINTED = "tinted"
    UNKNOWN = "unknown"


class Sharpness(StrEnum):
    """The check of sharpness in one word."""

    SHARP = "sharp"
    BLURRED = "blurred"
    UNKNOWN = "unknown"


class Positioning(StrEnum):
    """Where and how the face is, in one word."""

    CENTERED = "centered"
    OFF_CENTER = "off_center"
    UNSURE = "unsure"  # it may be a part of a face, or none
    TILTED = "tilted"
    TURNED = "turned"
    CUT_OFF = "cut_off"
    TOO_FAR = "too_far"
    UNKNOWN = "unknown"


class OverallQuality(StrEnum):
    """All checks in one word."""

    GOOD = "good"
    FAIR = "fair"  # a check warns
    POOR = "poor"  # a check refuses
    UNKNOWN = "unknown"


class TextureWord(StrEnum):
    """The texture of the skin as an older page says it."""

    NORMAL = "normal"
    SLIGHTLY_UNEVEN = "slightly uneven"
    UNEVEN = "uneven"
    ROUGH = "rough"
    UNKNOWN = "unknown"


class ToneWord(StrEnum):
    """The evenness of the skin's tone as an older page says it."""

    EVEN = "even"
    SLIGHTLY_UNEVEN = "slightly uneven"
    UNEVEN = "uneven"
    VERY_UNEVEN = "very uneven"
    UNKNOWN = "unknown"


class DemographicName(StrEnum):
    """What may be named as ignored: one field of the demographics, or all of them."""

    DEMOGRAPHICS = "demographics"
    AGE = "age"
    ETHNICITY = "ethnicity"
    GENDER = "gender"
    FITZPATRICK = "fitzpatrick"


class ReadyState(StrEnum):
    """How far the warm-up of a process is."""

    COLD = "cold"
    WARMING = "warming"
    READY = "ready"
    FAILED = "failed"


class ServiceState(StrEnum):
    """Whether the service answers as it should."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
