"""Damaged picture files against the decoders: each is decoded or refused by name, soon, and no process dies of it.

Run:     python -m benchmarks.fuzz [--count 20000] [--first 0] [--processes 2]
Cost:    about two minutes for 20,000 files on two cores.
Expects: no outcome but a decoded picture or a refusal (BadPhoto), and at most 5 s for a file.

Every file has a number and can be made again from it: `--first NUMBER --count 1` repeats one file, `--first NUMBER` goes on
where a run was stopped. The decoders run in child processes, so that one that dies or hangs is an outcome, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

from analyzer import photo
from analyzer.errors import BadPhoto
from benchmarks import damaged_pictures, dataset, figures
from benchmarks.damaged_pictures import damaged

COUNT = 20_000
BATCH = 1000  # files that one child process decodes
LIMIT_S = 5.0  # seconds for one file
START_S = 60.0  # seconds for the start of a child process
MIN_SHORT_SIDE = 1000  # px, as the service decodes first
DECODED, DIED, HANGS = "decoded", "the process died", "hangs"
REFUSED = ("bad_image", "truncated_image", "unsupported_type", "too_many_pixels")


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        number: from which the file can be made again.
        kind: of the undamaged picture.
        result: ``"decoded"``, the code of the refusal, or what went wrong.
        seconds: time of the decoding.
    """

    number: int
    kind: str
    result: str
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.result in (DECODED, *REFUSED) and self.seconds <= LIMIT_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=COUNT, help="number of files")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    last = options.first + options.count
    batches = [range(first, min(first + BATCH, last)) for first in range(options.first, last, BATCH)]
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.processes) as pool:
        for batch in pool.map(run_batch, batches):
            outcomes += batch
            print(f"{len(outcomes)} of {options.count} files", flush=True)
    sys.exit(report(outcomes))


def report(outcomes: list[Outcome]) -> int:
    """Print and write the table; return the exit status."""
    rows = table(outcomes)
    figures.print_table(rows)
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in bad:
        print(f"--first {outcome.number} --count 1: {outcome.kind}, {outcome.result}, {outcome.seconds:.1f} s")
    print(f"\n{len(outcomes)} files, {len(bad)} neither decoded nor refused within {LIMIT_S:g} s (target 0)")
    print(f"written to {dataset.write('fuzz', {'rows': rows, 'bad': [vars(outcome) for outcome in bad]})}")
    return 1 if bad else 0


def table(outcomes: list[Outcome]) -> list[dict[str, object]]:
    """Return the counts of results by kind, with the slowest file of each in ms."""
    results = [*REFUSED, *sorted({outcome.result for outcome in outcomes} - {DECODED, *REFUSED})]
    rows: list[dict[str, object]] = []
    for kind in [*sorted({outcome.kind for outcome in outcomes}), "all"]:
        chosen = [outcome for outcome in outcomes if kind in (outcome.kind, "all")]
        counts = Counter(outcome.result for outcome in chosen)
        slowest = max((outcome.seconds for outcome in chosen), default=0.0)
        columns = {result: counts[result] for result in (DECODED, *results)}
        rows.append({"kind": kind, "files": len(chosen), **columns, "slowest_ms": round(1000 * slowest)})
    return rows


def run_batch(numbers: range) -> list[Outcome]:
    """Decode files in a child process; where it dies or hangs, go on behind that file in another one."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(numbers):
        outcomes += _run_child(numbers[len(outcomes) :])
    return outcomes


def _run_child(numbers: range) -> list[Outcome]:
    """Return the outcomes up to the first file at which the child process dies or hangs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_decode_all, args=(numbers, theirs), daemon=True)
    child.start()
    theirs.close()
    outcomes: list[Outcome] = []
    try:
        for number in numbers:
            outcomes.append(_receive(ours, number, START_S if number == numbers[0] else 2 * LIMIT_S))
            if outcomes[-1].result in (DIED, HANGS):
                break
    finally:
        child.kill()
        child.join()
    return outcomes


def _receive(connection: Connection, number: int, patience_s: float) -> Outcome:
    started = time.monotonic()
    try:
        if connection.poll(patience_s):
            outcome: Outcome = connection.recv()
            return outcome
        result = HANGS
    except EOFError:
        result = DIED
    return Outcome(number, damaged(number)[0], result, time.monotonic() - started)


def _decode_all(numbers: range, connection: Connection) -> None:
    damaged_pictures.whole()
    for number in numbers:
        connection.send(decode(number))


def decode(number: int) -> Outcome:
    """Decode the damaged file of a number as the service does."""
    kind, data = damaged(number)
    started = time.perf_counter()
    try:
        photo.decode(data, min_short_side=MIN_SHORT_SIDE)
        result = DECODED
    except BadPhoto as refusal:
        result = refusal.code
    except Exception as error:
        result = type(error).__name__
    return Outcome(number, kind, result, time.perf_counter() - started)


if __name__ == "__main__":
    main()
