"""The stages -> the Prefect flow `DermaOps-ML-Pipeline`: retries, a notification as an artifact. The only place that imports Prefect.

Prefect's own local server is started for the run and ends with it, also when this process is killed; no account, no internet.
Its database lies in OUT/prefect. Where PREFECT_API_URL or PREFECT_HOME is set, that is used instead.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from training import command
from training.command import BadInput
from training.data.download import Unreachable
from training.dermaops import notify, pipeline
from training.dermaops.notify import FAILED, Outcome
from training.dermaops.pipeline import Stage
from training.dermaops.settings import Settings

NAME = "DermaOps-ML-Pipeline"
ARTIFACT = "dermaops-notification"
PAUSES_S = {
    "ingest": (30, 60, 120),
    "preprocess": (60,),
    "train": (60,),
    "evaluate": (0,),
}  # before each further attempt
QUIETLY = {  # environment variable → value, where nothing is set
    "DO_NOT_TRACK": "1",  # Prefect's client tells Amplitude otherwise, as soon as it is imported
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # … and its server Prefect itself
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",  # 20 s are too few on a busy machine
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # tracebacks stay in the server's log; people get sentences
    "PREFECT_CLI_PROMPT": "false",
}
WATCH = 'read _; kill "$0" 2>/dev/null'  # its input ends with the process that holds it, however that ends


def run(settings: Settings, stages: Sequence[Stage], forced: Collection[str], pauses: float = 1.0) -> None:
    """Go through the stages; tell how it went in the console, in a file and in Prefect, on success and on failure.

    Args:
        forced: names of stages that are done in any case.
        pauses: what the pauses before further attempts are multiplied by.

    Raises:
        BadInput: (or another error) of the stage that failed, or the local server does not start.
    """
    home = settings.out.resolve() / "prefect"
    home.mkdir(parents=True, exist_ok=True)
    for name, value in (QUIETLY | {"PREFECT_HOME": str(home)}).items():
        os.environ.setdefault(name, value)
    from prefect import flow

    outcomes: dict[str, Outcome] = {}
    failures: list[BaseException] = []

    def dermaops() -> None:
        try:
            for stage in stages:
                task_of(stage, settings, forced, pauses, outcomes)()
        except BaseException as error:
            failures.append(error)
            tell(settings, outcomes, reason(error))
            raise
        tell(settings, outcomes, None)

    serve()
    try:
        flow(name=NAME, validate_parameters=False, persist_result=False)(dermaops)()
    except BaseException as error:  # Ctrl-C ends the server too, and Prefect then tells of that
        raise (failures[0] if failures else error) from None


def task_of(
    stage: Stage, settings: Settings, forced: Collection[str], pauses: float, outcomes: dict[str, Outcome]
) -> Callable[[], Any]:
    """A stage as a Prefect task with its retries; what became of each attempt is put into `outcomes`."""
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    begun = time.monotonic()
    errors: list[Exception] = []

    def attempt() -> None:
        state, number = FAILED, len(errors) + 1
        try:
            state = pipeline.run(stage, settings, forced)
        except Exception as error:
            errors.append(error)
            print(f"{stage.name}, attempt {number}: {reason(error)}", file=sys.stderr, flush=True)
            raise
        finally:
            outcomes[stage.name] = Outcome(stage.name, state, time.monotonic() - begun, number)

    waits = [pause * pauses for pause in PAUSES_S.get(stage.name, ())]
    return task(
        name=stage.name,
        retries=len(waits),
        retry_delay_seconds=waits or None,
        retry_condition_fn=lambda *_: worth_retrying(errors[-1]),
        persist_result=False,
        cache_policy=NO_CACHE,  # what is finished is known by its content (checkpoints.py)
    )(attempt)


def worth_retrying(error: Exception) -> bool:
    """Whether time may mend it: not what a person has to mend, but a host that is away, and what nobody foresaw."""
    is_ours = type(error).__module__ == "analyzer.errors"  # such as a reader that was too slow on a busy machine
    return is_ours or isinstance(error, Unreachable) or command.explained(error) is None


def reason(error: BaseException) -> str:
    """One line about an error."""
    if isinstance(error, KeyboardInterrupt):
        return command.INTERRUPTED
    first = next(iter(str(error).splitlines()), "")
    return command.explained(error) or f"{type(error).__name__}: {first:.300}"


def tell(settings: Settings, outcomes: dict[str, Outcome], failure: str | None) -> None:
    """The notification: console, file, Prefect's artifact."""
    from prefect.artifacts import create_markdown_artifact

    text = notify.notify(settings, list(outcomes.values()), failure)
    try:
        create_markdown_artifact(text, key=ARTIFACT, description="What became of the pipeline")
    except Exception as error:  # whatever a server that is gone raises; the file is written
        print(f"Prefect keeps no artifact of this run ({reason(error)})", file=sys.stderr, flush=True)


def serve() -> None:
    """Start Prefect's local server, which ends with this process; nothing where PREFECT_API_URL names another one.

    It is ended at exit, when Prefect has told it everything; where this process is killed, by the watch.

    Raises:
        BadInput: it does not start.
    """
    if os.environ.get("PREFECT_API_URL"):
        return
    from prefect.server.api.server import SubprocessASGIServer

    own = SubprocessASGIServer()
    try:
        own.start()
    except Exception as error:  # a RuntimeError of Prefect's, or what its HTTP client raises
        own.stop()
        raise BadInput(
            f"Prefect's local server did not start ({reason(error)}); try again, or name a server with PREFECT_API_URL."
        ) from error
    watch = ["sh", "-c", WATCH, str(own.server_process.pid)]
    watching = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
    atexit.register(watching.communicate)  # which also keeps it from being collected
