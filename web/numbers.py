"""Numbers as they go out: finite, rounded, inside their range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LARGEST_COUNT = 2**31 - 1


def timings(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Stage → milliseconds with two decimals; what is not finite is left out."""
    return {stage: round(float(value), 2) for stage, value in timings_ms.items() if math.isfinite(value)}


def finite_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same record with its numbers rounded, None for what is not finite."""
    return {name: rounded(value) if isinstance(value, float) else value for name, value in values.items()}


def finite(value: float | None) -> float | None:
    """The number, or None for what is unknown or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def rounded(value: float | None, decimals: int = 4) -> float | None:
    """Round a number; None for what is unknown or not finite."""
    number = finite(value)
    return None if number is None else round(number, decimals)


def within(value: float, low: float, high: float) -> float:
    """Return the nearest number of low..high; `low` for what is no number."""
    return low if math.isnan(value) else float(min(max(value, low), high))


def share(value: float | None) -> float:
    """0..1 with four decimals; 0 for what is unknown or not finite."""
    return round(within(finite(value) or 0.0, 0.0, 1.0), 4)


def whole(value: float, low: int, high: int) -> int:
    """Return the nearest whole number of low..high; `low` for what is no number."""
    return round(within(value, low, high))


def count(value: int | None) -> int | None:
    """Return a count that every client can hold, or None for what is unknown."""
    return None if value is None else whole(value, 0, LARGEST_COUNT)


def angle(value: float | None, limit_deg: float) -> float | None:
    """Return degrees within ±limit with one decimal, or None for what is unknown or not finite."""
    number = finite(value)
    return None if number is None else round(within(number, -limit_deg, limit_deg), 1)
