"""Scripts end in one sentence, and files appear as a whole or not at all."""

from __future__ import annotations

import argparse
import errno
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzer.errors import BadModel
from training import command


def ended(error: BaseException) -> SystemExit:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        command.run(main)
    return caught.value


def test_bad_input_is_told_as_it_is() -> None:
    assert (
        ended(command.BadInput("a.yaml:3: expected a list; write one.")).code == "a.yaml:3: expected a list; write one."
    )


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt()).code == 130
    assert capsys.readouterr().err.strip() == "interrupted; run the same command again to go on"


def test_a_termination_ends_like_ctrl_c() -> None:
    main = "lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60))"
    program = f"import os, signal, time; from training import command; command.run({main})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.strip()) == (command.INTERRUPTED_CODE, command.INTERRUPTED)


CONVERSION = """
import os, signal, time
from training import command

def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        raise RuntimeError("Conversion is failed")

signal.signal(signal.SIGINT, signal.default_int_handler)  # the suite may run where it is ignored
command.run(main)
"""


def test_ctrl_c_that_a_library_turns_into_an_error_of_its_own_is_still_one() -> None:
    done = subprocess.run([sys.executable, "-c", CONVERSION], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.strip()) == (command.INTERRUPTED_CODE, command.INTERRUPTED)


def test_two_runs_in_one_folder_are_told_from_a_fault() -> None:
    error = BlockingIOError(errno.EAGAIN, "Unable to synchronously open file (unable to lock file)")
    assert "another run writes into the same folder" in str(ended(error).code)


def wrapped() -> Exception:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "runs/a.npz")
        except OSError as error:
            raise RuntimeError("writing failed") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "runs/a.npz"),
        OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "runs/a.npz"),
        sqlite3.OperationalError("database or disk is full"),
        wrapped(),
    ],
    ids=["system", "HDF5", "quota", "SQLite", "wrapped"],
)
def test_a_full_disk_is_told_however_a_library_says_it(error: Exception) -> None:
    assert "no space is left on the disk" in str(ended(error).code)


def test_a_really_full_device_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")

    def main() -> None:
        with full.open("wb", buffering=0) as file:
            file.write(b"anything")

    with pytest.raises(SystemExit) as caught:
        command.run(main)
    assert str(caught.value.code).startswith("no space is left on the disk")


def test_a_missing_file_and_a_model_that_is_refused_are_told() -> None:
    missing = str(ended(FileNotFoundError(errno.ENOENT, "No such file or directory", "faces/none.yaml")).code)
    assert missing.startswith("faces/none.yaml: no such file or directory")
    sealed = str(ended(OSError(errno.EROFS, "Read-only file system", "runs/x")).code)
    assert sealed == "runs/x: read-only file system; check the path and who may read and write it"
    assert ended(BadModel("The file is damaged.", "Save it anew.")).code == "The file is damaged. Save it anew."


def test_faults_of_the_program_keep_their_traceback() -> None:
    def main() -> None:
        raise ValueError("shapes differ")

    with pytest.raises(ValueError, match="shapes differ"):
        command.run(main)


def test_a_file_appears_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "best.weights.h5"
    with command.whole(path) as unfinished:
        unfinished.write_text("first")
        assert unfinished.name == "best.part.weights.h5"
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), command.whole(path) as unfinished:
        unfinished.write_text(f"half {1 / 0}" if unfinished.write_text("half") else "")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_common_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["script", "faces", "--out", str(tmp_path), "--limit", "3"])
    options = command.options("what it does").parse_args()
    assert (options.data, options.out, options.limit, options.seed) == (Path("faces"), tmp_path, 3, command.SEED)
    monkeypatch.setattr(sys, "argv", ["script", "faces", "--out", str(tmp_path), "--limit", "0"])
    with pytest.raises(SystemExit):
        command.options(None).parse_args()
    assert "0 must be 1 or more" in capsys.readouterr().err


def test_progress_hands_everything_on_and_tells_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(command.progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines()[-1:] in ([], ["letters: 3 of 3"])


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (command.seed, "-1", "-1 must be from 0 to 4294967295"),
        (command.seed, "4294967296", "4294967296 must be from 0 to 4294967295"),
        (command.counted, "ten", "'ten' must be a whole number"),
        (command.none_or_more, "1.5", "'1.5' must be a whole number"),
        (command.positive, "fast", "'fast' must be a number"),
        (command.share, "", "'' must be a number"),
    ],
)
def test_a_number_that_cannot_be_used_is_told_in_words(kind: Callable[[str], object], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{re.escape(told)}$"):
        kind(text)
