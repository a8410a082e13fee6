"""What is known on this machine of artefacts that were opened: which passed a trial, and which ended the process that opened them.

    <cache>/trials/<version>.passed            the machine and runtime that its trial passed with
    <cache>/trials/<version>.<random>.opening  held locked by the process that opens it; one that nobody holds was left by a process that
                                               died, and holds what Python wrote in a crash: a kill from outside leaves it empty

A version is named after its content. A folder that cannot be written costs a trial at each start and is no fault.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import hashlib
import logging
import os
import platform
import secrets
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TextIO

log = logging.getLogger("analyzer.trial_records")

PASSED, OPENING, PART = ".passed", ".opening", ".part"
RUNTIME = "openvino"  # its version counts; it is not imported here
MOST_KILLS = 2  # of processes that opened a version, without a crash of theirs; somebody may have stopped the first one
STDERR = 2
CRASH = "Fatal Python error: "  # how faulthandler begins
CPU_FACTS = ("model name", "flags", "Features", "CPU part")  # of /proc/cpuinfo, x86 and ARM


class TrialRecords:
    """Records of one machine, for artefacts opened with one precision.

    Args:
        folder: of the records.
        precision: one of `analyzer.settings.MODEL_PRECISIONS`; another one is other native code.
    """

    def __init__(self, folder: Path, precision: str) -> None:
        self._folder = folder
        self._precision = precision
        self._marks: set[Path] = set()  # of openings that go on in this process

    def has_passed(self, version: str) -> bool:
        """Whether a version passed its trial with this processor, runtime and precision."""
        with contextlib.suppress(OSError):
            return (self._folder / f"{version}{PASSED}").read_text(encoding="utf-8") == self._machine()
        return False

    def has_ever_passed(self, version: str) -> bool:
        """Whether a version passed a trial, be it before the runtime was exchanged."""
        return (self._folder / f"{version}{PASSED}").is_file()

    def remember_pass(self, version: str) -> None:
        """Write down that a version passed its trial."""
        with self._tolerated(), self._new_file(f"{version}{PASSED}") as file:
            file.write(self._machine())

    def has_deaths(self, version: str) -> bool:
        """Whether a process died while it opened a version, be it by a kill from outside."""
        return bool(self._left_marks(version))

    def problem(self, version: str) -> str | None:
        """Return why a version must not be opened again: processes died of it; None where they did not."""
        left = [mark.read_bytes().decode(errors="replace") for mark in self._left_marks(version)]
        crash = next((text.splitlines()[0] for text in left if text), None)
        if crash is not None:
            return f"a process that opened it crashed ({crash.removeprefix(CRASH)})."
        return "processes that opened it were killed; perhaps memory ran out." if len(left) >= MOST_KILLS else None

    def forget_deaths(self, version: str = "*") -> None:
        """Forget the deaths of processes that opened one version, or any."""
        with self._tolerated():
            for mark in self._left_marks(version):
                mark.unlink(missing_ok=True)

    @contextlib.contextmanager
    def opening(self, version: str) -> Iterator[None]:
        """Leave a mark as long as this process opens a version: it outlives the process if that dies."""
        with contextlib.ExitStack() as until_opened:
            with self._tolerated():
                mark = self._folder / f"{version}.{secrets.token_hex(4)}{OPENING}"
                with self._new_file(mark.name) as file:
                    held = until_opened.enter_context(os.fdopen(os.dup(file.fileno()), "w"))
                    fcntl.flock(held, fcntl.LOCK_EX)
                self._marks.add(mark)
                until_opened.callback(self._remove, mark)
                until_opened.enter_context(_crashes_written_to(held))
            yield

    def abandon(self) -> None:
        """Take back the marks of openings that the end of this process will cut off."""
        for mark in tuple(self._marks):
            self._remove(mark)

    def _left_marks(self, version: str) -> list[Path]:
        """Marks whose processes died."""
        with contextlib.suppress(OSError):
            return [mark for mark in self._folder.glob(f"{version}.*{OPENING}") if not _is_held(mark)]
        return []

    def _remove(self, mark: Path) -> None:
        if mark in self._marks:
            self._marks.discard(mark)
            with self._tolerated():
                mark.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _new_file(self, name: str) -> Iterator[TextIO]:
        """A file that gets its name when it is written, and not if that fails."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{secrets.token_hex(4)}{PART}"
        try:
            with part.open("w", encoding="utf-8") as file:
                yield file
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _machine(self) -> str:
        return f"{RUNTIME} {version_of(RUNTIME)}, {self._precision}, {_processor()}"

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """A record that cannot be written is logged."""
        try:
            yield
        except OSError as error:
            log.info("trial_not_recorded", extra={"fields": {"errno": error.errno}})


@contextlib.contextmanager
def _crashes_written_to(file: TextIO) -> Iterator[None]:
    """Have the signal of a crash written to a file by the process that dies of it."""
    before = faulthandler.is_enabled()
    faulthandler.enable(file, all_threads=False)
    try:
        yield
    finally:
        faulthandler.enable(STDERR) if before else faulthandler.disable()


@cache
def _processor() -> str:
    """Name and instruction sets of the processor, shortened."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [f"model name: {platform.machine()} {platform.processor()}"]
    facts = sorted({line for line in lines if line.partition(":")[0].strip() in CPU_FACTS})
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _is_held(mark: Path) -> bool:
    """Whether the process that left a mark is alive; the kernel gives its lock back when it dies."""
    try:
        with mark.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or its opening ended just now
        return True
    return False
