"""A network in some arithmetic + pictures -> one line of the table: accuracy, agreement, parity, size, speed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, model_card, runtime
from analyzer.artefact import Artefact, probabilities
from analyzer.model_card import Metrics
from analyzer.runtime import Network
from analyzer.settings import CORES
from training.evaluation import scores
from training.evaluation.scores import Answers
from training.heads import Floats

ROUNDS, CALLS = 8, 4  # of timing: two networks take turns, so that a busy spell meets both
Pictures = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Runnable:
    """An artefact whose backbones run in one arithmetic.

    Attributes:
        name: for the table.
        folder: of the artefact.
        form: path of the graph without its ending.
    """

    name: str
    folder: Path
    form: Path

    @cached_property
    def opened(self) -> Artefact:
        return artefact.open_folder(self.folder, precision="f32")

    @cached_property
    def network(self) -> Network:
        xml, weights = (self.form.with_suffix(ending).read_bytes() for ending in (".xml", ".bin"))
        return runtime.load(xml, weights, threads=CORES)

    @property
    def size_mb(self) -> float:
        """Of what serving this arithmetic needs."""
        card = self.opened.card
        others = [file for name, file in card.files.items() if file.serving and not name.startswith(artefact.NETWORK)]
        own = sum(self.form.with_suffix(ending).stat().st_size for ending in (".xml", ".bin"))
        return (own + sum(file.size_bytes for file in others)) / 1e6

    def logits(self, pictures: Pictures) -> Floats:
        """(N, C) to (S, S, 3) uint8 pictures about whose person nothing was said."""
        dense = self.opened.head
        found = []
        for picture in pictures:
            features = self.network(picture[None])[artefact.FEATURES][0]
            found.append(dense.logits(np.pad(features, (0, dense.inputs - features.size))))
        return np.stack(found)

    @cached_property
    def parity(self) -> float:
        """Largest difference of a probability on the golden pictures from what was stored at the training."""
        data = model_card.verified_bytes(self.opened.card, self.folder, artefact.GOLDEN)
        with np.load(io.BytesIO(data)) as golden:
            pictures, stored = golden["pictures"], golden["logits"]
        heat = self.opened.temperature
        told = probabilities(self.logits(list(pictures)), heat)
        return float(np.abs(told - probabilities(stored, heat)).max())

    @property
    def tolerance(self) -> float:
        name = "parity_probability"
        return self.opened.card.thresholds.get(name, artefact.DEFAULT_THRESHOLDS[name])


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the table.

    Attributes:
        figures: on the test pictures, with intervals.
        agreement: share of the validation pictures with the same class as before; None for what is compared with nothing.
        shift: mean over the test pictures of the largest change of a probability.
        parity, tolerance: largest difference on the golden pictures, and what the service allows.
        times_as_fast: as before, both measured in turns.
        note: what else is to be said.
    """

    name: str
    figures: Metrics
    agreement: float | None
    shift: float | None
    parity: float
    tolerance: float
    size_mb: float
    ms: float
    times_as_fast: float
    note: str = ""

    @property
    def passes(self) -> bool:
        """The service would take it."""
        return self.parity <= self.tolerance


@dataclass(frozen=True, eq=False)
class Measured:
    """What is compared: probabilities of (M,) validation and (N,) test pictures, and the line."""

    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    line: Line


def measured(
    run: Runnable,
    validation: Pictures,
    test: Pictures,
    answers: Callable[[NDArray[np.intp]], Answers],
    before: tuple[Runnable, Measured] | None = None,
) -> Measured:
    """Measure one network.

    Args:
        answers: what was answered to the test pictures → with what it is judged by.
        before: what it came from; None = it is compared with nothing.
    """
    seen, shown = (probabilities(run.logits(held), run.opened.temperature) for held in (validation, test))
    agreement = shift = None
    own_ms, other_ms = timed(run.network, before[0].network if before else run.network, test[0])
    if before:
        agreement = float(np.mean(seen.argmax(axis=1) == before[1].validation.argmax(axis=1)))
        shift = float(np.abs(shown - before[1].test).max(axis=1).mean())
    line = Line(
        run.name,
        scores.overall(answers(shown.argmax(axis=1))),
        agreement,
        shift,
        run.parity,
        run.tolerance,
        run.size_mb,
        own_ms,
        other_ms / own_ms if before else 1.0,
    )
    return Measured(seen, shown, line)


def timed(first: Network, second: Network, picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Median time of one picture in ms of each of two networks that take turns."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for network, times in zip((first, second), found, strict=True):
            for _ in range(CALLS):
                start = time.perf_counter()
                network(picture[None])
                times.append(1000 * (time.perf_counter() - start))
    return float(np.median(found[0])), float(np.median(found[1]))
