"""The whole run on a painted tree and a backbone of two layers: interrupted, resumed, measured, served; and what it says of bad input."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

for package in ("tensorflow", "sklearn", "yaml", "matplotlib", "mlflow", "optuna"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

import keras  # noqa: E402

from analyzer import artefact, model_card  # noqa: E402
from analyzer.model_sources import NAME  # noqa: E402
from analyzer.values import Demographics  # noqa: E402
from tests.training.painted_tree import BATCHES, paint  # noqa: E402
from tests.training.test_end_to_end import asked, photo, serving  # noqa: E402, F401  # a fixture
from tests.training.test_train_hare_run import lighten  # noqa: E402
from training import command, hare_run, networks, train_multilabel  # noqa: E402
from training.data.shine_labels import CONDITIONS  # noqa: E402
from training.evaluation import scores  # noqa: E402
from training.multilabel import figures  # noqa: E402
from training.multilabel.simple_methods import BATCH, NOTHING  # noqa: E402

EPOCHS = 12
pytestmark = pytest.mark.timeout(900)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["train_multilabel", *map(str, arguments)])
    command.run(train_multilabel.main)


def sentence(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert isinstance(caught.value.code, str), caught.value.code
    return caught.value.code


def options(place: Path) -> list[object]:
    named = [place / "tree", "--out", place / "out", "--weights", place, "--model-dir", place / "models" / NAME]
    amounts = ["--epochs", EPOCHS, "--views", 1, "--batch", 16, "--rate", 3e-3, "--folds", 2, "--trials", 1]
    return [*named, "--backbone", "EfficientNetB0", *amounts]


class Ends(keras.callbacks.Callback):
    """Ctrl-C in the third epoch."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a run, interrupted once and begun again, with its tree, weights and models beside it; light backbones."""
    place = tmp_path_factory.mktemp("multilabel")
    paint(place / "tree", 2)
    damaged = min((place / "tree").rglob("*_flipped.png"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_efficientnet", "_resnet"):
            patch.setattr(networks, name, getattr(networks, name))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        lighten()
        networks.backbone("efficientnet").save_weights(place / "efficientnet.weights.h5")
        networks.backbone("resnet").save_weights(place / "other.weights.h5")
        with patch.context() as cut:
            cut.setattr(hare_run, "watched", lambda *_: [Ends()])
            with pytest.raises(SystemExit) as ended:
                run(cut, *options(place))
            assert ended.value.code == command.INTERRUPTED_CODE
        history = place / "out" / "head" / "history.json"
        before = json.loads(history.read_text())
        run(patch, *options(place))
        assert json.loads(history.read_text())[:2] == before
        yield place


def predictions(home: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((home / "out" / "predictions.csv").read_text().splitlines()))


def test_copies_stay_together_and_every_condition_is_in_every_part(home: Path) -> None:
    groups = json.loads((home / "out" / "split.json").read_text())["groups"]
    assert len(groups) == 2 * 3 * sum(map(len, BATCHES.values()))
    assert not any(name.endswith("_flipped") for name in groups)
    for part in ("train", "validation", "test"):
        inside = {name for name, held in groups.items() if held == part}
        assert all(any(f"/{one}_" in name for name in inside) for one in CONDITIONS)


def test_figures_stand_beside_those_who_see_no_skin(home: Path) -> None:
    found = json.loads((home / "out" / "metrics.json").read_text())
    nothing, own = found["baselines"][NOTHING], found["overall"]
    assert nothing[figures.ELEMENTWISE]["value"] == pytest.approx(6 / 7, abs=1e-3)
    assert nothing[scores.MACRO_F1]["value"] == 0
    assert own[scores.MACRO_F1]["interval"][0] > nothing[scores.MACRO_F1]["interval"][1]
    assert {artefact.EARNED, figures.MACRO_AUROC, figures.EXACT, figures.QWK, figures.MAE} <= own.keys()
    assert found["baselines"][BATCH][artefact.EARNED]["value"] == 0.5
    assert set(found["per batch"]) == {f"batch {one}" for one in BATCHES}
    assert {"the model", NOTHING, artefact.BASELINE, BATCH} == set(found["folds"])
    assert found["folds"]["the model"][scores.MACRO_F1]["count"] > found["overall"][scores.MACRO_F1]["count"]
    assert any("acne, aging, fine_lines_wrinkles never occur" in note for note in found["notes"])


def test_the_report_and_its_tables_are_there(home: Path) -> None:
    out = home / "out"
    text = (out / "report.md").read_text()
    for said in ("all negative", "Folds", "Thresholds", "Generation batches", "as an experiment", "--folds 2"):
        assert said in text, said
    assert (out / "report.html").stat().st_size > 50_000
    names = {path.stem for path in (out / "plots").iterdir()}
    assert {"comparison", "conditions", "severities", "batches", "history"} <= names
    assert {f"explanation_{one}" for one in CONDITIONS} <= names
    rows = predictions(home)
    assert len(rows) == len({row["path"] for row in rows}) == json.loads((out / "metrics.json").read_text())["pictures"]
    assert {int(row["acne severity answered"]) for row in rows} <= {0, 1, 2, 3}
    assert (out / "search" / "study.db").is_file()
    (unread,) = json.loads((out / "validation.json").read_text())["oddities"]["unreadable"]
    assert unread["path"].endswith("_flipped.png")


def test_the_artefact_answers_as_its_predictions_say(home: Path) -> None:
    opened = artefact.open_folder(home / "models" / NAME, precision="f32")
    row = predictions(home)[0]
    picture = cv2.imread(str(home / "tree" / "output_images" / row["path"]))[..., ::-1]
    crop = cv2.resize(np.ascontiguousarray(picture), (224, 224), interpolation=cv2.INTER_CUBIC)
    told = opened.predict(crop, Demographics())
    assert told.grades is not None
    assert not told.speaks
    for name in CONDITIONS:
        assert told.grades[name].probability == pytest.approx(float(row[f"{name} probability"]), abs=0.02)
        assert told.grades[name].threshold == pytest.approx(opened.card.thresholds[f"presence_{name}"])


def test_a_posted_photo_is_answered_by_it(home: Path, photo: bytes, tmp_path: Path) -> None:  # noqa: F811
    with serving(home / "models", tmp_path / "server.log") as address:
        answer, status = asked(address, photo)
    card = model_card.read(home / "models" / NAME)
    assert answer["ensemble"]["version"] == card.version
    assert answer["ensemble"]["experimental"] is True
    assert status["classes"] == sorted(CONDITIONS)
    assert answer["degraded"] is False


def test_the_same_command_again_trains_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (home / "out" / "metrics.json").read_text()
    run(monkeypatch, *options(home))
    told = capsys.readouterr().out
    assert "fold 2: kept from an earlier run" in told
    assert "trial 2" not in told
    assert (home / "out" / "metrics.json").read_text() == before


def test_bad_input_ends_in_a_sentence(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, out = home / "tree", tmp_path / "out"
    told = sentence(monkeypatch, tree, "--out", out, "--weights", tmp_path)
    assert "expected a .weights.h5 file of ResNet50, or a folder that holds resnet.weights.h5" in told
    light = ["--out", out, "--backbone", "EfficientNetB0", "--weights"]
    assert "expected the folder output_images" in sentence(monkeypatch, tmp_path, *light, home)
    shared = ["--cache", home / "out" / "cache", "--limit", 8]
    told = sentence(monkeypatch, tree, *light, home / "other.weights.h5", *shared)
    assert "are not those of EfficientNetB0" in told


def test_help_answers_without_the_training_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tensorflow", "keras", "sklearn", "yaml", "matplotlib", "mlflow", "optuna"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [one for one in sys.modules if one.startswith("training.") and one != "training.command"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["train_multilabel", "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("training.train_multilabel", run_name="__main__")
    assert caught.value.code == 0
    assert "--severity-loss" in capsys.readouterr().out
