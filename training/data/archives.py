"""A .zip or .tar archive -> its files in a folder, and nothing outside of it.

An archive comes from strangers: names that lead out of the folder, links, devices and encrypted files are refused before
anything is written, and so is what unpacks to much more than pictures do.
"""

from __future__ import annotations

import lzma
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from training.command import BadInput
from training.data.download import require_room, size

ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")
MOST_TIMES = 100  # bytes unpacked per byte of archive; pictures hardly shrink
ALWAYS_BYTES = 200_000_000  # unpacked whatever the archive's size
MOST_FILES = 2_000_000
CHUNK_BYTES = 1 << 20
NEEDLESS = ("__MACOSX", ".DS_Store")


class Damaged(BadInput):
    """An archive that cannot be read to its end."""


@dataclass(frozen=True)
class Entry:
    """One file in an archive."""

    name: str
    size_bytes: int
    member: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def unpack(archive: Path, folder: Path) -> tuple[int, int]:
    """Write the files of an archive below a folder; those that are there in their size stay.

    A file appears whole or not at all, so that an interrupted unpacking goes on when it is called again.

    Returns:
        Files written, and files that were there.

    Raises:
        Damaged: the archive cannot be read to its end.
        BadInput: it is encrypted, unsafe, or does not fit on the disk.
    """
    try:
        with _opened(archive) as (entries, content):
            whole = sum(entry.size_bytes for entry in entries)
            folder.mkdir(parents=True, exist_ok=True)
            missing = [entry for entry in entries if not _is_there(folder / entry.name, entry.size_bytes)]
            require_room(folder, sum(entry.size_bytes for entry in missing))
            print(f"{archive.name}: {len(entries)} files, {size(whole)}", file=sys.stderr)
            for entry in missing:
                with content(entry) as source:
                    _write(source, folder / entry.name, entry.size_bytes, archive)
            return len(missing), len(entries) - len(missing)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise Damaged(f"{archive}: is damaged or no archive ({error}); fetch it again.") from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 tell of damage so
            raise Damaged(f"{archive}: is damaged or no archive ({error}); fetch it again.") from error
        raise
    except NotImplementedError as error:
        raise BadInput(f"{archive}: is packed in a way that cannot be read ({error}); unpack it by hand.") from error


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[Entry], Callable[[Entry], Any]]]:
    """Checked entries of an archive, and what opens one."""
    most = max(ALWAYS_BYTES, MOST_TIMES * archive.stat().st_size)
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            infos = [info for info in packed.infolist() if not info.is_dir()]
            yield (
                _checked((_of_zip(info, archive) for info in infos), archive, most),
                lambda entry: packed.open(entry.member),
            )
    else:
        with tarfile.open(archive) as packed:
            members = (member for member in packed if not member.isdir())
            yield (
                _checked((_of_tar(one, archive) for one in members), archive, most),
                lambda entry: packed.extractfile(entry.member),
            )


def _checked(found: Iterator[Entry], archive: Path, most_bytes: int) -> list[Entry]:
    """Entries with safe names, as long as they stay within the bounds."""
    entries: dict[str, Entry] = {}
    total = 0
    for entry in found:
        parts = PurePosixPath(entry.name).parts
        if parts[-1].startswith("._") or set(parts) & set(NEEDLESS):
            continue
        total += entry.size_bytes
        if total > most_bytes or len(entries) >= MOST_FILES:
            raise BadInput(
                f"{archive}: unpacks to more than {size(most_bytes)} or {MOST_FILES} files, far more than pictures do; not "
                "unpacked. Unpack it by hand if you trust it."
            )
        if entry.name in entries:
            raise BadInput(f"{archive}: holds {entry.name} twice; not unpacked. Unpack it by hand.")
        entries[entry.name] = entry
    for name in entries:
        if any(parent.as_posix() in entries for parent in PurePosixPath(name).parents):
            _refuse(archive, name, "lies in a folder that is a file")
    return list(entries.values())


def _of_zip(info: zipfile.ZipInfo, archive: Path) -> Entry:
    if info.flag_bits & 0x1:
        raise BadInput(f"{archive}: is encrypted ({info.filename}); unpack it by hand with its password.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        _refuse(archive, info.filename, "is a link or a device")
    return Entry(_safe(info.filename, archive), info.file_size, info)


def _of_tar(member: tarfile.TarInfo, archive: Path) -> Entry:
    if not member.isreg():
        _refuse(archive, member.name, "is a link or a device")
    return Entry(_safe(member.name, archive), member.size, member)


def _safe(name: str, archive: Path) -> str:
    """The name with plain slashes; refused where it could lead out of the folder."""
    told = name.replace("\\", "/")
    path = PurePosixPath(told)
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0] or "\0" in told:
        _refuse(archive, name, "leads out of the folder")
    return path.as_posix()


def _refuse(archive: Path, name: str, why: str) -> None:
    raise BadInput(
        f"{archive}: {name!r} in it {why}; nothing was unpacked. Fetch the archive from a source that you trust."
    )


def _is_there(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _write(source: IO[bytes], path: Path, size_bytes: int, archive: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    written = 0
    try:
        with unfinished.open("wb") as file:
            while chunk := source.read(CHUNK_BYTES):
                written += len(chunk)
                if written > size_bytes:
                    raise Damaged(f"{archive}: {path.name} is longer than the archive says; fetch it again.")
                file.write(chunk)
        if written < size_bytes:
            raise Damaged(f"{archive}: {path.name} is shorter than the archive says; fetch it again.")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
