"""Independent pieces of one analysis side by side: OpenCV and NumPy do their work outside the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from analyzer.settings import CORES

Item = TypeVar("Item")
Result = TypeVar("Result")

_pool = ThreadPoolExecutor(max_workers=CORES, thread_name_prefix="analysis")


def run_each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`[function(item) for item in items]`, as many at a time as there are cores.

    Not to be nested: `function` must not call `run_each`, since the places of the pool could then all be taken by
    callers that wait.
    """
    if CORES == 1:
        return [function(item) for item in items]
    return list(_pool.map(function, items))
