"""Short plain texts of the answers. A cosmetic reading, not a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from analyzer.values import Check, Finding
from analyzer.vocabulary import CheckCode, ConditionName, ErrorCode, Region, Severity, Verdict
from analyzer.wording import DEGREES, PLACES, TITLES, count_spots
from web.vocabulary import Level, Lighting, Positioning, Sharpness, TextureWord, ToneWord, WireName

SERVICE = "shine-backend-hare-run-v6"
# Failures that more than one part of the service tells: code, sentence, what to do.
NOT_UNDERSTOOD = (ErrorCode.BAD_REQUEST, "The request cannot be understood.", "See /docs for the routes.")
FAULT = (ErrorCode.INTERNAL_ERROR, "Something went wrong on our side.", "Please try again; tell us the request_id.")
LEVELS: Mapping[Severity, Level] = {
    Severity.NONE: Level.NONE,
    Severity.MINIMAL: Level.MINIMAL,
    Severity.LOW: Level.LOW,
    Severity.MODERATE: Level.MODERATE,
    Severity.HIGH: Level.SEVERE,
}
TEXTURE: Mapping[Severity, TextureWord] = {
    Severity.NONE: TextureWord.NORMAL,
    Severity.MINIMAL: TextureWord.NORMAL,
    Severity.LOW: TextureWord.SLIGHTLY_UNEVEN,
    Severity.MODERATE: TextureWord.UNEVEN,
    Severity.HIGH: TextureWord.ROUGH,
}
TONE: Mapping[Severity, ToneWord] = {
    Severity.NONE: ToneWord.EVEN,
    Severity.MINIMAL: ToneWord.EVEN,
    Severity.LOW: ToneWord.SLIGHTLY_UNEVEN,
    Severity.MODERATE: ToneWord.UNEVEN,
    Severity.HIGH: ToneWord.VERY_UNEVEN,
}
NAMES: Mapping[ConditionName | Verdict, WireName] = {
    ConditionName.ACNE: WireName.ACNE,
    ConditionName.REDNESS: WireName.REDNESS,
    ConditionName.DARK_SPOTS: WireName.DARK_SPOTS,
    ConditionName.TEXTURE: WireName.TEXTURE,
    ConditionName.PORES: WireName.PORES,
    ConditionName.WRINKLES: WireName.WRINKLES,
    ConditionName.PIGMENTATION: WireName.HYPERPIGMENTATION,  # pages match on it
    ConditionName.UNDER_EYE: WireName.UNDER_EYE,
    Verdict.HEALTHY: WireName.HEALTHY,
    Verdict.UNKNOWN: WireName.UNKNOWN,
    Verdict.SEE_A_PROFESSIONAL: WireName.SEE_A_PROFESSIONAL,
}
HEALTHY = "No noticeable skin concern was found in this photo."
LEFT_OUT = "A part of this answer could not be made and is left out."
NOTHING_MEASURED = "Nothing could be measured on this photo."

EXPLANATION_EMPTY = "No single place in this picture speaks for the outcome."
EXPLANATION = (
    "The bluer a place, the more it speaks for the outcome in the eyes of the trained model; the lines stand at half and at "
    "four fifths of the strongest place. It shows what the model looked at, not where something is."
)
EXPLANATION_EXPERIMENTAL = "The outcome is an experiment and takes no part in the report."
NO_EXPLANATION = "The ensemble gives no explanation."
FALLBACK = "A preferred source of the model failed; another one is in use."

W = TypeVar("W", Lighting, Sharpness, Positioning)


@dataclass(frozen=True)
class Words(Generic[W]):
    """The words of one question about a photo: check → word when it fails, when all pass, when none was made."""

    failed: Mapping[CheckCode, W]
    passed: W
    unknown: W


LIGHTING = Words(
    {
        CheckCode.TOO_DARK: Lighting.DARK,
        CheckCode.TOO_BRIGHT: Lighting.BRIGHT,
        CheckCode.OVEREXPOSED: Lighting.BRIGHT,
        CheckCode.UNEVEN_LIGHT: Lighting.UNEVEN,
        CheckCode.LOW_CONTRAST: Lighting.FLAT,
        CheckCode.COLOUR_CAST: Lighting.TINTED,
    },
    Lighting.GOOD,
    Lighting.UNKNOWN,
)
SHARPNESS = Words({CheckCode.BLUR: Sharpness.BLURRED}, Sharpness.SHARP, Sharpness.UNKNOWN)
POSITIONING = Words(
    {
        CheckCode.FACE_CUT_OFF: Positioning.CUT_OFF,
        CheckCode.FACE_TOO_SMALL: Positioning.TOO_FAR,
        CheckCode.FACE_UNSURE: Positioning.UNSURE,
        CheckCode.TILTED: Positioning.TILTED,
        CheckCode.NOT_FRONTAL: Positioning.TURNED,
    },
    Positioning.CENTERED,
    Positioning.UNKNOWN,
)


def describe(finding: Finding, spots: int | None) -> str:
    """One sentence about a finding, e.g. "Blemishes: clearly noticeable (9 spots), mostly on the chin."."""
    title = TITLES[finding.name]
    if finding.score is None:
        _, _, sentence = (finding.reason or "").partition(": ")
        return f"{title}: could not be measured. {sentence}".strip()
    count = f" ({count_spots(spots)})" if spots and finding.detected else ""
    region = location(finding)
    where = f", mostly {PLACES[region]}" if region and finding.detected else ""
    return f"{title}: {DEGREES[finding.severity]}{count}{where}."


def explanation_note(has_evidence: bool, takes_part: bool) -> str:
    """What an explanation's picture shows, and how far it counts."""
    shown = EXPLANATION if has_evidence else EXPLANATION_EMPTY
    return shown if takes_part else f"{shown} {EXPLANATION_EXPERIMENTAL}"


def location(finding: Finding) -> Region | None:
    """Return the region with the highest score; None when no region was measured."""
    scores = {name: score for name, score in finding.regions.items() if score is not None}
    return max(scores, key=lambda name: scores[name]) if scores else None


def word(checks: Sequence[Check], words: Words[W]) -> W:
    """Return the word of the first failed check that the words are about."""
    made = [check for check in checks if check.code in words.failed]
    if not made:
        return words.unknown
    return next((words.failed[check.code] for check in made if not check.passed), words.passed)
