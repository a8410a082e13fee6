"""The pictures of a k-fold run with their parts and the backbones -> what networks are fed, of any of the pictures."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import features
from training.cross_validation import Table
from training.data import demographics
from training.data.augmentation import STANDARD
from training.data.mixture import Mixture
from training.data.prepared import Prepared
from training.data.sampling import Rows


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that does not change during a run.

    Attributes:
        options: of the command.
        given: the mixture; its classes are the network's.
        prepared: all pictures.
        parts: of each of them.
        seen: groups that the backbones learned from.
        trained: folder of backbones that were learned from scratch; None where there were weights.
    """

    options: argparse.Namespace
    given: Mixture
    prepared: Prepared
    parts: list[str]
    seen: frozenset[str]
    backbones: features.Backbones
    trained: Path | None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.given.classes

    def of(self, *parts: str) -> Rows:
        """Labelled pictures of these parts, as rows of `prepared`."""
        pairs = zip(self.prepared.pictures, self.parts, strict=True)
        return np.array([row for row, (one, part) in enumerate(pairs) if one.label and part in parts], np.intp)

    def table(self, rows: Rows, views: int) -> Table:
        """What networks are fed of these pictures; features are computed once and kept."""
        pictures = [self.prepared.pictures[row] for row in rows]
        said = [demographics.vector(one, with_estimated=not self.options.said_only) for one in pictures]
        shelf = self.options.cache / "features"
        fed = features.features_of(self.backbones, self.prepared, rows, views, STANDARD, shelf)
        truth = np.array([self.classes.index(str(one.label)) for one in pictures], np.intp)
        return Table(self.classes, pictures, fed, np.stack(said), truth, self.seen)
