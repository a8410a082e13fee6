"""The locks: an exact version and the sha256 of its files for every package; the bill of materials names the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = sorted(path for folder in (ROOT, ROOT / "training") for path in folder.glob("requirements*.in"))
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z0-9,-]+\])?==(\S+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
ADDRESS = re.compile(r"://|^\s*-(?:i|f|-index|-extra|-find|-trusted)", re.MULTILINE)


def pins(lock: Path) -> dict[str, tuple[str, set[str]]]:
    """Return the name of each package with its version and the sha256 sums of its files."""
    text = re.sub(r"#.*", "", lock.read_text())
    entries = text.replace("\\\n", " ").splitlines()
    return {
        found[1]: (found[2], set(HASH.findall(entry))) for entry in entries if (found := PIN.match(entry)) is not None
    }


def direct(requirements: Path) -> set[str]:
    """Return the names of the packages that a file itself asks for."""
    names = re.findall(r"^([A-Za-z][\w.-]*)", requirements.read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-") for name in names}


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_package_is_locked_with_hashes(requirements: Path) -> None:
    lock = requirements.with_suffix(".txt")
    locked = pins(lock)
    assert direct(requirements) <= locked.keys()
    assert [name for name, (_, hashes) in locked.items() if not hashes] == []
    assert len(locked) == len(re.findall(r"==", re.sub(r"#.*|;.*", "", lock.read_text())))
    assert ADDRESS.search(lock.read_text()) is None


@pytest.mark.parametrize("requirements", REQUIREMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_locks_on_top_of_others_hold_the_same_versions(requirements: Path) -> None:
    for name in re.findall(r"^-c (\S+)", requirements.read_text(), re.MULTILINE):
        below = pins(requirements.parent / name)
        above = pins(requirements.with_suffix(".txt"))
        assert [package for package in below if above.get(package, below[package])[0] != below[package][0]] == []


def test_the_bill_of_materials_names_what_the_lock_names() -> None:
    document = json.loads((ROOT / "sbom.cdx.json").read_text())
    listed = {
        component["name"]: (
            component["version"],
            {hash["content"] for hash in component["externalReferences"][0]["hashes"]},
        )
        for component in document["components"]
    }
    assert listed == pins(ROOT / "requirements.txt"), "run make lock"
    assert document["metadata"]["component"]["name"] == "shine-backend-hare-run"
