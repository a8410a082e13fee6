"""A worker that dies or gets no memory while requests are in flight; a model that is damaged under it; caches that cannot be written."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from analyzer.settings import BUNDLED_MODELS
from tests.analyzer.store_server import BUCKET, PREFIX, Fault, Line
from tests.web import records
from tests.web.records import ANALYZE
from tests.web.test_server import Server, held, holding, post, running, until
from tests.web.test_swap import APP, environment, line, load, publish, serves, status, worker

__all__ = ["environment", "line"]  # fixtures of the tests of swaps
MODEL = "hare_run_v6_facial"
SIDE_PX = 7000  # of a photo just below the limit of 50 million pixels; 147 MB as RGB
ROOM = 100 * 1024 * 1024  # bytes of address space that a limited worker has left; enough for photos of a phone
NO_CLOCK = "status 403 RequestTimeTooSkewed"


def health(server: Server) -> str:
    return requests.get(f"{server.url}/health", timeout=5).text


def test_a_killed_worker_is_replaced_and_requests_after_it_succeed(tmp_path: Path, portrait_jpeg: bytes) -> None:
    with holding(tmp_path) as (server, hold), ThreadPoolExecutor(2) as pool:
        killed = worker(server)
        hold.touch()
        lost = [pool.submit(post, server, ANALYZE, portrait_jpeg) for _ in range(2)]
        until(lambda: held(server, "analyses") == 2)
        os.kill(killed, signal.SIGKILL)
        hold.unlink()
        for one in lost:
            with pytest.raises(requests.ConnectionError):
                one.result()
        server.wait_ready()
        assert worker(server) != killed
        records.check_schema("analysis", post(server, ANALYZE, portrait_jpeg).json())
        assert "was sent SIGKILL" in server.log


def test_a_photo_for_which_there_is_no_memory_is_busy_and_the_next_one_is_analysed(
    tmp_path: Path, portrait_jpeg: bytes
) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are set on Linux and macOS only")
    if not hasattr(resource, "prlimit"):
        pytest.skip("the limit of another process is set on Linux only")
    huge = cv2.imencode(".png", np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8))[1].tobytes()
    with running(tmp_path) as server:
        post(server, ANALYZE, portrait_jpeg)
        pid = worker(server)
        in_use = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (in_use + ROOM, in_use + ROOM))
        try:
            answer = post(server, ANALYZE, huge, headers={"Content-Type": "image/png"})
            assert (answer.status_code, answer.json()["error_code"]) == (503, "busy")
            assert "Retry-After" in answer.headers
            assert '"event":"no_memory"' in server.log
        except requests.ConnectionError:  # something below Python gave up: the worker died, and another one serves
            server.wait_ready()
            assert worker(server) != pid
        assert health(server) == "OK"
        records.check_schema("analysis", post(server, ANALYZE, portrait_jpeg).json())


def test_a_model_that_is_damaged_under_the_service_goes_on_answering(tmp_path: Path, portrait_jpeg: bytes) -> None:
    models = tmp_path / "models"
    shutil.copytree(BUNDLED_MODELS, models)
    with running(tmp_path, MODEL_DIR=str(models), MODEL_POLL_S="0") as server:
        before = post(server, ANALYZE, portrait_jpeg).json()["model_version"]
        until(lambda: status(server)["models_loaded"])
        pid = worker(server)
        for damage in ("overwritten", "truncated", "removed"):
            for name in ("network.bin", "card.json"):
                ruin(models / MODEL / name, damage)
            os.kill(pid, signal.SIGHUP)
            until(lambda: status(server)["fallback_reason"] is not None)
            answer = post(server, ANALYZE, portrait_jpeg).json()
            assert (answer["model_version"], answer["degraded"]) == (before, False)
            assert (worker(server), health(server)) == (pid, "OK")
            shutil.copytree(BUNDLED_MODELS / MODEL, models / MODEL, dirs_exist_ok=True)
            os.kill(pid, signal.SIGHUP)
            until(lambda: status(server)["fallback_reason"] is None)


def ruin(path: Path, damage: str) -> None:
    """Damage a file in place: who has it open or mapped is touched, too."""
    if damage == "removed":
        path.unlink()
        return
    with path.open("r+b") as file:
        file.write(b"\xa5" * (path.stat().st_size // 2)) if damage == "overwritten" else file.truncate(100)


S3_FAULTS = (
    (Fault("card.json", kind=NO_CLOCK), "clock"),
    (Fault("card.json", kind="status 403 InvalidAccessKeyId"), "credentials"),
    (Fault("card.json", kind="status 400 ExpiredToken"), "expired"),
    (Fault("", kind="reset"), "The connection to S3 failed"),
)


def test_what_s3_does_to_a_running_service_is_told_and_ends_by_itself(
    environment: dict[str, str], tmp_path: Path, line: Line
) -> None:
    publish(tmp_path, "2")
    with running(tmp_path, APP, **{**environment, "MODEL_POLL_S": "0.2"}) as server:
        until(lambda: serves(server, "2")() and status(server)["fallback_reason"] is None)
        before = server.log.count("ensemble_fallback_over")  # a machine so busy that S3 came late has one
        for fault, told in S3_FAULTS:
            line.faults.append(fault)
            until(lambda told=told: told in str(status(server)["fallback_reason"]))  # type: ignore[misc]
            assert serves(server, "2")()
            assert "skin_model_fallback 1.0" in requests.get(f"{server.url}/metrics", timeout=5).text
            line.faults.clear()
            until(lambda: status(server)["fallback_reason"] is None)
        assert server.log.count("ensemble_fallback_over") == before + len(S3_FAULTS)


def test_a_slow_s3_does_not_slow_the_answers(
    environment: dict[str, str], tmp_path: Path, line: Line, portrait_jpeg: bytes
) -> None:
    publish(tmp_path, "2")
    with running(tmp_path, APP, **{**environment, "MODEL_POLL_S": "0.2"}) as server:
        until(serves(server, "2"))
        line.faults.append(Fault(f"GET /{BUCKET}/{PREFIX}network.bin", rate=300_000))
        publish(tmp_path, "3")
        with load(server, portrait_jpeg) as answers:
            until(serves(server, "3"))
        assert {answer[::2] for answer in answers} == {(200, False)}
        assert "2" in {answer[1] for answer in answers}


def test_a_cache_without_room_is_told_and_the_service_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    publish(tmp_path, "2")
    limited = ("bash", "-c", 'ulimit -f 512; exec "$@"', "limited")  # KiB in one file, as a disk that is full
    with running(tmp_path, APP, before=limited, **environment) as server:
        until(lambda: "The disk of the model cache is full" in str(status(server)["fallback_reason"]))
        assert status(server)["model_details"]["facial"]["source"] == "local"
        assert health(server) == "OK"


def test_a_cache_that_is_read_only_is_told_and_the_service_goes_on(environment: dict[str, str], tmp_path: Path) -> None:
    publish(tmp_path, "2")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    if os.access(cache, os.W_OK):  # the administrator writes everywhere, but not below a file
        cache.rmdir()
        cache.write_text("no folder")
    with running(tmp_path, APP, **environment) as server:
        until(lambda: "The model cache cannot be written" in str(status(server)["fallback_reason"]))
        assert status(server)["model_details"]["facial"]["source"] == "local"
        assert health(server) == "OK"
