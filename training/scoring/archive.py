"""A folder, or s3://bucket/prefix -> the photos that lie there; a photo -> its bytes. Any machine can do the latter by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlencode, urlsplit

from pyarrow import fs

from training.command import BadInput

ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".heic", ".heif", ""))  # keys of S3 often have none


@dataclass(frozen=True)
class Photo:
    """One photo of an archive. Attributes: `path` below the archive's root, with slashes; `size_bytes` when it was listed."""

    path: str
    size_bytes: int


@dataclass(frozen=True)
class Archive:
    """Where photos lie. Attributes: `location`, an absolute path or an s3:// address; `endpoint_url` of an S3 that is not Amazon's."""

    location: str
    endpoint_url: str | None = None

    @property
    def is_s3(self) -> bool:
        return self.location.startswith("s3://")

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system and the root in it.

        Raises:
            BadInput: S3 does not say where the bucket is.
        """
        if not self.is_s3:
            return fs.LocalFileSystem(), self.location
        query = ""
        if self.endpoint_url:
            given = urlsplit(self.endpoint_url)
            query = "?" + urlencode({"endpoint_override": given.netloc, "scheme": given.scheme})
        try:
            return fs.FileSystem.from_uri(self.location + query)
        except OSError as error:
            raise BadInput(f"{self.location}: cannot be opened ({reason(error)}); {advice(self)}.") from error


def located(source: str, environment: Mapping[str, str]) -> Archive:
    """The archive that a command names.

    Raises:
        BadInput: it is no folder.
    """
    if source.startswith("s3://"):
        bucket, _, prefix = source.removeprefix("s3://").strip("/").partition("/")
        if not bucket:
            raise BadInput(f"{source}: expected s3://bucket/prefix.")
        return Archive(f"s3://{bucket}/{prefix}".rstrip("/"), environment.get("AWS_ENDPOINT_URL") or None)
    if not Path(source).is_dir():
        raise BadInput(f"{source}: there is no such folder; name a folder of photos, or s3://bucket/prefix.")
    return Archive(str(Path(source).resolve()))


def photos(archive: Archive) -> list[Photo]:
    """All photos by their endings, sorted by path; hidden files and folders, and what links to folders hold, are left out.

    Raises:
        BadInput: it cannot be listed, or holds none.
    """
    try:
        found = _in_s3(archive) if archive.is_s3 else _in_folder(archive.location)
    except OSError as error:
        raise BadInput(f"{archive.location}: cannot be listed ({reason(error)}); {advice(archive)}.") from error
    kept = sorted((one for one in found if _is_photo(one.path)), key=lambda one: one.path)
    if not kept:
        endings = ", ".join(sorted(ENDINGS - {""}))
        raise BadInput(f"{archive.location}: holds no photos among {len(found)} files; expected {endings}.")
    return kept


def read(files: fs.FileSystem, root: str, photo: Photo) -> bytes:
    """The whole of it.

    Raises:
        OSError: it cannot be read.
    """
    with files.open_input_stream(f"{root}/{photo.path}") as stream:
        return stream.read()


def reason(error: OSError) -> str:
    """What went wrong, in one line and without what only a programmer reads."""
    return " ".join(str(error).split("Detail:")[0].split())[:300].rstrip(" .")


def advice(archive: Archive) -> str:
    if archive.is_s3:
        return "look at its name, at AWS_ENDPOINT_URL, and at what the credentials of this machine may list and read"
    return "check who may read it"


def _in_s3(archive: Archive) -> list[Photo]:
    files, root = archive.open()
    listed = files.get_file_info(fs.FileSelector(root, recursive=True))
    return [
        Photo(info.path.removeprefix(root).lstrip("/"), info.size) for info in listed if info.type == fs.FileType.File
    ]


def _in_folder(root: str) -> list[Photo]:
    """Files of a folder and those below it; a name that is no UTF-8, which no row could hold, is told and left out."""
    found, nameless = [], 0
    for home, _, names in os.walk(root, onerror=_raised):
        for name in names:
            path = Path(home, name)
            is_there = path.exists()  # a link to nothing is not: that is told when it is read
            if not _is_utf8(path):
                nameless += 1
            elif path.is_file() or not is_there:
                found.append(Photo(path.relative_to(root).as_posix(), path.stat().st_size if is_there else 0))
    if nameless:
        print(f"{nameless} files are left out: their names are no UTF-8; rename them.", file=sys.stderr, flush=True)
    return found


def _is_utf8(path: Path) -> bool:
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:  # bytes that Python only carries along
        return False
    return True


def _raised(error: OSError) -> None:
    raise error


def _is_photo(path: str) -> bool:
    place = PurePosixPath(path)
    return place.suffix.lower() in ENDINGS and not any(part.startswith(".") for part in place.parts)
