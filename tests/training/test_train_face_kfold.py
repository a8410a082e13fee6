"""Folds are trained once whatever happens; what cannot be learned is silent; the artefact is told what a request says."""

from __future__ import annotations

import base64
import csv
import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from flask.testing import FlaskClient

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")
pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")

from analyzer import model_card
from analyzer.preprocessing import DEMOGRAPHICS_WIDTH, demographics_vector
from analyzer.settings import Settings, StoreSettings
from analyzer.values import Demographics
from application import create_app
from tests import keras_networks
from tests.web.records import ANALYZE
from training import evaluate, features, gradcam, hare_run, heads, weights
from training.command import BadInput
from training.data.pictures import Picture
from training.data.prepared import Prepared
from training.evaluation import bootstrap
from training.kfold import arms, cross_validation, face_kfold, kfold_artefact
from training.kfold.cross_validation import Head, Plan, Table

CLASSES = ("acne", "eczema", "healthy")
FOLDS = 3
WIDTH = 6  # features
EACH = 20  # drawn pictures of a class


def drawn(each: int = 40) -> Table:
    """Pictures whose features tell the class a little; healthy and acne people say their age, eczema says gender alone."""
    rng = np.random.default_rng(8)
    truth = np.repeat([0, 1, 2], each)
    fed = rng.normal(size=(len(truth), 2, WIDTH)) + np.eye(3, WIDTH)[truth][:, None]
    said = [
        Demographics(gender=("female", "male")[row % 2], age=None if truth[row] == 1 else 20 + row % 5)
        for row in range(len(truth))
    ]
    pictures = [
        Picture(Path(f"{row}.jpg"), "clinic", CLASSES[label], f"person {row}") for row, label in enumerate(truth)
    ]
    return Table(CLASSES, pictures, fed.astype(np.float16), np.stack([demographics_vector(one) for one in said]), truth)


def plan() -> Plan:
    return Plan(heads.Recipe(units=(4,), dropout=(0.0,), epochs=2, seed=3), balanced=True)


def answered(work: Path) -> dict[tuple[str, str], np.ndarray]:
    table = drawn()
    return cross_validation.answers(table, np.arange(len(table.truth)) % FOLDS, plan(), work, [arms.ALIKE])


def test_a_killed_run_goes_on_with_the_next_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = f"from tests.training import test_train_face_kfold as run; run.answered(run.Path({str(tmp_path)!r}))"
    process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    first = tmp_path / cross_validation.FOLDS / "0_said_alike.npz"
    while not first.is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / cross_validation.FOLDS / f"{FOLDS - 1}_said_alike.npz").exists()
    written = first.stat().st_mtime_ns
    logits = answered(tmp_path)
    assert first.stat().st_mtime_ns == written
    told = capsys.readouterr().out
    assert "fold 1, image + values said alike: kept from an earlier run" in told
    assert f"fold {FOLDS}, image + values said alike: trained" in told
    assert all(np.isfinite(one).all() for one in logits.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == [cross_validation.FOLDS]  # nothing half done is left
    told_all, told_nothing = (logits["said_alike", way] for way in (arms.AS_SAID, arms.NOTHING))
    assert (told_all != told_nothing).any()  # what people of every class say is learned from
    age_alone = drawn().said * (np.arange(DEMOGRAPHICS_WIDTH) < 2)
    assert age_alone.any()
    silent = Table(CLASSES, drawn().pictures, drawn().features, age_alone, drawn().truth)
    learned, stopping = np.arange(0, 120, 2), np.arange(1, 120, 2)
    head = cross_validation.fitted(silent, learned, stopping, arms.ALIKE, plan(), tmp_path / "silent")
    assert not head.chain[0][0][WIDTH:].any()  # what a class never says changes no answer
    assert head.chain[0][0][:WIDTH].all()


def test_answers_of_other_settings_are_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_validation, "fitted", by_means)
    table, folds = drawn(), np.arange(120) % FOLDS
    cross_validation.answers(table, folds, plan(), tmp_path, [arms.IMAGE])
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / cross_validation.FOLDS).iterdir()}
    cross_validation.answers(table, folds, plan(), tmp_path, [arms.IMAGE])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    cross_validation.answers(table, folds, Plan(plan().recipe, balanced=False), tmp_path, [arms.IMAGE])
    assert all(path.stat().st_mtime_ns != before for path, before in kept.items())


