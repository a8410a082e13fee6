"""Prediction + measured findings -> Opinion: what the ensemble's answer may say to a person, by the rule of docs/ensemble.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analyzer import wording
from analyzer.conditions import CONDITIONS
from analyzer.values import Finding, Grade, Prediction
from analyzer.vocabulary import Abstention, Agreement, ConditionName, Verdict

HEALTHY = Verdict.HEALTHY
PROFESSIONAL = Verdict.SEE_A_PROFESSIONAL
Outcome = ConditionName | Verdict
CONDITION_OF: Mapping[
    str, ConditionName
] = {  # class of a multi-label model → what is measured here; others must have its name
    "aging": ConditionName.WRINKLES,
    "fine_lines_wrinkles": ConditionName.WRINKLES,
    "hyperpigmentation": ConditionName.PIGMENTATION,
    "pore_size": ConditionName.PORES,
    "textured_skin": ConditionName.TEXTURE,
}
LEAST_TELLING_LETTERS = 5  # of a word in a class name by which a sentence would give the class away


@dataclass(frozen=True)
class Opinion:
    """What an ensemble's prediction comes to. Names of classes that are never stated do not occur in it.

    Attributes:
        outcomes: outcome → probability 0..1, what it holds first. An outcome is `HEALTHY`, the name of a measured condition, or
            `PROFESSIONAL`. They sum to 1 where it tells which one of its classes a face shows; where each class is there or not they do
            not; where it grades, `HEALTHY` has the probability that none is there, were they independent.
        certainty: probability 0..1 of the most probable single class, which the card's threshold is compared with; where it grades,
            of the first outcome.
        abstention: why no class is stated; None when the ensemble decides.
        wording: what is said of the first outcome; None when it abstains.
        agreement: with the measurements.
        agreement_text: the same as a sentence.
        speaks: the card's metrics let it take part in the report.
        seen: conditions that it sees, the most severe first; at most one where it does not grade.
        grades: condition → its grade, where it grades; in the order of the measured ones.
    """

    outcomes: Mapping[Outcome, float]
    certainty: float
    abstention: Abstention | None
    wording: str | None
    agreement: Agreement
    agreement_text: str
    speaks: bool
    seen: tuple[ConditionName, ...]
    grades: Mapping[ConditionName, Grade] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What it holds: the most probable outcome, or the most severe condition that it sees."""
        return next(iter(self.outcomes))

    @property
    def takes_part(self) -> bool:
        """It may speak and it decided; otherwise nothing of the report depends on it."""
        return self.speaks and self.abstention is None

    @property
    def conditions(self) -> tuple[ConditionName, ...]:
        """Names of the conditions that it lists beside the measured ones."""
        return self.seen if self.takes_part else ()

    @property
    def refers(self) -> bool:
        """It advises to have the skin looked at by a professional."""
        return self.takes_part and self.outcome == PROFESSIONAL


def judge(prediction: Prediction, findings: Iterable[Finding]) -> Opinion:
    """The opinion that a prediction amounts to beside the classical findings of the same face."""
    if prediction.grades is not None:
        return _judge_grades(prediction, findings)
    outcomes = _outcomes(prediction)
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
        seen=(outcome,) if isinstance(outcome, ConditionName) else (),
    )


def _judge_grades(prediction: Prediction, findings: Iterable[Finding]) -> Opinion:
    """The opinion of a model that grades each condition by itself; what it abstains from is the whole photo or nothing."""
    grades, abstention = grades_of(prediction), prediction.abstention
    seen = _seen(grades)
    outcomes = _graded_outcomes(grades, seen)
    if abstention is None:
        agreement, text = _compared_each(grades, seen, findings)
    else:
        agreement, text = Agreement.NOT_COMPARABLE, wording.ABSTENTIONS[abstention]
    said = wording.model_sees(seen) if seen else wording.MODEL_SEES_NOTHING
    return Opinion(
        outcomes=outcomes,
        certainty=next(iter(outcomes.values())),
        abstention=abstention,
        wording=said if abstention is None else None,
        agreement=agreement,
        agreement_text=text,
        speaks=prediction.speaks,
        seen=seen,
        grades=grades,
    )


def grades_of(prediction: Prediction) -> dict[ConditionName, Grade]:
    """Condition → grade. Of several classes for one condition the one counts that is there, then the most probable."""
    return {name: (prediction.grades or {})[label] for name, label in _labels(prediction).items()}


def explained_class(prediction: Prediction) -> str:
    """The class whose activation shows what speaks for the most probable outcome: its own most probable class."""
    if prediction.grades is not None:
        labels, grades = _labels(prediction), grades_of(prediction)
        outcome = next(iter(_graded_outcomes(grades, _seen(grades))))
        if isinstance(outcome, ConditionName):
            return labels[outcome]
        return max(labels.values(), key=lambda label: prediction.probabilities[label])
    outcome = next(iter(_outcomes(prediction)))
    return max(_members(outcome, prediction.probabilities), key=lambda name: prediction.probabilities[name])


