"""Class folders -> trained by the real script -> compressed -> served by the real server -> a photo is answered by the new model.

Only the backbones are others: two layers each, so that all of it takes seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import skimage.data

for package in ("tensorflow", "sklearn", "yaml", "matplotlib", "nncf", "optuna"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

import requests  # noqa: E402

from analyzer import artefact, model_card  # noqa: E402
from analyzer.model_sources import NAME  # noqa: E402
from tests.training.test_train_hare_run import CLASSES, draw, earlier, light  # noqa: E402
from training import networks, recipes  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import runpy, sys
from tests.training.test_train_hare_run import lighten
lighten()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
LONGEST_S = 900  # of one script, on a machine that does much else
pytestmark = pytest.mark.timeout(LONGEST_S)


def script(module: str, *arguments: object) -> str:
    """What a script printed, run as a process of its own with light backbones."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "SKIN_DATA": os.devnull},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a search and of a training with what it found, with pictures, weights and models beside them."""
    home = tmp_path_factory.mktemp("run")
    draw(home / "pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_efficientnet", lambda picture, weights: light(1280, picture, weights))
        patch.setattr(networks, "_resnet", lambda picture, weights: light(2048, picture, weights))
        earlier(home / "weights", [])
    shared = [home / "pictures", "--weights", home / "weights", "--cache", home / "cache"]
    script("training.tune", *shared, "--out", home / "search", "--trials", 2, "--epochs", 2)
    places = ["--out", home / "out", "--model-dir", home / "models" / NAME]
    script("training.train_hare_run", *shared, *places, "--recipe", home / "search" / "best.json")
    return home


@pytest.fixture(scope="module")
def compressed(run: Path) -> Path:
    """What both ways of compression make of the run's artefact."""
    cache = ["--split", run / "out" / "split.json", "--cache", run / "cache", "--views", 1]
    amounts = ["--epochs", 3, "--fine-tune", 1, "--calibration", 6]
    script("training.compress", run / "models" / NAME, run / "pictures", "--out", run / "small", *cache, *amounts)
    return run / "small"


@pytest.fixture(scope="module")
def photo() -> bytes:
    """The public-domain portrait that scikit-image carries."""
    rgb = cv2.resize(skimage.data.astronaut()[:400, 60:400], None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes()


@contextmanager
def serving(models: Path, log: Path, **settings: str) -> Iterator[str]:
    """Address of the real server with these models."""
    if not (models / "face_geometry").exists():
        shutil.copytree(ROOT / "models" / "face_geometry", models / "face_geometry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {"HOST": "127.0.0.1", "PORT": str(port), "MODEL_DIR": str(models), "S3_BUCKET": "", **settings}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "application:application"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **places}, stdout=stream, stderr=stream)
        try:
            end = time.monotonic() + 120
            while not ready(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def asked(address: str, photo: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to a photo, and the model's status."""
    path = f"{address}/api/v6/skin/analyze-hare-run"
    answer = requests.post(path, data=photo, headers={"Content-Type": "image/jpeg"}, timeout=60)
    assert answer.status_code == 200, answer.text
    status = requests.get(f"{address}/api/v5/skin/model-status", timeout=30).json()
    return answer.json(), status


def test_what_was_trained_answers_a_photo(run: Path, photo: bytes, tmp_path: Path) -> None:
    with serving(run / "models", tmp_path / "server.log") as address:
        answer, status = asked(address, photo)
    card = model_card.read(run / "models" / NAME)
    block = answer["ensemble"]
    assert block["version"] == card.version == answer["model_version"]
    assert set(block["probabilities"]) == {"acne", "healthy", "see_a_professional"}
    assert sum(block["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert block["distance_limit"] == pytest.approx(card.thresholds["distance"])
    assert status["classes"] == sorted(CLASSES)
    assert status["model_status"]["model_details"]["facial"]["sha256"] == card.files["network.bin"].sha256
    assert answer["degraded"] is False


def test_the_table_holds_every_network_and_what_it_is_worth(run: Path, compressed: Path) -> None:
    document = json.loads((compressed / "compression.json").read_text())
    lines = {line["name"]: line for line in document["lines"]}
    split = list(json.loads((run / "out" / "split.json").read_text())["groups"].values())
    assert document["test_pictures"] == split.count("test")
    assert (lines["f32"]["times_as_fast"], lines["f32"]["passes"]) == (1.0, True)
    int8 = [line for name, line in lines.items() if name.startswith("f32 → int8: everything")]
    assert int8[0]["size_mb"] < lines["f32"]["size_mb"]
    assert int8[0]["parity"] > lines["f32"]["parity"]
    student = next(line for name, line in lines.items() if name.startswith("student, taught") and "→" not in name)
    assert student["size_mb"] < lines["f32"]["size_mb"]
    assert "student, labels alone" in lines
    table = (compressed / "compression.md").read_text()
    assert all(name in table for name in lines)


def test_the_student_is_served_like_its_teacher(compressed: Path, photo: bytes, tmp_path: Path) -> None:
    shutil.copytree(compressed / "student", tmp_path / "models" / NAME)
    with serving(tmp_path / "models", tmp_path / "server.log") as address:
        answer, status = asked(address, photo)
    assert set(answer["ensemble"]["probabilities"]) == {"acne", "healthy", "see_a_professional"}
    assert status["classes"] == sorted(CLASSES)
    assert "EfficientNetB0 alone, taught by" in model_card.read(tmp_path / "models" / NAME).task


def test_an_int8_form_that_was_kept_is_what_the_service_takes(compressed: Path) -> None:
    kept = [
        line
        for line in json.loads((compressed / "compression.json").read_text())["lines"]
        if "kept: " in line["note"][:6]
    ]
    folders = [Path(line["note"].removeprefix("kept: ")) for line in kept if "int8" in line["name"]]
    assert {folder.name for folder in folders} == {path.name for path in compressed.glob("*int8") if path.is_dir()}
    for folder in folders:
        assert artefact.open_folder(folder).precision == "int8"


def test_the_training_took_what_the_search_found(run: Path) -> None:
    best = recipes.read(run / "search" / "best.json")
    history = json.loads((run / "out" / "heads" / "concatenation" / "history.json").read_text())
    assert len(history) <= best.recipe.epochs == 2
    config = json.loads((run / "out" / "config.json").read_text())
    assert config["recipe"] == str(run / "search" / "best.json")
    with sqlite3.connect(run / "cache" / "features" / "features.sqlite") as store:
        kept = store.execute("SELECT count(*) FROM features").fetchone()[0]
    assert kept >= 27, "both had one cache"
