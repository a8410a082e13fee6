"""Settings -> stages in their order; each is skipped while what it depends on is as it was, and what it made is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from training.command import BadInput
from training.dermaops import checkpoints, evaluate, finetune, ingest, preprocess, report, train
from training.dermaops.notify import DONE, SKIPPED
from training.dermaops.settings import ALL, Settings


@dataclass(frozen=True)
class Stage:
    """One step.

    Attributes:
        inputs: fingerprint of what the stage depends on beside the stage before it.
        work: does it; the files that it made, all below `Settings.out`.
        forget: takes away what an earlier run left, so that it begins anew.
    """

    name: str
    inputs: Callable[[Settings], str]
    work: Callable[[Settings], Sequence[Path]]
    forget: Callable[[Settings], None] = lambda settings: None


STAGES = (
    Stage("ingest", ingest.inputs, ingest.run, ingest.forget),
    Stage("preprocess", preprocess.inputs, preprocess.run),
    Stage("train", train.inputs, train.run, train.forget),
    Stage("evaluate", evaluate.inputs, evaluate.run),
    Stage("report", report.inputs, report.run),
)
BEFORE = {later.name: earlier.name for earlier, later in pairwise(STAGES)}


def wanted(settings: Settings, stage: str) -> list[Stage]:
    """The stages to go through: all, or one, with the report where there is something to report.

    Raises:
        BadInput: the weights cannot be used, or a stage that the one asked for builds upon has not finished with these settings.
    """
    finetune.check(settings.weights)
    if stage == ALL:
        return list(STAGES)
    for one in STAGES[: [one.name for one in STAGES].index(stage)]:
        if checkpoints.outputs_of(settings.out, one.name) is None:
            raise BadInput(
                f"--stage {stage}: stage {one.name} has not finished in {settings.out}; run all stages first."
            )
        if not checkpoints.unchanged(settings.out, one.name, _inputs(one, settings)):
            raise BadInput(
                f"--stage {stage}: stage {one.name} of {settings.out} was done with other pictures or options, or what it made has "
                f"changed; give the DATA and the options of that run, or run all stages."
            )
    asked = {stage, "report"} if stage == "evaluate" else {stage}
    return [one for one in STAGES if one.name in asked]


def run(stage: Stage, settings: Settings, forced: Collection[str] = ()) -> str:
    """One stage, unless it may be skipped; `DONE` or `SKIPPED`. Only when it ended well is it recorded as finished.

    Args:
        forced: names of stages that are done in any case, once: what goes on after an interruption or a failure goes on where that was.
    """
    if stage.name not in forced and checkpoints.unchanged(settings.out, stage.name, _inputs(stage, settings)):
        print(f"{stage.name}: unchanged, skipped", flush=True)
        return SKIPPED
    if stage.name in forced and not checkpoints.begun_anew(settings.out, stage.name):
        checkpoints.forget(settings.out, stage.name)
        stage.forget(settings)
        checkpoints.begin_anew(settings.out, stage.name)
    print(f"{stage.name}: begins", flush=True)
    begun = time.monotonic()
    made = stage.work(settings)
    seconds = time.monotonic() - begun
    inputs = _inputs(stage, settings)  # asked afterwards: what was fetched counts
    checkpoints.finished(settings.out, stage.name, inputs, made, seconds)
    print(f"{stage.name}: done in {seconds:.0f} s", flush=True)
    return DONE


def _inputs(stage: Stage, settings: Settings) -> str:
    before = BEFORE.get(stage.name)
    given = checkpoints.outputs_of(settings.out, before) if before else None
    return checkpoints.fingerprint(stage.inputs(settings), given)
