"""The unpacked bundle as a machine runs it: nginx, the Procfile's gunicorn, the hooks; real photos through both."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
import skimage.data

from tests.analyzer import store_server
from tests.deploy.layout import PAGE, Proxy, Release, hook, proxying, serving
from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import WAIT_S, Server, held, until

MB = 1_000_000
STATUS = "/api/v5/skin/model-status"


@pytest.fixture(scope="session")
def portrait_jpeg() -> bytes:
    return _portrait(2.5)


@pytest.fixture(scope="session")
def large_jpeg() -> bytes:
    """12 to 16 MB, as a phone's best quality gives."""
    data = _portrait(10.0, grain=12.0, quality=99)
    assert 12 * MB <= len(data) <= 16 * MB
    return data


def _portrait(scale: float, grain: float = 0.0, quality: int = 92) -> bytes:
    bgr = cv2.resize(
        skimage.data.astronaut()[:400, 60:400, ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC
    )
    noisy = bgr + np.random.default_rng(1).normal(0.0, grain, bgr.shape) if grain else bgr
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@contextmanager
def machine(release: Release, folder: Path, **changes: str) -> Iterator[tuple[Proxy, Server]]:
    patient = {"QUEUE_TIMEOUT_S": "100", **changes}  # a loaded machine shall not turn these tests into ones of overload
    with serving(release, folder / "web.log", **patient) as server, proxying(release, server.port) as proxy:
        yield proxy, server


@pytest.fixture(scope="module")
def running(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Server]]:
    with machine(release, tmp_path_factory.mktemp("machine"), OPERATOR_LOCAL="yes") as both:
        both[0].refuse_spooling()
        yield both


def post(proxy: Proxy, path: str, data: bytes, **headers: str) -> requests.Response:
    return requests.post(
        proxy.url + path, data=data, headers={"Content-Type": "image/jpeg", "Origin": PAGE, **headers}, timeout=120
    )


def answered(proxy: Proxy) -> dict[str, Any]:
    """Model details of the model status, as the public sees them."""
    told = requests.get(proxy.url + STATUS, timeout=WAIT_S).json()
    assert told["model_loaded"]
    return dict(told["model_status"]["model_details"]["facial"])


def test_a_photo_of_twelve_megabytes_passes_as_base64(running: tuple[Proxy, Server], large_jpeg: bytes) -> None:
    body = json.dumps({"image": records.encoded(large_jpeg)}).encode()
    answer = post(running[0], ANALYZE, body, **{"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["success"], answer.json()["error"]
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert list((running[0].folder / "spool").iterdir()) == []


def test_the_bundled_model_answers(running: tuple[Proxy, Server], portrait_jpeg: bytes) -> None:
    answer = post(running[0], ANALYZE, portrait_jpeg).json()
    records.check_schema("analysis", answer)
    assert (answer["enhanced_ml"], answer["degraded"]) == (True, False)
    served = answered(running[0])
    assert (served["source"], served["self_test"]) == ("local", "passed")


def test_proxy_and_service_tell_too_large_alike(running: tuple[Proxy, Server]) -> None:
    proxy, server = running
    body = bytes(30 * MB)
    headers = {"Origin": PAGE, "Content-Type": "image/jpeg"}
    answers = [requests.post(url + DETECT, data=body, headers=headers, timeout=120) for url in (proxy.url, server.url)]
    ours, theirs = (answer.json() for answer in answers)
    differing = {"request_id", "timestamp", "processing_time_ms"}
    assert {name: ours[name] for name in ours if name not in differing} == {
        name: theirs[name] for name in theirs if name not in differing
    }
    shared = ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary", "X-Content-Type-Options")
    assert [answers[0].headers[name] for name in shared] == [answers[1].headers[name] for name in shared]
    assert [answer.status_code for answer in answers] == [413, 413]


def test_one_id_in_answer_and_both_logs(running: tuple[Proxy, Server]) -> None:
    answer = requests.get(f"{running[0].url}/nowhere", timeout=WAIT_S)
    identity = answer.headers["X-Request-ID"]
    assert answer.json()["request_id"] == identity
    assert identity in running[1].log


def test_a_caller_through_the_proxy_is_no_operator(running: tuple[Proxy, Server]) -> None:
    proxy, server = running
    assert requests.get(f"{proxy.url}/metrics", timeout=WAIT_S).status_code == 403
    assert requests.get(f"{server.url}/metrics", timeout=WAIT_S).status_code == 200


def test_health_answers_while_all_places_are_taken(running: tuple[Proxy, Server], large_jpeg: bytes) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(post, running[0], ANALYZE, large_jpeg) for _ in range(6)]
        checks = 0
        while not all(answer.done() for answer in answers):
            assert requests.get(f"{running[0].url}/health", timeout=20).text == "OK"
            assert requests.get(f"{running[0].url}/ready", timeout=20).status_code == 200
            checks += 1
        assert {answer.result().status_code for answer in answers} == {200}
    assert checks >= 3


def test_a_stopping_service_ends_what_it_began(release: Release, tmp_path: Path, large_jpeg: bytes) -> None:
    settings = {"MAX_ANALYSES": "1", "OPERATOR_LOCAL": "yes"}
    with machine(release, tmp_path, **settings) as (proxy, server), ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post, proxy, ANALYZE, large_jpeg) for _ in range(4)]
        until(lambda: held(server, "bodies") + sum(answer.done() for answer in answers) == 4, WAIT_S)
        assert not all(answer.done() for answer in answers)
        server.process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 4
        assert server.process.wait(WAIT_S) == 0
        late = post(proxy, ANALYZE, large_jpeg)
        assert (late.status_code, late.json()["error_code"]) == (502, "busy")


