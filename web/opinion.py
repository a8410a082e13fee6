"""Prediction of the ensemble -> its part of the JSON: the `ensemble` block, its listed condition, the explanation."""

from __future__ import annotations

from functools import partial

from analyzer import explanation, preprocessing, wording
from analyzer.combination import Opinion, explained_class, judge
from analyzer.values import Grade, Prediction, Report
from analyzer.vocabulary import ConditionName, EnsembleKind, Severity, Source
from web import findings, mending, numbers, pictures, shapes, words


def of(report: Report) -> Opinion | None:
    """What the report's prediction amounts to; None without one."""
    return None if report.prediction is None else judge(report.prediction, report.findings)


def block(report: Report) -> shapes.Ensemble | None:
    """The `ensemble` block; None when no artefact answered."""
    prediction, opinion = report.prediction, of(report)
    if prediction is None or opinion is None:
        return None
    return shapes.Ensemble(
        version=prediction.version,
        kind=_kind(prediction),
        experimental=not prediction.speaks,
        experimental_reason=None if prediction.speaks else prediction.silence_reason or wording.UNPROVEN,
        abstained=opinion.abstention is not None,
        abstention_code=opinion.abstention,
        abstention_reason=None if opinion.abstention is None else wording.ABSTENTIONS[opinion.abstention],
        probabilities={findings.wire_name(name): numbers.share(share) for name, share in opinion.outcomes.items()},
        top=shapes.Outcome(
            outcome=findings.wire_name(opinion.outcome),
            probability=numbers.share(opinion.outcomes[opinion.outcome]),
            wording=opinion.wording,
        ),
        certainty=numbers.share(opinion.certainty),
        threshold=None if prediction.threshold is None else numbers.share(prediction.threshold),
        distance=numbers.rounded(prediction.distance),
        distance_limit=numbers.rounded(prediction.distance_limit),
        agreement=opinion.agreement,
        agreement_text=opinion.agreement_text,
        conditions={findings.wire_name(name): _graded(grade) for name, grade in opinion.grades.items()},
    )


def _kind(prediction: Prediction) -> EnsembleKind:
    """Return how the probabilities are read."""
    if prediction.grades is not None:
        return EnsembleKind.MULTILABEL_SEVERITY
    return EnsembleKind.MULTILABEL if prediction.independent else EnsembleKind.ONE_CLASS


def listed(report: Report) -> list[shapes.DetectedCondition]:
    """The conditions that the ensemble lists beside measured ones. A single `healthy` entry stays alone."""
    opinion = of(report)
    if opinion is None or not any(finding.detected for finding in findings.by_condition(report).values()):
        return []
    return mending.entries("detected_conditions", partial(_listed, opinion=opinion), opinion.conditions)


def _listed(name: ConditionName, opinion: Opinion) -> shapes.DetectedCondition:
    """With the severity that the model gave it; `none` where it gives none."""
    probability, grade = numbers.share(opinion.outcomes[name]), opinion.grades.get(name)
    return shapes.DetectedCondition(
        name=findings.wire_name(name),
        confidence=probability,
        severity=Severity.NONE if grade is None else grade.word,
        measured=False,
        source=Source.ENSEMBLE,
        description=wording.model_grades(name, probability, grade.word)
        if grade
        else wording.model_lists(name, probability),
    )


def _graded(grade: Grade) -> shapes.GradedCondition:
    return shapes.GradedCondition(
        probability=numbers.share(grade.probability),
        threshold=numbers.share(grade.threshold),
        present=grade.present,
        severity=grade.word,
        grade=grade.severity,
        grade_probabilities=[numbers.share(share) for share in grade.shares],
    )


def explain(report: Report) -> shapes.Explanation | None:
    """Where the evidence for the most probable outcome lies; None when no artefact answered."""
    prediction, opinion = report.prediction, of(report)
    if prediction is None or opinion is None or report.roi is None:
        return None
    activation = prediction.activation(explained_class(prediction))
    drawn = explanation.draw(preprocessing.inner_square(report.roi), activation)
    return shapes.Explanation(
        outcome=findings.wire_name(opinion.outcome),
        experimental=not opinion.takes_part,
        image=pictures.png_base64(drawn),
        width=drawn.shape[1],
        height=drawn.shape[0],
        note=words.explanation_note(bool(activation.any()), opinion.takes_part),
    )
