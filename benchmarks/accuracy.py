"""The accuracy table of the service: every figure on pictures that no number was chosen on.

Run:     python -m benchmarks.accuracy [--only acne colour structure tone] [--tuning]
Cost:    about 15 minutes on 2 cores.
Expects: the tables of docs/accuracy.md. Face finding and the skin mask have tables of their own: `benchmarks.detection` and
         `benchmarks.skin_mask`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import dataset
from benchmarks.tables import acne, colour, structure, tone

Row = Mapping[str, Any]
TABLES: Mapping[str, Callable[..., Sequence[Row]]] = {
    "acne": acne.rows,
    "colour": colour.rows,
    "structure": structure.rows,
    "tone": tone.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument(
        "--tuning", action="store_true", help="the other half, on which numbers were chosen, for comparison"
    )
    options = parser.parse_args()
    rows = [row for name in options.only for row in TABLES[name](tuning=options.tuning)]
    print_rows(rows)
    print(f"written to {dataset.write('accuracy_tuning' if options.tuning else 'accuracy', rows)}")


def print_rows(rows: Sequence[Row]) -> None:
    print(
        "| table | figure | value | 95 % | n | refused | split | target | baselines |\n|---|---|---|---|---|---|---|---|---|"
    )
    for row in rows:
        print("| " + " | ".join(cells(row)) + " |")


def cells(row: Row) -> list[str]:
    value, interval = row.get("value"), row.get("interval")
    baselines = ", ".join(f"{name} {figure:.2f}" for name, figure in (row.get("baselines") or {}).items())
    return [
        str(row.get("table", "")),
        str(row.get("figure", "")),
        "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value),
        "–" if not interval else f"{interval[0]:.2f}–{interval[1]:.2f}",
        *(("–" if row.get(key) is None else str(row[key])) for key in ("n", "n_refused", "split", "target")),
        baselines or "–",
    ]


if __name__ == "__main__":
    main()
