"""Figures of a run -> plots that colour-blind people can read, each a matplotlib figure of its own, without any global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer.model_card import Metric, Metrics
from training.command import whole
from training.evaluate import ECE_BINS, TOO_FEW
from training.evaluation.fairness import Group
from training.evaluation.scores import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
# Okabe & Ito's colours without their yellow, which vanishes on white; lines differ in their dashes too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], "#767676"
NAME_WIDTH = 18  # characters of a line of a name
SHEET_COLUMNS, SHEET_MOST = 4, 20


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=0.15)
    with whole(path) as unfinished:
        unfinished.write_bytes(drawn.getvalue())
    return path


def confusion(counts: NDArray[np.intp], classes: Sequence[str]) -> Figure:
    """Truth by answer: counts, and shares of each class."""
    side = max(3.2, 0.75 * len(classes) + 1.2)
    figure = _figure(2 * side + 1.5, side + 0.8)
    given = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, given, out=np.zeros(counts.shape), where=given > 0)
    texts = ([[str(count) for count in row] for row in counts], [[_hundredths(one) for one in row] for row in shares])
    for axes, title, text in zip(
        figure.subplots(1, 2), ("pictures", "share of the pictures of each class"), texts, strict=True
    ):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            told = text[row][column] if given[row, 0] else "–"
            axes.text(
                column, row, told, ha="center", va="center", color="white" if shares[row, column] > 0.55 else "black"
            )
        names = [_named(name) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), names)
        axes.set(xlabel="answered", ylabel="truth", title=title)
    return figure


def ranking(answers: Answers, classes: Mapping[str, Metrics]) -> Figure:
    """ROC and precision-recall curve of each class against all others."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure = _figure(11, 5.2)
    roc, precise = figure.subplots(1, 2)
    for index, name in enumerate(answers.classes):
        positive = answers.truth == index
        if answers.shares is None or not positive.any() or positive.all():
            continue
        style = _style(index)
        away, found, _ = roc_curve(positive, answers.shares[:, index])
        roc.plot(away, found, **style, label=f"{_plain(name)}: {_told(classes[name].get('AUROC'))}")
        exact, found, _ = precision_recall_curve(positive, answers.shares[:, index])
        label = f"{_plain(name)}: {_told(classes[name].get('average precision'))}"
        precise.plot(found, exact, **style, label=label, drawstyle="steps-post")
    roc.plot([0, 1], [0, 1], color=GREY, lw=1)
    roc.set(xlabel="false-positive rate", ylabel="recall", title="ROC, area under the curve")
    precise.set(xlabel="recall", ylabel="precision", title="precision and recall, average precision", ylim=(0, 1.03))
    for axes in (roc, precise):
        _legend(axes, "lower right" if axes is roc else "upper right")
    return figure


def reliability(truth: NDArray[np.intp], ways: Mapping[str, tuple[NDArray[np.float64], Metric]]) -> Figure:
    """How often the most probable class is right, against how probable it is said to be.

    Args:
        truth: (N,) index of the class.
        ways: what is drawn → (N, C) probabilities, and their expected calibration error.
    """
    figure = _figure(11, 5.2)
    for axes, (title, (shares, error)) in zip(
        figure.subplots(1, len(ways), squeeze=False)[0], ways.items(), strict=True
    ):
        top, right = shares.max(axis=1), shares.argmax(axis=1) == truth
        bins = np.minimum((top * ECE_BINS).astype(int), ECE_BINS - 1)
        counts = np.bincount(bins, minlength=ECE_BINS)
        held = counts > 0
        said, was = (np.bincount(bins, one, ECE_BINS)[held] / counts[held] for one in (top, right))
        axes.bar(
            np.arange(ECE_BINS) / ECE_BINS, counts / counts.sum(), 0.1, align="edge", color="#D5E5F0", edgecolor="white"
        )
        axes.plot([0, 1], [0, 1], color=GREY, lw=1)
        axes.plot(said, was, color=BLUE, lw=2)
        for many, face in ((counts[held] >= TOO_FEW, BLUE), (counts[held] < TOO_FEW, "white")):
            axes.plot(said[many], was[many], "o", color=BLUE, markerfacecolor=face)
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="probability of the answer", ylabel="share of right answers")
        axes.set_title(f"{title}: calibration error {_told(error)}")
    figure.text(
        0.5,
        -0.02,
        f"Pale bars: share of the pictures. Hollow: fewer than {TOO_FEW} of them. On the grey line probabilities come true.",
        ha="center",
    )
    return figure


