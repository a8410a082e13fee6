"""Trainings -> what can be watched: a bar of epochs, TensorBoard's logs, MLflow's runs; none of it may stop a training.

MLflow keeps its runs in `DIR/mlflow.db` (SQLite) unless MLFLOW_TRACKING_URI names another store: since 3.13 MLflow refuses
folders of files (`file:…`, `./mlruns`). It sends no usage data from here.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from training import command

EXPERIMENT = "hare_run"
QUIETLY = {  # environment variable → value, where nothing is set: no usage data, no minutes of waiting for a server that is away
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
TALKERS = ("mlflow", "alembic")  # loggers
RUN_FILE, STORE, ARTIFACTS = "mlflow_run", "mlflow.db", "mlflow_artifacts"
LONGEST_PARAMETER = 500
TOLD_EVERY = 10  # epochs, where nobody watches a terminal


class Tracker:
    """One MLflow run of a training; an interrupted training goes on with the same run.

    Once the store fails, it is said in one sentence and the training goes on without.
    """

    def __init__(self, out: Path, parameters: Mapping[str, object], experiment: str = EXPERIMENT) -> None:
        for name, value in QUIETLY.items():
            os.environ.setdefault(name, value)
        self._client: Any = None
        self._run = ""
        self._safely(lambda: self._start(out, parameters, experiment))

    @property
    def uri(self) -> str | None:
        """Of the store; None without one."""
        return None if self._client is None else self._client.tracking_uri

    def log(self, figures: Mapping[str, float], step: int = 0) -> None:
        """Keep finite figures under their names."""
        kept = {_plain(name): value for name, value in figures.items() if abs(value) < float("inf")}
        self._safely(lambda: self._client.log_batch(self._run, metrics=_metrics(kept, step)))

    def finish(self, files: Sequence[Path] = ()) -> None:
        """Mark the run as finished, with copies of some files."""
        self._safely(lambda: [self._client.log_artifact(self._run, str(path)) for path in files if path.is_file()])
        self._safely(lambda: self._client.set_terminated(self._run))

    def callback(self, prefix: str) -> keras.callbacks.Callback:
        """Logs every epoch's figures as `prefix/name`."""

        def told(epoch: int, logs: Mapping[str, float] | None) -> None:
            self.log({f"{prefix}/{name}": float(value) for name, value in (logs or {}).items()}, epoch)

        return keras.callbacks.LambdaCallback(on_epoch_end=told)

    def _start(self, out: Path, parameters: Mapping[str, object], experiment: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow's own use of SQLAlchemy
            from mlflow import MlflowClient

            for talker in TALKERS:
                logging.getLogger(talker).setLevel(logging.WARNING)
            out.mkdir(parents=True, exist_ok=True)
            home = out.resolve()
            client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / STORE}")
            found = client.get_experiment_by_name(experiment)
        local = None if "MLFLOW_TRACKING_URI" in os.environ else (home / ARTIFACTS).as_uri()
        number = found.experiment_id if found else client.create_experiment(experiment, local)
        kept = out / RUN_FILE
        known = kept.read_text().strip() if kept.is_file() else ""
        going = {run.info.run_id for run in client.search_runs([number]) if run.info.status == "RUNNING"}
        if known in going:
            self._run = known
        else:
            self._run = client.create_run(number, run_name=out.name).info.run_id
            for name, value in parameters.items():
                client.log_param(self._run, name, str(value)[:LONGEST_PARAMETER])
        with command.whole(kept) as path:
            path.write_text(self._run)
        self._client = client

    def _safely(self, action: Callable[[], object]) -> None:
        if self._client is None and self._run:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action()
        except Exception as error:  # whatever a store's client raises
            first = next(iter(str(error).splitlines()), type(error).__name__)
            print(f"MLflow: {first:.300}; the training goes on without it", file=sys.stderr, flush=True)
            self._client, self._run = None, "none"


def tensorboard(folder: Path) -> keras.callbacks.Callback:
    """Curves for `tensorboard --logdir`."""
    return keras.callbacks.TensorBoard(str(folder), write_graph=False)


class Bar(keras.callbacks.Callback):
    """Tells how far a training is: a bar of epochs on a terminal, else a line now and then."""

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__()
        self.name, self.epochs = name, epochs
        self._last = ""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        done = epoch + 1
        figures = ", ".join(f"{name} {value:.3f}" for name, value in sorted((logs or {}).items()) if "rate" not in name)
        filled = "#" * (20 * done // max(self.epochs, 1))
        self._last = f"{self.name}: [{filled:<20}] epoch {done} of at most {self.epochs}, {figures}"
        if sys.stderr.isatty():
            print(f"\r\033[K{self._last}", end="", file=sys.stderr, flush=True)
        elif done % TOLD_EVERY == 0:
            print(self._last, file=sys.stderr, flush=True)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self._last:
            print("\r\033[K" * sys.stderr.isatty() + self._last, file=sys.stderr, flush=True)


def _metrics(figures: Mapping[str, float], step: int) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in figures.items()]


def _plain(name: str) -> str:
    """What MLflow takes as a name: letters, digits, and ``_-. /``."""
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in name)
