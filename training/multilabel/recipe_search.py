"""Features of pictures -> the recipe of the head with the best macro-F1 on validation, searched by Optuna; goes on after any end.

Loss of the severities and its weight are not searched: the macro-F1 knows nothing of severities and would do without them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import warnings
from dataclasses import asdict, replace

import optuna
from optuna.trial import TrialState

from training import command
from training.multilabel import severity_head
from training.multilabel.objective import PRESENCE_LOSSES
from training.multilabel.severity_head import MACRO_F1, Known, Recipe
from training.searching import search, search_report

FIGURE = "macro-F1"
RATE, DECAY, DROPOUT = (1e-4, 1e-2), (1e-4, 1e-1), (0.0, 0.6)  # smallest and largest; the first two drawn by logarithm
BATCHES = (16, 32, 64)
UNITS = {"linear": (), "128": (128,), "256": (256,), "256-128": (256, 128)}


def best(train: Known, validation: Known, recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The best recipe of a study in ``DIR/search`` that has come to `options.trials` finished trials.

    Raises:
        BadInput: another search runs there, or the study is of other pictures or epochs.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = options.out / "search"
    place.mkdir(parents=True, exist_ok=True)
    known = argparse.Namespace(**{**vars(options), "out": place, "storage": None, "study": None, "pruner": "none"})
    about = f"{FIGURE}, {recipe.epochs} epochs, {recipe.aim}, {_digest(train, validation)}"
    with command.alone(place), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = search.opened(known, about)
        run(study, train, validation, recipe, options)
        search_report.write(study, place, FIGURE)
    found = search.best_of(study.trials)
    assert found is not None
    print(f"best of {len(study.trials)} trials: {search_report.told(found)}", flush=True)
    return suggested(optuna.trial.FixedTrial(found.params, found.number), recipe)


def run(study: optuna.Study, train: Known, validation: Known, recipe: Recipe, options: argparse.Namespace) -> None:
    """Trials until as many as wanted are finished; one that was killed is done again from its last epoch."""

    def value(trial: optuna.Trial) -> float:
        own = suggested(trial, recipe)
        folder = options.out / "search" / "trials" / hashlib.sha256(json.dumps(asdict(own)).encode()).hexdigest()[:16]
        fitted = severity_head.fit(train, validation, own, folder)
        trial.set_user_attr("epochs", len(fitted.history))
        shutil.rmtree(folder)
        return max(row[MACRO_F1] for row in fitted.history)

    while (done := len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]))) < options.trials:
        search.ask_again(study)
        study.sampler = optuna.samplers.TPESampler(seed=options.seed + len(study.get_trials(deepcopy=False)))
        study.optimize(value, n_trials=1)
        last = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])[-1]
        print(f"trial {done + 1} of {options.trials}: {search_report.told(last)}", flush=True)


def suggested(trial: optuna.trial.BaseTrial, recipe: Recipe) -> Recipe:
    """What a trial asks for; all else as in the given recipe."""
    presence = trial.suggest_categorical("loss", list(PRESENCE_LOSSES))
    return replace(
        recipe,
        aim=replace(recipe.aim, presence=presence),
        units=UNITS[trial.suggest_categorical("head", list(UNITS))],
        dropout=trial.suggest_float("dropout", *DROPOUT),
        rate=trial.suggest_float("rate", *RATE, log=True),
        decay=trial.suggest_float("decay", *DECAY, log=True),
        batch=trial.suggest_categorical("batch", list(BATCHES)),
    )


def _digest(*given: Known) -> str:
    """Tells whether two searches can be compared."""
    digest = hashlib.sha256()
    for known in given:
        for array in (known.features, known.labels.present, known.labels.severity):
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]
