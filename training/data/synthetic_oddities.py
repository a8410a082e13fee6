"""A tidy look-alike tree -> the same tree with every odd case that the real set has, or that a reader must survive."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

EXPECTED: Mapping[str, int] = {  # code of `training.data.shine_skin` → how many of them are added here
    "orphan_picture": 1,
    "orphan_sidecar": 1,
    "bad_json": 1,
    "moved": 1,
    "misplaced": 1,
    "backup": 2,
    "stray_severity": 2,
    "flipped_alone": 1,
    "flip_unclear": 1,
    "flip_differs": 3,
    "filled_targets": 2,
    "filled_severities": 2,
    "unknown_vocabulary": 5,
    "contradiction": 1,
    "bad_value": 1,
    "unlabelled": 1,
    "summary": 1,
    "other_file": 1,
}


def add(home: Path, batches: Mapping[str, Sequence[str]]) -> None:
    """Add them all; each befalls other pictures, the first ones of their condition, severity and batch."""
    first, second = batches["v1"]
    one(home, "acne/mild", first).with_suffix(".json").unlink()
    one(home, "redness/moderate", first, "_flipped").unlink()
    broken = one(home, "aging/moderate", first, "_flipped").with_suffix(".json")
    broken.write_text(broken.read_text(encoding="utf-8")[:150], encoding="utf-8")
    move(one(home, "pore_size/moderate", first), home / "redness" / "mild")
    move(one(home, "pore_size/severe", second, "_flipped"), home / "pore_size")
    backup(home, one(home, "acne/moderate", first))
    stray(home, one(home, "textured_skin/slight", second), f"textured_skin_mild_{second}_8000")
    misnamed = one(home, "textured_skin/moderate", second)
    copy(misnamed, misnamed.with_name(f"acne_moderate_{second}_8001.png"))
    alone = one(home, "hyperpigmentation/severe", first)
    alone.unlink()
    alone.with_suffix(".json").unlink()
    changed(one(home, "redness/severe", first, "_flipped"), lambda said: said.pop("is_flipped"))
    changed(one(home, "aging/advanced", second), without_targets)
    changed(one(home, "redness/mild", second), strange_person)
    changed(one(home, "redness/moderate", second, "_flipped"), lambda said: graded(said, "redness", "extreme"))
    changed(one(home, "acne/severe", second), lambda said: graded(said, "acne", "none"))
    changed(one(home, "acne/moderate", second), lambda said: said["classification_targets"].update(redness="yes"))
    changed(one(home, "fine_lines_wrinkles/mild", second, "_flipped"), also_red)
    unlabelled(home, one(home, "redness/mild", first))
    damaged = one(home, "fine_lines_wrinkles/severe", second, "_flipped")
    damaged.write_bytes(damaged.read_bytes()[:2000])
    beside(home, one(home, "acne/moderate", first))


def one(home: Path, folder: str, batch: str, ending: str = "") -> Path:
    """The first picture of a folder and batch, or its mirrored copy."""
    originals = sorted(path for path in (home / folder).glob(f"*_{batch}_0*.png") if "_flipped" not in path.stem)
    return originals[0].with_name(f"{originals[0].stem}{ending}.png")


def move(path: Path, folder: Path) -> None:
    """Both files of a picture to another folder."""
    for file in (path, path.with_suffix(".json")):
        file.rename(folder / file.name)


def copy(path: Path, to: Path) -> None:
    for ending in (".png", ".json"):
        shutil.copyfile(path.with_suffix(ending), to.with_suffix(ending))


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the sidecar of a picture says."""
    place = path.with_suffix(".json")
    said = json.loads(place.read_text(encoding="utf-8"))
    change(said)
    place.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def backup(home: Path, path: Path) -> None:
    (home / "changes_backup" / "acne").mkdir(parents=True)
    copy(path, home / "changes_backup" / "acne" / path.name)


def stray(home: Path, path: Path, stem: str) -> None:
    """A picture and its mirrored copy with a word for the severity that their condition does not have."""
    folder = home / "textured_skin" / "mild"
    folder.mkdir()
    for ending in ("", "_flipped"):
        to = folder / f"{stem}{ending}.png"
        copy(path.with_name(f"{path.stem}{ending}.png"), to)
        changed(to, lambda said: said.update(severity="mild", original_filename=f"{stem}.png"))
        changed(to, lambda said: graded(said, "textured_skin", "mild"))


def without_targets(said: dict[str, Any]) -> None:
    del said["classification_targets"], said["severity_targets"]


def strange_person(said: dict[str, Any]) -> None:
    said["demographics"] |= {"age_group": "teenager", "skin_tone": "porcelain skin tone", "gender": "robot"}


def graded(said: dict[str, Any], condition: str, word: str) -> None:
    said["severity_targets"][condition] = word


def also_red(said: dict[str, Any]) -> None:
    said["classification_targets"]["redness"] = True
    graded(said, "redness", "mild")


def unlabelled(home: Path, path: Path) -> None:
    """A picture of a condition that nobody knows, without targets."""
    to = home / "redness" / "mild" / "redness_mild_77.png"
    copy(path, to)
    said = {"skin_condition": "sunburn", "severity": "mild", "annotations": {"detected": True}}
    to.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")


def beside(home: Path, path: Path) -> None:
    """Summaries, a file that is none of the set, a hidden one, and a tree that must not be read."""
    for folder in (home, home.parent):
        (folder / "dataset_summary_20250930.json").write_text(json.dumps({"total_images": 1}), encoding="utf-8")
    (home / "acne" / "notes.txt").write_text("no picture\n", encoding="utf-8")
    (home / ".DS_Store").write_bytes(b"\0")
    older = home.parent / "older" / "acne" / "mild"
    older.mkdir(parents=True)
    copy(path, older / path.name)