def test_pictures_that_backbones_saw_are_trained_on_and_never_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []

    def watched(table: Table, rows: np.ndarray, *others: object) -> Head:
        learned.append(len(rows))
        assert set(table.truth[rows]) == {0, 1, 2}
        return by_means(table, rows, *others)

    monkeypatch.setattr(cross_validation, "fitted", watched)
    table, folds = drawn(), np.where(np.arange(120) % 2, np.arange(120) % FOLDS, -1)
    logits = cross_validation.answers(table, folds, plan(), tmp_path, [arms.IMAGE])["image", arms.NOTHING]
    assert np.isnan(logits[folds < 0]).all()
    assert np.isfinite(logits[folds >= 0]).all()
    assert min(learned) > 60


def by_means(table: Table, learned: np.ndarray, *_: object) -> Head:
    """A head in no time: nearest mean."""
    own = table.features[learned, 0].astype(np.float32)
    means = np.stack([own[table.truth[learned] == label].mean(axis=0) for label in range(len(table.classes))])
    kernel = np.concatenate([means.T, np.zeros((DEMOGRAPHICS_WIDTH, len(means)), np.float32)])
    return Head(((kernel, -0.5 * (means**2).sum(axis=1)),), [{"epoch": 0, "loss": 1.0, "val_loss": 1.0}])


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals need not be exact here."""
    monkeypatch.setattr(bootstrap, "DRAWS", 100)
    monkeypatch.setattr(evaluate, "DRAWS", 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Class folders of drawn pictures; only healthy people say their age."""
    rng, healthy = np.random.default_rng(3), []
    for index, name in enumerate(CLASSES):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(EACH):
            cells = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
            cells[..., index] //= 2
            large = cv2.resize(cells, (96, 96), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(tmp_path / "data" / name / f"{number}.png"), large)
            healthy += [f"{name}/{number}.png,{20 + number},female"] * (name == "healthy")
    (tmp_path / "data" / "demographics.csv").write_text("path,age,gender\n" + "\n".join(healthy) + "\n")
    return tmp_path / "data"


def options(data: Path, out: Path, **others: object) -> Namespace:
    usual = {"weights": "imagenet", "folds": FOLDS, "balanced": False, "said_only": False, "epochs": 2, "views": 1}
    usual |= {"batch": 32, "rate": 1e-3, "pretext_epochs": None, "precision": "f32", "limit": None, "seed": 1}
    usual |= {"ray": False, "ray_address": None}
    return Namespace(
        data=data, out=out, cache=out / "cache", model_dir=out / "models" / "hare_run_v6_facial", **usual | others
    )


