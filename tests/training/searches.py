"""A search over drawn features in place of pictures, for tests: `python -m tests.training.searches DATA --out DIR …` as training.tune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import command, tune
from training.cluster import HERE, Pool
from training.data.pictures import Picture
from training.data.prepared import Prepared
from training.recipes import Setting
from training.searching import search, trials

CLASSES = ("acne", "eczema", "healthy")
WIDTH, COUNT = 40, {"train": 150, "validation": 60}


class Drawn(trials.Material):
    """Features of three overlapping clusters; of a view, those of the picture with some noise."""

    digest = "drawn"

    def of(self, part: str, setting: Setting, pool: Pool = HERE) -> NDArray[np.float16]:
        rng = np.random.default_rng(len(part))
        middles = np.random.default_rng(1).normal(size=(len(CLASSES), WIDTH))
        own = middles[self.truth[part]] + rng.normal(0, 3.0, (len(self.truth[part]), WIDTH))
        views = setting.views if part == "train" else 0
        noise = [rng.normal(0, 1.0, own.shape) for _ in range(views)]
        return np.stack([own, *(own + one for one in noise)], axis=1).astype(np.float16)


def material(sources: Mapping[str, tuple[int, ...]] | None = None) -> Drawn:
    """Drawn pictures; validation comes from `sources`, each with the indices of its classes."""
    truth = {part: np.arange(count) % len(CLASSES) for part, count in COUNT.items()}
    rows = {"train": np.arange(COUNT["train"]), "validation": COUNT["train"] + np.arange(COUNT["validation"])}
    homes = sources or {"one": (0, 1, 2)}
    of_class = {index: name for name, held in homes.items() for index in held}
    labels = [*truth["train"], *truth["validation"]]
    pictures = [
        Picture(Path(f"{row}.png"), of_class[label], CLASSES[label], str(row)) for row, label in enumerate(labels)
    ]
    prepared = Prepared(pictures, [], np.zeros((0, 8, 8, 3), np.uint8), [])
    return Drawn(CLASSES, prepared, rows, truth, None, None, Path())  # type: ignore[arg-type]  # of no use here


def with_source(picture: Picture, source: str) -> Picture:
    return replace(picture, source=source)


def main() -> None:
    options = tune.parsed()
    options.weights = "none"
    search.material_of = lambda _: material()
    search.search(options)


if __name__ == "__main__":
    command.run(main)
