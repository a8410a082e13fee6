"""A folder, or s3://bucket/prefix -> the photos that lie there; a photo -> its bytes. Any machine can do the latter by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
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

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system and the root in it.

        Raises:
            BadInput: S3 does not say where the bucket is.
        """
        if not self.location.startswith("s3://"):
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
    """All photos by their endings, sorted by path; hidden files and folders are left out.

    Raises:
        BadInput: it cannot be listed, or holds none.
    """
    files, root = archive.open()
    try:
        listed = files.get_file_info(fs.FileSelector(root, recursive=True))
    except OSError as error:
        raise BadInput(f"{archive.location}: cannot be listed ({reason(error)}); {advice(archive)}.") from error
    found = [_photo(info, root) for info in listed if info.type == fs.FileType.File]
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
    if archive.location.startswith("s3://"):
        return "look at its name, at AWS_ENDPOINT_URL, and at what the credentials of this machine may list and read"
    return "check who may read it"


def _photo(info: Any, root: str) -> Photo:
    return Photo(info.path.removeprefix(root).lstrip("/"), info.size)


def _is_photo(path: str) -> bool:
    place = PurePosixPath(path)
    return place.suffix.lower() in ENDINGS and not any(part.startswith(".") for part in place.parts)
