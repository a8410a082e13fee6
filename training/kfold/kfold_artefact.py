"""What the folds showed -> one network of all of them, told alike, beside the image alone: test figures, report, artefact."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np

from analyzer import preprocessing
from training import cards, ensembles, export, features, heads, measured, networks, weights
from training.data.augmentation import STANDARD
from training.ensembles import Candidate
from training.evaluation import scores
from training.features import Backbones
from training.gathering import Pictures
from training.heads import Chain, Floats
from training.kfold import arms, cross_validation, demographic_report
from training.kfold.arms import ALIKE, IMAGE, Arm
from training.kfold.cross_validation import Head, Plan, Table
from training.kfold.demographic_gain import Gain
from training.reporting import report

VERSION = "6.0.0-demographics"
TITLE = "Skin classes of faces, with what people say of themselves"
ESTIMATED = (
    "Fitzpatrick types that no source says were estimated from the colour of the picture (ITA), in training and in the figures; the "
    "service is told what people say."
)
TOLD = (
    "In the figures of the test part the network is told of each person what remains when the same people are to be seen in every "
    "class; the table of candidates shows the other ways."
)


@dataclass(frozen=True, eq=False)
class Ingredients:
    """Everything that the last training and its report are made of.

    Attributes:
        found_wrong: what the audit says of the pictures.
        base: the network whose backbones are used.
        table: of the parts "train" and "validation", in this order.
        test: of the part "test".
        gain: what the folds showed.
    """

    options: argparse.Namespace
    pictures: Pictures
    found_wrong: list[str]
    base: keras.Model
    opened: Backbones
    table: Table
    test: Table
    plan: Plan
    gain: Gain


@dataclass(frozen=True, eq=False)
class Final(measured.Final):
    """The exported network and the image alone, measured on validation and test pictures; the former told alike.

    Attributes:
        tables: part → what both are fed of its pictures.
        image: the head of the image alone.
    """

    tables: Mapping[str, Table]
    image: Chain

    @cached_property
    def logits(self) -> Mapping[str, Floats]:
        return {part: self.told(ALIKE, arms.SAID_ALIKE, part) for part in ("validation", "test")}

    @cached_property
    def matched_logits(self) -> Floats | None:
        """(N, C) of `matched`, told as in `logits`."""
        if self.matched is None:
            return None
        fed = self.tables["test"].features[:, 0].copy()
        crops = [self.matched.crops[row] for row in self.healthy]
        shelf = self.options.cache / "features"
        fed[self.healthy] = features.of_crops(self.trained.backbones, crops, 0, STANDARD, shelf)[:, 0]
        return heads.logits_of(self.trained.chosen.chain, fed, self.said(ALIKE, arms.SAID_ALIKE, "test"))

    def told(self, arm: Arm, way: str, part: str) -> Floats:
        """(N, C) logits of a part by one of the two heads, told in some way."""
        chain = self.image if arm is IMAGE else self.trained.chosen.chain
        return heads.logits_of(chain, self.tables[part].features[:, 0], self.said(arm, way, part))

    def said(self, arm: Arm, way: str, part: str) -> Floats:
        table = self.tables[part]
        return arm.told(table.said, table.truth, way, self.options.seed)


def finish(given: Ingredients) -> None:
    """Train on the pictures of the folds, measure on the test part, write the artefact and the report."""
    found = {arm: trained(given, arm) for arm in (IMAGE, ALIKE)}
    network = network_of(given, found[ALIKE].chain)
    final = final_of(given, found[IMAGE], found[ALIKE], network)
    told = notes(given)
    evidence = replace(measured.evidence_of(final), notes=told, demographics=preprocessing.DEMOGRAPHICS_WIDTH)
    export.export(network, given.options.model_dir, cards.card(evidence, version=VERSION), final.known)
    run = replace(
        measured.run_of(final, evidence, [], given.found_wrong),
        title=TITLE,
        command=shlex.join(["python", "-m", "training.train_face_kfold", *sys.argv[1:]]),
        candidates=candidates(final),
        sections=[demographic_report.section(given.gain, given.pictures.classes)],
    )
    report.write(run, given.options.out)


def trained(given: Ingredients, arm: Arm) -> Head:
    """A head of the part "train"; "validation" ends its training."""
    rows = np.arange(len(given.table.truth))
    split = len(given.pictures.rows["train"])
    work = given.options.out / "work" / f"final_{arm.key}"
    return cross_validation.fitted(given.table, rows[:split], rows[split:], arm, given.plan, work)


def network_of(given: Ingredients, chain: Chain) -> keras.Model:
    """The whole network: picture and demographics -> probabilities."""
    width = preprocessing.DEMOGRAPHICS_WIDTH
    network = networks.hare_run(len(given.pictures.classes), demographics=width, units=ensembles.units_of(chain))
    networks.take_backbones(network, given.base)
    networks.take_head(network, chain)
    return network


def final_of(given: Ingredients, image: Head, alike: Head, network: keras.Model) -> Final:
    split = len(given.pictures.rows["train"])
    rows = np.arange(len(given.table.truth))
    tables = {"train": given.table.of(rows[:split]), "validation": given.table.of(rows[split:]), "test": given.test}
    fed = {part: table.features for part, table in tables.items()}
    chosen = Candidate(ALIKE.name, alike.chain, np.zeros((0, len(given.pictures.classes)), np.float32), alike.history)
    found = measured.Trained(network, chosen, given.opened, fed)
    return Final(given.pictures, found, given.options, tables, image.chain)


def notes(given: Ingredients) -> list[str]:
    """What the card and the report say beside the figures."""
    options = given.options
    found = [weights.note(options.weights), *demographic_report.sentences(given.gain, given.pictures.classes), TOLD]
    return found if options.said_only else [*found, ESTIMATED]


def candidates(final: Final) -> dict[str, dict[str, object]]:
    """Figures of the test part for the image alone, and for the network told in every way."""
    ways = {"image alone": (IMAGE, arms.NOTHING)} | {f"told: {way}": (ALIKE, way) for way in arms.WAYS}
    return {
        name: dict(scores.overall(final.answers(final.told(arm, way, "test")))) for name, (arm, way) in ways.items()
    }
