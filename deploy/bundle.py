"""Tracked files minus .ebignore -> dist/<name>-<version>.zip for Elastic Beanstalk, the same bytes from the same files.

    python -m deploy.bundle [--without-ensemble] [--out FOLDER]      (make bundle)

Prints where the bundle is, its size, and what of it the ensemble's model is. Without the ensemble it leaves the model to S3.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENSEMBLE = "models/hare_run_v6_facial/"
MOST_BYTES = 60_000_000  # without the ensemble's model
MOMENT = (1980, 1, 1, 0, 0, 0)  # of every entry; the earliest that a zip can tell
RUNNABLE, PLAIN = 0o100755, 0o100644
RUN_BITS = 0o111
MB = 1_000_000


class CannotBundle(Exception):
    """The bundle cannot be made; the message is for people."""


@dataclass(frozen=True)
class Bundle:
    """A finished bundle; sizes in bytes, as they lie in the zip."""

    path: Path
    files: int
    size: int
    ensemble_size: int
    sha256: str

    def told(self) -> str:
        """What `make bundle` prints."""
        rest = self.size - self.ensemble_size
        return (
            f"{self.path}: {self.files} files, {self.size / MB:.1f} MB "
            f"(the ensemble's model {self.ensemble_size / MB:.1f} MB, all else {rest / MB:.1f} MB), sha256 {self.sha256}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the bundle; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bundle", description="Make the bundle for Elastic Beanstalk."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--without-ensemble", action="store_true", help="leave the ensemble's model to S3")
    options = parser.parse_args(arguments)
    try:
        print(make(ROOT, options.out, with_ensemble=not options.without_ensemble).told())
    except CannotBundle as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def make(root: Path, out: Path, *, with_ensemble: bool = True) -> Bundle:
    """Write the bundle of a working tree.

    Raises:
        CannotBundle: no git checkout, a tracked file is missing, or the bundle is too large.
    """
    names = [name for name in chosen(root) if with_ensemble or not name.startswith(ENSEMBLE)]
    path = out / f"{title(root)}{'' if with_ensemble else '-without-ensemble'}.zip"
    out.mkdir(parents=True, exist_ok=True)
    write(root, names, path)
    with zipfile.ZipFile(path) as bundle:
        ensemble_size = sum(entry.compress_size for entry in bundle.infolist() if entry.filename.startswith(ENSEMBLE))
    size = path.stat().st_size
    if size - ensemble_size > MOST_BYTES:
        raise CannotBundle(
            f"{path} has more than {MOST_BYTES // MB} MB without the model: add to .ebignore what is not served."
        )
    return Bundle(path, len(names), size, ensemble_size, hashlib.sha256(path.read_bytes()).hexdigest())


def chosen(root: Path) -> list[str]:
    """Names of the tracked files that .ebignore does not name, in order."""
    left_out = set(_listed(root, "--ignored", "--exclude-from=.ebignore"))
    names = [name for name in _listed(root) if name not in left_out]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise CannotBundle(f"{missing[0]} is tracked but not there: restore it or remove it from git.")
    return names


def title(root: Path) -> str:
    """<name>-<version> of pyproject.toml."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = dict(re.findall(r'^(name|version) = "([^"]+)"', text, re.MULTILINE))
    return f"{found['name']}-{found['version']}"


def write(root: Path, names: Iterable[str], path: Path) -> None:
    """Write the zip; the time, the owner and the order of the files on this disk leave no trace in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as bundle:
        for name in sorted(names):
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.create_system = 3  # Unix, so that the run bits count
            entry.external_attr = (RUNNABLE if (root / name).stat().st_mode & RUN_BITS else PLAIN) << 16
            bundle.writestr(entry, (root / name).read_bytes(), zipfile.ZIP_DEFLATED, 6)


def _listed(root: Path, *options: str) -> list[str]:
    command = ["git", "-C", str(root), "ls-files", "--cached", "-z", *options]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise CannotBundle("git cannot list the files: make the bundle in a git checkout.") from None
    return [name for name in listed.split("\0") if name]


if __name__ == "__main__":
    sys.exit(main())
