"""A URL -> a file with exactly its bytes: resumed where it broke off, verified before it gets its name.

What is there of a file is kept as ``<name>.part`` beside ``<name>.part.json``, which says of which version it is: a file that
was exchanged at its place is never stitched to its predecessor (If-Range).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.command import BadInput

ATTEMPTS = 5  # in a row that bring nothing, before a download is given up
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0  # before the next attempt; doubled each time
CONNECT_S, READ_S = 10, 60
CHUNK_BYTES = 1 << 20
TOLD_EVERY_S = 5.0
PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses after which another attempt may succeed
SPARE_BYTES = 50_000_000  # that a download leaves free on the disk


@dataclass(frozen=True)
class Remote:
    """What to fetch.

    Attributes:
        name: of the file, without folders.
        sha256: of the whole file, small hexadecimal digits; None: nobody said.
        page: where a person reads and accepts the terms.
        login: user and password or key, sent to this host only.
        key_place: where the key goes, told when the host wants one.
    """

    url: str
    name: str
    page: str
    sha256: str | None = None
    login: tuple[str, str] | None = None
    key_place: str = "open the page in a browser, sign in and download the file there; then give its path instead"


class Unreachable(BadInput):
    """The host did not give the file, but may do so later."""


class _Broken(Exception):
    """This attempt failed; another may go on from where it broke."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def fetch(remote: Remote, folder: Path, pause: Callable[[float], object] = time.sleep) -> Path:
    """Bring a file into a folder.

    Args:
        remote: what to fetch; a file of that name that is there is taken as it is where its sha256 fits or is not known.
        folder: made where it is not there.
        pause: waits so many seconds.

    Raises:
        BadInput: the host refuses, is not reached, or gives another file than the sha256 says; or the disk has no room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, part = folder / remote.name, folder / f"{remote.name}.part"
    if final.is_file() and remote.sha256 in (None, sha256_of(final)):
        print(f"{remote.name}: is there already", file=sys.stderr)
        return final
    for resumed in (part.exists(), False):
        _complete(remote, part, pause)
        found = sha256_of(part)
        if remote.sha256 in (None, found):
            part.replace(final)
            _note(part).unlink(missing_ok=True)
            return final
        _forget(part)
        if not resumed:
            break  # all of it came just now: the host holds something else
    raise BadInput(
        f"{remote.url}: must have sha256 {remote.sha256} and has {found}; nothing was kept. Look at {remote.page} for the "
        "file that is meant, and correct the sha256 if the file was published anew."
    )


def sha256_of(path: Path) -> str:
    """Small hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_room(place: Path, needed_bytes: int) -> None:
    """Raise BadInput where the disk of a folder has less than so many bytes free."""
    free = shutil.disk_usage(place).free
    if free < needed_bytes + SPARE_BYTES:
        raise BadInput(
            f"{place}: {size(needed_bytes)} are needed and {size(free)} are free; make room or name another folder with --out, "
            "and run the command again: what is there is kept."
        )


def size(count: float) -> str:
    """Bytes as a person reads them."""
    return (
        f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:.0f} bytes"
    )


def _complete(remote: Remote, part: Path, pause: Callable[[float], object]) -> None:
    """Append to a part until it is whole; attempts are counted anew while they bring something."""
    barren = 0
    while True:
        before = _size(part)
        try:
            _append(remote, part)
            return
        except _Broken as error:
            barren = 0 if _size(part) > before else barren + 1
            if barren == ATTEMPTS:
                raise Unreachable(
                    f"{remote.url}: given up after {ATTEMPTS} attempts ({error}); run the command again to go on, "
                    f"{size(_size(part))} are kept."
                ) from error
            wait_s = max(error.wait_s, PAUSE_S * 2**barren)
            print(f"{remote.name}: {error}; next attempt in {min(wait_s, LONGEST_PAUSE_S):.0f} s", file=sys.stderr)
            pause(min(wait_s, LONGEST_PAUSE_S))


