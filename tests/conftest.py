"""What all tests share: where the real pictures lie, and the skip when they are absent."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow" if find_spec("tensorflow") else "openvino")
WORKERS = ("warm-up", "ensemble", "ensemble-start")  # threads of the service, which end with their test
WORKERS_END_S = 30
ROOT = Path(__file__).resolve().parent.parent
SKIN_DATA = (ROOT / os.environ.get("SKIN_DATA", "../shared/data")).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason="the real pictures are absent: set SKIN_DATA to their folder")
    for item in items:
        if item.get_closest_marker("data") and not SKIN_DATA.is_dir():
            item.add_marker(absent)


@pytest.fixture(autouse=True)
def no_work_goes_on() -> Iterator[None]:
    """What a test began ends before the next one begins: two tests at once in one process are no test."""
    yield
    for thread in threading.enumerate():
        if thread.name in WORKERS:
            thread.join(WORKERS_END_S)
            assert not thread.is_alive(), f"the thread {thread.name!r} of this test goes on: stop it"


@pytest.fixture(scope="session")
def skin_data() -> Path:
    """Folder of the real pictures; use it in tests marked `data`."""
    return SKIN_DATA