def test_a_new_release_takes_over_without_losing_a_request(
    release: Release, tmp_path: Path, portrait_jpeg: bytes
) -> None:
    outcomes: list[int | str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                outcomes.append(post(proxy, DETECT, portrait_jpeg).status_code)
            except requests.RequestException as error:
                outcomes.append(str(error))
            time.sleep(0.05)

    newer = Release(shutil.copytree(release.folder, tmp_path / "new"), release.programs)
    with machine(release, tmp_path) as (proxy, old), ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(ask)
        try:
            with serving(newer, tmp_path / "new.log") as new:
                before = len(outcomes)
                proxy.lead_to(new.port)
                time.sleep(0.5)
                old.process.send_signal(signal.SIGTERM)
                assert old.process.wait(WAIT_S) == 0
                drained = len(outcomes)
                time.sleep(1.0)
                over.set()
                pool.shutdown()
                assert '"detect_faces"' in new.log
        finally:
            over.set()
    assert set(outcomes) == {200}
    assert 0 < before < drained < len(outcomes)


def test_the_hook_fetches_the_published_model(release: Release, tmp_path: Path) -> None:
    published = shutil.copytree(release.folder / "models/hare_run_v6_facial", tmp_path / "published")
    card = json.loads((published / "card.json").read_text())
    (published / "card.json").write_text(json.dumps({**card, "version": f"{card['version']}.1"}))
    with store_server.moto() as port:
        client = store_server.s3(port)
        client.create_bucket(Bucket=store_server.BUCKET)
        store_server.upload(client, published)
        s3 = {
            **store_server.CREDENTIALS,
            "S3_BUCKET": store_server.BUCKET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "MODEL_ALLOW_UNSIGNED": "yes",
            "MODEL_CACHE_DIR": str(tmp_path / "cache"),
        }
        ended = hook(release, "hooks/predeploy/01_model.sh", release.environment(**s3))
        assert ended.returncode == 0, ended.stderr
        assert "fetched and verified" in ended.stdout
        assert "the bundled one passed its self-test" in ended.stdout
    with machine(release, tmp_path, **s3) as (proxy, _):  # S3 is gone by now: what the hook fetched is served
        served = answered(proxy)
        assert (served["source"], served["version"]) == ("cache", f"{card['version']}.1")


def test_a_model_that_cannot_be_fetched_is_told_and_hinders_nothing(release: Release, tmp_path: Path) -> None:
    lean = Release(tmp_path / "lean", release.programs)
    shutil.copytree(release.folder, lean.folder, ignore=shutil.ignore_patterns("hare_run_v6_facial"))
    unreachable = {**store_server.CREDENTIALS, "S3_BUCKET": "nowhere-at-all", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ended = hook(
        lean, "hooks/predeploy/01_model.sh", lean.environment(**unreachable, MODEL_CACHE_DIR=str(tmp_path / "cache"))
    )
    assert ended.returncode == 0
    assert "model: NOT FETCHED" in ended.stderr
    assert "model: THE BUNDLED ONE CANNOT BE SERVED" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", ["hooks", "confighooks"])
def test_origins_of_the_environment_reach_the_proxy(release: Release, tmp_path: Path, kind: str) -> None:
    staged = shutil.copytree(release.folder / ".platform/nginx", tmp_path / "nginx")
    (tmp_path / "meminfo").write_text("MemTotal:        1000000 kB\nMemFree:          500000 kB\n")
    changes = {
        "PROXY_ROOT": str(staged),
        "CORS_ORIGINS": "https://other.example",
        "MAX_BODY_MIB": "8",
        "MEMINFO": str(tmp_path / "meminfo"),
    }
    ended = hook(release, f"{kind}/predeploy/02_proxy_answers.sh", release.environment(**changes))
    assert ended.returncode == 0, ended.stderr
    answers = (staged / "conf.d/20_answers.conf").read_text()
    assert r"https://other\.example" in answers
    assert "shineskincollective" not in answers
    limits = (staged / "conf.d/10_service.conf").read_text()
    assert "client_max_body_size 8m;" in limits
    assert "client_body_buffer_size 10m;" in limits
    assert "limit_conn bodies 24;" in limits, "a quarter of 976 MiB"


@pytest.mark.parametrize(("mib", "bodies"), [(256, 8), (8 * 1024, 64), (16 * 1024, 128), (32 * 1024, 160)])
def test_the_bodies_that_the_proxy_holds_follow_the_memory_of_the_machine(
    release: Release, tmp_path: Path, mib: int, bodies: int
) -> None:
    staged = shutil.copytree(release.folder / ".platform/nginx", tmp_path / "nginx")
    (tmp_path / "meminfo").write_text(f"MemTotal: {mib * 1024} kB\n")
    changes = {"PROXY_ROOT": str(staged), "MEMINFO": str(tmp_path / "meminfo")}
    ended = hook(release, "hooks/predeploy/02_proxy_answers.sh", release.environment(**changes))
    assert ended.returncode == 0, ended.stderr
    assert f"limit_conn bodies {bodies};" in (staged / "conf.d/10_service.conf").read_text()


def test_a_wrong_setting_leaves_the_proxy_as_it_was(release: Release, tmp_path: Path) -> None:
    staged = shutil.copytree(release.folder / ".platform/nginx", tmp_path / "nginx")
    before = (staged / "conf.d/20_answers.conf").read_text()
    changes = {"PROXY_ROOT": str(staged), "CORS_ORIGINS": "no origin"}
    ended = hook(release, "hooks/predeploy/02_proxy_answers.sh", release.environment(**changes))
    assert ended.returncode == 0
    assert "CORS_ORIGINS must be origins" in ended.stderr
    assert "KEEP THE DEFAULTS" in ended.stderr
    assert (staged / "conf.d/20_answers.conf").read_text() == before