def test_a_run_finds_missingness_out_and_its_artefact_is_told_what_a_request_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keras_networks, "SIDE_PX", 224)
    network = keras_networks.small(classes=3, demographics=DEMOGRAPHICS_WIDTH)
    monkeypatch.setattr(weights, "check", lambda *_: None)
    monkeypatch.setattr(weights, "network", lambda *_: network)
    monkeypatch.setattr(features, "opened", lambda *_: None)
    monkeypatch.setattr(features, "features_of", features_of)
    monkeypatch.setattr(features, "of_crops", small_copies)
    monkeypatch.setattr(cross_validation, "fitted", by_means)
    monkeypatch.setattr(kfold_artefact, "network_of", lambda *_: network)
    monkeypatch.setattr(gradcam, "explain", lambda *_: [])
    monkeypatch.setattr(hare_run, "audited", lambda *_: [])
    monkeypatch.setenv("SKIN_DATA", str(tmp_path / "nowhere"))
    given = options(folder, tmp_path / "run")
    face_kfold.train(given)

    told = capsys.readouterr().out
    assert "healthy from all others with an AUROC of 1.00" in told
    assert "No gain of demographics counts" in told
    found = json.loads((given.out / "demographics.json").read_text())
    assert found["known"] == {
        "acne": {"age": 0.0, "gender": 0.0, "ethnicity": 0.0, "fitzpatrick": 0.0},
        "eczema": {"age": 0.0, "gender": 0.0, "ethnicity": 0.0, "fitzpatrick": 0.0},
        "healthy": {"age": 1.0, "gender": 1.0, "ethnicity": 0.0, "fitzpatrick": 0.0},
    }
    with (given.out / "oof.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_image = [row for row in rows if row["network"] == "image"]
    split = json.loads((given.out / "split.json").read_text())["groups"]
    assert len(of_image) == sum(part != "test" for part in split.values())
    assert {row["group"] for row in rows} == {group for group, part in split.items() if part != "test"}
    assert {row["fold"] for row in rows} == {"1", "2", "3"}
    assert "What demographics add" in (given.out / "report.md").read_text()

    card = model_card.read(given.model_dir)
    assert [entry.name for entry in card.inputs] == ["image", "demographics"]
    assert any("No gain of demographics counts" in note for note in card.notes)
    client = create_app(Settings(store=StoreSettings(folder=given.model_dir.parent))).test_client()
    said = ({}, {"age": 60, "gender": "female", "fitzpatrick": "V"}, {})
    nothing, something, again = (probabilities(client, one) for one in said)
    assert nothing == again != something


def features_of(_: object, prepared: Prepared, rows: np.ndarray, views: int, *__: object, **___: object) -> np.ndarray:
    return small_copies(_, [prepared.crops[row] for row in rows], views)


def small_copies(_: object, crops: list[np.ndarray], views: int, *__: object) -> np.ndarray:
    """Small copies of the pictures as features."""
    small = [cv2.resize(crop, (34, 33), interpolation=cv2.INTER_AREA).ravel()[: features.WIDTH] for crop in crops]
    return np.repeat(np.stack(small)[:, None] / 255, 1 + views, axis=1).astype(np.float16)


def probabilities(client: FlaskClient, said: dict[str, object]) -> dict[str, float]:
    """What the ensemble answers to a portrait of somebody who says this of themselves."""
    rgb = cv2.resize(skimage.data.astronaut()[:400, 60:400], None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    image = base64.b64encode(cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes()).decode()
    answer = client.post(ANALYZE, json={"image": image, "demographics": said})
    assert answer.status_code == 200
    return answer.json["ensemble"]["probabilities"]


def test_too_few_people_for_the_folds_end_in_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted((folder / "acne").iterdir())[5:]:
        path.unlink()
    monkeypatch.setattr(weights, "check", lambda *_: None)
    monkeypatch.setattr(weights, "network", lambda *_: None)
    monkeypatch.setattr(hare_run, "audited", lambda *_: [])
    monkeypatch.setattr(features, "opened", lambda *_: None)
    monkeypatch.setattr(features, "features_of", features_of)
    with pytest.raises(BadInput, match=r"class acne: 4 subjects or groups.*at least 10.*--folds may ask for fewer"):
        face_kfold.train(options(folder, tmp_path / "run", folds=10))


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--folds", "2"], "2 must be 3 or more"), ([], "there is no such file or folder")]
)
def test_bad_options_are_told(arguments: list[str], words: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train_face_kfold", str(tmp_path / "none"), "--out", str(tmp_path)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert words in done.stderr


def test_help_needs_nothing_heavy() -> None:
    program = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'sklearn', 'yaml', 'cv2']));"
        "sys.argv = ['x', '--help']; runpy.run_module('training.train_face_kfold', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--balanced" in done.stdout
