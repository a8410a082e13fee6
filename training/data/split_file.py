"""A file that says to which part each picture belongs, and pictures -> the part of each, None where the file does not know it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from training.command import BadInput
from training.data.pictures import Picture


def by_group(path: Path, pictures: Sequence[Picture]) -> list[str | None]:
    """Of the JSON that a run keeps: ``{"seed": 7, "groups": {"utkface/25_0_1_2017": "train", …}}``.

    Raises:
        BadInput: the file is absent or something else.
    """
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))["groups"]
        known = {str(group): str(part) for group, part in groups.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: expected a split written by an earlier run ({error!r}); name another file.") from error
    return [known.get(picture.group) for picture in pictures]


def by_path(path: Path, pictures: Sequence[Picture]) -> list[str | None]:
    """Of a CSV with the columns path and part; paths are absolute or relative to the file's folder.

    Raises:
        BadInput: the file is absent, has other columns, or an empty cell.
    """
    known: dict[Path, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"path", "part"} <= set(rows.fieldnames or ()):
                raise BadInput(
                    f"{path}:1: expected the columns path and part, found {', '.join(rows.fieldnames or ())}."
                )
            for row in rows:
                if not row["path"] or not row["part"]:
                    raise BadInput(
                        f"{path}:{rows.line_num}: expected a path and a part; fill in both or remove the line."
                    )
                known[(path.parent / row["path"]).resolve()] = row["part"]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"{path}: expected a CSV with the columns path and part, or split.json of a run ({error})."
        ) from error
    return [known.get(picture.path.resolve()) for picture in pictures]
