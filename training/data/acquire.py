"""Fetch a data set into a folder: from Kaggle, from a list of URLs, or from an archive that is there.

    python -m training.data.acquire kaggle:trainingdatapro/skin-defects-acne-redness-and-bags-under-the-eyes --out pictures
    python -m training.data.acquire urls.txt --out pictures        # one URL a line, its sha256 behind it where it is known
    python -m training.data.acquire archive.zip --out pictures     # .zip, .tar.gz, .tar and the like

Interrupted, it goes on where it was when it is called again. Archives are unpacked; OUT/acquired.json says what came from
where, with its sha256. Kaggle takes its user and key from KAGGLE_USERNAME and KAGGLE_KEY or from ~/.kaggle/kaggle.json; public
data sets need none. Every data set has terms: read them before you use it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from training import command
from training.command import BadInput
from training.data import archives, download
from training.data.download import Remote

KAGGLE = "kaggle:"
KAGGLE_HOST = "https://www.kaggle.com"
KAGGLE_KEY_PLACE = (
    "make a key on https://www.kaggle.com/settings (API, Create New Token) and put it into ~/.kaggle/kaggle.json, or set "
    "KAGGLE_USERNAME and KAGGLE_KEY"
)
RECORD = "acquired.json"
UNFINISHED = ".downloads"  # below OUT, until everything is there
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def main() -> None:
    options = parsed()
    out: Path = options.out
    archive = Path(options.source)
    if archives.is_archive(options.source) and "://" not in options.source:
        taken = {str(archive): from_archive(archive, out, options.sha256)}
    else:
        remotes = remotes_of(options.source, options.sha256, os.environ)
        taken = {remote.url: from_host(remote, out, several=len(remotes) > 1) for remote in remotes}
    files = sum(int(str(entry["files"])) for entry in taken.values())
    print(f"{out}: {files} files; {RECORD} there says what came from where")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help="kaggle:owner/name, a list of URLs, a URL, or an archive")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that the files go to")
    parser.add_argument("--sha256", type=str.lower, help="that the archive or the one file must have")
    options = parser.parse_args()
    if options.sha256 and not SHA256.fullmatch(options.sha256):
        parser.error("--sha256 must be 64 hexadecimal digits")
    return options


def remotes_of(source: str, sha256: str | None, environment: Mapping[str, str]) -> list[Remote]:
    """What a source names.

    Raises:
        BadInput: it is none of those that can be fetched, or a line of a list is wrong.
    """
    if source.startswith(KAGGLE):
        return [kaggle(source.removeprefix(KAGGLE), sha256, environment)]
    if source.startswith(("http://", "https://")):
        return [_of_url(source, sha256, "")]
    path = Path(source)
    if not path.is_file():
        raise BadInput(
            f"{source}: there is no such file; expected kaggle:owner/name, a list of URLs, a URL, or an archive."
        )
    if sha256:
        raise BadInput("--sha256 belongs to one file; in a list, write each sha256 behind its URL.")
    return listed(path)


def kaggle(handle: str, sha256: str | None, environment: Mapping[str, str]) -> Remote:
    """The archive of a Kaggle data set, ``owner/name``; the host is KAGGLE_API_ENDPOINT's where that is set."""
    if not re.fullmatch(r"[\w-]+/[\w-]+", handle, re.ASCII):
        raise BadInput(f"{KAGGLE}{handle}: expected kaggle:owner/name, as in the address of the data set's page.")
    host = environment.get("KAGGLE_API_ENDPOINT", KAGGLE_HOST).rstrip("/")
    return Remote(
        url=f"{host}/api/v1/datasets/download/{handle}",
        name=f"{handle.replace('/', '.')}.zip",
        page=f"{KAGGLE_HOST}/datasets/{handle}",
        sha256=sha256,
        login=kaggle_login(environment),
        key_place=KAGGLE_KEY_PLACE,
    )


