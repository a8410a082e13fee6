"""An object in S3 -> a file with exactly its bytes: resumed where a download broke off, verified before it gets its name."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from analyzer.errors import BadModel, ModelUnavailable

PART = ".part"
ATTEMPTS = 3  # in a row that bring nothing, before a download is given up
PAUSE_S = 0.2  # before the next attempt; doubled each time
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FETCH_HINT = "Publish the artefact again; see docs/deploy.md."


class Interrupted(ModelUnavailable):
    """The connection failed; another attempt may go on from where it broke."""


class Deadline:
    """Seconds that a piece of work may take, and the wish to stop it before."""

    def __init__(self, seconds: float, stopped: threading.Event | None = None) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._stopped = stopped or threading.Event()

    def check(self) -> None:
        """Raise ModelUnavailable when the time is over or the process stops."""
        if self._stopped.is_set():
            raise ModelUnavailable("The download was given up because the service stops.", "Start it again.")
        if time.monotonic() > self._end:
            raise ModelUnavailable(
                f"The download took longer than {self._seconds:g} s.",
                "Raise MODEL_DOWNLOAD_TIMEOUT_S, or look at the line.",
            )

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond a stop."""
        self._stopped.wait(seconds)
        self.check()


@dataclass(frozen=True)
class RemoteFile:
    """One object as S3 describes it now; sha256 None: nobody said what it must be."""

    name: str
    key: str
    size_bytes: int
    etag: str
    version_id: str | None
    sha256: str | None


Reader = Callable[[RemoteFile, int], Iterator[bytes]]  # the bytes of an object from an offset on


def fetch(file: RemoteFile, staging: Path, read: Reader, deadline: Deadline) -> str:
    """Bring one file into the staging folder; its sha256."""
    tag = hashlib.sha256(f"{file.etag}/{file.version_id}".encode()).hexdigest()[:12]
    part = staging / f"{file.name}.{tag}{PART}"  # an object that was written again is never stitched to its predecessor
    final = staging / file.name
    if final.exists() and file.sha256 and sha256_of(final) == file.sha256:
        return file.sha256
    for resumed in (part.exists(), False):
        _complete(file, part, read, deadline)
        sha256 = sha256_of(part)
        if file.sha256 in (None, sha256):
            part.replace(final)
            return sha256
        part.unlink()
        if not resumed:
            break  # all of it was fetched just now: S3 itself holds something else
    raise BadModel(f"{file.name} in S3 must have sha256 {file.sha256} and has {sha256}.", FETCH_HINT)


def _complete(file: RemoteFile, part: Path, read: Reader, deadline: Deadline) -> None:
    """Append to a part until it has its size; connections that break are taken up again while they bring something."""
    barren = 0
    while (offset := part.stat().st_size if part.exists() else 0) < file.size_bytes or not part.exists():
        try:
            _append(file, part, read(file, offset), offset, deadline)
        except Interrupted:
            barren = 0 if part.exists() and part.stat().st_size > offset else barren + 1
            if barren == ATTEMPTS:
                raise
            deadline.pause(PAUSE_S * 2**barren)


def _append(file: RemoteFile, part: Path, chunks: Iterator[bytes], offset: int, deadline: Deadline) -> None:
    try:
        with part.open("ab") as stream:
            for chunk in chunks:
                deadline.check()
                offset += len(chunk)
                if offset > file.size_bytes:
                    raise BadModel(
                        f"S3 sends more of {file.name} than the {file.size_bytes} bytes it announced.", FETCH_HINT
                    )
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        if error.errno in FULL:
            part.unlink()  # a full disk is not kept full
        raise
    if offset < file.size_bytes:
        raise Interrupted(
            f"S3 sent only {offset} of {file.size_bytes} bytes of {file.name}.", "Look at the line to S3."
        )


def sha256_of(path: Path) -> str:
    """Small hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
