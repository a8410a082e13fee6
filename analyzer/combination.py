"""Prediction + measured findings -> Opinion: what the ensemble's answer may say to a person, by the rule of docs/ensemble.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from analyzer import wording
from analyzer.conditions import CONDITIONS
from analyzer.values import Finding, Prediction

HEALTHY = "healthy"
PROFESSIONAL = "see_a_professional"  # the outcome of all classes that are never stated
LEAST_TELLING_LETTERS = 5  # of a word in a class name by which a sentence would give the class away


class Agreement(StrEnum):
    """How the ensemble's answer stands to what was measured."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_COMPARABLE = "not_comparable"


@dataclass(frozen=True)
class Opinion:
    """What an ensemble's prediction comes to. Names of classes that are never stated do not occur in it.

    Attributes:
        outcomes: outcome → probability 0..1, the most probable first; they sum to 1. An outcome is `HEALTHY`, the name of a
            measured condition, or `PROFESSIONAL`.
        certainty: probability 0..1 of the most probable single class, which the card's threshold is compared with.
        abstention: ``"unfamiliar"``, ``"undecided"``, or None when the ensemble decides.
        wording: what is said of the first outcome; None when it abstains.
        agreement: with the measurements.
        agreement_text: the same as a sentence.
        speaks: the card's metrics let it take part in the report.
    """

    outcomes: Mapping[str, float]
    certainty: float
    abstention: str | None
    wording: str | None
    agreement: Agreement
    agreement_text: str
    speaks: bool

    @property
    def outcome(self) -> str:
        """The most probable outcome."""
        return next(iter(self.outcomes))

    @property
    def takes_part(self) -> bool:
        """It may speak and it decided; otherwise nothing of the report depends on it."""
        return self.speaks and self.abstention is None

    @property
    def condition(self) -> str | None:
        """Name of the condition that it lists beside the measured ones, or None."""
        return self.outcome if self.takes_part and self.outcome in CONDITIONS else None

    @property
    def refers(self) -> bool:
        """It advises to have the skin looked at by a professional."""
        return self.takes_part and self.outcome == PROFESSIONAL


def judge(prediction: Prediction, findings: Iterable[Finding]) -> Opinion:
    """The opinion that a prediction amounts to beside the classical findings of the same face."""
    outcomes = _outcomes(prediction.probabilities)
    outcome, abstention = next(iter(outcomes)), prediction.abstention
    if abstention is None:
        agreement, text = _compared(outcome, prediction, findings)
    else:
        agreement, text = Agreement.NOT_COMPARABLE, wording.ABSTENTIONS[abstention]
    return Opinion(
        outcomes=outcomes,
        certainty=max(prediction.probabilities.values()),
        abstention=abstention,
        wording=_wording(outcome, prediction) if abstention is None else None,
        agreement=agreement,
        agreement_text=text,
        speaks=prediction.speaks,
    )


def explained_class(prediction: Prediction) -> str:
    """The class whose activation shows what speaks for the most probable outcome: its own most probable class."""
    outcome = next(iter(_outcomes(prediction.probabilities)))
    return max(_members(outcome, prediction.probabilities), key=lambda name: prediction.probabilities[name])


def outcome_of(name: str) -> str:
    """What a class may be told as: itself where it is healthy skin or a measured condition, else `PROFESSIONAL`."""
    return name if name == HEALTHY or name in CONDITIONS else PROFESSIONAL


def _outcomes(probabilities: Mapping[str, float]) -> dict[str, float]:
    """The classes added up, the most probable outcome first."""
    sums: dict[str, float] = {}
    for name, probability in probabilities.items():
        sums[outcome_of(name)] = sums.get(outcome_of(name), 0.0) + probability
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _members(outcome: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if outcome_of(name) == outcome]


def _wording(outcome: str, prediction: Prediction) -> str:
    """The card's sentence, unless it has none or gives away the name of a class that is never stated."""
    told = prediction.wordings.get(explained_class(prediction)) or ""
    unstated = _members(PROFESSIONAL, prediction.probabilities)
    telling = {word for name in unstated for word in name.lower().split("_") if len(word) >= LEAST_TELLING_LETTERS}
    if told and not any(word in told.lower() for word in telling):
        return told
    usual = {HEALTHY: wording.MODEL_SEES_NOTHING, PROFESSIONAL: wording.SEE_A_PROFESSIONAL}
    return usual.get(outcome) or wording.model_sees([outcome])


def _compared(outcome: str, prediction: Prediction, findings: Iterable[Finding]) -> tuple[Agreement, str]:
    """Compare what both can know: conditions that are a class of the ensemble and were measured on this photo."""
    if outcome == PROFESSIONAL:
        return Agreement.NOT_COMPARABLE, wording.NOT_MEASURED_KIND
    asked = prediction.probabilities if outcome == HEALTHY else (outcome,)
    both = [finding for finding in findings if finding.name in asked and finding.score is not None]
    seen = [finding.name for finding in both if finding.detected]
    if not both:
        return Agreement.NOT_COMPARABLE, wording.NOT_COMPARABLE
    if outcome == HEALTHY:
        none = wording.both_see_no([finding.name for finding in both])
        return (Agreement.DISAGREE, wording.only_measurements_see(seen)) if seen else (Agreement.AGREE, none)
    return (
        (Agreement.AGREE, wording.both_see(outcome)) if seen else (Agreement.DISAGREE, wording.only_model_sees(outcome))
    )
