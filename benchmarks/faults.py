"""Seconds from a start or a fault to the first good answer: a killed worker, a damaged model, slow heads, idle and unclosed connections.

Run:     python -m benchmarks.faults [--rounds 5]
Cost:    about two minutes on a quiet machine; Linux only.
Expects: after a killed worker /ready is 200 within 10 s; /health or /ready answers within 1 s while 256 heads trickle in, beside 5000
         connections that are kept alive and as many that say nothing, and while 100 clients do not hang up after their answer.

The service is started as in production, with a copy of the models that may be damaged; its disk, its S3 and its other settings are those of
the environment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from analyzer.settings import BUNDLED_MODELS
from benchmarks import clients, dataset, latency, load

SLOW_CLIENTS = 256
IDLE_CLIENTS = 5000
UNCLOSED_CLIENTS = 100
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_GET = GET.replace(b"Host", b"Connection: close\r\nHost")
GIVEN_UP_S = 120.0
CARD = "hare_run_v6_facial/card.json"
STATUS = "/api/v5/skin/model-status"
IDLE_MEMORY = "a kept alive connection: kB"
MOST_S = {
    "killed worker: /ready": 10.0,
    "slow heads: /health": 1.0,
    "kept alive connections: /ready": 1.0,
    "silent connections: /ready": 1.0,
    "clients that do not hang up: /ready": 1.0,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each fault is made (default 5)")
    options = parser.parse_args()
    allow_files()
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        note(seconds, starts())
    with service() as (port, pid, models):
        for _ in range(options.rounds):
            for measured in (killed_worker(port, pid), damaged_model(port, pid, models), *slow_clients(port, pid)):
                note(seconds, measured)
    table = summary(seconds)
    for name, row in table.items():
        print(f"{name:<44} {row['median_s']:8.3f} median {row['most_s']:8.3f} most")
    print(f"written to {dataset.write('faults', table)}")
    return int(any(table[name]["median_s"] > most_s for name, most_s in MOST_S.items()))


def note(seconds: dict[str, list[float]], measured: Mapping[str, float]) -> None:
    """Add a round's seconds."""
    for name, taken_s in measured.items():
        seconds.setdefault(name, []).append(taken_s)


def starts() -> dict[str, float]:
    """From the start of the service to /ready: with the model that came with the code, one that is new on the machine, and that again."""
    with tempfile.TemporaryDirectory() as folder:
        card = shutil.copytree(BUNDLED_MODELS, Path(folder, "models")) / CARD
        card.write_text(
            json.dumps({**json.loads(card.read_text(encoding="utf-8")), "version": "new"}), encoding="utf-8"
        )
        places = {"MODEL_CACHE_DIR": folder}
        new = {**places, "MODEL_DIR": str(card.parents[1])}
        return {
            "start: /ready": start(places),
            "start, new model: /ready": start(new),
            "start, tried model: /ready": start(new),
        }


def start(places: Mapping[str, str]) -> float:
    begun = time.monotonic()
    with load.running(load.SERVICE, dataset.ROOT, places) as (_, port):
        return until(lambda: bool(get(port, "/ready")), begun)


@contextlib.contextmanager
def service() -> Iterator[tuple[int, int, Path]]:
    """A running service: its port, its master's process id, and its folder of models."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        shutil.copytree(BUNDLED_MODELS, models)
        places = {"MODEL_DIR": str(models), "MODEL_POLL_S": "0"}
        with load.running(load.SERVICE, dataset.ROOT, places) as (process, port):
            until(lambda: b'"model_loaded":true' in get(port, STATUS))
            yield port, process.pid, models


def killed_worker(port: int, pid: int) -> dict[str, float]:
    """From SIGKILL to answers of the next worker."""
    os.kill(worker(pid), signal.SIGKILL)
    begun = time.monotonic()
    picture = latency.photos("640x480", 1)[0]
    return {
        "killed worker: /health": until(lambda: get(port, "/health") == b"OK", begun),
        "killed worker: /ready": until(lambda: bool(get(port, "/ready")), begun),
        "killed worker: a report": until(lambda: b'"success":true' in get(port, clients.ROUTE, picture), begun),
    }


def damaged_model(port: int, pid: int, models: Path) -> dict[str, float]:
    """From the look at a damaged card to the word of it, and from the look at a mended one to its end; answers go on meanwhile."""
    card = models / CARD
    sound = card.read_bytes()
    card.write_bytes(b"{}")
    os.kill(worker(pid), signal.SIGHUP)
    told_s = until(lambda: fallback(port) is not None)
    card.write_bytes(sound)
    os.kill(worker(pid), signal.SIGHUP)
    return {"damaged model: told": told_s, "damaged model: mended, over": until(lambda: fallback(port) is None)}


def slow_clients(port: int, pid: int) -> Iterator[dict[str, float]]:
    """How long probes take beside clients that hold connections, and what a connection costs."""
    with clients_that_sent(port, SLOW_CLIENTS, b"GET /health HTTP/1.1\r\nX-Slow: "):
        yield {"slow heads: /health": until(lambda: get(port, "/health") == b"OK")}
    before_kib = resident_kib(pid)
    with clients_that_sent(port, IDLE_CLIENTS, GET, answered=True):
        each_kb = 1.024 * (resident_kib(pid) - before_kib) / IDLE_CLIENTS
        yield {"kept alive connections: /ready": until(lambda: bool(get(port, "/ready"))), IDLE_MEMORY: each_kb}
    with clients_that_sent(port, IDLE_CLIENTS, b""):
        yield {"silent connections: /ready": until(lambda: bool(get(port, "/ready")))}
    with clients_that_sent(port, UNCLOSED_CLIENTS, LAST_GET):
        yield {"clients that do not hang up: /ready": until(lambda: bool(get(port, "/ready")))}


@contextlib.contextmanager
def clients_that_sent(port: int, count: int, data: bytes, *, answered: bool = False) -> Iterator[None]:
    """Connections that sent something and stay open; `answered`: each got its answer, too."""
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(data)
            if answered:
                client.recv(4096)
        yield


def allow_files() -> None:
    """As many open files as this process may have: it holds thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def resident_kib(pid: int) -> int:
    """Resident memory of the worker of a master."""
    lines = Path(f"/proc/{worker(pid)}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def worker(pid: int) -> int:
    """Process id of the only worker of a master."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[-1])


def fallback(port: int) -> str | None:
    answer = get(port, STATUS)
    told: str | None = json.loads(answer)["model_status"]["fallback_reason"] if answer else None
    return told


def get(port: int, path: str, picture: bytes | None = None) -> bytes:
    """Body of an answer 200; empty where there is none."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", picture, {"Content-Type": "image/jpeg"})
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
        body: bytes = answer.read()
        return body
    return b""


def until(condition: Callable[[], bool], begun: float | None = None) -> float:
    """Seconds from `begun` (default: now) to the moment when the condition holds."""
    begun = time.monotonic() if begun is None else begun
    while not condition():
        if time.monotonic() > begun + GIVEN_UP_S:
            raise SystemExit(f"the service did not recover within {GIVEN_UP_S:g} s")
        time.sleep(0.01)
    return time.monotonic() - begun


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median and most of each measurement, in seconds."""
    return {name: {"median_s": statistics.median(taken), "most_s": max(taken)} for name, taken in seconds.items()}


if __name__ == "__main__":
    sys.exit(main())
