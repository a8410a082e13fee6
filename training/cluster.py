"""A function and items -> its results, one after the other in this process, or on Ray: on this machine or on a cluster.

The only place that connects to Ray (an extra: make train-env RAY=1), and light: Ray is imported when it is asked for. Items are
worked on in an order of Ray's own and may be worked on again when a process or a machine is lost, so that a function's result must
depend on its arguments alone. Each worker has as many threads as its task has CPUs, or the workers of a machine fight for cores.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from training import command
from training.command import BadInput

ROOT = Path(__file__).resolve().parents[1]
NOT_SENT = [".git", "/runs", "/docs"]  # of the repository, to the machines of a cluster, beside what .gitignore names
TOLD = (
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "MAX_BODY_MIB",
    "MAX_PIXELS",
)  # settings that workers share
TOLD_PREFIXES = ("MODEL_", "S3_")
PATHS = ("MODEL_CACHE_DIR", "MODEL_DIR")  # among them; a worker's working folder is another one
OBJECT_STORE_BYTES = 1 << 30  # of shared memory on this machine; what does not fit goes to the disk
ANSWER_S = 10.0  # that a machine may take to answer at all
LOST = 3  # times that a task may lose its process before the work ends
AHEAD = 2  # tasks handed to Ray for each place, so that no place waits for the next
Item = TypeVar("Item")
Result = TypeVar("Result")
Shared = TypeVar("Shared")


class Pool(Protocol):
    """Where items are worked on. Attributes: `places`, how many are at the same time."""

    places: int

    def map(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """(place of the item, `function(shared, item)`) of every item, in the order in which they end."""


class Here:
    """This process, one item after the other: the reference."""

    places = 1

    def map(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        return ((place, function(shared, item)) for place, item in enumerate(items))


HERE = Here()


class OnRay:
    """Workers of Ray. Attributes: `cpus` of each."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.places = places(cpus)

    def map(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """As promised by `Pool`. What is shared is sent to each machine once.

        Raises:
            BadInput: a worker was lost too often; else what the function raised, as the function raised it.
        """
        import ray

        task = ray.remote(function).options(num_cpus=self.cpus, max_retries=LOST)
        sent, waiting, running = ray.put(shared), list(enumerate(items))[::-1], {}
        while waiting or running:
            while waiting and len(running) < AHEAD * self.places:
                place, item = waiting.pop()
                running[task.remote(sent, item)] = place
            ended, _ = ray.wait(list(running), num_returns=1)
            with explained():
                yield running.pop(ended[0]), ray.get(ended[0])


def add_options(parser: argparse.ArgumentParser) -> None:
    """--ray, --ray-address and --cpus."""
    group = parser.add_argument_group("on more than one core or machine (make train-env RAY=1; docs/batch.md)")
    group.add_argument("--ray", action="store_true", help="work in several processes of this machine")
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="or of a Ray cluster that this machine is in: auto, or HOST:PORT"
    )
    group.add_argument(
        "--cpus",
        type=command.counted,
        metavar="N",
        help="of each worker (default 1); also the threads of this process (default: all cores), on which last digits depend",
    )


def wanted(options: argparse.Namespace) -> bool:
    return bool(options.ray or options.ray_address)


def keep_to_cpus(options: argparse.Namespace) -> None:
    """Keep this process to the threads that --cpus names; before anything that counts cores is imported."""
    if options.cpus:
        os.environ.update(threads(options.cpus))


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Pool]:
    """The pool that the options ask for, for as long as the block lasts.

    Raises:
        BadInput: Ray is not installed, the cluster cannot be reached, or a worker would find no place on it.
    """
    if not wanted(options):
        yield HERE
        return
    cpus = options.cpus or 1
    ray = connected(options.ray_address, cpus)
    try:
        pool = OnRay(cpus)
        if not pool.places:
            raise BadInput(f"--cpus {cpus}: no machine has as many CPUs for one worker; give fewer.")
        yield pool
    finally:
        ray.shutdown()


def connected(address: str | None, cpus: int) -> Any:
    """Ray, connected to a cluster or started on this machine; quiet, and telling nobody."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise BadInput("--ray: Ray is not installed; make train-env RAY=1 installs it.") from None
    if address not in (None, "auto"):
        answering(address)
    try:
        ray.init(
            address=address or "local",
            runtime_env=environment(cpus, sent=address is not None),
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}),
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"--ray-address {address or 'local'}: Ray cannot be reached ({reason}); is it started there, in the same version?"
        ) from error
    return ray


def answering(address: str) -> None:
    """Nothing, where something listens at HOST:PORT: Ray itself would try for minutes.

    Raises:
        BadInput: nothing does, or it is no such address.
    """
    from ray.util import get_node_ip_address

    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not host or "/" in host:
        raise BadInput(
            f"--ray-address {address}: expected auto or HOST:PORT; the command runs on a machine of the cluster."
        )
    host = get_node_ip_address() if host in ("localhost", "127.0.0.1") else host  # as Ray understands them
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"--ray-address {address}: nothing answers there ({error}); is ray start --head running?"
        ) from error


def environment(cpus: int, *, sent: bool) -> dict[str, Any]:
    """What workers start with: this repository to import from, the settings of this process, threads for their CPUs.

    Secrets are not among the settings: the machines of a cluster have their own.

    Args:
        sent: the machines do not share this one's disk: the repository is sent to them, and is their working folder.
    """
    names = sorted(name for name in os.environ if name in TOLD or name.startswith(TOLD_PREFIXES))
    told = {name: str(Path(os.environ[name]).resolve()) if name in PATHS else os.environ[name] for name in names}
    variables = {**told, **threads(cpus), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if sent:
        return {"env_vars": variables, "working_dir": str(ROOT), "excludes": NOT_SENT}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"env_vars": {**variables, "PYTHONPATH": os.pathsep.join(paths)}}


def threads(cpus: int) -> dict[str, str]:
    """Environment variables that keep a process that starts with them to as many threads: ours, OpenMP's, TensorFlow's."""
    names = ("CORES", "OPENCV_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return {**dict.fromkeys(names, str(cpus)), "TF_NUM_INTEROP_THREADS": "1"}


def places(cpus: int) -> int:
    """How many workers of so many CPUs the machines of the cluster hold."""
    import ray

    return sum(int(node["Resources"].get("CPU", 0)) // cpus for node in ray.nodes() if node["Alive"])


@contextmanager
def explained() -> Iterator[None]:
    """Errors of workers as what the function raised there, and lost workers as a sentence."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError as error:
        raise error.cause or error from error
    except (exceptions.WorkerCrashedError, exceptions.RayActorError, exceptions.NodeDiedError) as error:
        raise BadInput(
            "a worker was lost again and again, perhaps for want of memory: see the logs of Ray on its machine; then run the same "
            "command again: what is done is kept."
        ) from error
