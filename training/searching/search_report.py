"""A study -> trials.csv, trials.md, optimisation_history.png and importance.png."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib as mpl
import optuna
from optuna.trial import FrozenTrial, TrialState

from training import command

SHOWN = 20  # trials in trials.md
LEAST_FOR_IMPORTANCE = 4  # complete trials
SEED = 3


def write(study: optuna.Study, out: Path, figure: str) -> None:
    """All four; a plot for which there are too few trials is left out."""
    rows = sorted(
        study.get_trials(deepcopy=False), key=lambda one: (one.state != TrialState.COMPLETE, -(one.value or 0))
    )
    names = sorted({name for one in rows for name in one.params})
    header = ["trial", "state", figure, "epochs", "seconds", *names]
    table = [row_of(one, names) for one in rows]
    with command.whole(out / "trials.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *table])
    with command.whole(out / "trials.md") as path:
        path.write_text(markdown(header, table, figure), encoding="utf-8")
    plots(study, out, figure)


def row_of(trial: FrozenTrial, names: list[str]) -> list[str]:
    value = "" if trial.value is None or trial.state != TrialState.COMPLETE else f"{trial.value:.4f}"
    seconds = "" if trial.duration is None else f"{trial.duration.total_seconds():.0f}"
    epochs = trial.user_attrs.get("epochs", len(trial.intermediate_values) or "")
    given = [number(trial.params[name]) if name in trial.params else "" for name in names]
    return [str(trial.number), trial.state.name.lower(), value, str(epochs), seconds, *given]


def number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def told(trial: FrozenTrial) -> str:
    """One trial in one line."""
    result = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE else trial.state.name.lower()
    return f"{result} with " + ", ".join(f"{name} {number(value)}" for name, value in sorted(trial.params.items()))


def markdown(header: list[str], table: list[list[str]], figure: str) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *table[:SHOWN])]
    count = sum(row[1] == "complete" for row in table)
    return (
        f"# The search\n\n{len(table)} trials, {count} of them complete; the figure is {figure} on validation. "
        f"The best of {count} was also lucky there: what it is worth is what train_hare_run measures on the test part.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def plots(study: optuna.Study, out: Path, figure: str) -> None:
    """How the best value rose, and which parameters the values depend on (fANOVA)."""
    mpl.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as shown

    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    drawn = {}
    if complete:
        drawn["optimisation_history"] = lambda: shown.plot_optimization_history(study, target_name=figure)
    if len(complete) >= LEAST_FOR_IMPORTANCE and len({one.value for one in complete}) > 1:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
        drawn["importance"] = lambda: shown.plot_param_importances(study, evaluator=evaluator, target_name=figure)
    for name, draw in drawn.items():
        with pyplot.style.context("default"):
            try:
                axes = draw()
            except (ValueError, RuntimeError) as error:  # parameters that did not vary, or not in all trials
                print(f"{name}.png is left out: {error}", file=sys.stderr)
                continue
            axes.figure.tight_layout()
            with command.whole(out / f"{name}.png") as path:
                axes.figure.savefig(path, dpi=110)
            pyplot.close("all")
