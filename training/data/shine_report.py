"""A tree of shine-skin-collective -> what is in it, and every oddity with its path and what was expected: a table and JSON.

Run:     python -m training.data.shine_report ROOT [--out report.json]
Cost:    seconds; no picture is opened.
Expects: ``output_images`` in ROOT or in ``ROOT/Synthetic`` (`training.data.shine_skin`).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training import command
from training.data import shine_skin
from training.data.shine_labels import CONDITIONS
from training.data.shine_skin import FLIPPED, Labelled, Oddity, Synthetic

NOT_SAID = "not said"


def main() -> None:
    options = parsed()
    found = shine_skin.read(options.root)
    print("\n".join(table(found)))
    if options.out:
        write(found, options.out)
        print(f"\nEvery oddity with its path: {options.out}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="ROOT", help="output_images, or the folder that holds it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the JSON belongs")
    return parser.parse_args()


def write(found: Synthetic, path: Path) -> None:
    """The report as JSON."""
    with command.whole(path) as unfinished:
        unfinished.write_text(json.dumps(document(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def document(found: Synthetic) -> dict[str, Any]:
    """Counts, and every oddity below its code; paths are those below the home."""
    codes = sorted({one.code for one in found.oddities})
    return {
        "home": str(found.home),
        "pictures": len(found.labelled),
        "groups": len({one.picture.group for one in found.labelled}),
        "counts": counts(found.labelled),
        "oddities": {code: [_entry(one, found.home) for one in of_code(found, code)] for code in codes},
    }


def counts(labelled: Sequence[Labelled]) -> dict[str, dict[str, int]]:
    """How many pictures there are of each kind."""
    there = Counter(
        name for one in labelled for name, is_there in zip(CONDITIONS, one.targets, strict=True) if is_there
    )
    pictures = [one.picture for one in labelled]
    return {
        "condition": _counted(there.elements()),
        "condition and severity": _counted(one.kind for one in pictures),
        "batch": _counted(one.batch for one in labelled),
        "age": _counted(one.age_band or NOT_SAID for one in pictures),
        "gender": _counted(one.gender or NOT_SAID for one in pictures),
        "Fitzpatrick type": _counted(one.fitzpatrick or NOT_SAID for one in pictures),
        "mirrored": _counted("copy" if one.path.stem.endswith(FLIPPED) else "original" for one in pictures),
    }


def table(found: Synthetic) -> list[str]:
    """The same as lines: counts, then of each code how many there are and the first of them."""
    told = document(found)
    lines = [f"{told['home']}: {told['pictures']} pictures of {told['groups']} originals"]
    for kind, counted in told["counts"].items():
        lines.append(f"{kind:<24}{', '.join(f'{name} {count}' for name, count in counted.items())}")
    lines += ["", f"{'oddity':<22}{'count':>6}  the first"]
    for code, entries in told["oddities"].items():
        lines.append(f"{code:<22}{len(entries):>6}  {entries[0]['path']}: {entries[0]['reason']}")
    return lines


def of_code(found: Synthetic, code: str) -> list[Oddity]:
    return [one for one in found.oddities if one.code == code]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _entry(one: Oddity, home: Path) -> Mapping[str, Any]:
    return {"path": one.path.relative_to(home).as_posix(), "line": one.line, "reason": one.reason}


if __name__ == "__main__":
    command.run(main)
