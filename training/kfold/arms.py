"""What people say of themselves -> what each network of a comparison is told of it, in training and when it is asked.

Networks that see the same picture differ only in what they are told beside it. All have the same inputs, so that they begin
with the same weights, see the same views in the same order, and are the very same network where nothing is left to be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data import sampling
from training.data.sampling import Rows, Said

NOTHING, AS_SAID, KNOWN_ALIKE, SAID_ALIKE = "nothing", "as said", "known alike", "said alike"
WAYS = {  # of telling what is said
    NOTHING: "no value at all: what the service sees when a request has no demographics",
    AS_SAID: "all values that the sources know",
    KNOWN_ALIKE: "values dropped until the same ones are known equally often in every class",
    SAID_ALIKE: "values dropped until the same people occur equally often in every class",
}


@dataclass(frozen=True)
class Arm:
    """One network of the comparison.

    Attributes:
        key: of its files.
        name: in tables.
        way: one of `WAYS`, in which it is told in training.
        flags: it is told which values are known, not what they are.
    """

    key: str
    name: str
    way: str
    flags: bool = False

    def told(self, said: Said, truth: Rows, way: str, seed: int) -> Said:
        """(N, 12) float32: what it is told of these pictures."""
        told = told_in(way, said, truth, seed)
        return sampling.flags(told) if self.flags else told


IMAGE = Arm("image", "image", NOTHING)
FLAGS = Arm("flags", "image + which values are known", AS_SAID, flags=True)
NAIVE = Arm("as_said", "image + values as said", AS_SAID)
KNOWN = Arm("known_alike", "image + values known alike", KNOWN_ALIKE)
ALIKE = Arm("said_alike", "image + values said alike", SAID_ALIKE)
ARMS = (IMAGE, FLAGS, NAIVE, KNOWN, ALIKE)


def told_in(way: str, said: Said, truth: Rows, seed: int) -> Said:
    """What is told of pictures in one of `WAYS`; which values are dropped is drawn anew for another seed."""
    if way == NOTHING:
        return np.zeros_like(said)
    if way == AS_SAID:
        return said
    people = sampling.levels(said)
    evening = sampling.evening(np.minimum(people, 0) if way == KNOWN_ALIKE else people, truth)
    return sampling.keeping(said, evening.draw(np.random.default_rng(seed)))
