"""The one rule that keeps pictures apart: what is held out is never fitted, tuned or trained on."""

from __future__ import annotations

import hashlib
from pathlib import Path

TESTING_ONLY = ("skin_defects", "phone_originals")
ACNE04_RUN = 20  # neighbouring numbers of ACNE04 show the same person: runs of this length stay together


def held_out(path: Path) -> bool:
    """Half of every source, by a hash of the picture's group; skin_defects and phone_originals as a whole."""
    if set(TESTING_ONLY) & set(path.parts):
        return True
    return hashlib.sha256(group_of(path).encode()).digest()[0] % 2 == 1


def part_of(path: Path) -> str:
    """``"test"`` where held out, else ``"train"`` or, for one group in twelve, ``"validation"``: to choose numbers on."""
    if held_out(path):
        return "test"
    return "validation" if hashlib.sha256(group_of(path).encode()).digest()[1] % 12 == 0 else "train"


def group_of(path: Path) -> str:
    """What must not be torn apart: severity and run of numbers for ACNE04 (`levle2_41` → ``levle2/2``), else the stem."""
    severity, _, number = path.stem.partition("_")
    if "acne04" in path.parts and number.isdigit():
        return f"{severity}/{int(number) // ACNE04_RUN}"
    return path.stem
