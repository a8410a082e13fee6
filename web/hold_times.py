"""How long places were held of late, as an estimate for the next ones."""

from __future__ import annotations

KEPT = 0.9  # weight of all earlier holds after another one: the mean is that of about ten
HALF_LIFE_S = 10.0  # of what is known; a slow burst of yesterday says nothing
LEAST_HOLDS = 10  # of a process before anything is expected: the first ones are slow
NOTHING = 0.25  # weight of a hold of zero seconds that always counts, so that old holds tell nothing


class HoldTimes:
    """A mean of the latest holds that fades towards zero while none is added."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = self._weight = 0.0
        self._updated_s = 0.0

    def add(self, seconds: float, now: float) -> None:
        """Count a hold that has just ended.

        Args:
            seconds: how long the place was held.
            now: seconds of a clock that never goes back.
        """
        kept = KEPT * self._faded(now)
        self._seconds, self._weight = kept * self._seconds + seconds, kept * self._weight + 1.0
        self._count, self._updated_s = self._count + 1, now

    def mean_s(self, now: float) -> float:
        """Return the seconds that the next hold is expected to last; 0 until enough holds have ended."""
        if self._count < LEAST_HOLDS:
            return 0.0
        faded = self._faded(now)
        return faded * self._seconds / (faded * self._weight + NOTHING)

    def _faded(self, now: float) -> float:
        return float(0.5 ** ((now - self._updated_s) / HALF_LIFE_S))
