"""A CSV -> its rows by column, with line numbers; what spreadsheets do to a CSV is taken as it comes.

Commas or semicolons may stand between, a byte order mark in front; names of columns are read in small letters with ``_``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.command import BadInput
from training.data.pictures import Problem


def rows_of(table: Path, needed: tuple[str, ...], problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each row; rows without a value in a needed column become problems.

    Raises:
        BadInput: a needed column is not there, or the file is no CSV.
    """
    missing = set(needed) - columns_of(table)
    if missing:
        raise BadInput(f"{table}:1: expected the columns {', '.join(needed)}; not there: {', '.join(sorted(missing))}.")
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file, delimiter=_delimiter(table))
        names = [_column(text) for text in next(reader)]
        for values in _lines(reader, table):
            row = dict(zip(names, (text.strip() for text in values), strict=False))
            if all(row.get(key) for key in needed):
                yield reader.line_num, row
            elif any(values):
                problems.append(Problem(table, f"expected a value for each of {', '.join(needed)}", reader.line_num))


def columns_of(table: Path) -> set[str]:
    """Names of the columns; none of an empty file."""
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return {_column(text) for text in next(csv.reader(file, delimiter=_delimiter(table)), [])}


def _lines(reader: Any, table: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise BadInput(f"{table}:{reader.line_num}: is no CSV ({error}); save it anew as one.") from error


def _column(text: str) -> str:
    return text.strip().lower().replace(" ", "_")


def _delimiter(table: Path) -> str:
    with table.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return ";" if first.count(";") > first.count(",") else ","
