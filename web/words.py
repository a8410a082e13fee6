"""Short plain texts of the answers. A cosmetic reading, not a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analyzer.values import Check, Finding, Severity
from analyzer.wording import DEGREES, PLACES, TITLES, count_spots

SERVICE = "shine-backend-hare-run-v6"
# Failures that more than one part of the service tells: code, sentence, what to do.
NOT_UNDERSTOOD = ("bad_request", "The request cannot be understood.", "See /docs for the routes.")
FAULT = ("internal_error", "Something went wrong on our side.", "Please try again; tell us the request_id.")
TEXTURE: Mapping[Severity, str] = {
    Severity.NONE: "normal",
    Severity.MINIMAL: "normal",
    Severity.LOW: "slightly uneven",
    Severity.MODERATE: "uneven",
    Severity.HIGH: "rough",
}
TONE: Mapping[Severity, str] = {
    Severity.NONE: "even",
    Severity.MINIMAL: "even",
    Severity.LOW: "slightly uneven",
    Severity.MODERATE: "uneven",
    Severity.HIGH: "very uneven",
}
HEALTHY = "No noticeable skin concern was found in this photo."
NOTHING_MEASURED = "Nothing could be measured on this photo."

EXPLANATION_EMPTY = "No single place in this picture speaks for the outcome."
EXPLANATION = (
    "The bluer a place, the more it speaks for the outcome in the eyes of the trained model; the lines stand at half and at "
    "four fifths of the strongest place. It shows what the model looked at, not where something is."
)
EXPLANATION_EXPERIMENTAL = "The outcome is an experiment and takes no part in the report."
NO_EXPLANATION = "The ensemble gives no explanation."
FALLBACK = "A preferred source of the model failed; another one is in use."

# Which checks speak about what, the first failing one gives the word.
LIGHTING: Mapping[str, str] = {
    "too_dark": "dark",
    "too_bright": "bright",
    "overexposed": "bright",
    "uneven_light": "uneven",
    "low_contrast": "flat",
    "colour_cast": "tinted",
}
SHARPNESS: Mapping[str, str] = {"blur": "blurred"}
POSITIONING: Mapping[str, str] = {
    "face_cut_off": "cut_off",
    "face_too_small": "too_far",
    "face_unsure": "unsure",
    "tilted": "tilted",
    "not_frontal": "turned",
}


def describe(finding: Finding, spots: int | None) -> str:
    """One sentence about a finding, e.g. "Blemishes: clearly noticeable (9 spots), mostly on the chin."."""
    title = TITLES.get(finding.name, finding.name.replace("_", " ").capitalize())
    if finding.score is None:
        _, _, sentence = (finding.reason or "").partition(": ")
        return f"{title}: could not be measured. {sentence}".strip()
    count = f" ({count_spots(spots)})" if spots and finding.detected else ""
    place = PLACES.get(location(finding))
    where = f", mostly {place}" if place and finding.detected else ""
    return f"{title}: {DEGREES[finding.severity]}{count}{where}."


def explanation_note(has_evidence: bool, takes_part: bool) -> str:
    """What an explanation's picture shows, and how far it counts."""
    shown = EXPLANATION if has_evidence else EXPLANATION_EMPTY
    return shown if takes_part else f"{shown} {EXPLANATION_EXPERIMENTAL}"


def location(finding: Finding) -> str:
    """The region with the highest score; "face" when no region was measured."""
    scores = {name: score for name, score in finding.regions.items() if score is not None}
    return max(scores, key=lambda name: scores[name]) if scores else "face"


def word(checks: Sequence[Check], words: Mapping[str, str], good: str) -> str:
    """The word of the first failed check among `words`, `good` when all passed, "unknown" when none was made."""
    made = [check for check in checks if check.code in words]
    if not made:
        return "unknown"
    return next((words[check.code] for check in made if not check.passed), good)
