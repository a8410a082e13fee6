"""The whole pipeline under Prefect with its own server: a network that fails, a kill, a failure that is told; nothing is left running."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

for package in ("tensorflow", "sklearn", "matplotlib", "prefect", "requests"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

from tests.training.dermaops import lesion_pictures  # noqa: E402
from tests.training.web_host import Host, hosting  # noqa: E402
from training import networks  # noqa: E402
from training.dermaops import __main__ as command_line  # noqa: E402
from training.dermaops import flow, pipeline  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
CHILD = """
import runpy
from tests.training.dermaops import lesion_pictures
from training.data import download
lesion_pictures.lighten()
download.ATTEMPTS = 1  # so that every failure is Prefect's to mend
runpy.run_module("training.dermaops", run_name="__main__", alter_sys=True)
"""
ARCHIVE = "/ham10000.zip"
LONGEST_S = 900  # of one run, on a machine that does much else
OPTIONS = ("--side", 64, "--views", 0, "--epochs", 3, "--batch-size", 16, "--repeats", 1, "--pauses", 0.01)
pytestmark = pytest.mark.timeout(2 * LONGEST_S)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    folder = lesion_pictures.draw(tmp_path / "drawn")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    with hosting({ARCHIVE: packed.getvalue()}) as host:
        yield host


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(networks, "_resnet", lesion_pictures.light)
    return lesion_pictures.earlier(tmp_path / "weights")


def begun(*arguments: object) -> subprocess.Popen[str]:
    """The command line as a process of its own, with a light backbone and nothing of Prefect set."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        cwd=ROOT,
        env=plain | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "SKIN_DATA": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def of_prefect(out: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(out / "prefect" / "prefect.db")) as database:
        return database.execute(question).fetchall()


def servers(out: Path) -> list[int]:
    """Processes that run Prefect's server with the database of this folder."""
    home = f"PREFECT_HOME={out.resolve() / 'prefect'}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"uvicorn" in (process / "cmdline").read_bytes() and home in (process / "environ").read_bytes().split(
                b"\0"
            ):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_a_network_that_fails_twice_a_kill_and_a_resumed_run(host: Host, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = [host.url + ARCHIVE, "--out", out, "--weights", weights, *OPTIONS, "--finetune-epochs", 12]
    host.statuses = [503, 503]
    history = out / "training" / "conv5" / "history.json"
    first = begun(*given)
    while first.poll() is None and not (history.is_file() and len(json.loads(history.read_text())) >= 2):
        time.sleep(0.01)
    assert first.poll() is None, first.communicate()[1]
    running = servers(out)
    first.send_signal(signal.SIGKILL)
    told = first.communicate()[1]
    assert len(host.asked) == 3
    assert "ingest, attempt 2: " in told
    assert running or not Path("/proc").is_dir()
    deadline = time.monotonic() + 60
    while servers(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert servers(out) == []  # its server goes with it

    second = begun(*given)
    printed, errors = second.communicate(timeout=LONGEST_S)
    assert second.returncode == 0, errors
    assert len(host.asked) == 3  # what is there is not fetched again
    assert "ingest: unchanged, skipped" in printed
    assert "preprocess: unchanged, skipped" in printed
    assert "epoch 1 of at most" not in printed
    notification = (out / "reports" / "pipeline_notification.md").read_text()
    assert "DermaOps pipeline succeeded" in notification
    assert "DermaOps pipeline succeeded" in printed
    assert servers(out) == []
    assert of_prefect(out, "SELECT data FROM artifact WHERE key = 'dermaops-notification'") == [
        (json.dumps(notification),)
    ]
    assert of_prefect(out, "SELECT name FROM flow") == [("DermaOps-ML-Pipeline",)]
    runs = of_prefect(out, "SELECT state_type, COUNT(*) FROM flow_run GROUP BY state_type ORDER BY state_type")
    assert ("COMPLETED", 1) in runs


def test_what_a_person_must_mend_is_told_and_not_tried_again(host: Host, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    host.statuses = [404]
    failed = begun(host.url + ARCHIVE, "--out", out, "--weights", weights, *OPTIONS)
    printed, errors = failed.communicate(timeout=LONGEST_S)
    assert failed.returncode == 1
    assert len(host.asked) == 1
    assert "there is no such file (404)" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    notification = (out / "reports" / "pipeline_notification.md").read_text()
    assert "DermaOps pipeline failed" in notification
    assert "Reason: " in printed
    assert "| ingest | failed | " in notification
    assert of_prefect(out, "SELECT state_type FROM flow_run") == [("FAILED",)]
    assert len(of_prefect(out, "SELECT data FROM artifact WHERE key = 'dermaops-notification'")) == 1
    assert servers(out) == []


def test_retries_are_those_of_the_issue() -> None:
    assert {name: list(waits) for name, waits in flow.PAUSES_S.items()} == {
        "ingest": [30, 60, 120],
        "preprocess": [60],
        "train": [60],
        "evaluate": [0],
    }
    assert list(command_line.STAGES) == [stage.name for stage in pipeline.STAGES]
    assert set(command_line.FORCED.values()) == {stage.name for stage in pipeline.STAGES}


def test_time_mends_a_network_and_not_a_wrong_path() -> None:
    assert flow.worth_retrying(flow.Unreachable("the host is away"))
    assert flow.worth_retrying(RuntimeError("nobody foresaw this"))
    assert not flow.worth_retrying(flow.BadInput("name another folder"))
    assert not flow.worth_retrying(OSError(28, "No space left on device"))


def test_help_answers_without_what_is_heavy() -> None:
    program = (
        "import sys; sys.argv = ['dermaops', '--help']\n"
        "from training.dermaops import __main__ as line\n"
        "try: line.main()\n"
        "except SystemExit: print(sorted({'tensorflow', 'prefect', 'sklearn', 'keras', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--force-retrain" in done.stdout
