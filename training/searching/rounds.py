"""Several trials that begin together -> what came of them, in this process or on other machines, the same either way.

A worker cannot reach the study, which lies on a disk of ours. It gets a copy in memory of what was finished when its round began:
the pruner decides by that alone, so that neither the number of workers nor their speed changes any trial.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from training.cluster import HERE, Pool
from training.recipes import Setting
from training.searching import search_space, trials
from training.searching.trials import Material, Objective


@dataclass(frozen=True, eq=False)
class Round:
    """What the trials of a round share.

    Attributes:
        name, pruner, past: of the study, with the trials that it had when the round began.
        work: folder in which heads are trained, and go on after an interruption; None = one that is of no use afterwards.
    """

    name: str
    pruner: optuna.pruners.BasePruner
    past: Sequence[FrozenTrial]
    material: Material
    aim: Objective
    work: Path | None


@dataclass(frozen=True, eq=False)
class Asked:
    """One trial of a round. Attributes: `place` in it; `known`, features by part."""

    place: int
    setting: Setting
    known: Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Outcome:
    """What came of it. Attributes: `value`, None where it was pruned; what the trial kept in its copy of the study."""

    value: float | None
    reported: Mapping[int, float]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]


def run(
    study: optuna.Study, count: int, options: argparse.Namespace, material: Material, aim: Objective, pool: Pool
) -> None:
    """A round of `count` trials, asked, worked on and told."""
    past = study.get_trials()
    begun = [asked(study, place, options, material, pool) for place in range(count)]
    work = options.out / "trials" if pool is HERE else None
    shared = Round(study.study_name, study.pruner, past, material.sent(pixels=bool(options.fine_tune)), aim, work)
    outcomes = dict(pool.map(outcome, shared, [one for _, one in begun]))
    study.sampler = search_space.sampler(
        "random", seed=0, done=0, fine_tune=0
    )  # the grid's would end a loop that is none
    for place, (trial, _) in enumerate(begun):
        tell(study, trial, outcomes[place])


def asked(
    study: optuna.Study, place: int, options: argparse.Namespace, material: Material, pool: Pool
) -> tuple[optuna.Trial, Asked]:
    """A new trial, and what a worker needs to know of it."""
    choose_sampler(study, options)
    trial = study.ask()
    setting = search_space.suggested(trial, epochs=options.epochs, fine_tune=options.fine_tune, seed=options.seed)
    return trial, Asked(place, setting, material.known(setting, pool))


def choose_sampler(study: optuna.Study, options: argparse.Namespace) -> None:
    every = len(study.get_trials(deepcopy=False))
    study.sampler = search_space.sampler(options.sampler, seed=options.seed, done=every, fine_tune=options.fine_tune)


def outcome(shared: Round, one: Asked) -> Outcome:
    """Train one trial of a round; runs where the pool says."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=shared.name, direction="maximize", pruner=shared.pruner)
    study.add_trials(shared.past)
    trial = [study.ask() for _ in range(one.place + 1)][-1]  # with the number that it has in the study
    with tempfile.TemporaryDirectory() as passing:
        work = shared.work or Path(passing)
        try:
            value = trials.value_of(trial, one.setting, shared.material, one.known, shared.aim, work)
        except optuna.TrialPruned:
            value = None
    kept = study.trials[trial.number]
    return Outcome(value, kept.intermediate_values, kept.user_attrs, kept.system_attrs)


def tell(study: optuna.Study, trial: optuna.Trial, found: Outcome) -> None:
    """Put what came of a trial into the study."""
    for step, value in found.reported.items():
        trial.report(value, step)
    for name, value in found.user_attrs.items():
        trial.set_user_attr(name, value)
    for name, value in found.system_attrs.items():  # with which Hyperband compares trials of one rung
        trial.storage.set_trial_system_attr(trial._trial_id, name, value)
    if found.value is None:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, found.value)
