"""Figures of a pipeline -> its plots: class distribution, what each phase learned from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.reporting.plots import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {  # title → keys of the history: colour and line, label; val_ is put before those of validation
    "loss": (("loss", BLUE, "class-weighed"),),
    "accuracy, classes weighed alike": (("accuracy", BLUE, ""),),
    "F1": (("macro_f1", BLUE, "macro"), ("weighted_f1", ORANGE, "weighted")),
}


def distribution(diagnoses: Mapping[str, int], lesions_of: Mapping[str, int]) -> Figure:
    """Pictures and lesions of each diagnosis, on a scale of powers of ten, each with its number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(diagnoses))
    for shift, counts, colour, name in ((-0.2, diagnoses, BLUE, "pictures"), (0.2, lesions_of, ORANGE, "lesions")):
        values = [counts[diagnosis] for diagnosis in diagnoses]
        bars = axes.bar(places + shift, values, 0.4, color=colour, label=name)
        axes.bar_label(bars, fontsize=8, padding=2)
    axes.set_xticks(places, list(diagnoses))
    axes.set(yscale="log", ylabel="number (log scale)", title="diagnoses")
    axes.set_ylim(1, max(diagnoses.values()) * 2)
    axes.legend(fontsize=8)
    return figure


def curves(phases: Mapping[str, Sequence[Mapping[str, float]]], chosen: str) -> Figure:
    """Loss, accuracy and F1 of each epoch, the phases one after the other with a line between them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        start = 0
        for rows in phases.values():
            epochs = np.arange(start + 1, start + len(rows) + 1)
            for key, colour, name in lines:
                for prefix, style, part in (("", "--", "training"), ("val_", "-", "validation")):
                    label = f"{part} {name}".strip() if not start else None
                    values = [row.get(prefix + key, np.nan) for row in rows]
                    marker = "o" if len(rows) < 3 else ""  # a line of one epoch is not seen
                    axes.plot(epochs, values, style, color=colour, lw=1.8, marker=marker, markersize=4, label=label)
            start += len(rows)
            if start < sum(map(len, phases.values())):
                axes.axvline(start + 0.5, color=GREY, lw=1, linestyle=":")
        axes.set(title=title, xlabel=f"epoch ({', then '.join(phases)}; kept: {chosen})")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, framealpha=0.85)
    return figure
