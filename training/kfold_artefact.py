"""What the folds showed -> one network of all of them, told alike, beside the image alone: test figures, report, artefact."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import distribution, preprocessing
from analyzer.artefact import probabilities
from analyzer.distribution import Distribution
from training import (
    arms,
    baselines,
    cards,
    cross_validation,
    demographic_report,
    evaluate,
    export,
    gradcam,
    heads,
    networks,
    report,
    scores,
    weights,
)
from training.arms import ALIKE, IMAGE, Arm
from training.cards import Evidence
from training.cross_validation import Plan, Table
from training.demographic_gain import Gain
from training.findings import Run
from training.heads import Chain, Floats, Row
from training.scores import Answers
from training.study import Study

VERSION = "6.0.0-demographics"
EXPLAINED = 6  # test pictures whose evidence is shown
ESTIMATED = (
    "Fitzpatrick types that no source says were estimated from the colour of the picture (ITA), in training and in the figures; the "
    "service is told what people say."
)
TOLD = (
    "In the figures of the test part the network is told of each person what remains when the same people are to be seen in every "
    "class; the candidates show the other ways."
)


@dataclass(frozen=True, eq=False)
class Final:
    """The network that is exported, with what its card and report rest on.

    Attributes:
        tables: part → what networks are fed of its pictures, without views.
        image: the head of the image alone, trained on the same pictures.
        logits: part → (N, C), told alike.
    """

    study: Study
    tables: Mapping[str, Table]
    chain: Chain
    image: Chain
    history: Sequence[Row]
    notes: Sequence[str]

    @cached_property
    def logits(self) -> dict[str, Floats]:
        return {part: self.told(ALIKE, arms.SAID_ALIKE, part) for part in ("validation", "test")}

    @cached_property
    def temperature(self) -> float:
        truth = self.tables["validation"].truth
        weighed = heads.balanced_weights(truth, len(self.study.classes))
        return evaluate.temperature(self.logits["validation"], truth, weighed)

    @cached_property
    def known(self) -> Distribution:
        """Where the training features lie."""
        train = self.tables["train"]
        own = train.features[:, 0]
        rank = min(distribution.RANK, len(own) - len(self.study.classes) - 1)
        return distribution.fit(heads.clipped(own, *heads.usual_range(own)), train.truth, rank)

    def told(self, arm: Arm, way: str, part: str) -> Floats:
        """(N, C) logits of a part by one of the two heads, told in some way."""
        table = self.tables[part]
        said = arm.told(table.said, table.truth, way, self.study.options.seed)
        return heads.logits_of(self.image if arm is IMAGE else self.chain, table.features[:, 0], said)

    def distances(self, part: str) -> NDArray[np.float64]:
        own = self.tables[part].features[:, 0].astype(np.float32)
        return np.array([self.known.distance(one) for one in own])

    def answers(self, logits: Floats) -> Answers:
        """To the test part."""
        test = self.tables["test"]
        groups, sources = [one.group for one in test.pictures], [one.source for one in test.pictures]
        shares = probabilities(logits, self.temperature)
        return Answers(self.study.classes, test.truth, shares.argmax(axis=1), groups, sources, shares)


def finish(study: Study, table: Table, plan: Plan, gain: Gain) -> None:
    """Train on the pictures of the folds, measure on the test part, write the artefact and the report."""
    part = np.array([study.parts[row] for row in study.of("train", "validation")], object)
    learned, stopping = np.flatnonzero(part == "train"), np.flatnonzero(part == "validation")
    image, alike = (
        cross_validation.fitted(table, learned, stopping, arm, plan, study.options.out / "work" / f"final_{arm.key}")
        for arm in (IMAGE, ALIKE)
    )
    tables = {name: study.table(study.of(name), 0) for name in ("train", "validation", "test")}
    final = Final(study, tables, alike.chain, image.chain, alike.history, notes(study, gain))
    network = network_of(study, final.chain)
    evidence = evidence_of(final)
    export.export(network, study.options.model_dir, cards.card(evidence, version=VERSION), final.known)
    write_report(final, evidence, gain, network)


def notes(study: Study, gain: Gain) -> list[str]:
    found = [weights.note(study.options.weights), *demographic_report.sentences(gain, study.classes), TOLD]
    return found if study.options.said_only else [*found, ESTIMATED]


def network_of(study: Study, chain: Chain) -> keras.Model:
    """The whole network: picture and demographics -> probabilities."""
    units = [len(bias) for _, bias in chain[:-1]]
    network = networks.hare_run(len(study.classes), demographics=preprocessing.DEMOGRAPHICS_WIDTH, units=units)
    networks.take_backbones(network, weights.network(study.options.weights, study.trained))
    networks.take_head(network, chain)
    return network


def evidence_of(final: Final) -> Evidence:
    """What the card is written from."""
    study, train, test = final.study, final.study.of("train"), final.study.of("test")
    held = study.prepared.subset(test)
    simple = baselines.answered(
        study.prepared.subset(train), final.tables["train"].truth, held, seed=study.options.seed
    )
    return Evidence(
        answers=final.answers(final.logits["test"]),
        pictures=held.pictures,
        facts=held.facts,
        baselines=simple,
        temperature=final.temperature,
        distances=final.distances("test"),
        limit=float(np.quantile(final.distances("validation"), cards.FAMILIAR_SHARE)),
        strangers={},
        matched=None,
        trained=final.tables["train"].pictures,
        trained_facts=[study.prepared.facts[row] for row in train],
        licences=study.given.licences,
        counts={part: len(table.truth) for part, table in final.tables.items()},
        notes=final.notes,
        demographics=preprocessing.DEMOGRAPHICS_WIDTH,
    )


def write_report(final: Final, evidence: Evidence, gain: Gain, network: keras.Model) -> None:
    """The run's folder: report.md, report.html and what belongs to them."""
    study = final.study
    options, held = study.options, study.prepared.subset(study.of("test"))
    truth = final.tables["test"].truth
    shown = [int(np.flatnonzero(truth == label)[0]) for label in np.unique(truth)][:EXPLAINED]
    answered = [int(final.logits["test"][row].argmax()) for row in shown]
    titles = [f"{study.classes[truth[row]]} picture" for row in shown]
    run = Run(
        title="Skin classes of faces, with what people say of themselves",
        command=shlex.join(["python", "-m", "training.train_face_kfold", *sys.argv[1:]]),
        config={name: str(value) for name, value in vars(options).items()},
        classes=study.classes,
        pictures=held.pictures,
        facts=held.facts,
        crops=held.crops,
        truth=truth,
        logits=final.logits["test"],
        temperature=final.temperature,
        logits_validation=final.logits["validation"],
        truth_validation=final.tables["validation"].truth,
        baselines=evidence.baselines,
        history=final.history,
        candidates=candidates(final),
        explanations=gradcam.explain(
            network, held.crops[shown], answered, study.classes, titles, options.out / "plots"
        ),
        notes=[*cards.NOTES, *final.notes],
        pictures_validation=final.tables["validation"].pictures,
        split=options.out / "split.json",
        sections=[demographic_report.section(gain, study.classes)],
    )
    report.write(run, options.out)


def candidates(final: Final) -> dict[str, dict[str, object]]:
    """Figures of the test part for the image alone, and for the network told in every way."""
    ways = {"image alone": (IMAGE, arms.NOTHING)} | {f"told: {way}": (ALIKE, way) for way in arms.WAYS}
    return {
        name: dict(scores.overall(final.answers(final.told(arm, way, "test")))) for name, (arm, way) in ways.items()
    }