def kaggle_login(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """User and key of the environment, else of kaggle.json in KAGGLE_CONFIG_DIR or ~/.kaggle; None where there are none."""
    user, key = environment.get("KAGGLE_USERNAME"), environment.get("KAGGLE_KEY")
    if user and key:
        return user, key
    path = Path(environment.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle") / "kaggle.json"
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return str(said["username"]), str(said["key"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f'{path}: expected {{"username": "…", "key": "…"}}; {KAGGLE_KEY_PLACE}.') from error


def listed(path: Path) -> list[Remote]:
    """The URLs of a text file: one a line, its sha256 behind it where it is known; ``#`` begins a remark."""
    remotes: dict[str, Remote] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is neither an archive ({', '.join(archives.ENDINGS)}) nor a list of URLs.") from error
    for number, line in enumerate(lines, 1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if not words:
            continue
        place = f"{path}:{number}: "
        if len(words) > 2 or (len(words) == 2 and not SHA256.fullmatch(words[1])):
            raise BadInput(f"{place}expected a URL and, where it is known, its sha256 of 64 hexadecimal digits.")
        remote = _of_url(words[0], words[1].lower() if len(words) == 2 else None, place)
        if remote.name in remotes:
            raise BadInput(f"{place}a file named {remote.name} was listed before; fetch it with a list of its own.")
        remotes[remote.name] = remote
    if not remotes:
        raise BadInput(f"{path}: holds no URL; write one a line.")
    return list(remotes.values())


def from_host(remote: Remote, out: Path, several: bool) -> dict[str, object]:
    """Fetch one file, and unpack it where it is an archive: into a folder of its own where there are several."""
    record = _recorded(out).get(remote.url)
    if record and remote.sha256 in (None, record.get("sha256")):
        print(
            f"{remote.name}: was fetched on {record.get('when')}; remove it from {out / RECORD} to fetch it again",
            file=sys.stderr,
        )
        return record
    kept = out / UNFINISHED
    file = download.fetch(remote, kept)
    if archives.is_archive(remote.name):
        ending = next(end for end in archives.ENDINGS if remote.name.lower().endswith(end))
        home = out / remote.name[: -len(ending)] if several else out
        try:
            entry = _unpacked(file, home)
        except archives.Damaged:
            file.unlink(missing_ok=True)  # so that the next run fetches it again
            raise
    else:
        entry = {"files": 1, "sha256": download.sha256_of(file), "bytes": file.stat().st_size}
        file.replace(out / remote.name)
    record = _noted(out, remote.url, entry)
    file.unlink(missing_ok=True)
    if not any(kept.iterdir()):
        kept.rmdir()
    return record


def from_archive(archive: Path, out: Path, sha256: str | None) -> dict[str, object]:
    """Unpack an archive that is there; it stays."""
    if not archive.is_file():
        raise BadInput(f"{archive}: there is no such file; name an archive ({', '.join(archives.ENDINGS)}).")
    if sha256 and (found := download.sha256_of(archive)) != sha256:
        raise BadInput(f"{archive}: must have sha256 {sha256} and has {found}; fetch it again. Nothing was unpacked.")
    return _noted(out, str(archive), _unpacked(archive, out))


def _unpacked(archive: Path, home: Path) -> dict[str, object]:
    written, there = archives.unpack(archive, home)
    if there:
        print(f"{archive.name}: {there} of {there + written} files were there already", file=sys.stderr)
    return {"files": written + there, "sha256": download.sha256_of(archive), "bytes": archive.stat().st_size}


def _of_url(url: str, sha256: str | None, place: str) -> Remote:
    parts = urlsplit(url)
    name = unquote(parts.path).rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{place}{url}: expected a URL that begins with https:// or http://.")
    if parts.username or parts.password:
        raise BadInput(
            f"{place}a URL must hold no user and password: they would be written into {RECORD}; fetch it by hand."
        )
    if not re.fullmatch(r"[^\\\0/]+", name) or name.startswith(".") or name == RECORD:
        raise BadInput(f"{place}{url}: must end in the name of a file; fetch it by hand.")
    return Remote(url, name, page=f"{parts.scheme}://{parts.netloc}/", sha256=sha256)


def _recorded(out: Path) -> dict[str, dict[str, object]]:
    path = out / RECORD
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return {str(source): dict(entry) for source, entry in said.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: expected what an earlier run wrote; remove it and run the command again.") from error


def _noted(out: Path, source: str, entry: Mapping[str, object]) -> dict[str, object]:
    noted = {**entry, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    out.mkdir(parents=True, exist_ok=True)
    with command.whole(out / RECORD) as unfinished:
        unfinished.write_text(json.dumps(_recorded(out) | {source: noted}, indent=1) + "\n", encoding="utf-8")
    return noted


if __name__ == "__main__":
    command.run(main)
