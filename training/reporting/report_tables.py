"""Findings of a run -> the tables of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from analyzer.artefact import EARNED
from analyzer.model_card import Metric, Metrics
from training.evaluate import TOO_FEW
from training.evaluation import scores
from training.evaluation.fairness import FALSE_ALARMS, HEALTHY, Group
from training.evaluation.scores import ACCURACY, BALANCED, MACRO_F1, WEIGHTED_F1
from training.reporting.document import Table
from training.reporting.findings import HEALTHY_RECALL, Findings, Run
from training.reporting.mission import Target

SUMMARY = (EARNED, BALANCED, ACCURACY, MACRO_F1, WEIGHTED_F1)
PER_CLASS = (
    scores.RECALL,
    scores.PRECISION,
    scores.SPECIFICITY,
    scores.FALSE_POSITIVES,
    scores.F1,
    scores.AUROC,
    scores.AVERAGE_PRECISION,
)


def of_targets(targets: Sequence[Target]) -> Table:
    rows = [(one.figure, one.verdict, one.asked, figure(one.measured), _count(one.measured)) for one in targets]
    note = (
        f'"Met" says that the worse end of the interval meets the target too, on {TOO_FEW} pictures or more; "not shown", that only '
        "the figure itself does."
    )
    return Table(("target", "verdict", "asked", "measured (95 % interval)", "pictures"), rows, note)


def figure(metric: Metric | None) -> str:
    """A figure with its interval."""
    if metric is None or not np.isfinite(metric.value):
        return "–"
    return f"{metric.value:.2f}" + (f" ({metric.interval[0]:.2f}–{metric.interval[1]:.2f})" if metric.interval else "")


def signed(metric: Metric) -> str:
    interval = f" ({metric.interval[0]:+.2f} to {metric.interval[1]:+.2f})" if metric.interval else ""
    return f"{metric.value:+.2f}{interval}".replace("-", "−")


def of_sources(found: Findings, run: Run) -> Iterator[Table]:
    if found.matched is not None:
        names = [HEALTHY_RECALL, ACCURACY, BALANCED, MACRO_F1]
        rows = [
            (
                who,
                name,
                figure(found.matched.before[who].get(name)),
                figure(after.get(name)),
                _change(found.matched.changes[who], name),
            )
            for who, after in found.matched.after.items()
            for name in names
        ]
        head = ("who answers", "figure", "healthy faces as they are", "through the clinical crop", "change")
        yield Table(head, rows, "The change is measured draw by draw on the same pictures.")
    for attribute, held in found.pictures.items():
        yield of_groups(attribute, held)


def _change(changes: Metrics, name: str) -> str:
    return signed(changes[name]) if name in changes else "–"


def of_baselines(found: Findings) -> Table:
    rows = [(name, *(figure(figures.get(one)) for one in SUMMARY)) for name, figures in found.overall.items()]
    return Table(("who answers", *SUMMARY), rows)


def of_classes(found: Findings, run: Run) -> Table:
    counts = np.bincount(found.answers.truth, minlength=len(run.classes))
    rows = [
        (name, str(counts[index]), *(figure(found.classes[name].get(one)) for one in PER_CLASS))
        for index, name in enumerate(run.classes)
    ]
    return Table(
        ("class", "pictures", *PER_CLASS),
        rows,
        "Each class against all others. – cannot be told: without pictures, or never answered.",
    )


def of_groups(attribute: str, held: Sequence[Group]) -> Table:
    names = [name for name in (ACCURACY, BALANCED, FALSE_ALARMS) if any(name in one.figures for one in held)] or [
        ACCURACY
    ]
    rows = [
        (
            one.name,
            str(one.count),
            str(one.healthy),
            *(_figure_of_group(one, name) for name in names),
        )
        for one in held
    ]
    return Table((attribute, "pictures", f"of them {HEALTHY}", *names), rows)


def _figure_of_group(group: Group, name: str) -> str:
    few = group.too_few or (name == FALSE_ALARMS and 0 < group.healthy < TOO_FEW)
    return "too few" if few else figure(group.figures.get(name))


def of_mistakes(found: Findings, run: Run) -> Table:
    answers = found.answers
    rows = [
        (
            run.pictures[row].path.name,
            answers.sources[row],
            run.classes[answers.truth[row]],
            run.classes[answers.answered[row]],
            f"{run.shares[row].max():.2f}",
        )
        for row in found.worst
    ]
    return Table(("file", "source", "truth", "answer", "probability"), rows)


def of_candidates(candidates: Mapping[str, Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for figures in candidates.values() for name in figures))
    rows = [(who, *(_any_figure(figures.get(name)) for name in names)) for who, figures in candidates.items()]
    return Table(("candidate", *names), rows)


def _any_figure(value: Any) -> str:
    if value is None or isinstance(value, Metric):
        return figure(value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def of_settings(config: Mapping[str, Any]) -> Table:
    return Table(("setting", "value"), [(str(name), str(value)) for name, value in config.items()])


def _count(metric: Metric | None) -> str:
    return "–" if metric is None else str(metric.count)
