"""The whole run on drawn pictures and backbones of two layers: interrupted, resumed, measured, served; and what it says of bad input."""

from __future__ import annotations

import hashlib
import json
import runpy
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

for package in ("tensorflow", "sklearn", "yaml", "matplotlib", "mlflow"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

import keras  # noqa: E402
from keras import layers  # noqa: E402

from analyzer import artefact  # noqa: E402
from analyzer.values import Demographics  # noqa: E402
from training import command, hare_run, networks, train_hare_run  # noqa: E402
from training.gathering import SPLIT  # noqa: E402
from training.pretext import SEEN  # noqa: E402

CLASSES = {"acne": (200, 120, 110), "healthy": (190, 160, 140), "rosacea": (220, 90, 90)}
PICTURES = 9  # of each class


def light(maps: int, picture: keras.KerasTensor, weights: str | None) -> keras.KerasTensor:
    """In place of a backbone: a hundredth of its work."""
    x = layers.Rescaling(1 / 64, offset=-2.0)(picture)
    x = layers.Conv2D(16, 8, strides=8, activation="relu", name=f"first_of_{maps}")(x)
    return layers.Conv2D(maps, 4, strides=4, activation="relu", name=f"top_of_{maps}")(x)


def lighten() -> None:
    networks._efficientnet = lambda picture, weights: light(1280, picture, weights)
    networks._resnet = lambda picture, weights: light(2048, picture, weights)


@pytest.fixture
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_efficientnet", lambda picture, weights: light(1280, picture, weights))
    monkeypatch.setattr(networks, "_resnet", lambda picture, weights: light(2048, picture, weights))


def draw(folder: Path, pictures: int = PICTURES) -> Path:
    """Class folders of blurred noise around a colour."""
    rng = np.random.default_rng(3)
    for name, colour in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for index in range(pictures):
            clouds = cv2.resize(rng.normal(0, 40, (12, 10, 3)), (100, 120), interpolation=cv2.INTER_CUBIC)
            rgb = np.clip(np.array(colour) + clouds, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{name}{index}.png"), rgb[..., ::-1])
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return draw(tmp_path / "pictures")


def earlier(folder: Path, seen: list[str]) -> Path:
    """Weights of an earlier training."""
    folder.mkdir()
    for name in networks.BACKBONES:
        networks.backbone(name).save_weights(folder / f"{name}.weights.h5")
    (folder / SEEN).write_text(json.dumps(seen))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["train_hare_run", *map(str, arguments)])
    command.run(train_hare_run.main)


def sentence(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert isinstance(caught.value.code, str), caught.value.code
    return caught.value.code


CHILD = textwrap.dedent("""
    import signal
    import sys
    from tests.training import test_train_hare_run
    from training import command, train_hare_run
    test_train_hare_run.lighten()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
    command.run(train_hare_run.main)
""")


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_light")
def test_interrupted_resumed_measured_and_served(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    known = [hashlib.sha256((data / "acne" / f"acne{index}.png").read_bytes()).hexdigest() for index in range(4)]
    weights, out = earlier(tmp_path / "weights", known), tmp_path / "out"
    arguments = [data, "--out", out, "--weights", weights, "--epochs", 6, "--views", 1, "--batch", 4, "--rate", 1e-4]
    history = out / "heads" / "efficientnetb0" / "history.json"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as child:
        end = time.monotonic() + 600
        while not history.is_file() and time.monotonic() < end:
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=120)[1]
    assert child.returncode == command.INTERRUPTED_CODE
    assert said.strip().endswith(command.INTERRUPTED)
    split, kept = (out / SPLIT).read_text(), vectors(out)
    assert kept == 27 + parts(split)["train"]
    before = json.loads(history.read_text())
    assert len(before) < 6

    run(monkeypatch, *arguments)
    told = capsys.readouterr().out
    assert "peak memory" in told
    assert (out / "audit" / "audit.html").is_file()
    assert (out / SPLIT).read_text() == split
    assert json.loads(history.read_text())[: len(before) - 1] == before[:-1]
    assert len(json.loads(history.read_text())) == 6
    groups = json.loads(split)["groups"]
    assert all(
        groups[group] == "train" for group in groups if group.rpartition("/")[2] in {f"acne{i}" for i in range(4)}
    )

    opened = artefact.open_folder(out / "artefact", precision="f32")
    card = opened.card
    assert [one.name for one in card.classes] == sorted(CLASSES)
    assert set(card.baselines) >= {artefact.BASELINE, "constant"}
    assert sum(card.split.counts.values()) == 27
    assert any("earlier training" in note for note in card.notes)
    assert {"accuracy, healthy faces through the clinical crop", "share answered"} <= set(card.metrics.overall)
    network = keras.models.load_model(out / "artefact" / "best_facial_model.keras", compile=False)
    picture = cv2.imread(str(data / "rosacea" / "rosacea1.png"))[..., ::-1]
    picture = np.ascontiguousarray(cv2.resize(picture, (224, 224)))
    logits = keras.Model(network.input, network.get_layer("logits").output).predict(picture[None], verbose=0)
    shares = artefact.probabilities(logits[0], opened.temperature)
    assert list(opened.predict(picture, Demographics()).probabilities.values()) == pytest.approx(list(shares), abs=5e-3)

    config = json.loads((out / "config.json").read_text())
    assert (config["epochs"], config["schedule"], config["drop"], config["limit"]) == (
        "6",
        "cosine",
        "nothing",
        "not given",
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"EfficientNetB0", "ResNet50", "concatenation", "weighted voting", "stacking"} == set(metrics["candidates"])
    assert (out / "report.html").stat().st_size > 10_000
    assert list((out / "curves").rglob("events.out.*"))
    with sqlite3.connect(out / "mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
        assert store.execute("SELECT count(*) FROM metrics WHERE key = 'stacking/loss'").fetchone() == (0,)
        assert store.execute("SELECT count(*) FROM metrics WHERE key = 'ResNet50/val_loss'").fetchone()[0] >= len(
            before
        )


def vectors(out: Path) -> int:
    with sqlite3.connect(out / "cache" / "features" / "features.sqlite") as store:
        return int(store.execute("SELECT count(*) FROM features").fetchone()[0])


def parts(split: str) -> dict[str, int]:
    held = list(json.loads(split)["groups"].values())
    return {name: held.count(name) for name in set(held)}


@pytest.mark.usefixtures("_light")
def test_a_split_is_not_used_with_weights_that_have_seen_its_test_pictures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    names = [f"{name}{index}" for name in CLASSES for index in range(PICTURES)]
    chosen = {name: ("train", "validation", "test")[int(name[-1]) % 3] for name in names}
    (out / SPLIT).write_text(
        json.dumps(
            {"seed": command.SEED, "groups": {f"pictures/{name[:-1]}/{name}": part for name, part in chosen.items()}}
        )
    )
    seen = [hashlib.sha256((data / "acne" / "acne2.png").read_bytes()).hexdigest()]
    told = sentence(monkeypatch, data, "--out", out, "--weights", earlier(tmp_path / "weights", seen))
    assert "weights were trained on are in validation or test" in told


def test_bad_input_ends_in_a_sentence(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert "expected efficientnet.weights.h5 in the folder" in sentence(
        monkeypatch, data, "--out", out, "--weights", data
    )
    assert "there is no such folder" in sentence(monkeypatch, data, "--out", out, "--weights", tmp_path / "nothing")
    single = tmp_path / "single"
    draw(single, 4)
    for path in sorted((single / "acne").iterdir())[1:]:
        path.unlink()
    told = sentence(monkeypatch, single, "--out", out, "--weights", "none")
    assert "class acne: 1 subjects" in told
    assert "at least 3" in told
    (single / "acne" / "acne0.png").unlink()
    assert "empty" in sentence(monkeypatch, single, "--out", out, "--weights", "none")


def test_a_wrong_path_is_told_before_anything_is_imported(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "training.train_hare_run", str(tmp_path / "nothing.yaml"), "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 2
    assert (
        child.stderr.strip().splitlines()[-1].endswith("name a YAML of training/configs or a folder of class folders")
    )


def test_a_picture_that_cannot_be_read_is_told_and_left_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "acne" / "acne3.png").write_bytes(b"no picture")
    monkeypatch.setattr(hare_run, "backbones", lambda options, pictures: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit):
        run(monkeypatch, data, "--out", tmp_path / "out", "--weights", "none")
    assert "acne3.png: expected a whole" in capsys.readouterr().err


def test_help_answers_without_the_training_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tensorflow", "keras", "sklearn", "yaml", "matplotlib", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [one for one in sys.modules if one.startswith("training.") and one != "training.command"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["train_hare_run", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("training.train_hare_run", run_name="__main__")
    assert caught.value.code == 0
    assert "--weights" in capsys.readouterr().out
