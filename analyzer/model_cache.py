"""An offer of artefact files -> a folder with exactly these files: fetched once, resumed, verified, kept beside older ones.

    <cache>/<place>/.lock                  held by the one process that fetches
    <cache>/<place>/.<version>.part/       what is being fetched; survives a kill, and the next fetch goes on from there
    <cache>/<place>/<version>/             complete and verified; renamed into place, its files never written again

A version is named after its content (sha256 of its card), so that a new one never touches what is in use.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from analyzer import model_card, model_download
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_download import FETCH_HINT, FULL, PART, Deadline, Reader, RemoteFile, sha256_of

log = logging.getLogger("analyzer.model_cache")

ORIGIN = ".origin.json"  # in a version's folder: where it came from. Hidden names never belong to an artefact
SIGNATURES = ".signatures.json"  # beside it: of the card, as they were when it was fetched last
LOCK = ".lock"
LOOK_S = 0.2  # between two looks at the lock
KEPT = 2  # versions: the one in use and the one before
MARGIN_BYTES = 16 * 1024 * 1024  # left free on the disk
DISK_HINT = "Give MODEL_CACHE_DIR a folder that the service can write to, with room for two artefacts."


@dataclass(frozen=True)
class Offer:
    """What S3 holds now.

    Attributes:
        version: name of its folder in the cache, from its content.
        location: for operators, ``s3://bucket/prefix``.
        version_id: S3's own, of the card or of the bare file.
        card: bytes of `card.json`; None for a bare Keras file.
        files: what is needed to serve.
        signatures: of the card (`analyzer.signatures`); None where there are none, or none were asked for.
    """

    version: str
    location: str
    version_id: str | None
    card: bytes | None
    files: tuple[RemoteFile, ...]
    signatures: bytes | None = None

    @property
    def identity(self) -> str:
        """Differs as soon as one of its objects was written again, even under the same card."""
        return "|".join((self.version, *(f"{file.etag}/{file.version_id}" for file in self.files)))


@dataclass(frozen=True)
class Origin:
    """Where a version of the cache came from; sha256 and file name of a bare Keras file, else None."""

    location: str
    version_id: str | None
    bare: str | None = None
    sha256: str | None = None


class ModelCache:
    """Versions of one artefact from one place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, offer: Offer, read: Reader, deadline: Deadline) -> Path:
        """The folder of an offered version, downloaded unless it is there already and sound.

        Raises:
            BadModel: what S3 holds is not what its card says.
            ModelUnavailable: it cannot be fetched or kept now.
        """
        try:
            with self._locked(deadline):
                folder = self._sound(offer) or self._download(offer, read, deadline)
                if offer.signatures is not None:
                    _write(folder / f"{SIGNATURES}{PART}", offer.signatures)
                    (folder / f"{SIGNATURES}{PART}").replace(folder / SIGNATURES)
                return folder
        except OSError as error:
            _refuse_disk(error)

    def versions(self) -> tuple[Path, ...]:
        """Complete versions, the last one that was good first."""
        try:
            found = [
                path for path in self.folder.iterdir() if (path / ORIGIN).is_file() and not path.name.startswith(".")
            ]
            return tuple(sorted(found, key=lambda path: (path / ORIGIN).stat().st_mtime, reverse=True))
        except OSError:
            return ()

    def approve(self, version: Path) -> None:
        """Remember that a version passed its self-test, and remove all but it and the one before."""
        try:
            os.utime(version / ORIGIN)
            for old in self.versions()[KEPT:]:
                shutil.rmtree(old, ignore_errors=True)
        except OSError as error:  # a cache that was read but cannot be written
            log.info("cache_not_tidied", extra={"fields": {"errno": error.errno}})

    def refuse(self, version: Path) -> None:
        """Remember that a version failed its self-test: it comes last, and goes first."""
        try:
            os.utime(version / ORIGIN, (0, 0))
        except OSError as error:
            log.info("cache_not_tidied", extra={"fields": {"errno": error.errno}})

    @contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        """One process at a time; the kernel gives the lock back when its holder dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    deadline.pause(LOOK_S)
            yield

    def _sound(self, offer: Offer) -> Path | None:
        """The version's folder when it is there and still what it was."""
        final = self.folder / offer.version
        if not final.is_dir():
            return None
        try:
            check(final)
            return final
        except ModelUnavailable as error:
            log.warning("cache_damaged", extra={"fields": {"reason": error.message}})
            shutil.rmtree(final)
            return None

    def _download(self, offer: Offer, read: Reader, deadline: Deadline) -> Path:
        staging = self.folder / f".{offer.version}{PART}"
        for stale in self.folder.glob(f".*{PART}"):
            if stale != staging:
                shutil.rmtree(stale, ignore_errors=True)
        staging.mkdir(exist_ok=True)
        self._make_room(sum(file.size_bytes for file in offer.files))
        sums = {file.name: model_download.fetch(file, staging, read, deadline) for file in offer.files}
        bare = offer.files[0].name if offer.card is None else None
        origin = Origin(offer.location, offer.version_id, bare, sums[bare] if bare else None)
        if offer.card is not None:
            _write(staging / model_card.CARD, offer.card)
        _write(staging / ORIGIN, json.dumps(asdict(origin)).encode())
        for leftover in staging.glob(f"*{PART}"):
            leftover.unlink()
        staging.rename(self.folder / offer.version)
        _sync(self.folder)
        return self.folder / offer.version

    def _make_room(self, size_bytes: int) -> None:
        """Remove older versions, but not the last good one, while the disk is too full."""
        for old in reversed(self.versions()[1:]):
            if shutil.disk_usage(self.folder).free >= size_bytes + MARGIN_BYTES:
                return
            shutil.rmtree(old, ignore_errors=True)
        if shutil.disk_usage(self.folder).free < size_bytes + MARGIN_BYTES:
            raise ModelUnavailable("The disk of the model cache is full.", DISK_HINT)


def origin(version: Path) -> Origin:
    """Where a version came from.

    Raises:
        BadModel: that was not recorded, or not as this module records it.
    """
    try:
        return Origin(**json.loads((version / ORIGIN).read_bytes()))
    except (OSError, ValueError, TypeError):
        raise BadModel(
            f"The cached version {version.name[:12]} has no readable record of its origin.", FETCH_HINT
        ) from None


def signed_card(version: Path) -> tuple[bytes, bytes | None]:
    """Bytes of a version's card and of its signatures, where there are any.

    Raises:
        BadModel: they cannot be read.
    """
    path = version / SIGNATURES
    try:
        return (version / model_card.CARD).read_bytes(), path.read_bytes() if path.is_file() else None
    except OSError:
        raise BadModel(f"The cached version {version.name[:12]} has no readable card.", FETCH_HINT) from None


def check(version: Path) -> None:
    """Compare the files of a version with its card, or a bare file with what it was when it was fetched.

    Raises:
        ModelUnavailable: (or BadModel) something is missing or differs.
    """
    came = origin(version)
    if came.bare is None:
        model_card.verify(model_card.read(version), version)
        return
    file = version / came.bare
    if not file.is_file() or sha256_of(file) != came.sha256:
        raise BadModel(f"The cached file {came.bare} is not what was fetched.", FETCH_HINT)


def _refuse_disk(error: OSError) -> NoReturn:
    full = error.errno in FULL
    what = "The disk of the model cache is full." if full else f"The model cache cannot be written: {error.strerror}."
    raise ModelUnavailable(what, DISK_HINT) from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make a rename in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
