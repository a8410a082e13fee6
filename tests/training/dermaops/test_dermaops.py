"""Stages on drawn lesions: what is finished is skipped, evaluation alone, force, a killed training goes on; the published counts."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

for package in ("tensorflow", "sklearn", "matplotlib"):
    pytest.importorskip(package, reason=f"{package} is in the training environment only: make train-env")

from analyzer import keras_files  # noqa: E402
from tests.training.dermaops import lesion_pictures  # noqa: E402
from tests.training.dermaops.lesion_pictures import AGES_MISSING, LESIONS, PICTURES  # noqa: E402
from training import command, networks  # noqa: E402
from training.command import BadInput  # noqa: E402
from training.data import tables  # noqa: E402
from training.data.pictures import Picture  # noqa: E402
from training.dermaops import __main__ as command_line  # noqa: E402
from training.dermaops import (  # noqa: E402
    baseline,
    checkpoints,
    finetune,
    ingest,
    lesions,
    notify,
    pipeline,
    preprocess,
    quality,
    report,
)
from training.dermaops.notify import DONE, SKIPPED, Outcome  # noqa: E402
from training.dermaops.pipeline import Stage  # noqa: E402
from training.dermaops.settings import Settings  # noqa: E402

EPOCHS = 12  # of the training that is killed
pytestmark = pytest.mark.timeout(1800)  # on a machine that does much else
NAMES = [stage.name for stage in pipeline.STAGES]
CHILD = """
from pathlib import Path
from tests.training.dermaops import lesion_pictures
from tests.training.dermaops import test_dermaops
lesion_pictures.lighten()
home = Path({home!r})
test_dermaops.through(test_dermaops.settings(home, finetune_epochs={epochs}))
"""


@pytest.fixture
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_resnet", lesion_pictures.light)
    monkeypatch.setattr(keras_files, "TIME_S", 900)  # on a machine that does much else


@pytest.fixture
def home(tmp_path: Path, _light: None) -> Path:
    lesion_pictures.draw(tmp_path / "pictures")
    lesion_pictures.earlier(tmp_path / "weights")
    return tmp_path


def settings(home: Path, **changes: object) -> Settings:
    plain = Settings(
        source=str(home / "pictures"),
        out=home / "out",
        cache=home / "cache",
        weights=str(home / "weights"),
        side_px=64,
        views=0,
        epochs=3,
        finetune_epochs=2,
        batch=16,
        repeats=2,
    )
    return replace(plain, **changes)


def through(given: Settings, *forced: str) -> dict[str, str]:
    """All stages; stage → what became of it."""
    return {stage.name: pipeline.run(stage, given, forced) for stage in pipeline.STAGES}


def only(given: Settings, stage: str, *forced: str) -> dict[str, str]:
    return {one.name: pipeline.run(one, given, forced) for one in pipeline.wanted(given, stage)}


def test_finished_stages_are_skipped_evaluated_alone_and_forced(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(home)
    assert through(given) == dict.fromkeys(NAMES, DONE)
    assert re.search(rf"missing ages +{AGES_MISSING} +57\n", capsys.readouterr().out)
    figures = {path.name for path in (given.reports / "figures").iterdir()}
    assert figures == {
        "class_distribution.png",
        "learning_curves.png",
        "confusion_network.png",
        "confusion_forest.png",
        "melanoma_gradcam.png",
    }
    for path in (given.reports / "figures").iterdir():
        drawn = cv2.imread(str(path))
        assert drawn.std() > 5, f"{path.name} is empty"
    assert "Nothing here diagnoses anybody" in (given.reports / "report.md").read_text()

    assert through(given) == dict.fromkeys(NAMES, SKIPPED)

    weights = finetune.weights_of(given, finetune.UNFROZEN)
    trained = weights.stat().st_mtime_ns
    given.metrics.unlink()
    assert only(given, "evaluate") == {"evaluate": DONE, "report": SKIPPED}
    assert weights.stat().st_mtime_ns == trained

    assert through(given, "train")["train"] == DONE
    assert weights.stat().st_mtime_ns != trained

    for path in (given.reports / "figures").iterdir():
        path.unlink()
    redone = through(given)
    assert {name for name, state in redone.items() if state == DONE} == {"evaluate", "report"}
    assert {path.name for path in (given.reports / "figures").iterdir()} == figures

    picture = min((home / "pictures" / "images").iterdir())
    picture.write_bytes(max((home / "pictures" / "images").iterdir()).read_bytes())
    assert through(given)["preprocess"] == DONE  # other pictures: all is done anew


def test_metrics_are_those_of_the_predictions(home: Path) -> None:
    given = settings(home, finetune_epochs=0)
    through(given)
    metrics = json.loads(given.metrics.read_text())
    assert metrics["chosen"] == finetune.FROZEN
    with given.predictions.open() as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["truth"] == row["answer"] for row in rows])
    assert metrics["figures"]["frozen"]["test"]["accuracy"]["value"] == pytest.approx(right, abs=1e-4)
    assert np.sum(metrics["confusion"]) == len(rows) == metrics["sizes"]["network"]["test"]
    assert np.trace(metrics["confusion"]) == right * len(rows)
    assert metrics["leaked share"]["lesion"] == 0 < metrics["leaked share"]["image"]
    history = json.loads(given.history.read_text())["phases"]["frozen"]
    assert {"loss", "val_loss", "accuracy", "val_accuracy", "macro_f1", "val_macro_f1"} <= set(history[0])


def test_a_stage_needs_those_before_it(home: Path) -> None:
    given = settings(home)
    with pytest.raises(BadInput, match="stage ingest has not finished"):
        pipeline.wanted(given, "evaluate")
    for stage in pipeline.STAGES[:2]:
        pipeline.run(stage, given)
    assert [stage.name for stage in pipeline.wanted(given, "train")] == ["train"]
    with pytest.raises(BadInput, match=r"stage preprocess of .* was done with other pictures or options"):
        pipeline.wanted(replace(given, limit=3), "train")


def test_what_was_forced_and_interrupted_goes_on_and_is_forced_again_only_when_it_has_finished(tmp_path: Path) -> None:
    given, told = Settings("x", tmp_path, tmp_path), list[str]()

    def work(_: Settings) -> list[Path]:
        told.append("work")
        if len(told) == 2:
            raise KeyboardInterrupt
        return []

    stage = Stage("train", lambda _: "the same", work, lambda _: told.append("forget"))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(stage, given, {"train"})
    assert pipeline.run(stage, given, {"train"}) == DONE
    assert told == ["forget", "work", "work"]
    assert pipeline.run(stage, given, {"train"}) == DONE
    assert told[3:] == ["forget", "work"]


def test_one_run_in_a_folder_and_no_force_for_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(home)
    pipeline.run(pipeline.STAGES[0], given)
    asked = ["dermaops", given.source, "--out", str(given.out), "--stage", "preprocess", "--force-retrain"]
    monkeypatch.setattr(sys, "argv", [*asked, "--weights", given.weights])
    with pytest.raises(BadInput, match="--force-retrain: --stage preprocess does not do that stage"):
        command_line.main()
    with (
        command.alone(given.out),
        pytest.raises(BadInput, match="another run is at work there"),
    ):
        command_line.main()


def test_a_training_killed_in_its_middle_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(home, finetune_epochs=EPOCHS)
    history = given.training / finetune.UNFROZEN / "history.json"
    program = CHILD.format(home=str(home), epochs=EPOCHS)
    child = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    while child.poll() is None and not (history.is_file() and len(json.loads(history.read_text())) >= 2):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    before = json.loads(history.read_text())
    assert checkpoints.outputs_of(given.out, "train") is None
    assert through(given) == {"ingest": SKIPPED, "preprocess": SKIPPED, **dict.fromkeys(NAMES[2:], DONE)}
    after = json.loads(history.read_text())
    kept = len(before) - 1  # the last epoch may have been killed before it was backed up
    assert after[:kept] == before[:kept]
    told = capsys.readouterr().out
    assert f"epoch {EPOCHS} of at most" in told or len(after) < EPOCHS
    assert "epoch 1 of at most" not in told  # it went on, it did not begin anew


def test_splits_keep_lesions_together_or_leak() -> None:
    pictures = [
        Picture(Path(f"{name}{row}.jpg"), "ham10000", name, f"ham10000/{name}{row // 2}")
        for name in "ab"
        for row in range(60)
    ]
    groups = [one.group for one in pictures]
    kept, torn = (lesions.parted(pictures, way, 1) for way in ("lesion", "image"))
    assert not lesions.leaked(groups, kept).any()
    assert lesions.leaked(groups, torn).any()
    for parts in (kept, torn):
        assert [parts.count(part) for part in ("train", "validation", "test")] == [96, 12, 12]
    assert lesions.parted(pictures, "lesion", 1, seen=[0])[:2] == ["train", "train"]


def test_pictures_that_weights_have_seen_are_trained_on(home: Path) -> None:
    files = sorted((home / "pictures" / "images").iterdir())[:6]
    known = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    (home / "weights" / "seen.json").write_text(json.dumps(known))
    given = settings(home)
    for stage in pipeline.STAGES[:2]:
        pipeline.run(stage, given)
    found = lesions.read(given.lesions)
    parts = [part for part, digest in zip(found.parts["network"], found.digests, strict=True) if digest in known]
    assert parts == ["train"] * 6


def test_the_leak_is_seen_where_there_is_one() -> None:
    """Features that tell the lesion, not the diagnosis: a split of images seems to learn, a split of lesions does not."""
    rng = np.random.default_rng(0)
    lesion = np.repeat(np.arange(90), 2)
    pictures = [
        Picture(Path(f"{row}.jpg"), "ham10000", "ab"[one % 2], f"lesion {one}") for row, one in enumerate(lesion)
    ]
    found = lesions.Lesions(pictures, [""] * len(pictures), {})
    colours = rng.normal(size=(90, 8)).astype(np.float32)[lesion]
    row = baseline.leak(found, colours, repeats=1, seed=3)[0]
    assert row["images, lesion known"] == 1.0
    assert row["lesions"] < 0.8
    assert row["same pictures, as few trained"] > row["same pictures, lesions strange"]


def test_bad_sources_and_weights_end_in_a_sentence(home: Path) -> None:
    (home / "empty").mkdir()
    with pytest.raises(BadInput, match=r"HAM10000_metadata\.csv: there is no such file"):
        ingest.run(settings(home, source=str(home / "empty")))
    with pytest.raises(BadInput, match=r"expected .*resnet\.weights\.h5"):
        finetune.check(str(home / "empty"))
    (home / "empty" / "resnet.weights.h5").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="--weights none"):
        finetune.built("there", 3, 64, home / "empty" / "resnet.weights.h5")
    assert networks.backbone("resnet", 64).count_params() > 0


def test_a_damaged_picture_is_left_out_and_a_copy_stays_with_its_twin(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((home / "pictures" / "images").iterdir())
    images[3].write_bytes(images[3].read_bytes()[:300])
    images[40].write_bytes(images[0].read_bytes())
    given = settings(home)
    for stage in pipeline.STAGES[:2]:
        pipeline.run(stage, given)
    assert f"{images[3].name}: expected a whole picture" in capsys.readouterr().err
    told = json.loads(given.quality.read_text())
    assert (told["pictures"], told["unreadable"], told["copies"]) == (PICTURES, 1, 1)
    found = lesions.read(given.lesions)
    twins = [one.group for one in found.pictures if one.path.name in (images[0].name, images[40].name)]
    assert len(found.pictures) == PICTURES - 1
    assert len(set(twins)) == 1


def test_limit_takes_a_few_of_each_diagnosis(home: Path) -> None:
    pictures = [replace(one, label=one.kind) for one in ingest.read(home / "pictures")[0]]
    chosen = lesions.limited(pictures, 5, seed=1)
    assert [sum(one.kind == name for one in chosen) for name in lesion_pictures.COLOURS] == [5, 5, 5]


def test_unfrozen_is_the_last_block_without_its_normalisations(home: Path) -> None:
    network = finetune.built("", 3, 64, home / "weights" / "resnet.weights.h5")
    assert finetune.unfreeze(network) == ["conv5_light", "head_0", "logits"]


def test_notification_tells_success_and_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = Settings("here", tmp_path, tmp_path)
    outcomes = [Outcome("ingest", DONE, 1.0, attempts=3), Outcome("preprocess", notify.FAILED, 2.0)]
    text = notify.notify(given, outcomes, "the disk is on fire")
    assert given.notification.read_text() == text
    assert "| ingest | done | 1.0 | 3 |" in text
    assert "Reason: the disk is on fire" in capsys.readouterr().out


@pytest.mark.data
def test_published_counts_are_found(skin_data: Path) -> None:
    table = skin_data / "ham10000" / "HAM10000_metadata.csv"
    found = quality.measured([row for _, row in tables.rows_of(table, quality.COLUMNS, [])], [])
    measured = {
        "pictures": found.pictures,
        "lesions": found.lesions,
        "diagnoses": len(found.diagnoses),
        "missing ages": found.missing["age"],
        "imbalance": found.imbalance,
    }
    assert measured == quality.PUBLISHED
    assert found.diagnoses["nv"] == 6705


def test_quality_counts_what_is_there(home: Path) -> None:
    table = home / "pictures" / "HAM10000_metadata.csv"
    with table.open("a") as file:
        file.writelines(table.read_text().splitlines(keepends=True)[1:4])  # named before
        file.write("ISIC_9999999,,nv,,,,\n")
    images = [f"ISIC_{row:07d}" for row in range(PICTURES)]
    rows, left_out = preprocess.rows_of(home / "pictures", images)
    found = quality.measured([rows[name] for name in images], ["one", "one", "two"], left_out)
    assert found.left_out == 4
    assert (found.pictures, found.lesions) == (PICTURES, LESIONS * 3)
    assert (found.imbalance, found.several, found.copies) == (1.0, 12, 1)
    assert found.missing == {"age": AGES_MISSING, "sex": 0, "localization": 0}
    assert report.PUBLISHED_NETWORK["test"]["accuracy"] == 0.7285
