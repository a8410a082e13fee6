"""Shares with intervals, quantiles and tables, as the benchmarks of face finding print them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Z = 1.96  # standard deviations of a 95 % interval


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a share."""
    share = hits / count
    middle = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z / (1 + Z * Z / count) * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float, float]:
    """Difference of two shares, each as (hits, count), with its 95 % interval (Newcombe 1998, method 10)."""
    (high, high_count), (low, low_count) = one, other
    a, b = high / high_count, low / low_count
    (a_low, a_high), (b_low, b_high) = wilson(*one), wilson(*other)
    below, above = math.hypot(a - a_low, b_high - b), math.hypot(a_high - a, b - b_low)
    return a - b, a - b - below, a - b + above


def widest_gap(shares: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """The groups with the largest and the smallest share and their difference; the extremes are chosen, so it errs upwards."""
    order = sorted((name for name in shares if shares[name][1]), key=lambda name: shares[name][0] / shares[name][1])
    gap, low, high = difference(shares[order[-1]], shares[order[0]])
    return {"highest": order[-1], "lowest": order[0], "difference": f"{gap:.3f} [{low:.3f}, {high:.3f}]"}


def share(hits: int, count: int) -> str:
    """A share with its Wilson interval as text; "-" without a count."""
    if count == 0:
        return "-"
    low, high = wilson(hits, count)
    return f"{hits / count:.3f} [{low:.3f}, {high:.3f}]"


def quantile(values: Sequence[float] | np.ndarray, q: float) -> float | None:
    """Quantile of the values that are known, to three places; None without any."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return round(float(np.quantile(known, q)), 3) if len(known) else None


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a Markdown table; columns that a row lacks stay empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row.get(name, "")) for name in names) + " |")
