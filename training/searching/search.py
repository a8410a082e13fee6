"""Options of `tune` -> a study of trials that outlives any end, and what it found: best.json, tables, plots.

A study of our own (SQLite below --out) is locked by the process that searches: a trial that still "runs" when the lock is free
was killed. Studies elsewhere may have several searchers; there Optuna's heartbeat says which trials were killed. Either way
the killed trial is marked as failed and its setting is asked for once more.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import warnings
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from training import cluster, command, recipes, weights
from training.cluster import HERE, Pool
from training.command import BadInput
from training.searching import rounds, search_space, trials
from training.searching.search_report import told, write
from training.searching.trials import Material, Objective

STORE = "study.db"
BEAT_S = 60  # between two signs of life of a searcher, where others may search too
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
AGAIN = "again"  # number of the failed trial whose setting is asked for once more
ABOUT = "about"  # what the figures of a study are of; others cannot be compared with them


def search(options: argparse.Namespace) -> None:
    """All of it, in order; what was done before an interruption is kept."""
    weights.check(options.weights)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options.out.mkdir(parents=True, exist_ok=True)
    with command.alone(options.out), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        material = material_of(options)
        aim = trials.objective(material)
        study = opened(options, f"{aim.name}, {options.epochs} epochs, {material.digest}")
        counts = ", ".join(f"{part} {len(rows)}" for part, rows in material.rows.items())
        print(f"{aim.name} on validation is searched; pictures: {counts}", flush=True)
        with cluster.opened(options) as pool:
            run(study, options, material, aim, pool)
        write(study, options.out, aim.name)
    save_best(study, options, aim)


def material_of(options: argparse.Namespace) -> Material:
    """Pictures read, parted, and the backbones opened; the part "test" stays behind."""
    from training import features, gathering

    pictures = gathering.gathered(options)
    base = gathering.backbones(options, pictures)
    return Material(
        pictures.classes,
        pictures.prepared,
        {part: pictures.rows[part] for part in ("train", "validation")},
        {part: pictures.truth[part] for part in ("train", "validation")},
        base,
        features.opened(base, options.cache, options.precision),
        options.cache / "features",
    )


def opened(options: argparse.Namespace, about: str) -> optuna.Study:
    """The study, new or as it was left; trials that were killed are marked as failed.

    Raises:
        BadInput: the database cannot be used, or the study is of other pictures, parts, classes, backbones or epochs.
    """
    own = options.storage is None
    url = f"sqlite:///{(options.out / STORE).resolve()}" if own else options.storage
    try:
        beats = {} if own else {"heartbeat_interval": BEAT_S}
        storage = optuna.storages.RDBStorage(url, **beats)
        name = options.study or options.data.resolve().stem
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=search_space.pruner(options.pruner, options.epochs),
        )
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        if command.is_full_disk(error):
            raise
        raise BadInput(f"--storage {safe(url)}: cannot be used ({reason(error)}).") from error
    if study.user_attrs.setdefault(ABOUT, about) != about:
        raise BadInput(
            f"the study {name} in {safe(url)} is of other pictures, parts, classes, backbones or epochs; give this one another "
            "name with --study, or another --out."
        )
    study.set_user_attr(ABOUT, about)
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]) if own else ():
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def safe(url: str) -> str:
    """A database's URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(no URL such as sqlite:///study.db or postgresql://user@host/name)"


def reason(error: BaseException) -> str:
    """What is at the bottom of an error, in one line; no URLs, which may hold passwords."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ArgumentError | NoSuchModuleError):
        return "no database of this kind is known"
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def run(
    study: optuna.Study, options: argparse.Namespace, material: Material, aim: Objective, pool: Pool = HERE
) -> None:
    """Trials until as many as wanted are finished, or the grid is."""
    at_once = options.at_once or pool.places
    if (at_once > 1 or pool is not HERE) and options.storage:
        raise BadInput(
            "--storage: searches that share a database work beside each other by themselves; no --ray, no --at-once."
        )
    while (done := len(study.get_trials(deepcopy=False, states=FINISHED))) < options.trials:
        ask_again(study)
        count = min(at_once, options.trials - done, left_in_grid(study, options))
        if not count:
            print(f"the grid has no further settings; {done} trials are finished", flush=True)
            return
        if at_once == 1 and pool is HERE:
            one_by_one(study, options, material, aim)
        else:
            rounds.run(study, count, options, material, aim, pool)
        for place, last in enumerate(study.get_trials(deepcopy=False, states=FINISHED)[done:], done + 1):
            print(f"trial {place} of {options.trials}: {told(last)}", file=sys.stderr, flush=True)


def one_by_one(study: optuna.Study, options: argparse.Namespace, material: Material, aim: Objective) -> None:
    """One trial that can be watched in the study while it lasts."""

    def value(trial: optuna.Trial) -> float:
        setting = search_space.suggested(trial, epochs=options.epochs, fine_tune=options.fine_tune, seed=options.seed)
        return trials.value_of(trial, setting, material, material.known(setting), aim, options.out / "trials")

    rounds.choose_sampler(study, options)
    study.optimize(value, n_trials=1, gc_after_trial=True)


def left_in_grid(study: optuna.Study, options: argparse.Namespace) -> int:
    """Settings of the grid that were not tried, those that are asked for once more included; many, for other samplers."""
    if options.sampler != "grid":
        return sys.maxsize
    every = study.get_trials(deepcopy=False)
    tried = {one.system_attrs.get("grid_id") for one in every if one.state in FINISHED} - {None}
    waiting = sum(one.state == TrialState.WAITING for one in every)
    return max(waiting, search_space.grid_size(options.fine_tune) - len(tried))


def ask_again(study: optuna.Study) -> None:
    """Queue the settings of failed trials that nobody has asked for once more."""
    every = study.get_trials(deepcopy=False)
    asked = {one.user_attrs.get(AGAIN) for one in every}
    for failed in every:
        if failed.state == TrialState.FAIL and failed.number not in asked and failed.params:
            study.enqueue_trial(failed.params, user_attrs={AGAIN: failed.number})


def save_best(study: optuna.Study, options: argparse.Namespace, aim: Objective) -> None:
    """best.json, and what to do with it."""
    best = best_of(study.trials)
    if best is None:
        raise BadInput("no trial came to its end, all were pruned; give more --trials, or --pruner none.")
    setting = search_space.suggested(
        optuna.trial.FixedTrial(best.params, best.number),
        epochs=options.epochs,
        fine_tune=options.fine_tune,
        seed=options.seed,
    )
    path = options.out / "best.json"
    found = {"trial": best.number, f"{aim.name} on validation": best.value, "study": study.study_name}
    recipes.write(setting, path, found)
    print(f"best of {len(study.trials)} trials: {told(best)}", flush=True)
    given = shlex.join(
        [str(options.data), "--recipe", str(path), "--weights", options.weights, "--cache", str(options.cache)]
    )
    print(f"train with it: python -m training.train_hare_run {given} --out …", flush=True)


def best_of(every: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The finished trial with the highest value, the first of equal ones."""
    complete = [one for one in every if one.state == TrialState.COMPLETE]
    return max(complete, key=lambda one: (one.value, -one.number), default=None)
