"""What a machine remembers of artefacts: what passed, and what processes died of, however they died."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analyzer import trial_records
from analyzer.trial_records import TrialRecords

ROOT = Path(__file__).resolve().parents[2]
VERSION = "a" * 64
DYING = """
import os, signal, sys
from pathlib import Path
from analyzer.trial_records import TrialRecords
with TrialRecords(Path(sys.argv[1]), "auto").opening(sys.argv[2]):
    print("open", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), int(sys.argv[3]))
"""


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path / "trials", "auto")


def opening(folder: Path, ending: int) -> subprocess.Popen[str]:
    """A process that opens the version and, as soon as its input ends, kills itself with a signal."""
    command = [sys.executable, "-c", DYING, str(folder / "trials"), VERSION, str(ending)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_a_pass_is_remembered_for_this_machine_runtime_and_precision(
    records: TrialRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not records.has_passed(VERSION)
    records.remember_pass(VERSION)
    again = TrialRecords(tmp_path / "trials", "auto")
    assert again.has_passed(VERSION)
    assert not again.has_passed("b" * 64)
    assert not TrialRecords(tmp_path / "trials", "bf16").has_passed(VERSION)
    for name, other in (("version_of", lambda name: "2027.1"), ("_processor", lambda: "another")):
        with monkeypatch.context() as changed:
            changed.setattr(trial_records, name, other)
            assert not again.has_passed(VERSION)
            assert again.has_ever_passed(VERSION)
    assert [path.name for path in (tmp_path / "trials").iterdir()] == [f"{VERSION}.passed"]


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        (signal.SIGFPE, "Floating point exception"),
        (signal.SIGILL, "Illegal instruction"),
        (signal.SIGSEGV, "Segmentation fault"),
        (signal.SIGABRT, "Aborted"),
        (signal.SIGBUS, "Bus error"),
    ],
)
def test_one_crash_while_opening_keeps_a_version_out(
    records: TrialRecords, tmp_path: Path, ending: signal.Signals, sentence: str
) -> None:
    records.remember_pass(VERSION)
    process = opening(tmp_path, ending)
    assert records.problem(VERSION) is None, "the process lives"
    process.communicate("")
    assert process.returncode == -ending
    assert records.problem(VERSION) == f"a process that opened it crashed ({sentence})."
    assert records.problem("b" * 64) is None
    assert (records.has_deaths(VERSION), records.has_deaths("b" * 64)) == (True, False)
    records.forget_deaths("b" * 64)
    assert records.problem(VERSION)
    records.forget_deaths()
    assert (records.problem(VERSION), records.has_deaths(VERSION)) == (None, False)


def test_a_kill_from_outside_costs_a_trial_and_a_second_one_keeps_the_version_out(
    records: TrialRecords, tmp_path: Path
) -> None:
    records.remember_pass(VERSION)
    opening(tmp_path, signal.SIGKILL).communicate("")
    assert (records.problem(VERSION), records.has_deaths(VERSION)) == (None, True)
    opening(tmp_path, signal.SIGKILL).communicate("")
    assert records.problem(VERSION) == "processes that opened it were killed; perhaps memory ran out."


def test_an_opening_that_ends_leaves_nothing(records: TrialRecords, tmp_path: Path) -> None:
    before = faulthandler.is_enabled()
    with records.opening(VERSION):
        assert len(list((tmp_path / "trials").iterdir())) == 1
    with pytest.raises(ValueError, match="broken"), records.opening(VERSION):
        raise ValueError("broken")
    assert list((tmp_path / "trials").iterdir()) == []
    assert faulthandler.is_enabled() is before


def test_an_opening_that_the_end_of_the_process_cuts_off_is_no_death(records: TrialRecords, tmp_path: Path) -> None:
    with records.opening(VERSION):
        records.abandon()
        assert list((tmp_path / "trials").iterdir()) == []


def test_records_that_cannot_be_written_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("no folder")
    records = TrialRecords(tmp_path / "trials", "auto")
    records.remember_pass(VERSION)
    with records.opening(VERSION):
        assert records.problem(VERSION) is None
    records.forget_deaths()
    assert not records.has_passed(VERSION)
    assert [path.name for path in tmp_path.iterdir()] == ["trials"]
