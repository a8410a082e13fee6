"""Artefacts with a sound card that crash natively, published to a real service: none of them stops it, and none is opened again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from analyzer import model_card
from analyzer.model_command import main
from analyzer.model_sources import NAME
from tests.analyzer import artefacts, poisoned
from tests.analyzer.crashing_trial import ENDS, PASSES
from tests.analyzer.store_server import Fault, Line
from tests.conftest import ROOT
from tests.web.records import ANALYZE
from tests.web.test_server import Server, post, running, until
from tests.web.test_swap import environment, line, serves, status, worker

__all__ = ["environment", "line"]  # fixtures of the tests of swaps
APP = "tests.web.poison_application:application"
SIDE_PX = 224  # what the service shows to a network
WITHIN_S = 60.0  # on a machine that does much else; a few seconds on a quiet one
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
TABLE = PAGE.split("| what it does | what the trial says |\n|---|---|\n")[1].split("\n\n")[0]
TRIED = dict(
    line.strip("| ").split(" | ") for line in TABLE.splitlines()
)  # what is published, and what operators read of it


@pytest.fixture
def models(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a service that polls; in its local folder a real artefact of version 1."""
    folder = tmp_path / "real" / NAME
    artefacts.make(folder, side_px=SIDE_PX, version="1")
    return {**environment, "MODEL_DIR": str(folder.parent), "MODEL_POLL_S": "0.2"}


@pytest.fixture
def publish(tmp_path: Path, models: dict[str, str]) -> Callable[..., None]:
    """Publish a version: a sound one, or one that is poisoned."""

    def put(version: str, kind: str = "sound", *notes: str) -> None:
        folder = tmp_path / f"published-{version}"
        if kind in poisoned.KINDS:
            poisoned.make(folder, kind, version=version, side_px=SIDE_PX, notes=notes)
        else:
            artefacts.make(folder, side_px=SIDE_PX, version=version, notes=(*notes, kind))
        assert main(["publish", str(folder)]) == 0

    return put


def reads(server: Server, sentence: str) -> Callable[[], bool]:
    return lambda: sentence in str(status(server)["fallback_reason"])


def kept_out(server: Server) -> bool:
    return "skin_model_kept_out 1.0" in requests.get(f"{server.url}/metrics", timeout=5).text


def answered(server: Server, picture: bytes) -> str:
    """Version of the artefact that answers to a picture."""
    answer = post(server, ANALYZE, picture)
    assert (answer.status_code, answer.json()["degraded"]) == (200, False)
    return str(answer.json()["model_version"])


def test_no_poisoned_artefact_stops_the_service_and_a_good_one_is_taken_afterwards(
    models: dict[str, str], publish: Callable[..., None], tmp_path: Path, portrait_jpeg: bytes, line: Line
) -> None:
    assert set(TRIED) == {*poisoned.KINDS, *ENDS}
    publish("2")
    with running(tmp_path, APP, **models) as server:
        until(serves(server, "2"), WITHIN_S)
        pid = worker(server)
        for number, (kind, sentence) in enumerate(TRIED.items()):
            publish(f"3.{number}", kind)
            until(reads(server, sentence), WITHIN_S)
            assert kept_out(server)
            assert answered(server, portrait_jpeg) == "2"
        publish("4")
        until(lambda: status(server)["fallback_reason"] is None and not kept_out(server), WITHIN_S)
        assert answered(server, portrait_jpeg) == "4"
        assert worker(server) == pid
        publish("5", "division while answering")
        until(reads(server, "crashes (SIGFPE)"), WITHIN_S)
        assert server.log.count('"event":"trial_passed"') == 3, "the local one, 2 and 4"
    line.faults.append(Fault("card.json", kind="status 503 SlowDown"))
    (tmp_path / "again").mkdir()
    with running(tmp_path / "again", APP, **models) as server:
        until(serves(server, "4"), WITHIN_S)  # 5 is the newest one in the cache
        assert status(server)["model_details"]["facial"]["source"] == "cache"
        assert '"event":"trial_passed"' not in server.log, "what passed on this machine is not tried again"
        assert "was sent SIG" not in server.log


def test_an_artefact_that_crashes_the_worker_itself_does_so_once(
    models: dict[str, str], publish: Callable[..., None], tmp_path: Path, line: Line
) -> None:
    publish("2")
    with running(tmp_path, APP, **models) as server:
        until(serves(server, "2"), WITHIN_S)
        pid = worker(server)
        publish("3", "division while compiling", PASSES)
        until(lambda: "was sent SIGFPE" in server.log, WITHIN_S)
        server.wait_ready()
        until(reads(server, "is kept out: a process that opened it crashed (Floating point exception)"), WITHIN_S)
        assert serves(server, "2")()
        assert kept_out(server)
        assert worker(server) != pid
        publish("4")
        until(serves(server, "4"), WITHIN_S)
        assert server.log.count("was sent SIG") == 1
        os.kill(worker(server), signal.SIGKILL)
        server.wait_ready()
        until(serves(server, "4"), WITHIN_S)
        assert server.log.count("was sent SIGFPE") == 1


def test_a_local_artefact_that_crashes_leaves_the_measurements(models: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "local" / NAME
    poisoned.make(folder, "division while compiling", side_px=SIDE_PX)
    places = {**models, "MODEL_DIR": str(folder.parent), "S3_BUCKET": ""}
    with running(tmp_path, APP, **places) as server:
        told: dict[str, Any] = status(server)
        assert not told["models_loaded"]
        assert "What the local folder holds was refused: The artefact crashes (SIGFPE)" in told["fallback_reason"]
        assert kept_out(server)
        assert "was sent SIG" not in server.log
    assert model_card.read(folder).version == "6.6.6"
