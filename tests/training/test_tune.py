"""A search survives being killed, never looks at the test part, and leaves a recipe that can be read again."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("optuna", reason="Optuna is in the training environment only: make train-env")
pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import optuna
from optuna.trial import TrialState

from tests.training import searches
from training import command, recipes, tune
from training.heads import Recipe
from training.searching import search, search_space, trials

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


def searched(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: object) -> None:
    """Run the command in this process, on drawn features."""
    monkeypatch.setattr(sys, "argv", ["tune", str(out.parent), "--out", str(out), *map(str, arguments)])
    monkeypatch.setattr(search, "material_of", lambda options: searches.material())
    monkeypatch.setattr(search.weights, "check", lambda choice: None)
    command.run(tune.main)


def study_in(out: Path) -> optuna.Study:
    return optuna.load_study(study_name=out.parent.name, storage=f"sqlite:///{out / search.STORE}")


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:  # not written yet
        return []
    finally:
        connection.close()


def wait_for(found: Any, process: subprocess.Popen[bytes], within_s: float = 240.0) -> Any:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if answer := found():
            return answer
        assert process.poll() is None, "the search ended by itself"
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


def test_a_killed_search_goes_on_and_does_the_killed_trial_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = [str(tmp_path), "--out", str(out), "--pruner", "none", "--epochs", "15", "--trials", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.searches", *options],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    second = """SELECT trial_id FROM trials JOIN trial_intermediate_values USING (trial_id)
                WHERE state = 'RUNNING' AND number > 0 AND step >= 1"""
    database = out / search.STORE
    try:
        wait_for(lambda: database.is_file() and rows(database, second), process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = study_in(out).get_trials(states=[TrialState.RUNNING])
    finished = len(study_in(out).get_trials(states=search.FINISHED))
    assert len(left) == 1
    assert finished >= 1
    searched(monkeypatch, out, "--pruner", "none", "--epochs", 15, "--trials", finished + 1)
    every = study_in(out).trials
    assert [one.state for one in every if one.number == left[0].number] == [TrialState.FAIL]
    again = [one for one in every if one.user_attrs.get(search.AGAIN) == left[0].number]
    assert [(one.state, one.params) for one in again] == [(TrialState.COMPLETE, left[0].params)]
    assert len([one for one in every if one.state in search.FINISHED]) == finished + 1
    assert not any((out / "trials").iterdir())


def test_what_a_search_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    searched(monkeypatch, out, "--trials", 4, "--epochs", 2, "--sampler", "random")
    study = study_in(out)
    setting = recipes.read(out / "best.json")
    asked = search_space.suggested(optuna.trial.FixedTrial(study.best_params), epochs=2, fine_tune=0, seed=6)
    assert setting == asked
    with (out / "trials.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4
    assert float(table[0]["balanced accuracy"]) == pytest.approx(study.best_value, abs=1e-4)
    assert [float(table[0]["rate"])] == pytest.approx([study.best_params["rate"]], rel=1e-3)
    assert (out / "optimisation_history.png").read_bytes().startswith(b"\x89PNG")
    assert f"--recipe {out / 'best.json'}" in capsys.readouterr().out
    searched(monkeypatch, out, "--trials", 4, "--epochs", 2, "--sampler", "random")
    assert len(study_in(out).trials) == 4, "nothing was left to do"


def test_a_study_of_other_figures_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(monkeypatch, tmp_path / "out", "--trials", 1, "--epochs", 2)
    with pytest.raises(SystemExit, match="is of other pictures, parts, classes, backbones or epochs"):
        searched(monkeypatch, tmp_path / "out", "--trials", 2, "--epochs", 3)


def test_two_searches_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    with command.alone(tmp_path / "out"), pytest.raises(SystemExit, match="another run is at work there"):
        searched(monkeypatch, tmp_path / "out", "--trials", 1)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "no URL such as"),
        ("mydb://someone:secret@host/x", "no database of this kind"),
        ("sqlite:////nowhere/at/all.db", "unable to open"),
    ],
)
def test_a_database_that_cannot_be_used(url: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as caught:
        searched(monkeypatch, tmp_path / "out", "--trials", 1, "--storage", url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_of_ones_own_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    searched(monkeypatch, tmp_path / "out", "--trials", 1, "--epochs", 2, "--storage", url, "--study", "mine")
    assert optuna.get_all_study_names(url) == ["mine"]
    assert not (tmp_path / "out" / search.STORE).exists()


def test_the_grid_is_gone_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {name: values[:1] for name, values in search_space.GRID.items()} | {"batch": (32, 128)}
    monkeypatch.setattr(search_space, "GRID", grid)
    searched(monkeypatch, tmp_path / "out", "--trials", 9, "--epochs", 2, "--sampler", "grid")
    assert sorted(one.params["batch"] for one in study_in(tmp_path / "out").trials) == [32, 128]


def test_trials_without_hope_are_ended(tmp_path: Path) -> None:
    """A rate so low that nothing is learned, after one that learns; what is reported is what is searched."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(1, 0))
    material = searches.material()
    aim = trials.objective(material)
    for rate in (1e-2, 1e-12):
        trial = study.ask()
        setting = recipes.Setting(Recipe(units=(16,), dropout=(0.0,), rate=rate, epochs=6))
        try:
            study.tell(trial, trials.value_of(trial, setting, material, material.known(setting), aim, tmp_path))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
    learned, hopeless = study.trials
    assert (learned.state, hopeless.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert (len(learned.intermediate_values), len(hopeless.intermediate_values)) == (6, 1)
    assert min(abs(learned.value - one) for one in learned.intermediate_values.values()) < 1e-6


@pytest.mark.parametrize(
    ("sources", "name", "wanted"),
    [
        ({"one": (0, 1, 2)}, "balanced accuracy", 2 / 3),
        ({"first": (0, 1), "second": (2,)}, "balanced accuracy", 2 / 3),
    ],
)
def test_the_objective_is_matched_by_source_only_where_sources_can_be_compared(
    sources: dict[str, tuple[int, ...]], name: str, wanted: float
) -> None:
    material = searches.material(sources)
    aim = trials.objective(material)
    told = np.where(material.truth["validation"] == 2, 0, material.truth["validation"])
    assert (aim.name, aim.measure(told)) == (name, pytest.approx(wanted))


def test_the_objective_within_two_sources() -> None:
    material = searches.material()
    rows = material.rows["validation"]
    for place, row in enumerate(rows):
        material.prepared.pictures[row] = searches.with_source(material.prepared.pictures[row], f"half {place % 2}")
    aim = trials.objective(material)
    assert aim.name == "source-matched balanced accuracy"
    assert aim.measure(material.truth["validation"]) == 1.0
    assert aim.measure(np.zeros(len(rows), np.intp)) == pytest.approx(1 / 3)


def test_a_recipe_file_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    recipes.write(recipes.Setting(views=4), path, {"trial": 3})
    assert recipes.read(path) == recipes.Setting(views=4)
    whole = json.loads(path.read_text())
    for change, words in (
        ({"views": "many"}, "setting: views must be like 2"),
        ({"recipe": {**asdict(Recipe()), "rate": "fast"}}, "recipe: rate must be like 0.001"),
        ({"recipe": {"speed": 1}}, "recipe has an unknown field speed"),
        ({"recipe": {"units": [5]}}, "one number for each layer"),
        ({"augmentation": []}, "augmentation must be an object"),
    ):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(command.BadInput, match=words):
            recipes.read(path)


def test_help_needs_no_tensorflow() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\nfrom training import tune\ntry: tune.main()\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras', 'optuna'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--sampler {tpe,random,grid}" in done.stdout
    assert done.stdout.strip().endswith("[]")
