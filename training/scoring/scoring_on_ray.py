"""Photos -> their rows by Ray Data: each actor holds one scorer, which reads the photos itself; rows come back as they are ready.

The rows are written by the process that asked, so that a lost worker leaves nothing half written and the folder of the results
need not be on a disk that all machines share. Ray starts a lost actor anew and gives it its photos again, without end; a photo on
which processes end again and again is noted beside, and gets a row that says so.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from training import cluster
from training.cluster import OnRay
from training.command import BadInput
from training.scoring import photo_rows, scorer
from training.scoring.archive import Photo
from training.scoring.photo_rows import SCHEMA, Row
from training.scoring.scorer import Job, Scorer

BLOCK = 16  # photos that an actor takes at a time: what is done again when it is lost
BLOCKS_EACH = 4  # at least, of each actor where photos are few, so that all end at about the same time
LOST = 2  # times that a process may end on a photo: once may be chance
STOPPED = (
    "stopped"  # code of a row that says why a worker cannot work; Ray Data keeps of what a worker raises only a text
)
GIVEN_UP = f"The process that analysed this photo ended {LOST} times."


class Begun:
    """Which photos are being worked on, and how often each was begun; lives in an actor of its own."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def begin(self, path: str) -> int:
        self._times[path] += 1
        return self._times[path]

    def end(self, path: str) -> None:
        del self._times[path]


class Worker:
    """The actor: tables of photos -> tables of rows. Its scorer is made by the first call: of what is raised earlier nothing is told."""

    def __init__(self, job: Job, begun: Any, make: Callable[[Job], Scorer]) -> None:
        self._job, self._begun, self._make = job, begun, make

    @cached_property
    def _scorer(self) -> Scorer:
        return self._make(self._job)

    def __call__(self, photos: pa.Table) -> pa.Table:
        try:
            rows = [self._row(Photo(**one)) for one in photos.to_pylist()]
        except BadInput as error:
            rows = [photo_rows.EMPTY | {"error_code": STOPPED, "message": str(error)}]
        return pa.Table.from_pylist(rows, SCHEMA)

    def _row(self, photo: Photo) -> Row:
        import ray

        if ray.get(self._begun.begin.remote(photo.path)) > LOST:
            return photo_rows.failed(photo, None, photo_rows.LOST, GIVEN_UP, self._scorer.model)
        row = self._scorer(photo)
        self._begun.end.remote(photo.path)
        return row


def rows(
    job: Job, photos: Sequence[Photo], pool: OnRay, make: Callable[[Job], Scorer] = scorer.agreeing
) -> Iterator[Row]:
    """The row of each photo, in the order in which they are ready.

    Raises:
        BadInput: a worker cannot begin.
    """
    import ray
    from ray import data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    beside_us = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    begun = ray.remote(Begun).options(num_cpus=0, scheduling_strategy=beside_us).remote()  # lost only if we are
    scored = data.from_arrow(blocks(photos, pool.places)).map_batches(
        Worker,
        fn_constructor_args=(job, begun, make),
        batch_size=None,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=pool.places),
        num_cpus=pool.cpus,
    )
    with cluster.explained():
        for table in scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in table.to_pylist():
                if row["error_code"] == STOPPED:
                    raise BadInput(row["message"])
                yield row


def blocks(photos: Sequence[Photo], places: int) -> list[pa.Table]:
    """Tables of photos, one for each call of an actor."""
    size = max(1, min(BLOCK, math.ceil(len(photos) / (BLOCKS_EACH * places))))
    parts = [photos[start : start + size] for start in range(0, len(photos), size)]
    return [
        pa.table({"path": [one.path for one in part], "size_bytes": [one.size_bytes for one in part]}) for part in parts
    ]
