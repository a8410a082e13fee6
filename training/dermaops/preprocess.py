"""Stage 2: a folder of HAM10000 -> its data-quality report, the parts of every picture, and colour and texture of each."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import photo, preprocessing
from analyzer.errors import AnalyzerError
from analyzer.settings import CORES
from training import command, weights
from training.command import BadInput
from training.data import duplicates, tables
from training.data.download import sha256_of
from training.data.pictures import Picture, Problem
from training.dermaops import checkpoints, ingest, lesions, quality
from training.dermaops.ingest import TOLD_PROBLEMS
from training.dermaops.lesions import NETWORK, Lesions
from training.dermaops.quality import Quality
from training.dermaops.settings import SPLITS, Settings
from training.evaluation import baselines
from training.reporting import document

VERSION = 2  # of what is made here


def inputs(settings: Settings) -> str:
    seen = sorted(weights.seen(settings.weights))
    return checkpoints.fingerprint(VERSION, settings.seed, settings.limit, settings.split, seen)


def run(settings: Settings) -> Sequence[Path]:
    """Measure the table, read every picture once, and deal the pictures to their parts.

    Raises:
        BadInput: no picture can be read, or a diagnosis cannot reach every part.
    """
    folder = Path(json.loads(settings.ingested.read_text(encoding="utf-8"))["folder"])
    pictures, _ = ingest.read(folder)
    chosen = lesions.limited([replace(one, label=one.kind) for one in pictures], settings.limit, settings.seed)
    kept, digests, colours, unreadable = seen_once(chosen)
    for problem in unreadable[:TOLD_PROBLEMS]:
        print(problem, file=sys.stderr)
    rows, left_out = rows_of(folder, {one.path.stem for one in pictures})
    chosen_rows = [rows[one.path.stem] for one in chosen]
    report(quality.measured(chosen_rows, digests, left_out, len(unreadable)), settings.quality)
    known = weights.seen(settings.weights)
    tied = together(kept, digests)
    parts = {way: lesions.parted(tied, way, settings.seed) for way in SPLITS}
    seen = [row for row, digest in enumerate(digests) if digest in known]
    parts[NETWORK] = lesions.parted(tied, settings.split, settings.seed, seen)
    lesions.written(Lesions(tied, digests, parts), settings.lesions)
    with command.whole(settings.colours) as path:
        np.save(path, colours)
    return [settings.quality, settings.lesions, settings.colours]


def seen_once(pictures: Sequence[Picture]) -> tuple[list[Picture], list[str], NDArray[np.float32], list[Problem]]:
    """The pictures that can be read, their sha256, (N, 59) colour and texture, and what cannot be read."""
    kept, digests, colours, problems = [], [], [], []
    with ThreadPoolExecutor(CORES) as pool:
        answers = pool.map(_measured, pictures)
        for one, answer in zip(pictures, command.progress(answers, len(pictures), "pictures read"), strict=True):
            if isinstance(answer, Problem):
                problems.append(answer)
                continue
            kept.append(one)
            digests.append(sha256_of(one.path))
            colours.append(answer)
    if not kept:
        raise BadInput(f"none of {len(pictures)} pictures can be read, the first: {problems[0]}")
    return kept, digests, np.stack(colours), problems


def together(pictures: Sequence[Picture], digests: Sequence[str]) -> list[Picture]:
    """The pictures with one group for lesions of which the very same file is there."""
    ties = duplicates.ties_of([one.group for one in pictures]) + duplicates.ties_of(list(digests))
    firsts = duplicates.united(len(pictures), ties).tolist()
    return [replace(one, group=pictures[first].group) for one, first in zip(pictures, firsts, strict=True)]


def rows_of(folder: Path, images: Collection[str]) -> tuple[dict[str, dict[str, str]], int]:
    """The first row of the table about each of these pictures, and how many rows are of no use."""
    rows: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    count = 0
    for _, row in tables.rows_of(folder / "HAM10000_metadata.csv", quality.COLUMNS, problems):
        count += 1
        if row["image_id"] in images:
            rows.setdefault(row["image_id"], row)
    return rows, count + len(problems) - len(rows)


def report(found: Quality, to: Path) -> None:
    """Write the data-quality report, and print it."""
    with command.whole(to) as path:
        path.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    print(document.text(quality.table(found)), document.text(quality.distribution(found)), sep="\n\n", flush=True)


def _measured(one: Picture) -> NDArray[np.float32] | Problem:
    try:
        rgb = photo.decode(one.path.read_bytes()).rgb
    except (AnalyzerError, OSError) as error:
        return Problem(one.path, f"expected a whole picture: {error}; left out")
    return baselines.colour_and_texture(preprocessing.middle(rgb))
