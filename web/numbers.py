"""Numbers as they go out: finite, rounded, inside their range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def timings(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """Stage → milliseconds with two decimals; what is not finite is left out."""
    return {stage: round(value, 2) for stage, value in timings_ms.items() if math.isfinite(value)}


def finite_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same record with its numbers rounded, None for what is not finite."""
    return {name: rounded(value) if isinstance(value, float) else value for name, value in values.items()}


def finite(value: float | None) -> float | None:
    """The number, or None for what is unknown or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def rounded(value: float | None) -> float | None:
    """Four decimals, or None for what is unknown or not finite."""
    number = finite(value)
    return None if number is None else round(number, 4)


def share(value: float | None) -> float:
    """0..1 with four decimals; 0 for what is unknown or not finite."""
    return round(min(max(finite(value) or 0.0, 0.0), 1.0), 4)