def history(
    rows: Sequence[Mapping[str, object]], names: Sequence[str] = ("loss", "accuracy"), highest: str | None = None
) -> Figure:
    """Some figures of each epoch, where they are there, on training and validation pictures.

    Args:
        highest: figure on validation whose best epoch is marked; the least loss where None.
    """
    shown = [name for name in names if any({name, f"val_{name}"} & row.keys() for row in rows)]
    figure = _figure(5.5 * max(1, len(shown)), 4.2)
    for axes, name in zip(figure.subplots(1, max(1, len(shown)), squeeze=False)[0], shown, strict=False):
        for key, label, colour, dashes in ((name, "training", BLUE, "-"), (f"val_{name}", "validation", ORANGE, "--")):
            values = [float(row[key]) if row.get(key) is not None else np.nan for row in rows]  # type: ignore[arg-type]
            if np.isnan(values).all():
                continue
            axes.plot(
                np.arange(1, len(rows) + 1), values, dashes, color=colour, lw=2, label=label, marker=_marker(rows)
            )
        axes.set(xlabel="epoch", title=name)
        axes.grid(alpha=0.3)
        _legend(axes, "best")
    best = _best(rows, highest)
    for axes in figure.axes if best is not None else ():
        axes.axvline(best, color=GREY, lw=1, linestyle=":")
        what = f"highest {_plain(highest)} on validation" if highest else "least validation loss"
        axes.set_xlabel(f"epoch (dotted: {what}, {best})")
    return figure


def dots(rows: Mapping[str, Metrics], figures: Sequence[str], *, title: str = "") -> Figure:
    """Figures with their intervals, one panel each, one line for each row; "too few" where a row has none."""
    names = list(rows)
    figure = _figure(3.6 * len(figures) + 2.2, 0.36 * len(names) + 1.3)
    for place, (axes, name) in enumerate(
        zip(figure.subplots(1, len(figures), squeeze=False, sharey=True)[0], figures, strict=True)
    ):
        for row, held in enumerate(rows.values()):
            _dot(axes, row, held.get(name), bool(held))
        drawn = [
            end
            for held in rows.values()
            if (one := held.get(name)) and one.interval
            for end in (one.value, *one.interval)
        ]
        limits = min([0.0, *drawn]) - 0.02, max([1.0, *drawn]) + 0.02  # kappa may be below 0, an error above 1
        axes.set(title=_plain(name), xlim=limits, ylim=(len(names) - 0.4, -0.6))
        axes.set_yticks(range(len(names)), [_plain(one) for one in names] if not place else None)
        axes.grid(axis="x", alpha=0.3)
    if title:
        figure.suptitle(title)
    return figure


def groups(tables: Mapping[str, Sequence[Group]], figure_name: str) -> Figure:
    """One figure of every group of every attribute."""
    rows = {f"{attribute}: {one.name} ({one.count})": one.figures for attribute, held in tables.items() for one in held}
    return dots(rows, [figure_name])


def sheet(crops: Sequence[NDArray[np.uint8]], titles: Sequence[str]) -> Figure:
    """Pictures in a grid, at most `SHEET_MOST`, each with its lines of text above it."""
    crops, titles = crops[:SHEET_MOST], titles[:SHEET_MOST]
    lines = -(-len(crops) // SHEET_COLUMNS)
    figure = _figure(2.1 * SHEET_COLUMNS, 2.6 * lines)
    cells = figure.subplots(lines, SHEET_COLUMNS, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, crop, title in zip(cells, crops, titles, strict=False):
        axes.imshow(crop)
        axes.set_title(_plain(title), fontsize=7, loc="left")
    return figure


def _figure(width: float, height: float) -> Figure:
    """Inches; laid out so that nothing overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _dot(axes: Axes, row: int, metric: Metric | None, counted: bool) -> None:
    if metric is None or metric.interval is None:
        axes.text(0.02, row, "–" if counted else "too few", va="center", color=GREY)
        return
    axes.plot(metric.interval, [row, row], color=BLUE, lw=2, solid_capstyle="butt")
    axes.plot(metric.value, row, "o", color=BLUE)


def _style(index: int) -> dict[str, object]:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[(index + index // len(COLOURS)) % len(DASHES)],
        "lw": 1.8,
    }


def _legend(axes: Axes, place: str) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc=place, fontsize=8, framealpha=0.85)


def _marker(rows: Sequence[object]) -> str:
    return "o" if len(rows) < 3 else ""  # a line of one epoch is not seen


def _best(rows: Sequence[Mapping[str, object]], highest: str | None) -> int | None:
    """Epoch with the least validation loss, or the highest value of another figure."""
    key, sign = (f"val_{highest}", -1) if highest else ("val_loss", 1)
    told = [(sign * float(row[key]), place) for place, row in enumerate(rows, 1) if row.get(key) is not None]  # type: ignore[arg-type]
    return min(told)[1] if told else None


def _told(metric: Metric | None) -> str:
    return "not measured" if metric is None else f"{metric.value:.2f}"


def _hundredths(share: float) -> str:
    return f"{share:.2f}"


def _named(name: str) -> str:
    return fill(_plain(name), NAME_WIDTH)


def _plain(text: str) -> str:
    """Without what matplotlib would read as a formula."""
    return text.replace("_", " ").replace("$", r"\$")