def outcome_of(name: str) -> Outcome:
    """What a class may be told as: itself where it is healthy skin or a measured condition, else `PROFESSIONAL`."""
    if name == HEALTHY:
        return HEALTHY
    return ConditionName(name) if name in CONDITIONS else PROFESSIONAL


def condition_of(label: str) -> ConditionName | None:
    """The measured condition that a class of a multi-label model is about; None where there is none."""
    name = CONDITION_OF.get(label, label)
    return ConditionName(name) if name in CONDITIONS else None


def _labels(prediction: Prediction) -> dict[ConditionName, str]:
    """Condition → the class that speaks for it; classes of no condition are never told."""
    grades = prediction.grades or {}
    found: dict[str, str] = {}
    for label in sorted(grades, key=lambda label: (grades[label].stated, grades[label].probability)):
        found[condition_of(label) or label] = label
    return {name: found[name] for name in CONDITIONS if name in found}


def _seen(grades: Mapping[ConditionName, Grade]) -> tuple[ConditionName, ...]:
    """Conditions that are stated, the most severe first."""
    stated = [name for name, grade in grades.items() if grade.stated]
    return tuple(sorted(stated, key=lambda name: (-grades[name].severity, -grades[name].probability)))


def _graded_outcomes(grades: Mapping[ConditionName, Grade], seen: tuple[ConditionName, ...]) -> dict[Outcome, float]:
    """Each condition and healthy skin with its probability; first what is seen, else healthy skin."""
    shares: dict[Outcome, float] = {name: grade.probability for name, grade in grades.items()}
    shares[HEALTHY] = math.prod(1.0 - share for share in shares.values())
    first: tuple[Outcome, ...] = seen or (HEALTHY,)
    rest = sorted((name for name in shares if name not in first), key=lambda name: -shares[name])
    return {name: shares[name] for name in (*first, *rest)}


def _outcomes(prediction: Prediction) -> dict[Outcome, float]:
    """Return the probabilities of outcomes, the most probable one first: that of any of its classes."""
    outcomes: dict[Outcome, float] = {}
    for name, probability in prediction.probabilities.items():
        before = outcomes.get(outcome_of(name), 0.0)
        both = before * probability if prediction.independent else 0.0
        outcomes[outcome_of(name)] = before + probability - both
    return dict(sorted(outcomes.items(), key=lambda item: -item[1]))


def _members(outcome: Outcome, names: Iterable[str]) -> list[str]:
    return [name for name in names if outcome_of(name) == outcome]


def _wording(outcome: Outcome, prediction: Prediction) -> str:
    """The card's sentence, unless it has none or gives away the name of a class that is never stated."""
    told = prediction.wordings.get(explained_class(prediction)) or ""
    unstated = _members(PROFESSIONAL, prediction.probabilities)
    telling = {word for name in unstated for word in name.lower().split("_") if len(word) >= LEAST_TELLING_LETTERS}
    if told and not any(word in told.lower() for word in telling):
        return told
    if isinstance(outcome, ConditionName):
        return wording.model_sees([outcome])
    return wording.MODEL_SEES_NOTHING if outcome == HEALTHY else wording.SEE_A_PROFESSIONAL


def _compared(outcome: Outcome, prediction: Prediction, findings: Iterable[Finding]) -> tuple[Agreement, str]:
    """Compare what both can know: conditions that are a class of the ensemble and were measured on this photo."""
    if outcome == PROFESSIONAL:
        return Agreement.NOT_COMPARABLE, wording.NOT_MEASURED_KIND
    classes = prediction.probabilities if outcome == HEALTHY else (outcome,)
    both = [finding for finding in findings if finding.name in classes and finding.score is not None]
    seen = [finding.name for finding in both if finding.detected]
    if not both:
        return Agreement.NOT_COMPARABLE, wording.NOT_COMPARABLE
    if isinstance(outcome, ConditionName):
        return (
            (Agreement.AGREE, wording.both_see([outcome]))
            if seen
            else (Agreement.DISAGREE, wording.seen_otherwise([], [outcome], []))
        )
    none = wording.both_see_no([finding.name for finding in both])
    return (Agreement.DISAGREE, wording.seen_otherwise([], [], seen)) if seen else (Agreement.AGREE, none)


def _compared_each(
    grades: Mapping[ConditionName, Grade], seen: tuple[ConditionName, ...], findings: Iterable[Finding]
) -> tuple[Agreement, str]:
    """Compare what is there, condition by condition, where both can know it."""
    measured = {
        finding.name: finding.detected for finding in findings if finding.name in grades and finding.score is not None
    }
    if not measured:
        return Agreement.NOT_COMPARABLE, wording.NOT_COMPARABLE
    both = [name for name in seen if measured.get(name)]
    model_only = [name for name in seen if measured.get(name) is False]
    measured_only = [name for name, there in measured.items() if there and name not in seen]
    if model_only or measured_only:
        return Agreement.DISAGREE, wording.seen_otherwise(both, model_only, measured_only)
    return Agreement.AGREE, wording.both_see(both) if both else wording.both_see_no(list(measured))
