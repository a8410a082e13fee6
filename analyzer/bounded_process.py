"""Python modules run in a process of their own: bounded in memory and time, without credentials, ended with its parent.

Run:     python -m analyzer.bounded_process PARENT MEMORY_BYTES CPU_S MODULE ARGUMENT...
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # no credentials for a process that opens files
SPARING = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}  # libraries that reserve memory for each core
ERRORS = "stderr.txt"
MOST_FILE_BYTES = 1200 << 20  # of one file that the process writes; a network of a gibibyte fits
LAST_BYTES = 4096  # of what it wrote on stderr that are looked at
LOOK_S = 0.2  # between two looks whether it is to be stopped; its end is seen at once
NICENESS = 10  # answers to people come first
PR_SET_PDEATHSIG = 1  # prctl.h


@dataclass(frozen=True)
class Limits:
    """Bounds of one process.

    Attributes:
        memory_bytes: of private memory, heaps and thread stacks included; libraries mapped from disk do not count (RLIMIT_DATA).
        cpu_s: processor time of all its threads.
        wall_s: seconds until it is killed.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: float


class ProcessFailed(Exception):
    """The process did not end well.

    Attributes:
        signal: name of the signal that ended it, such as ``"SIGFPE"``; None where it ended by itself.
        is_late: it was killed because `Limits.wall_s` were over or it was stopped.
        last_line: of what it wrote on stderr, at most 200 characters.
    """

    def __init__(self, signal_name: str | None, is_late: bool, last_line: str) -> None:
        super().__init__(signal_name or last_line)
        self.signal = signal_name
        self.is_late = is_late
        self.last_line = last_line


def run(
    module: str,
    *arguments: str,
    folder: Path,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    stopped: threading.Event | None = None,
) -> None:
    """Run a module of this code to its end; what it has to say it writes into the folder.

    Args:
        folder: private to the process, its place for temporary files.
        environment: added to `PASSED_ON`, the only variables that it inherits.
        stopped: set when nobody waits for the process any more; it is killed then.

    Raises:
        ProcessFailed: it crashed, failed, took too long or was stopped.
        OSError: it could not be started.
    """
    command = [sys.executable, "-m", __name__, str(os.getpid()), str(limits.memory_bytes), str(limits.cpu_s)]
    inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    with (folder / ERRORS).open("wb") as errors:
        process = subprocess.Popen(
            [*command, module, *arguments],
            cwd=HOME,
            env=inherited | SPARING | {"TMPDIR": str(folder)} | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # a terminal's Ctrl-C is for the parent
        )
    try:
        status = _ended(process, time.monotonic() + limits.wall_s, stopped or threading.Event())
    finally:
        _end(process)
    if status is None or status:
        name = signal.Signals(-status).name if status and status < 0 else None
        raise ProcessFailed(name, status is None, _last_line(folder / ERRORS))


def _ended(process: subprocess.Popen[bytes], deadline: float, stopped: threading.Event) -> int | None:
    """Exit status of a process; None where it had not ended in time, or nobody waits for it any more."""
    while time.monotonic() < deadline and not stopped.is_set():
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            pass
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it unless it has ended; what it started ends with it."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _last_line(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LAST_BYTES))
        lines = file.read(LAST_BYTES).decode(errors="replace").strip().splitlines()
    return (lines or [""])[-1][:200]


def main(parent: int, memory_bytes: int, cpu_s: int, module: str) -> None:
    """Bound this process, then become the module."""
    _end_with(parent)
    _lower(resource.RLIMIT_DATA, memory_bytes)
    _lower(resource.RLIMIT_CPU, cpu_s, reserve=1)
    _lower(resource.RLIMIT_FSIZE, MOST_FILE_BYTES)
    _lower(resource.RLIMIT_CORE, 0)
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # where memory is short this process goes first, not the service
        Path("/proc/self/oom_score_adj").write_text("1000")
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process as soon as its parent has died (Linux)."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("The process that started this one is gone.")


def _lower(kind: int, most: int, reserve: int = 0) -> None:
    """Set a limit, within the one in force. With a reserve the signal of the limit comes before the kernel kills."""
    _, hard = resource.getrlimit(kind)
    soft, most = most, most + reserve
    if hard != resource.RLIM_INFINITY:
        soft, most = min(soft, hard), min(most, hard)
    resource.setrlimit(kind, (soft, most))


if __name__ == "__main__":
    own, (parent_pid, memory, processor_s, wanted, *rest) = sys.argv[0], sys.argv[1:]
    sys.argv = [own, *rest]
    main(int(parent_pid), int(memory), int(processor_s), wanted)
