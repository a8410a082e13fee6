"""A finished run -> its folder: settings, split, history, figures, predictions, plots, and a report to read.

config.json  split.json  history.csv  metrics.json  predictions.csv  plots/*.png  report.md  report.html
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import EARNED, probabilities
from training.command import whole
from training.data.pictures import Picture
from training.evaluation import scores
from training.evaluation.scores import ACCURACY, BALANCED
from training.reporting import document, findings, plots, report_json, report_tables, report_text
from training.reporting.document import Plot
from training.reporting.findings import Findings, Run

__all__ = ["Run", "write"]
CONFIG, SPLIT, HISTORY, METRICS = "config.json", "split.json", "history.csv", "metrics.json"
PREDICTIONS, PLOTS, MARKDOWN, HTML = "predictions.csv", "plots", "report.md", "report.html"


def write(run: Run, folder: Path) -> dict[str, Any]:
    """Measure a run and write its folder; every file is there as a whole or not at all.

    Args:
        run: what was answered.
        folder: made where it is missing; files of an earlier report are replaced.

    Returns:
        What metrics.json holds.
    """
    found = findings.measured(run)
    figures = report_json.as_json(found, run)
    _text(folder / CONFIG, _json(_config(run)))
    _text(folder / METRICS, _json(figures))
    _text(folder / PREDICTIONS, _predictions(run))
    _text(folder / HISTORY, _history(run.history))
    if run.split is not None and run.split.resolve() != (folder / SPLIT).resolve():
        with whole(folder / SPLIT) as unfinished:
            shutil.copyfile(run.split, unfinished)
    told = report_text.document(run, found, _plots(run, found, folder / PLOTS))
    _text(folder / MARKDOWN, document.markdown(told, folder))
    _text(folder / HTML, document.html(told))
    print(
        f"\n{document.text(report_tables.of_targets(found.targets))}\n\n{told.lead[0]}\nReport: {folder / HTML}",
        flush=True,
    )
    return figures


def _config(run: Run) -> Mapping[str, Any]:
    return report_json.plain({"title": run.title, "command": run.command, "classes": run.classes, **run.config})


def _plots(run: Run, found: Findings, folder: Path) -> dict[str, Plot]:
    """Name → plot, drawn into the folder."""
    compared = [EARNED, BALANCED, ACCURACY]
    drawn = {
        "comparison": (plots.dots(found.overall, compared), "The model beside simple methods, with 95 % intervals."),
        "confusion": (
            plots.confusion(found.confusion, run.classes),
            "What was answered (columns) to pictures of each class (rows).",
        ),
        "classes": (
            plots.dots(found.classes, [scores.RECALL, scores.PRECISION, scores.FALSE_POSITIVES]),
            "Each class against all others, with 95 % intervals.",
        ),
        "ranking": (
            plots.ranking(found.answers, found.classes),
            "ROC and precision-recall curves of each class against all others.",
        ),
        "reliability": (
            _reliability(run, found),
            "How often the answer is right, against its probability, before and after the temperature.",
        ),
    }
    if found.people:
        drawn["people"] = (
            plots.groups(found.people, ACCURACY),
            "Accuracy of groups of people, number of pictures in brackets.",
        )
    if len(found.worst):
        drawn["worst"] = (_sheet(run, found), "The most confident mistakes: truth, then answer and its probability.")
    if any("loss" in row for row in run.history):
        whose = f" of {run.history_of}" if run.history_of else ""
        drawn["history"] = (plots.history(run.history), f"Loss and accuracy{whose} over the epochs.")
    saved = {name: Plot(plots.save(figure, folder / f"{name}.png"), text) for name, (figure, text) in drawn.items()}
    return saved | _explanations(run, folder)


def _reliability(run: Run, found: Findings) -> Any:
    ways = {"before": probabilities(run.logits, 1.0), "after": run.shares}
    return plots.reliability(found.answers.truth, {when: (one, found.calibration[when]) for when, one in ways.items()})


def _sheet(run: Run, found: Findings) -> Any:
    truth, answered = found.answers.truth, found.answers.answered
    titles = [
        f"is {run.classes[truth[row]]}\nanswer: {run.classes[answered[row]]}, {run.shares[row].max():.2f}"
        for row in found.worst
    ]
    return plots.sheet([run.crops[row] for row in found.worst], titles)


def _explanations(run: Run, folder: Path) -> dict[str, Plot]:
    """Those that lie elsewhere are copied."""
    answer, home = {}, folder.parent.resolve()
    for place, path in enumerate(run.explanations):
        inside = path.resolve().is_relative_to(home)
        kept = folder.parent / path.resolve().relative_to(home) if inside else folder / path.name
        if not inside:
            with whole(kept) as unfinished:
                shutil.copyfile(path, unfinished)
        answer[f"explanation {place}"] = Plot(kept, path.stem.replace("_", " "))
    return answer


def _predictions(run: Run) -> str:
    """CSV of every test picture, and of the validation pictures where they are given."""
    parts = run.parts or ["test"] * len(run.pictures)
    blocks = [(run.pictures, parts, run.truth, run.shares)]
    if run.pictures_validation:
        shares = probabilities(run.logits_validation, run.temperature)
        blocks.append((run.pictures_validation, ["validation"] * len(shares), run.truth_validation, shares))
    root = run.root or _common([one.path for pictures, *_ in blocks for one in pictures])
    rows = [row for block in blocks for row in _rows(run, root, *block)]
    head = ["path", "source", "part", "truth", "answer", *(f"probability of {name}" for name in run.classes)]
    return _csv(head, rows)


def _rows(
    run: Run,
    root: Path,
    pictures: Sequence[Picture],
    parts: Sequence[str],
    truth: NDArray[np.intp],
    shares: NDArray[np.float64],
) -> list[list[str]]:
    return [
        [
            _relative(one.path, root),
            one.source,
            part,
            run.classes[right],
            run.classes[share.argmax()],
            *(f"{value:.6f}" for value in share),
        ]
        for one, part, right, share in zip(pictures, parts, truth, shares, strict=True)
    ]


def _history(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, [[str(row.get(name, "")) for name in names] for row in rows])


def _csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return written.getvalue()


def _common(paths: Sequence[Path]) -> Path:
    """The folder that holds all of them."""
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))


def _relative(path: Path, root: Path) -> str:
    """As POSIX writes it; the bare name of a file that lies elsewhere, since no path of this machine is told."""
    inside = path.absolute()
    return inside.relative_to(root.absolute()).as_posix() if inside.is_relative_to(root.absolute()) else path.name


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False, allow_nan=False) + "\n"


def _text(path: Path, text: str) -> None:
    with whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
