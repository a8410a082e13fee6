"""Measured lines -> compression.md and compression.json, and the same on the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from analyzer.artefact import EARNED
from analyzer.model_card import Metric
from training import command
from training.compressing.compression_measure import Line
from training.compressing.quantisation import WILD, Layer
from training.evaluation.scores import BALANCED

HEADER = (
    "network",
    EARNED,
    BALANCED,
    "same class as before",
    "mean shift of a probability",
    "golden pictures differ by",
    "MB to serve",
    "ms a picture",
    "times as fast",
    "",
)


def write(lines: Sequence[Line], out: Path, pictures: int) -> None:
    """Write and print the table; `pictures` is the number of test pictures behind it."""
    rows = [row(line) for line in lines]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADER, ["---"] * len(HEADER), *rows))
    told = (
        f"# Compression\n\nAccuracy on {pictures} test pictures, with 95 % intervals over whole groups; the same class as before on "
        "the validation pictures; golden pictures are those that the service compares, with the limit of the card. Times are "
        f"medians of one picture on this machine, each network in turns with the one it came from.\n\n{text}\n"
    )
    with command.whole(out / "compression.md") as path:
        path.write_text(told, encoding="utf-8")
    document = [asdict(line) | {"passes": line.passes} for line in lines]
    with command.whole(out / "compression.json") as path:
        path.write_text(json.dumps({"test_pictures": pictures, "lines": document}, indent=1) + "\n", encoding="utf-8")
    print(told, flush=True)


def row(line: Line) -> list[str]:
    verdict = "passes" if line.passes else "refused"
    return [
        line.name,
        figure(line.figures.get(EARNED)),
        figure(line.figures.get(BALANCED)),
        "" if line.agreement is None else f"{line.agreement:.3f}",
        "" if line.shift is None else f"{line.shift:.3f}",
        f"{line.parity:.2g} (limit {line.tolerance:g}): {verdict}",
        f"{line.size_mb:.1f}",
        f"{line.ms:.1f}",
        f"{line.times_as_fast:.2f}",
        line.note,
    ]


def figure(found: Metric | None) -> str:
    """A figure with its interval."""
    if found is None:
        return "–"
    interval = "" if found.interval is None else f" ({found.interval[0]:.3f}–{found.interval[1]:.3f})"
    return f"{found.value:.3f}{interval}"


def tell_layers(layers: Sequence[Layer], path: Path) -> None:
    """Write how far the inputs of each layer vary, and tell of those that leave their usual range."""
    ordered = sorted(layers, key=lambda layer: -layer.spread)
    with command.whole(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["place", "backbones", "channels", "height", "width", "largest input over its median"])
        rows = ([one.place, " ".join(sorted(one.backbones)), *one.shape, f"{one.spread:.2f}"] for one in ordered)
        writer.writerows(rows)
    wild = [layer for layer in ordered if layer.spread >= WILD]
    if wild:
        print(
            f"{len(wild)} of {len(layers)} layers get inputs of {WILD:g} times their usual size or more on some calibration picture, "
            f"up to {wild[0].spread:.0f} times ({path})",
            flush=True,
        )
