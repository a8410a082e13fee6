"""Rows -> Parquet files in a folder, each there as a whole or not at all; the folder -> which photos have a row already.

Files whose names begin with an underscore (the lock, a part that is being written) are passed over by readers of Parquet folders.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
from pyarrow import parquet

from training.command import BadInput
from training.scoring.archive import Archive
from training.scoring.photo_rows import SCHEMA, Row

ROWS, WAIT_S = 10_000, 30.0  # after which a part is written: what a killed run loses at most
PART = re.compile(r"part-(\d{6})\.parquet")
ARCHIVE = b"archive"  # key of a part's metadata: where its photos lie
UNFINISHED = "_unfinished"


@dataclass(frozen=True)
class Kept:
    """What earlier runs left. Attributes: `paths` of photos with a row; `count` of parts."""

    paths: frozenset[str]
    count: int


def kept(folder: Path, archive: Archive, version: str | None) -> Kept:
    """What lies in a folder.

    Raises:
        BadInput: a part cannot be read, or its rows are of another archive or of another model.
    """
    (folder / UNFINISHED).unlink(missing_ok=True)
    paths: set[str] = set()
    numbers = [0]
    for path in sorted(folder.iterdir()):
        if not (match := PART.fullmatch(path.name)):
            continue
        numbers.append(int(match[1]))
        paths |= _checked(path, archive, version)
    return Kept(frozenset(paths), max(numbers))


def _checked(path: Path, archive: Archive, version: str | None) -> set[str]:
    try:
        table = parquet.read_table(path, columns=["path", "model_version"])
    except (pa.ArrowException, OSError) as error:
        raise BadInput(
            f"{path}: cannot be read as rows of photos; remove it, and its photos are scored again."
        ) from error
    held = (table.schema.metadata or {}).get(ARCHIVE, b"").decode()
    if held != archive.location:
        raise BadInput(
            f"{path}: holds rows of {held or 'something else'}, not of {archive.location}; name another DST."
        )
    for other in set(table["model_version"].to_pylist()) - {version}:
        raise BadInput(
            f"{path}: its rows come from the model {other or 'of no version'}, this run has {version or 'none'}; name another DST, "
            "so that every row of a folder can be compared with every other."
        )
    return set(table["path"].to_pylist())


class Parts:
    """Takes rows and writes them from time to time, and in the end, however that comes: a context manager."""

    def __init__(self, folder: Path, archive: Archive, count: int) -> None:
        self._folder, self._count = folder, count
        self._schema = SCHEMA.with_metadata({ARCHIVE: archive.location})
        self._rows: list[Row] = []
        self._written = time.monotonic()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write()

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS or time.monotonic() - self._written >= WAIT_S:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if not self._rows:
            return
        self._count += 1
        write(self._rows, self._schema, self._folder / f"part-{self._count:06}.parquet")
        self._rows = []


def write(rows: Iterable[Row], schema: pa.Schema, path: Path) -> None:
    """One file, which takes its name when it is complete."""
    unfinished = path.with_name(UNFINISHED)
    try:
        parquet.write_table(pa.Table.from_pylist(list(rows), schema), unfinished, compression="zstd")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
