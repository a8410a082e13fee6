"""A trained network and its pictures -> what it answers to validation and test pictures, for the card and the report."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import distribution
from analyzer.artefact import probabilities
from analyzer.distribution import Distribution
from training import (
    cards,
    ensembles,
    evaluate,
    features,
    gradcam,
    heads,
    strangers,
    weights,
)
from training.cards import Evidence
from training.data import matching, mixture
from training.data.augmentation import STANDARD
from training.data.prepared import Prepared
from training.ensembles import Candidate, Known
from training.evaluation import baselines
from training.evaluation.fairness import HEALTHY
from training.evaluation.scores import Answers
from training.features import Backbones
from training.gathering import SPLIT, Pictures
from training.heads import Floats, Indices
from training.reporting.findings import Run

EXPLAINED = 6  # test pictures whose evidence is shown


@dataclass(frozen=True, eq=False)
class Trained:
    """A whole network with what was chosen, and the features of its own backbones: part → (N, V, 3328)."""

    network: keras.Model
    chosen: Candidate
    backbones: Backbones
    features: Mapping[str, NDArray[np.float16]]


def known(pictures: Pictures, part: str, fed: Mapping[str, NDArray[np.float16]]) -> Known:
    groups = [pictures.prepared.pictures[row].group for row in pictures.rows[part]]
    return Known(fed[part], pictures.truth[part], groups)


@dataclass(frozen=True, eq=False)
class Final:
    """What was trained, measured on validation and test pictures."""

    pictures: Pictures
    trained: Trained
    options: argparse.Namespace

    @cached_property
    def logits(self) -> Mapping[str, Floats]:
        """Part → (N, C); of validation those that did not help to fit the head."""
        chain, fed = self.trained.chosen.chain, self.trained.features
        return {
            "validation": self.trained.chosen.validation_logits,
            "test": heads.logits_of(chain, fed["test"][:, 0]),
        }

    @cached_property
    def temperature(self) -> float:
        """Of the familiar validation pictures: on others nothing is stated, and a few wild logits would rule it."""
        rows = self.validation_distances <= self.limit
        truth = self.pictures.truth["validation"][rows]
        weighed = heads.balanced_weights(truth, len(self.pictures.classes))
        return evaluate.temperature(self.logits["validation"][rows], truth, weighed)

    @cached_property
    def validation_distances(self) -> NDArray[np.float64]:
        return self.distances(self.trained.features["validation"])

    @cached_property
    def limit(self) -> float:
        """Distance within which most validation pictures lie."""
        return float(np.quantile(self.validation_distances, cards.FAMILIAR_SHARE))

    @cached_property
    def known(self) -> Distribution:
        """Where the features of the training pictures and of their views lie."""
        own = self.trained.features["train"]
        flat, truth = own.reshape(-1, own.shape[2]), np.repeat(self.pictures.truth["train"], own.shape[1])
        rank = min(distribution.RANK, (len(flat) - len(self.pictures.classes)) // 2)
        return distribution.fit(heads.clipped(flat, *heads.usual_range(flat)), truth, rank)

    def distances(self, fed: NDArray[np.float16]) -> NDArray[np.float64]:
        """(N,) of (N, V, 3328) features."""
        return np.array([self.known.distance(one.astype(np.float32)) for one in fed[:, 0]])

    @cached_property
    def strangers(self) -> dict[str, NDArray[np.float64]]:
        """Kind of picture that is none of the classes → distances."""
        kinds = strangers.crops_of(self.pictures.prepared, self.pictures.parts, data_root())
        shelf = self.options.cache / "features"
        made = {
            kind: features.of_crops(self.trained.backbones, crops, 0, STANDARD, shelf) for kind, crops in kinds.items()
        }
        return {kind: self.distances(fed) for kind, fed in made.items()}

    @cached_property
    def matched(self) -> Prepared | None:
        """The test pictures, healthy faces made like clinical pictures; None without either."""
        test, healthy = self.pictures.of("test"), self.healthy
        if not len(healthy) or len(healthy) == len(test.pictures):
            return None
        clinical = [facts for facts, one in zip(test.facts, test.pictures, strict=True) if one.label != HEALTHY]
        made = matching.matched_rows(test, healthy, clinical, seed=self.options.seed)
        facts, crops = list(test.facts), test.crops.copy()
        places = {test.pictures[row].path: row for row in healthy}
        for one, fact, crop in zip(made.pictures, made.facts, made.crops, strict=True):
            facts[places[one.path]], crops[places[one.path]] = fact, crop
        return replace(test, facts=facts, crops=crops)

    @cached_property
    def healthy(self) -> Indices:
        """Rows of healthy faces among the test pictures."""
        rows = self.pictures.rows["test"]
        return np.flatnonzero([self.pictures.prepared.pictures[row].label == HEALTHY for row in rows])

    @cached_property
    def matched_logits(self) -> Floats | None:
        """(N, C) of `matched`."""
        if self.matched is None:
            return None
        crops = [self.matched.crops[row] for row in self.healthy]
        fed = features.of_crops(self.trained.backbones, crops, 0, STANDARD, self.options.cache / "features")
        logits = self.logits["test"].copy()
        logits[self.healthy] = heads.logits_of(self.trained.chosen.chain, fed[:, 0])
        return logits

    def answers(self, logits: Floats) -> Answers:
        """To the test pictures."""
        held = [self.pictures.prepared.pictures[row] for row in self.pictures.rows["test"]]
        shares = probabilities(logits, self.temperature)
        groups, sources = [one.group for one in held], [one.source for one in held]
        return Answers(
            self.pictures.classes, self.pictures.truth["test"], shares.argmax(axis=1), groups, sources, shares
        )


def data_root() -> Path:
    """Where data sets lie that no mixture names."""
    return Path(os.environ.get("SKIN_DATA") or mixture.DEFAULT_ROOT)


def evidence_of(final: Final) -> Evidence:
    """What the card is written from; here the test part is opened."""
    pictures, trained = final.pictures, final.trained
    train, test = pictures.of("train"), pictures.of("test")
    return Evidence(
        answers=final.answers(final.logits["test"]),
        pictures=test.pictures,
        facts=test.facts,
        baselines=baselines.answered(train, pictures.truth["train"], test, seed=final.options.seed),
        temperature=final.temperature,
        distances=final.distances(trained.features["test"]),
        limit=final.limit,
        strangers=final.strangers,
        matched=None if final.matched_logits is None else final.answers(final.matched_logits),
        trained=train.pictures,
        trained_facts=train.facts,
        licences=pictures.given.licences,
        counts={part: len(rows) for part, rows in pictures.rows.items()},
        notes=notes(final),
    )


def matched_baselines(final: Final) -> Mapping[str, Indices]:
    """What simpler methods answer when healthy faces are made like clinical pictures."""
    if final.matched is None:
        return {}
    pictures = final.pictures
    return baselines.answered(pictures.of("train"), pictures.truth["train"], final.matched, seed=final.options.seed)


def notes(final: Final) -> list[str]:
    chosen = final.trained.chosen
    told = f" ({chosen.note})" if chosen.note else ""
    return [
        weights.note(final.options.weights),
        f"Head: {chosen.name}{told}, the best of those tried on validation pictures.",
    ]


def run_of(
    final: Final,
    evidence: Evidence,
    found: Sequence[Candidate],
    found_wrong: Sequence[str],
    used: Mapping[str, object] | None = None,
) -> Run:
    """What the report is written from; `used` are settings in place of options that were not given."""
    pictures, options = final.pictures, final.options
    test, truth = pictures.of("test"), pictures.truth["test"]
    shown = [int(np.flatnonzero(truth == label)[0]) for label in np.unique(truth)][:EXPLAINED]
    answered = [int(final.logits["test"][row].argmax()) for row in shown]
    titles = [f"{pictures.classes[truth[row]]} picture" for row in shown]
    network, chosen = final.trained.network, final.trained.chosen
    fitted = chosen if chosen.history else next(one for one in found if one.history)  # combinations have no epochs
    return Run(
        title="Skin classes of faces: EfficientNetB0 and ResNet50",
        command=shlex.join(["python", "-m", "training.train_hare_run", *sys.argv[1:]]),
        config={name: _told(value) for name, value in {**vars(options), **(used or {})}.items()},
        classes=pictures.classes,
        pictures=test.pictures,
        facts=test.facts,
        crops=test.crops,
        truth=truth,
        logits=final.logits["test"],
        temperature=final.temperature,
        logits_validation=final.logits["validation"],
        truth_validation=pictures.truth["validation"],
        baselines=evidence.baselines,
        matched_logits=final.matched_logits,
        matched_baselines=matched_baselines(final),
        history=fitted.history,
        history_of="" if fitted is chosen else f"{fitted.name}, a member of the {chosen.name} that was chosen,",
        candidates=ensembles.table(found, known(pictures, "validation", final.trained.features)),
        explanations=gradcam.explain(
            network, test.crops[shown], answered, pictures.classes, titles, options.out / "plots"
        ),
        notes=[*cards.NOTES, *evidence.notes, *(f"Audit, {one}" for one in found_wrong)],
        pictures_validation=[pictures.prepared.pictures[row] for row in pictures.rows["validation"]],
        split=options.out / SPLIT,
    )


def _told(value: object) -> str:
    """A setting, for people."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "nothing"
    return "not given" if value is None else str(value)
