"""What can be watched of a training: MLflow's runs in SQLite below the folder, resumed; a store that fails stops nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

for package in ("tensorflow", "mlflow"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

import keras  # noqa: E402

from training import tracking  # noqa: E402
from training.tracking import Tracker  # noqa: E402


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in tracking.QUIETLY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def rows(out: Path, question: str) -> list[tuple]:
    with sqlite3.connect(out / tracking.STORE) as store:
        return store.execute(question).fetchall()


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_touched(tmp_path: Path) -> None:
    Tracker(tmp_path, {"rate": 0.001}).log({"head/val_loss": 0.7, "never": float("inf")}, step=0)
    again = Tracker(tmp_path, {"rate": 0.002})
    again.log({"head/val_loss": 0.6}, step=1)
    (tmp_path / "report.html").write_text("<p>")
    again.finish([tmp_path / "report.html", tmp_path / "absent.html"])
    assert rows(tmp_path, "SELECT status FROM runs") == [("FINISHED",)]
    assert rows(tmp_path, "SELECT key, value FROM params") == [("rate", "0.001")]
    assert sorted(rows(tmp_path, "SELECT key, value, step FROM metrics")) == [
        ("head/val_loss", 0.6, 1),
        ("head/val_loss", 0.7, 0),
    ]
    assert list((tmp_path / tracking.ARTIFACTS).rglob("report.html"))
    Tracker(tmp_path, {"rate": 0.003})
    assert len(rows(tmp_path, "SELECT status FROM runs")) == 2


def test_every_epoch_is_logged(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    tracker = Tracker(tmp_path / "run", {})
    watched = [tracker.callback("head"), tracking.tensorboard(tmp_path / "curves")]
    model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=2, callbacks=watched, verbose=0)
    assert rows(tmp_path / "run", "SELECT key, step FROM metrics ORDER BY step") == [("head/loss", 0), ("head/loss", 1)]
    assert list((tmp_path / "curves").rglob("events.out.*"))


@pytest.mark.parametrize("uri", ["file:/no/folders", "http://127.0.0.1:9"])
def test_a_store_that_cannot_be_used_is_told_once_and_stops_nothing(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracker = Tracker(tmp_path, {"rate": 1})
    tracker.log({"loss": 1.0})
    tracker.finish()
    told = [line for line in capsys.readouterr().err.splitlines() if "goes on without it" in line]
    assert len(told) == 1
    assert tracker.uri is None


def test_names_are_those_that_mlflow_takes() -> None:
    assert tracking._plain("AUROC of the distance, lesions (lens)") == "AUROC of the distance_ lesions _lens_"


def test_a_bar_tells_the_end_of_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    bar = tracking.Bar("head", 40)
    for epoch in range(12):
        bar.on_epoch_end(epoch, {"loss": 0.5, "learning_rate": 1e-3})
    bar.on_train_end()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("epoch ")[2] for line in lines] == [
        "10 of at most 40, loss 0.500",
        "12 of at most 40, loss 0.500",
    ]
