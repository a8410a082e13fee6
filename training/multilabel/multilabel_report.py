"""Everything that a run came to -> its folder: config.json, history.csv, metrics.json, predictions.csv, plots, report.md, report.html."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analyzer.model_card import ModelCard
from training.command import whole
from training.evaluation import scores
from training.multilabel import figures, multilabel_tables
from training.multilabel.figures import Answers
from training.multilabel.labelled import Pictures
from training.multilabel.multilabel_tables import DRAWN
from training.reporting import document, plots
from training.reporting.document import Plot
from training.reporting.report_json import plain
from training.resuming import Row

CONFIG, METRICS, HISTORY, PREDICTIONS = "config.json", "metrics.json", "history.csv", "predictions.csv"


@dataclass(frozen=True, eq=False)
class Run:
    """What a report is made of.

    Attributes:
        card: of the artefact: holds the figures of the test part.
        answers: of the network to the test pictures.
        folds: of the network and of simple methods to the pictures in the folds; empty without --folds.
        fold: of each of those pictures.
        history: rows of the training that was kept.
        explanations: condition → PNG.
    """

    command: str
    options: argparse.Namespace
    recipe: Mapping[str, object]
    pictures: Pictures
    card: ModelCard
    answers: Answers
    folds: Mapping[str, Answers]
    fold: Sequence[int]
    history: Sequence[Row]
    explanations: Mapping[str, Path]


def write(run: Run, folder: Path) -> None:
    """Write all of it; every file is there as a whole or not at all."""
    options = {name: str(value) for name, value in vars(run.options).items()}
    _json(folder / CONFIG, {"command": run.command, "recipe": run.recipe, **options})
    _json(folder / METRICS, as_json(run))
    _csv(folder / HISTORY, list(dict.fromkeys(name for row in run.history for name in row)), run.history)
    rows = predictions(run)
    _csv(folder / PREDICTIONS, list(rows[0]), rows)
    told = multilabel_tables.document_of(run, drawn(run, folder / "plots"))
    for name, text in (("report.md", document.markdown(told, folder)), ("report.html", document.html(told))):
        with whole(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    print(f"\n{document.text(told.sections[0].tables[0])}\n\n" + "\n".join(told.lead), flush=True)
    print(f"Report: {folder / 'report.html'}", flush=True)


def as_json(run: Run) -> Mapping[str, object]:
    """Plain numbers for programs."""
    measured = run.card.metrics
    return {
        "conditions": list(run.answers.conditions),
        "pictures": len(run.answers.present),
        "overall": plain(measured.overall),
        "per condition": plain(measured.classes),
        "per batch": plain(measured.groups),
        "baselines": plain(run.card.baselines),
        "thresholds": dict(run.card.thresholds),
        "severities": figures.severity_table(run.answers).tolist(),
        "folds": {who: plain(figures.overall(one)) for who, one in run.folds.items()},
        "notes": list(run.card.notes),
    }


def predictions(run: Run) -> list[dict[str, object]]:
    """A row for each test picture."""
    answers, found = run.answers, run.pictures
    assert answers.shares is not None
    rows = []
    for place, row in enumerate(found.rows["test"]):
        one = found.prepared.pictures[row]
        told: dict[str, object] = {
            "path": one.path.relative_to(found.found.home).as_posix(),
            "group": one.group,
            "batch": answers.batches[place],
        }
        for column, name in enumerate(answers.conditions):
            told[f"{name} severity"] = "" if (severity := answers.truth.severity[place, column]) < 0 else severity
            told[f"{name} probability"] = f"{answers.shares[place, column]:.6f}"
            told[f"{name} answered"] = int(answers.present[place, column])
            told[f"{name} severity answered"] = answers.severity[place, column]
        rows.append(told)
    return rows


def drawn(run: Run, folder: Path) -> dict[str, Plot]:
    """Name → plot, in the folder."""
    measured = run.card.metrics
    overall = {multilabel_tables.MODEL: measured.overall, **run.card.baselines}
    made = {
        "comparison": (plots.dots(overall, DRAWN), "The model beside simple methods, with 95 % intervals."),
        "conditions": (
            plots.dots(measured.classes, (scores.F1, scores.AUROC, figures.SEVERITY_PRESENT)),
            "Each condition, with 95 % intervals; severities where it is there.",
        ),
        "severities": (
            plots.confusion(figures.severity_table(run.answers), ("none", "1", "2", "3")),
            "Severity answered (columns) where each severity is labelled (rows), all conditions together.",
        ),
        "batches": (
            plots.dots(measured.groups, (scores.MACRO_F1, figures.EXACT)),
            "Each generation batch by itself, with 95 % intervals.",
        ),
    }
    if run.history:
        curves = plots.history(run.history, ("loss", "macro_f1"), highest="macro_f1")
        made["history"] = (curves, "Loss, and macro-F1 with the best threshold of each condition, over the epochs.")
    saved = {name: Plot(plots.save(figure, folder / f"{name}.png"), text) for name, (figure, text) in made.items()}
    return saved | {f"explanation {name}": Plot(path, name) for name, path in run.explanations.items()}


def _json(path: Path, value: Mapping[str, object]) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def _csv(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    written = io.StringIO()
    table = csv.DictWriter(written, names, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    with whole(path) as unfinished:
        unfinished.write_text(written.getvalue(), encoding="utf-8")
