"""Answers and what is known of the people -> figures of each group, side by side, and how far apart the groups lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzer.model_card import Metric
from training import evaluate
from training.data.pictures import AGE_BANDS, FITZPATRICK, GENDERS, Picture
from training.evaluate import TOO_FEW
from training.evaluation import bootstrap, scores
from training.evaluation.scores import ACCURACY, BALANCED, Answers

HEALTHY = "healthy"  # the class whose pictures show no condition
FALSE_ALARMS = "healthy taken for a condition"
UNSAID, ESTIMATED = "not stated", "(estimated)"
# what a table is called → field of Picture, name of it among `Picture.estimated`
PEOPLE = {
    "race": ("ethnicity", "ethnicity"),
    "age band": ("age_band", "age"),
    "gender": ("gender", "gender"),
    "skin tone (Fitzpatrick)": ("fitzpatrick", "fitzpatrick"),
}
ORDER = (*(name for _, name in AGE_BANDS), *GENDERS, *FITZPATRICK)


@dataclass(frozen=True)
class Group:
    """Figures of one group.

    Attributes:
        attribute: what the group is by, such as ``"race"``.
        name: of the group, such as ``"III (estimated)"``.
        count: of its pictures.
        healthy: how many of them are healthy.
        figures: by name; those of fewer than `TOO_FEW` pictures are left out, all of them where the group is that small.
    """

    attribute: str
    name: str
    count: int
    healthy: int
    figures: Mapping[str, Metric]

    @property
    def too_few(self) -> bool:
        return self.count < TOO_FEW


def of_people(answers: Answers, pictures: Sequence[Picture]) -> dict[str, list[Group]]:
    """Attribute of `PEOPLE` → its groups; those about whose every picture nothing is said are left out."""
    named = {attribute: [_name(one, *fields) for one in pictures] for attribute, fields in PEOPLE.items()}
    return {
        attribute: of_attribute(answers, attribute, names)
        for attribute, names in named.items()
        if set(names) - {UNSAID}
    }


def of_attribute(answers: Answers, attribute: str, names: Sequence[str]) -> list[Group]:
    """Figures of every group of one attribute, in their natural order.

    Args:
        answers: to N pictures.
        attribute: what the names are.
        names: (N,) group of each picture.
    """
    together = np.asarray(names)
    large = [name for name in np.unique(together) if np.sum(together == name) >= TOO_FEW]
    frame = _frame(answers, together, np.isin(together, large)) if large else {}
    return [
        Group(
            attribute,
            name,
            int(np.sum(together == name)),
            int(np.sum(_healthy(answers) & (together == name))),
            _figures(answers.of(together == name), frame[name]) if name in frame else {},
        )
        for name in sorted(set(names), key=_place)
    ]


def spread(groups: Sequence[Group], figure: str) -> float | None:
    """Largest difference of a figure between two groups that are not too small; None where fewer than two have it."""
    values = [group.figures[figure].value for group in groups if figure in group.figures and group.name != UNSAID]
    return max(values) - min(values) if len(values) > 1 else None


def _frame(answers: Answers, names: np.ndarray, rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Group → figure → value by Fairlearn's MetricFrame (Bird et al., 2020)."""
    from fairlearn.metrics import MetricFrame

    healthy = _index(answers)

    def accuracy(truth: np.ndarray, told: np.ndarray) -> float:
        return evaluate.accuracy(np.asarray(truth), np.asarray(told))(np.arange(len(truth)))

    def balanced(truth: np.ndarray, told: np.ndarray) -> float:
        return evaluate.balanced_accuracy(np.asarray(truth), np.asarray(told))(np.arange(len(truth)))

    def alarms(truth: np.ndarray, told: np.ndarray) -> float:
        return 1 - evaluate.recall(np.asarray(truth), np.asarray(told), healthy)(np.arange(len(truth)))

    frame = MetricFrame(
        metrics={ACCURACY: accuracy, BALANCED: balanced} | ({FALSE_ALARMS: alarms} if healthy >= 0 else {}),
        y_true=answers.truth[rows],
        y_pred=answers.answered[rows],
        sensitive_features=names[rows],
    )
    return {str(name): row.to_dict() for name, row in frame.by_group.iterrows()}


def _figures(inside: Answers, values: Mapping[str, float]) -> dict[str, Metric]:
    """The values that Fairlearn gives, with the intervals of whole groups of pictures; those of too few are left out."""
    healthy, called = _healthy(inside), inside.answered == _index(inside)
    found = scores.overall(inside)
    found[FALSE_ALARMS] = inside.bootstrap.share(~called, healthy)
    return {
        name: Metric(round(float(value), bootstrap.DIGITS), found[name].interval, found[name].count)
        for name, value in values.items()
        if np.isfinite(value) and found[name].count >= TOO_FEW
    }


def _index(answers: Answers) -> int:
    return list(answers.classes).index(HEALTHY) if HEALTHY in answers.classes else -1


def _healthy(answers: Answers) -> np.ndarray:
    return answers.truth == _index(answers)


def _name(picture: Picture, field: str, demographic: str) -> str:
    said = getattr(picture, field)
    if said is None:
        return UNSAID
    return f"{said} {ESTIMATED}" if demographic in picture.estimated else str(said)


def _place(name: str) -> tuple[bool, int, str]:
    """Where a group stands: in the order of `ORDER`, others by the alphabet, those of whom nothing is said last."""
    plain = name.removesuffix(ESTIMATED).strip()
    return name == UNSAID, ORDER.index(plain) if plain in ORDER else len(ORDER), name
