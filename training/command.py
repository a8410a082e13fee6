"""The main function of a script -> a process that ends in one sentence, not in a traceback, whatever a person can mend.

Shared by all training scripts: their common options, progress, files that are there as a whole or not at all. Light: it
imports the standard library only, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

INTERRUPTED = "interrupted; run the same command again to go on"
INTERRUPTED_CODE = 130  # what a shell gives for Ctrl-C
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_SPACE = (*map(os.strerror, FULL), "database or disk is full")  # as libraries put it that hide the number
WRONG_PLACE = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
NOWHERE = (errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)  # as much a wrong place, without a class of their own
SEED = 6
MOST_SEED = 2**32 - 1  # of NumPy and scikit-learn
TOLD_EVERY_S = 20.0  # between two lines of progress where nobody watches a terminal
Item = TypeVar("Item")


class BadInput(Exception):
    """What was given cannot be used; the message says file, what was expected, and what to do."""


def run(main: Callable[[], object]) -> None:
    """Call a main function; end the process in one sentence for bad input, Ctrl-C, SIGTERM and a full disk.

    Raises:
        SystemExit: one of those; 130 for Ctrl-C and SIGTERM, 1 for the others.
    """
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background it may be ignored
        signal.signal(signal.SIGINT, interrupt)
    try:
        main()
    except (KeyboardInterrupt, Exception) as error:
        if asked or isinstance(error, KeyboardInterrupt):  # libraries turn the one into errors of their own
            print(f"\n{INTERRUPTED}", file=sys.stderr, flush=True)
            raise SystemExit(INTERRUPTED_CODE) from None
        if (sentence := explained(error)) is None:
            raise
        raise SystemExit(sentence) from error


def explained(error: BaseException) -> str | None:
    """What a person can do about an error; None where it is a fault of the program."""
    if is_full_disk(error):
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return f"no space is left on the disk{where}; make room and run the same command again: what is done is kept"
    if isinstance(error, BadInput):
        return str(error)
    if isinstance(error, WRONG_PLACE) or (isinstance(error, OSError) and error.errno in NOWHERE):
        place = error.filename or error
        return f"{place}: {(error.strerror or 'cannot be read').lower()}; check the path and who may read and write it"
    if isinstance(error, BlockingIOError):
        return "another run writes into the same folder; wait for its end, or give another --out"
    if type(error).__module__ == "analyzer.errors":
        return f"{error} {getattr(error, 'hint', '')}".strip()
    return None


def is_full_disk(error: BaseException) -> bool:
    """Also where a library wraps it: HDF5, TensorFlow, SQLite and zip files each say it in their own way."""
    chain: BaseException | None = error
    while chain is not None:
        if getattr(chain, "errno", None) in FULL or any(text in str(chain) for text in NO_SPACE):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def options(
    description: str | None,
    out: Path | None = None,
    data: str = "a YAML of training/configs, or a folder of class folders",
) -> argparse.ArgumentParser:
    """A parser with what every script takes: DATA (and what that is), --out, --limit, --seed."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help=data)
    parser.add_argument("--out", type=Path, required=out is None, default=out, help="folder of everything that is made")
    parser.add_argument("--limit", type=counted, help="most pictures of each class, for a quick try")
    parser.add_argument("--seed", type=seed, default=SEED, help="of split, views and weights (default %(default)s)")
    return parser


def whole_number(text: str) -> int:
    """A whole number, as an option's type; what is none is told in words, not by the name of a function."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number") from None


def number(text: str) -> float:
    """A number, as an option's type."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number") from None


def seed(text: str) -> int:
    """A seed that every library takes, as an option's type."""
    value = whole_number(text)
    if not 0 <= value <= MOST_SEED:
        raise argparse.ArgumentTypeError(f"{text} must be from 0 to {MOST_SEED}")
    return value


def counted(text: str) -> int:
    """A whole number from 1, as an option's type."""
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


def none_or_more(text: str) -> int:
    """A whole number from 0, as an option's type."""
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more")
    return value


def share(text: str) -> float:
    """A number from 0 to below 1, as an option's type."""
    value = number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be from 0 to below 1")
    return value


def positive(text: str) -> float:
    """A number above 0, as an option's type."""
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One run in a folder at a time, by a lock on a hidden file in it.

    Raises:
        BadInput: another process is at work there.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{folder}: another run is at work there; wait for it, or name another folder.") from None
        yield


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file so that it appears as a whole or not at all: `path` with ``.part`` before its endings.

    The folder is made. When the block ends well the file takes the place of `path`; else it is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, dot, endings = path.name.partition(".")
    unfinished = path.with_name(f"{stem}.part{dot}{endings}")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items, while standard error tells how far it is: a bar on a terminal, else a line now and then."""
    start = told = time.monotonic()
    watched = sys.stderr.isatty()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told < (0.2 if watched else TOLD_EVERY_S) and (count < total or (told == start and not watched)):
            continue
        told, left_s = now, (now - start) / count * (total - count)
        filled = "#" * (30 * count // max(total, 1))
        line = (
            f"{what}: [{filled:<30}] {count}/{total}, {left_s:.0f} s left" if watched else f"{what}: {count} of {total}"
        )
        print(f"\r{line}" if watched else line, end="\n" if count >= total or not watched else "", file=sys.stderr)