def _append(remote: Remote, part: Path) -> None:
    """One request."""
    import requests

    offset, version = _size(part), _version(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "skin-training-data"}
    if offset and version:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    try:
        with requests.get(
            remote.url, headers=headers, auth=remote.login, stream=True, timeout=(CONNECT_S, READ_S)
        ) as answer:
            if answer.status_code == 416:  # the part is whole, or longer than the file is now
                if answer.headers.get("Content-Range", "").rpartition("/")[2] == str(offset):
                    return
                _forget(part)
                raise _Broken("the file has become shorter")
            _refuse(remote, answer)
            start, total = _start_and_total(answer, offset)
            require_room(part.parent, (total or start) - start)
            if start == 0:
                _remember(part, answer)
            _write(answer.iter_content(CHUNK_BYTES), part, start, total, remote.name)
    except requests.exceptions.InvalidURL as error:
        raise BadInput(f"{remote.url}: is no URL that can be fetched ({error}).") from error
    except requests.RequestException as error:
        raise _Broken(_why(error)) from error


def _refuse(remote: Remote, answer: Any) -> None:
    """Raise what an answer without the file means."""
    status = answer.status_code
    if status in PASSING:
        wait = answer.headers.get("Retry-After", "")
        raise _Broken(f"the host answers {status}", float(wait) if wait.isdecimal() else 0.0)
    if status == 401:
        raise BadInput(f"{remote.url}: the host asks who you are (401): {remote.key_place}.")
    if status == 403:
        who = "" if remote.login else f" If that is not enough, the host wants to know who you are: {remote.key_place}."
        raise BadInput(
            f"{remote.url}: refused (403): accept the terms on this page: {remote.page}, and try again.{who}"
        )
    if status in (404, 410):
        raise BadInput(f"{remote.url}: there is no such file ({status}); check the name on {remote.page}.")
    if status not in (200, 206):
        raise BadInput(f"{remote.url}: the host answers {status} {answer.reason}; look at {remote.page}.")
    if answer.headers.get("Content-Type", "").startswith("text/html") and not re.search(r"\.html?$", remote.name):
        raise BadInput(
            f"{remote.url}: gives a web page, not the file: sign in and accept the terms on {remote.page}; {remote.key_place}."
        )


def _start_and_total(answer: Any, offset: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and the size of the whole file where the host says it."""
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not told or int(told[1]) != offset:
        raise BadInput(f"{answer.url}: answers with another piece of the file than was asked for; fetch it by hand.")
    return offset, int(told[2]) if told[2].isdecimal() else None


def _write(chunks: Iterator[bytes], part: Path, start: int, total: int | None, name: str) -> None:
    """Bytes into the part from `start` on; what comes before a failure stays."""
    done, began, told = start, time.monotonic(), 0.0
    try:
        with part.open("ab" if start else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                done += len(chunk)
                if time.monotonic() - told > TOLD_EVERY_S or done == total:
                    told = time.monotonic()
                    of = f" of {size(total)} ({done / total:.0%})" if total else ""
                    rate = (done - start) / max(told - began, 1e-3)
                    print(f"{name}: {size(done)}{of}, {size(rate)}/s", file=sys.stderr)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BadInput(
                f"{part}: the disk is full after {size(done)}; make room and run the command again: it goes on from there."
            ) from error
        raise
    if total is not None and done < total:
        raise _Broken(f"the connection ended after {size(done)} of {size(total)}")


def _why(error: Exception) -> str:
    """The innermost reason of a failed request, in a few words."""
    kind = type(error).__name__
    if kind in ("ConnectTimeout", "ReadTimeout"):
        return f"no answer within {CONNECT_S if kind == 'ConnectTimeout' else READ_S} s"
    reasons = {
        "ChunkedEncodingError": "the connection broke",
        "ConnectionError": "the host cannot be reached",
        "SSLError": "the certificate of the host is not trusted",
        "ProxyError": "the proxy cannot be reached",
    }
    return reasons.get(kind, kind)


def _remember(part: Path, answer: Any) -> None:
    """Keep what says of which version the part is: a strong ETag, else the date (RFC 9110, 13.1.5)."""
    etag = answer.headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")
    _note(part).write_text(json.dumps({"version": version}), encoding="utf-8")


def _version(part: Path) -> str:
    """That of a part, or "" where it cannot be resumed."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(_note(part).read_text(encoding="utf-8"))["version"])
    return ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
