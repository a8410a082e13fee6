"""What overexposed skin does to redness: the ground of the check `overexposed` (docs/quality.md).

Run:     python -m benchmarks.exposure [--most 30]
Cost:    about 2 minutes.
Expects: up to a share of 0.4 the median change is below 0.1; beyond 0.4, where the service measures no redness, it is larger.

Faces of both halves whose skin is not overexposed are given 1.25 to 2.5 times the light, cut off at white; the mask of the skin stays that
of the good picture. The table goes by the share of the skin with a channel at the top of the scale.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from analyzer.conditions import redness
from benchmarks import dataset
from benchmarks.quality import exposed, sampled

FACTORS = (1.25, 1.6, 2.0, 2.5)  # times the light: a third of a stop to one and a third
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 1.0)
USUAL = 0.03  # share of the skin of a picture that counts as not overexposed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=30, help="pictures per group and half")
    options = parser.parse_args()
    if not dataset.data_root().is_dir():
        parser.error(f"the pictures are not here: {dataset.data_root()} (set SKIN_DATA)")
    table = {}
    for half in ("tuning", "held out"):
        paths = [path for group in sampled(held_out=half == "held out", most=options.most).values() for path in group]
        table[half] = by_share([change for path in dataset.progress(paths, half) for change in changes(path)])
        print(f"{half}: share of the skin with a clipped channel, n, change of redness: median, 90th percentile")
        for row in table[half]:
            print(f"  {row['from']:.1f} to {row['to']:.1f} {row['n']:5} {row['median']:+.2f} {row['p90']:+.2f}")
    print(f"written to {dataset.write('exposure', table)}")


def changes(path: Path) -> Iterator[tuple[float, float]]:
    """(clipped share, change of the score) of one face in more and more light; nothing where it was overexposed before."""
    seen = dataset.service_roi(path)
    before = redness.measure(seen, gate=False).score if seen else None
    if seen is None or before is None or seen.clipped_share > USUAL:
        return
    for factor in FACTORS:
        lit = replace(seen, rgb=exposed(factor)(seen.rgb))
        after = redness.measure(lit, gate=False).score
        if after is not None:
            yield lit.clipped_share, after - before


def by_share(found: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    rows = []
    for low, high in pairwise(SHARES):
        inside = [change for share, change in found if low <= share < high or share == high == SHARES[-1]]
        if inside:
            median, p90 = np.percentile(inside, [50, 90])
            rows.append({"from": low, "to": high, "n": len(inside), "median": float(median), "p90": float(p90)})
    return rows


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
