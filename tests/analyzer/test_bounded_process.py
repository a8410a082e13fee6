"""A module in a process of its own ends with a reason, within its bounds, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer import bounded_process
from analyzer.bounded_process import Limits, ProcessFailed

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.analyzer.bounded_module"
ROOMY = Limits(memory_bytes=1 << 30, cpu_s=20, wall_s=60.0)


def run(folder: Path, deed: str, limits: Limits = ROOMY, **how: object) -> None:
    bounded_process.run(MODULE, str(folder), deed, folder=folder, limits=limits, **how)  # type: ignore[arg-type]


def test_it_inherits_no_credentials_and_works_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OPERATOR_TOKEN", "secret")
    run(tmp_path, "tell", environment={"ADDED": "yes"})
    told = json.loads((tmp_path / "told.json").read_text())
    assert "secret" not in told["environment"].values()
    assert (told["environment"]["TMPDIR"], told["environment"]["ADDED"]) == (str(tmp_path), "yes")
    assert (told["core"], told["niceness"] > os.nice(0)) == (0, True)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGFPE", "SIGILL", "SIGABRT", "SIGBUS", "SIGKILL"])
def test_the_signal_that_ended_it_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, name)
    assert (raised.value.signal, raised.value.is_late) == (name, False)


def test_what_it_said_last_is_kept_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, "complain")
    assert (raised.value.signal, raised.value.last_line) == (None, "x" * 200)


def test_memory_beyond_its_limit_is_not_given(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, "take memory", Limits(memory_bytes=200 << 20, cpu_s=20, wall_s=60.0))
    assert raised.value.last_line == "MemoryError"


def test_processor_time_ends(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, "spin", Limits(memory_bytes=1 << 30, cpu_s=1, wall_s=60.0))
    assert raised.value.signal == "SIGXCPU"


def test_time_ends(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, "sleep", Limits(memory_bytes=1 << 30, cpu_s=20, wall_s=1.0))
    assert raised.value.is_late


def test_it_is_given_up_when_nobody_waits_any_more(tmp_path: Path) -> None:
    stopped = threading.Event()
    threading.Timer(0.5, stopped.set).start()
    with pytest.raises(ProcessFailed) as raised:
        run(tmp_path, "sleep", stopped=stopped)
    assert raised.value.is_late


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a bounded one, which sleeps."""
    program = (
        "import sys; from pathlib import Path; from tests.analyzer.test_bounded_process import run;"
        "run(Path(sys.argv[1]), 'sleep')"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="ends with its parent on Linux only")
def test_it_ends_with_its_parent(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (tmp_path / "told.json").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = Path(f"/proc/{json.loads((tmp_path / 'told.json').read_text())['pid']}")
    assert child.exists()
    parent.send_signal(signal.SIGKILL)
    while child.exists() and child.joinpath("stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)
