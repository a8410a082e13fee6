"""Stage 1: a folder, or what has to be fetched -> a folder of HAM10000 that was looked through, named in ingest.json."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from training import command
from training.command import BadInput
from training.data import acquire, archives, download, sources
from training.data.pictures import Picture, Problem
from training.dermaops import checkpoints
from training.dermaops.settings import Settings

SOURCE = "ham10000"
KAGGLE = "kaggle:kmader/skin-cancer-mnist-ham10000"
TOLD_PROBLEMS = 5


def inputs(settings: Settings) -> str:
    """Where the pictures come from, and names, sizes and times of what lies there now."""
    folder = home(settings)
    found = sorted(sources.pictures_in(folder) + list(folder.glob("*.csv"))) if folder.is_dir() else []
    listing = [(path.relative_to(folder), path.stat().st_size, path.stat().st_mtime_ns) for path in found]
    return checkpoints.fingerprint(settings.source, folder, listing)


def run(settings: Settings) -> Sequence[Path]:
    """Fetch what is not there, verify it, and say what there is.

    Raises:
        BadInput: the source cannot be fetched, or is no HAM10000.
    """
    if is_remote(settings.source):
        _fetch(settings)
    folder = home(settings)
    pictures, problems = read(folder)
    for problem in problems[:TOLD_PROBLEMS]:
        print(problem, file=sys.stderr)
    digests = [download.sha256_of(one.path) for one in command.progress(pictures, len(pictures), "files verified")]
    told = {
        "source": settings.source,
        "folder": str(_table(folder).parent.resolve()),
        "pictures": len(pictures),
        "problems": [str(problem) for problem in problems],
        "content": checkpoints.fingerprint(sorted(digests), download.sha256_of(_table(folder))),
    }
    with command.whole(settings.ingested) as path:
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return [settings.ingested]


def forget(settings: Settings) -> None:
    """Take away what was fetched; a folder of the user's own stays."""
    if is_remote(settings.source):
        shutil.rmtree(settings.fetched, ignore_errors=True)


def read(folder: Path) -> tuple[list[Picture], list[Problem]]:
    """The pictures of a folder with their diagnoses, as the reader of all training scripts gives them."""
    return sources.ham10000(_table(folder).parent, SOURCE)


def home(settings: Settings) -> Path:
    """The folder where the pictures lie, or will lie."""
    return settings.fetched if is_remote(settings.source) else Path(settings.source)


def is_remote(source: str) -> bool:
    return not Path(source).is_dir()


def _fetch(settings: Settings) -> None:
    if archives.is_archive(settings.source) and "://" not in settings.source:
        acquire.from_archive(Path(settings.source), settings.fetched, None)
        return
    remotes = acquire.remotes_of(settings.source, None, os.environ)
    for remote in remotes:
        acquire.from_host(remote, settings.fetched, several=len(remotes) > 1)


def _table(folder: Path) -> Path:
    """The table of the data set, in the folder or, of an archive, in one below it.

    Raises:
        BadInput: there is none.
    """
    found = sorted(folder.rglob("HAM10000_metadata.csv"), key=lambda path: len(path.parts)) if folder.is_dir() else []
    if not found:
        raise BadInput(
            f"{folder / 'HAM10000_metadata.csv'}: there is no such file; name a folder of HAM10000, or {KAGGLE} to fetch it."
        )
    return found[0]
