"""Photos per second of batch_analyze: one process, then Ray with 1, 2, … workers of one CPU each; the same photos, machine, run.

Run:     .venv-training/bin/python -m benchmarks.batch [--photos 96] [--rounds 2] [--workers 1,2]
Cost:    about ten minutes on two quiet cores.
Expects: with two workers on two quiet cores at least 1.8 times the photos per second of one; the rows are the same.

Needs make train-env RAY=1. Photos are held-out ones of the data folder, half selfies of full size (skin_defects), half small
portraits (utkface), in a drawn order; their copies lie in a folder for the time of the run. The ways take turns, so that a busy
spell of the machine meets all of them. Counted is the time from the first rows to the last, without what came with the first: what
Ray, actors and model cost to start is told beside it, once for a run however long it is. Processor time is that of the process that
scored a photo, the mean of all of a kind: a busy machine lengthens it little, so that it is what costs are reckoned with.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from training import cluster, command

KINDS = {"selfies": "skin_defects/*/*/front.jpg", "portraits": "utkface/*.jpg"}
TARGET = 1.8  # times as many photos per second with two workers
HERE = "one process"
SEED = 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=command.counted, default=96, help="(default %(default)s)")
    parser.add_argument("--rounds", type=command.counted, default=2, help="(default %(default)s)")
    parser.add_argument("--workers", type=numbers, default=(1, 2), help="of Ray, one after the other (default 1,2)")
    options = parser.parse_args()
    os.environ.update(cluster.threads(1))  # before anything of the analyzer is imported
    from benchmarks import dataset

    with tempfile.TemporaryDirectory() as folder:
        count = archive(Path(folder), options.photos)
        with cluster.opened(Namespace(ray=True, ray_address=None, cpus=1)) as pool:
            runs = measured(Path(folder), pool, options.workers, options.rounds)
    table = {"cores": os.cpu_count(), "photos": count, "ways": {name: summed(held) for name, held in runs.items()}}
    print_table(table)
    print(f"written to {dataset.write('batch', table)}")


def numbers(text: str) -> tuple[int, ...]:
    """Counts of workers, separated by commas, as an option's type."""
    return tuple(command.counted(part) for part in text.split(","))


def archive(folder: Path, photos: int) -> int:
    """Links to photos of each kind, named in a drawn order; how many."""
    import numpy as np

    from benchmarks import dataset

    rng = np.random.default_rng(SEED)
    chosen: list[tuple[str, Path]] = []
    for kind, pattern in KINDS.items():
        found = [path for path in dataset.pictures(pattern) if dataset.held_out(path)]
        chosen += [(kind, found[place]) for place in rng.permutation(len(found))[: photos // len(KINDS)]]
    for place, index in enumerate(rng.permutation(len(chosen))):
        kind, path = chosen[index]
        (folder / f"{place:05} {kind}{path.suffix}").symlink_to(path.resolve())
    return len(chosen)


def measured(folder: Path, pool: Any, workers: Sequence[int], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Way → what each round took."""
    from training.scoring import archive as archives
    from training.scoring import scoring_on_ray
    from training.scoring.archive import Archive
    from training.scoring.scorer import Job, Scorer

    where = Archive(str(folder))
    photos = archives.photos(where)
    here = Scorer(where)
    here(photos[0])  # warms up
    job = Job(where, here.version)

    def on_ray(count: int) -> Iterator[dict[str, Any]]:
        pool.places = count
        return scoring_on_ray.rows(job, photos, pool)

    ways: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {HERE: lambda: map(here, photos)}
    ways |= {f"Ray, {count} workers": lambda count=count: on_ray(count) for count in workers}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    told: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name, rows in ways.items():
            run, answers = timed(rows())
            found[name].append(run)
            print(
                f"{name}: {run['photos_per_s']:.2f} photos per second, the first after {run['first_s']:.0f} s",
                flush=True,
            )
            same(told.setdefault("rows", answers), answers)
    return found


def timed(rows: Iterator[dict[str, Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """How fast rows come, and these, without how long each took."""
    begun, arrivals, answers = time.perf_counter(), [], {}
    cpu_s: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for row in rows:
        arrivals.append(time.perf_counter() - begun)
        cpu_s[Path(row["path"]).stem.split()[1]].append(row["cpu_ms"] / 1000)
        answers[row["path"]] = {name: value for name, value in row.items() if not name.endswith("_ms")}
    together = sum(one - arrivals[0] < 0.05 for one in arrivals)  # what came with the first
    run = {
        "seconds": arrivals[-1],
        "first_s": arrivals[0],
        "photos_per_s": (len(arrivals) - together) / (arrivals[-1] - arrivals[0]),
        **{kind: statistics.fmean(held) for kind, held in cpu_s.items()},
    }
    return run, answers


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Every way gives the same rows, or the table is worth nothing."""
    different = [path for path in one if one[path] != other.get(path)]
    if different or len(one) != len(other):
        raise SystemExit(f"rows differ: {len(different)}, such as {different[:1]}")


def summed(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Median of the rounds, and their ends."""
    figures = {name: [run[name] for run in runs] for name in runs[0]}
    return {name: [statistics.median(held), min(held), max(held)] for name, held in figures.items()}


def ranged(figures: Sequence[float]) -> str:
    """Median, lowest and highest."""
    middle, low, high = figures
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def print_table(table: dict[str, Any]) -> None:
    print(f"\n{table['photos']} photos, {table['cores']} cores, load of the machine {os.getloadavg()[0]:.1f}\n")
    heads = ["photos per second", *(f"processor s, {kind}" for kind in KINDS), "first rows after, s"]
    print(f"{'':16}" + "".join(f"{head:>26}" for head in heads))
    for name, way in table["ways"].items():
        print(f"{name:16}" + "".join(f"{ranged(way[kind]):>26}" for kind in ("photos_per_s", *KINDS, "first_s")))
    print(f"\nthis process took at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB of memory")
    rates = {name: way["photos_per_s"][0] for name, way in table["ways"].items()}
    if {"Ray, 1 workers", "Ray, 2 workers"} <= rates.keys():
        ratio = rates["Ray, 2 workers"] / rates["Ray, 1 workers"]
        verdict = "met" if ratio >= TARGET else "missed"
        print(f"two workers are {ratio:.2f} times as fast as one: the target of {TARGET} is {verdict}")


if __name__ == "__main__":
    command.run(main)
