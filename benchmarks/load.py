"""Many clients at once: starts the service as in production, keeps every connection busy, watches errors, memory and open files.

Run:     python -m benchmarks.load [--connections 100] [--seconds 60] [--photos small|mix] [--soak SECONDS] [--naive FILE]
Cost:    the seconds given, and a few for start and stop. The clients share the machine with the service.
Expects: no answer but 200 and 503, and neither memory nor open files that grow.

--photos mix sends 640 × 480, 3 and 12 megapixels in turn. --soak goes on with half the clients for so long, in the same process. --naive
runs `benchmarks/naive` before and after the service, for half the seconds each, and says how many times as many answers the service gives;
FILE is a trained network as .keras, the command belongs to the training environment then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import clients, dataset, latency
from benchmarks.clients import Plan, Tally

START_S = 60  # for the first answer of /ready
STOP_S = 45  # from SIGTERM to the end of the process
NAIVE_ANSWER_S = 600.0  # its queue is as long as there are clients
PHOTOS = {"small": ("640x480",), "mix": ("640x480", "3 MP", "12 MP")}
STEAL = 7  # column of /proc/stat: a virtual machine wanted to run and its host did not let it
FLAT_MIB_PER_MINUTE, FLAT_FILES_PER_MINUTE = 5.0, 1.0
SERVICE = ("-c", "gunicorn.conf.py", "application:application")
NAIVE = ("-w", "2", "-t", "600", "--pythonpath", str(dataset.ROOT), "benchmarks.naive.service:application")


def main() -> int:
    options = parsed()
    photos = [latency.photos(size, 1)[0] for size in PHOTOS[options.photos]]
    table: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "processor": processor(), "photos": options.photos}}
    plan = Plan(photos, options.connections, options.seconds, options.longest_wait)
    naives = [naive(options.naive, plan)] if options.naive else []
    with running(SERVICE, dataset.ROOT) as (service, port):
        table["load"] = measured(service.pid, port, plan)
        if options.soak:
            half = replace(plan, connections=plan.connections // 2, seconds=options.soak)
            table["soak"] = measured(service.pid, port, half)
        table["stopped_cleanly"] = stop(service)
    table["passed"] = table["stopped_cleanly"] and all(
        table[name]["passed"] for name in ("load", "soak") if name in table
    )
    if options.naive:
        table["naive"] = [*naives, naive(options.naive, plan)]
        rates = [one["answers_per_second"] for one in table["naive"]]
        table["times_as_many_as_naive"] = [round(table["load"]["answers_per_second"] / rate, 1) for rate in rates]
    print_table(table)
    print(f"written to {dataset.write('load', table)}")
    return 0 if table["passed"] else 1


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100, help="clients at the same time (default 100)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they send (default 60)")
    parser.add_argument("--photos", choices=PHOTOS, default="small", help="what they send (default small)")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="go on with half the clients")
    parser.add_argument("--naive", type=Path, metavar="FILE", help="compare with the naive version, with this network")
    parser.add_argument("--longest-wait", type=float, default=2.0, help="seconds a client waits after 503 (default 2)")
    return parser.parse_args()


def naive(keras_file: Path, plan: Plan) -> dict[str, Any]:
    """The same clients at the naive version, for half the time."""
    settings = {"NAIVE_KERAS_FILE": str(keras_file.resolve()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with running(NAIVE, dataset.ROOT / "benchmarks" / "naive", settings) as (service, port):
        found = measured(service.pid, port, replace(plan, seconds=plan.seconds / 2, answer_s=NAIVE_ANSWER_S))
        stop(service)
    return found


@contextmanager
def running(
    arguments: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A ready gunicorn and its port; killed at the end where it did not end by itself."""
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "LOG_LEVEL": "error", **(settings or {})}
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *arguments]
    service = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        wait_until_ready(service, port)
        yield service, port
    finally:
        if service.poll() is None:
            stop(service)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_ready(service: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and service.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            return
        time.sleep(0.2)
    raise SystemExit(f"the service was not ready within {START_S} s")


def stop(service: subprocess.Popen[bytes]) -> bool:
    """SIGTERM; True when the service ended by itself with status 0."""
    service.send_signal(signal.SIGTERM)
    try:
        return service.wait(STOP_S) == 0
    except subprocess.TimeoutExpired:
        service.kill()
        return False


def measured(pid: int, port: int, plan: Plan) -> dict[str, Any]:
    begun, before = time.monotonic(), processor_times()
    tally = clients.drive(pid, port, plan)
    seconds, spent = time.monotonic() - begun, processor_times() - before
    return {
        "connections": plan.connections,
        **summary(tally, seconds),
        "stolen_share": round(float(spent[STEAL] / spent.sum()), 3),
    }


def processor_times() -> NDArray[np.float64]:
    """Ticks of all cores together since the machine started, by use (Linux, proc_stat(5)): what a host took away is `STEAL`."""
    return np.array(Path("/proc/stat").read_text(encoding="ascii").split()[1:9], float)


def summary(tally: Tally, seconds: float) -> dict[str, Any]:
    """Counts, percentiles in ms, memory and open files with their slopes over the second half.

    Args:
        seconds: from the first request to the last answer.
    """
    counts = {status: len(times) for status, times in sorted(tally.seconds.items())}
    percentiles = {
        status: {f"p{level}": round(1000 * float(np.percentile(times, level))) for level in (50, 95, 99)}
        for status, times in sorted(tally.seconds.items())
    }
    growth, more_files = slope(tally, "mib"), slope(tally, "files")
    clean = not tally.faults and set(counts) <= {200, 503} and counts.get(200, 0) > 0
    return {
        "seconds": round(seconds, 1),
        "counts": counts,
        "faults": dict(tally.faults),
        "busy_share": counts.get(503, 0) / max(1, sum(counts.values())),
        "answers_per_second": counts.get(200, 0) / seconds,
        "percentiles_ms": percentiles,
        "memory_mib": first_last_most([one.mib for one in tally.held]),
        "memory_slope_mib_per_minute": growth,
        "open_files": first_last_most([one.files for one in tally.held]),
        "open_files_slope_per_minute": more_files,
        "passed": clean and growth < FLAT_MIB_PER_MINUTE and more_files < FLAT_FILES_PER_MINUTE,
    }


def slope(tally: Tally, what: str) -> float:
    """Growth per minute over the second half, by least squares."""
    late = tally.held[len(tally.held) // 2 :]
    if len(late) < 3:
        return 0.0
    return 60 * float(np.polyfit([one.second for one in late], [getattr(one, what) for one in late], 1)[0])


def first_last_most(values: Sequence[float]) -> dict[str, float]:
    return {"first": round(values[0]), "last": round(values[-1]), "most": round(max(values))}


def processor() -> str:
    """The processor's name, as the kernel tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def print_table(table: Mapping[str, Any], indent: str = "") -> None:
    for name, value in table.items():
        if isinstance(value, Mapping) and name in ("load", "soak", "machine"):
            print(f"{indent}{name}")
            print_table(value, indent + "  ")
        else:
            print(f"{indent}{name:<28} {value}")


if __name__ == "__main__":
    sys.exit(main())
