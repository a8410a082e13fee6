"""A run -> the sections of its report: sentences, tables and plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyzer import severity
from analyzer.artefact import BASELINE, EARNED, silence_reason
from analyzer.model_card import Metric, Metrics
from training.evaluation import scores
from training.evaluation.baselines import FOREST
from training.multilabel import figures
from training.multilabel.simple_methods import NOTHING
from training.reporting.document import Document, Plot, Section, Table
from training.reporting.report_tables import figure

if TYPE_CHECKING:
    from training.multilabel.multilabel_report import Run

TITLE = "Seven conditions of painted faces, and how severe each is"
MODEL = "the model"
SUMMARY = (
    EARNED,
    scores.MACRO_F1,
    figures.MICRO_F1,
    figures.MACRO_AUROC,
    figures.EXACT,
    figures.ELEMENTWISE,
    figures.SEVERITY_PRESENT,
    figures.MAE,
    figures.QWK,
    figures.SEVERITY,
)
PER_CONDITION = (
    scores.F1,
    scores.PRECISION,
    scores.RECALL,
    scores.AUROC,
    scores.AVERAGE_PRECISION,
    figures.SEVERITY_PRESENT,
    figures.QWK,
    figures.MAE,
)
PER_BATCH = (scores.MACRO_F1, figures.MICRO_F1, figures.EXACT, figures.ELEMENTWISE, figures.QWK, figures.FALSE_ALARMS)
DRAWN = (scores.MACRO_F1, EARNED, figures.ELEMENTWISE, figures.QWK)  # where methods are compared in a plot
EXPLAINED = (
    "Grad-CAM (Selvaraju et al., 2017) of each condition, in the pictures that have it of which the model is surest: the tint is "
    "strongest where the last maps of the backbone speak for it."
)


def document_of(run: Run, drawn: Mapping[str, Plot]) -> Document:
    """The report."""
    measured, card = run.card.metrics, run.card
    overall = {MODEL: measured.overall, **card.baselines}
    shown = [plot for name, plot in drawn.items() if name.startswith("explanation")]
    sections = [
        Section("Beside simple methods", [], [by_name("who answers", overall, SUMMARY)], [drawn["comparison"]]),
        Section("Conditions", [], [by_name("condition", measured.classes, PER_CONDITION)], [drawn["conditions"]]),
        Section("Severities", [_severities(run)], [], [drawn["severities"]]),
        Section("Generation batches", [], [_batches(run)], [drawn["batches"]]),
        *_folds(run),
        Section("Thresholds", [], [_thresholds(run)]),
        Section("Where the evidence lies", [EXPLAINED], [], shown),
        Section("Training", [], [], [drawn["history"]] if "history" in drawn else []),
        Section("What was odd in the data", [], [_oddities(run)]),
        Section("Settings", [f"Command: {run.command}"], [_settings(run.recipe)]),
        Section("What to keep in mind", [_parts(card.split.counts), *card.notes]),
    ]
    return Document(TITLE, list(lead(overall, silence_reason(card))), [one for one in sections if _says(one)])


def _parts(counts: Mapping[str, int]) -> str:
    return f"Pictures: {', '.join(f'{part} {count}' for part, count in counts.items())}."


def lead(overall: Mapping[str, Metrics], silence: str | None) -> Iterator[str]:
    """Whether the model beats those that do not look at skin, and what the service will do with it."""
    for name, found in ((scores.MACRO_F1, NOTHING), (scores.MACRO_F1, BASELINE), (EARNED, BASELINE), (EARNED, FOREST)):
        yield _beaten(name, found, overall[MODEL].get(name), overall[found].get(name))
    yield f"The service shows it as an experiment: {silence}" if silence else "The service will let it speak."


def by_name(head: str, rows: Mapping[str, Metrics], names: Sequence[str]) -> Table:
    """Figures of each row; columns that no row has are left out."""
    told = [name for name in names if any(name in one for one in rows.values())]
    return Table((head, *told), [(row, *(figure(one.get(name)) for name in told)) for row, one in rows.items()])


def _beaten(name: str, method: str, own: Metric | None, other: Metric | None) -> str:
    if own is None or other is None or own.interval is None or other.interval is None:
        return f"{name} could not be compared with {method}."
    told = f"{name} {figure(own)} against {figure(other)} of {method}"
    if own.interval[0] > other.interval[1]:
        return f"The model beats {method}, with intervals apart: {told}."
    if own.value > other.value:
        return f"The model is not clearly better than {method}, the intervals overlap: {told}."
    return f"The model does not beat {method}: {told}."


def _severities(run: Run) -> str:
    measured = run.card.metrics.overall
    return (
        f"Where a condition is there its severity is right in {figure(measured.get(figures.SEVERITY_PRESENT))} of the cases and off "
        f"by {figure(measured.get(figures.MAE))} grades on average; guessing among three grades is right in a third."
    )


def _batches(run: Run) -> Table:
    counts = Counter(run.answers.batches)
    rows = {
        f"{name}, {counts[name.removeprefix('batch ')]} pictures": one for name, one in run.card.metrics.groups.items()
    }
    table = by_name("test pictures of", rows, PER_BATCH)
    note = "Means are over the conditions that occur in the batch; the false-positive rate is of those that do not."
    return Table(table.head, table.rows, note)


def _folds(run: Run) -> Iterator[Section]:
    if not run.folds:
        return
    own, fold = run.folds[MODEL], np.asarray(run.fold)
    each = [figures.overall(own.of(fold == one)) for one in np.unique(fold)]
    told = [_spread(name, [one[name].value for one in each if name in one]) for name in SUMMARY]
    table = by_name("who answers, out of fold", {who: figures.overall(one) for who, one in run.folds.items()}, SUMMARY)
    spread = Table(("figure of the model", "mean of the folds", "standard deviation"), told)
    paragraph = (
        f"{len(each)} folds of {len(own.present)} pictures; each is answered by a head that did not learn from it."
    )
    yield Section("Folds", [paragraph], [table, spread])


def _spread(name: str, values: Sequence[float]) -> tuple[str, str, str]:
    return name, f"{np.mean(values):.2f}", f"{np.std(values, ddof=1):.2f}"


def _thresholds(run: Run) -> Table:
    limits = run.card.thresholds
    rows = [(name, f"{limits[severity.presence_threshold(name)]:.3f}") for name in run.answers.conditions]
    return Table(("condition", "is said to be there from"), rows, "Tuned on validation, for the best F1 of each.")


def _oddities(run: Run) -> Table:
    counts = Counter(one.code for one in run.pictures.found.oddities)
    return Table(("what", "how often"), [(code, str(count)) for code, count in counts.most_common()])


def _settings(recipe: Mapping[str, object]) -> Table:
    return Table(("setting", "value"), [(name, str(value)) for name, value in recipe.items()])


def _says(section: Section) -> bool:
    return bool(section.paragraphs or section.plots or any(table.rows for table in section.tables))
