"""The one interface to face finding: which stage serves, why, and that it is chosen once."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from analyzer import face, haar, settings
from analyzer.errors import ModelUnavailable
from analyzer.values import Box, Face, Rgb

RGB = np.zeros((40, 60, 3), np.uint8)
FOUND = Face(Box(1, 2, 30, 30), 0.9, None, 0.0, "network")


class Learned:
    """Stands where the learned stage is loaded, and counts how often."""

    version = "7"

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.failure: Exception | None = None

    def load(self, folder: Path) -> Learned:
        self.folders.append(folder)
        time.sleep(0.02)
        if self.failure:
            raise self.failure
        return self

    def detect(self, rgb: Rgb) -> tuple[Face, ...]:
        return (FOUND,)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> Learned:
    """A learned stage in the place of the real one, and nothing chosen yet."""
    stand_in = Learned()
    monkeypatch.setattr(face, "face_network", stand_in)
    monkeypatch.setattr(face, "_chosen", None)
    return stand_in


def test_a_verified_artefact_serves(learned: Learned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    assert face.detect(RGB) == (FOUND,)
    assert face.stage() == face.FaceStage("network", "7", None)
    assert learned.folders == [tmp_path / "face_geometry"]


def test_without_an_artefact_the_cascades_serve_and_say_why(learned: Learned, caplog: pytest.LogCaptureFixture) -> None:
    learned.failure = ModelUnavailable("No artefact is installed.", "Install one.")
    portrait = np.ascontiguousarray(data.astronaut()[:, :440])
    with caplog.at_level(logging.WARNING, "analyzer.face"):
        boxes = [[found.box for found in face.detect(portrait)] for _ in range(2)]
    assert boxes == [[found.box for found in haar.detect(portrait)]] * 2
    assert face.stage() == face.FaceStage("haar", haar.VERSION, "No artefact is installed.")
    (record,) = caplog.records
    assert record.getMessage() == "face_stage_fallback"
    assert record.fields["reason"] == "No artefact is installed."  # type: ignore[attr-defined]
    assert len(learned.folders) == 1


def test_a_runtime_that_is_not_there_falls_back_and_keeps_paths_in_the_log(
    learned: Learned, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learned.failure = ImportError("cannot import name 'x' from '/opt/y.so'")
    chosen = face.choose(tmp_path).stage
    assert chosen.name == "haar"
    assert chosen.fallback_reason
    assert "/opt" not in chosen.fallback_reason
    (record,) = caplog.records
    assert "/opt/y.so" in record.fields["reason"]  # type: ignore[attr-defined]


def test_a_fault_of_ours_is_not_taken_for_a_missing_artefact(learned: Learned, tmp_path: Path) -> None:
    learned.failure = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        face.choose(tmp_path)


def test_the_stage_is_told_without_choosing_one(learned: Learned) -> None:
    assert face.stage() is None
    assert learned.folders == []
    assert face.warm_up() == face.stage()
    assert len(learned.folders) == 1


def test_many_threads_choose_once(learned: Learned) -> None:
    together = threading.Barrier(8)

    def first(_: int) -> tuple[Face, ...]:
        together.wait()
        return face.detect(RGB)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [(FOUND,)] * 8
    assert len(learned.folders) == 1


def test_the_model_folder_is_the_named_one_or_the_bundled_one() -> None:
    assert settings.model_dir({"MODEL_DIR": "/opt/models"}) == Path("/opt/models")
    bundled = Path(face.__file__).resolve().parents[1] / "models"
    assert settings.model_dir({}) == settings.model_dir({"MODEL_DIR": ""}) == bundled
