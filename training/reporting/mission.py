"""Figures with their intervals -> the targets of the mission, each met, not shown, not met, or not measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analyzer.model_card import Metric, Metrics
from training.evaluate import TOO_FEW
from training.evaluation.fairness import HEALTHY
from training.evaluation.scores import ACCURACY, FALSE_POSITIVES, PRECISION, RECALL

MET, NOT_SHOWN, NOT_MET, NOT_MEASURED = "met", "not shown", "not met", "not measured"
VERDICTS = (MET, NOT_SHOWN, NOT_MET, NOT_MEASURED)
LEAST_ACCURACY, LEAST_RECALL, LEAST_PRECISION, LEAST_HEALTHY = 0.85, 0.80, 0.90, 0.95
BELOW_FALSE_POSITIVES = 0.15
PRECISE = ("acne", "basal_cell_carcinoma")  # classes whose answers must be right


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        figure: what is asked of whom, such as ``"recall of acne"``.
        limit: that the figure must reach, or stay below.
        below: the figure must stay below the limit.
        measured: None where it cannot be told.
        verdict: `MET` only when the worse end of the interval meets the limit too and there are `TOO_FEW` cases or more behind
            it; `NOT_SHOWN` when only the figure itself does.
    """

    figure: str
    limit: float
    below: bool
    measured: Metric | None
    verdict: str

    @property
    def asked(self) -> str:
        return f"< {self.limit:.2f}" if self.below else f"≥ {self.limit:.2f}"


def targets(overall: Metrics, classes: Mapping[str, Metrics]) -> list[Target]:
    """All targets for these classes, in the order of the mission.

    Args:
        overall: figures of all pictures, as `scores.overall`.
        classes: of each class, as `scores.of_classes`.
    """
    return list(_targets(overall, classes))


def verdict(measured: Metric | None, limit: float, *, below: bool = False) -> str:
    """How a figure stands to its limit."""
    if measured is None or measured.interval is None:
        return NOT_MEASURED
    if not _reaches(measured.value, limit, below):
        return NOT_MET
    worse = measured.interval[1] if below else measured.interval[0]
    return MET if _reaches(worse, limit, below) and measured.count >= TOO_FEW else NOT_SHOWN


def _targets(overall: Metrics, classes: Mapping[str, Metrics]) -> Iterator[Target]:
    yield _target(f"overall {ACCURACY}", overall.get(ACCURACY), LEAST_ACCURACY)
    for name, figures in classes.items():
        if name != HEALTHY:
            yield _target(f"{RECALL} of {name}", figures.get(RECALL), LEAST_RECALL)
    for name in PRECISE:
        figures = classes.get(name, {})
        answered_never = RECALL in figures and PRECISION not in figures
        target = _target(
            f"{PRECISION} of {name}", figures.get(PRECISION) if RECALL in figures else None, LEAST_PRECISION
        )
        yield Target(target.figure, target.limit, False, None, NOT_MET) if answered_never else target
    yield _target(f"{RECALL} of {HEALTHY}", classes.get(HEALTHY, {}).get(RECALL), LEAST_HEALTHY)
    for name, figures in classes.items():
        present = figures.get(FALSE_POSITIVES) if RECALL in figures else None
        yield _target(f"{FALSE_POSITIVES} of {name}", present, BELOW_FALSE_POSITIVES, below=True)


def _target(figure: str, measured: Metric | None, limit: float, *, below: bool = False) -> Target:
    return Target(figure, limit, below, measured, verdict(measured, limit, below=below))


def _reaches(value: float, limit: float, below: bool) -> bool:
    return value < limit if below else value >= limit
