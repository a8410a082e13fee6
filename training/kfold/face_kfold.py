"""The options of train_face_kfold -> its run, step by step: pictures, features, folds, what demographics add, the artefact."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analyzer import artefact
from training import cluster, command, features, hare_run, weights
from training.cluster import HERE, Pool
from training.command import BadInput
from training.data import demographics, partition
from training.data.augmentation import STANDARD
from training.data.sampling import Rows
from training.features import Backbones
from training.gathering import Pictures, backbones, gathered
from training.heads import Recipe
from training.kfold import cross_validation, demographic_gain, demographic_report, kfold_artefact
from training.kfold.cross_validation import Plan, Table
from training.kfold.demographic_gain import Floats, OutOfFold

FOLDS, OOF, DEMOGRAPHICS = "folds.json", "oof.csv", "demographics.json"
LEARNED_FROM = ("train", "validation")  # parts that the folds are of; "test" is opened once, in the end


def train(options: argparse.Namespace) -> None:
    """All of it, in order; what was done before an interruption is kept."""
    weights.check(options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = gathered(options)
    found_wrong = hare_run.audited(pictures, options)
    base = backbones(options, pictures)
    opened = features.opened(base, options.cache, options.precision)
    plan = Plan(
        Recipe(rate=options.rate, batch=options.batch, epochs=options.epochs, seed=options.seed), options.balanced
    )
    with cluster.opened(options) as pool:
        table = table_of(pictures, LEARNED_FROM, opened, options, pool=pool)
        oof = out_of_fold(table, plan, options, pool)
    gain = demographic_gain.measured(oof, options.seed)
    with command.whole(options.out / DEMOGRAPHICS) as path:
        path.write_text(json.dumps(demographic_report.as_json(gain), indent=1) + "\n")
    print(*demographic_report.sentences(gain, pictures.classes), sep="\n", flush=True)
    test = table_of(pictures, ["test"], opened, options, views=0)
    kfold_artefact.finish(
        kfold_artefact.Ingredients(options, pictures, found_wrong, base, opened, table, test, plan, gain)
    )


def table_of(
    pictures: Pictures,
    parts: Sequence[str],
    opened: Backbones,
    options: argparse.Namespace,
    views: int | None = None,
    pool: Pool = HERE,
) -> Table:
    """What networks are fed of the labelled pictures of some parts, part by part; features are computed once and kept."""
    rows = np.concatenate([pictures.rows[part] for part in parts])
    own = [pictures.prepared.pictures[row] for row in rows]
    said = [demographics.vector(one, with_estimated=not options.said_only) for one in own]
    shelf = options.cache / "features"
    count = options.views if views is None else views
    fed = features.features_of(opened, pictures.prepared, rows, count, STANDARD, shelf, pool=pool)
    truth = np.concatenate([pictures.truth[part] for part in parts])
    return Table(pictures.classes, own, fed, np.stack(said), truth, seen_of(pictures, options))


def seen_of(pictures: Pictures, options: argparse.Namespace) -> frozenset[str]:
    """Groups that the backbones learned from."""
    if options.weights == weights.NONE:
        pairs = zip(pictures.prepared.pictures, pictures.parts, strict=True)
        return frozenset(one.group for one, part in pairs if part == "train")
    before = weights.seen(options.weights)
    both = zip(pictures.prepared.pictures, pictures.prepared.facts, strict=True)
    return frozenset(one.group for one, facts in both if facts.sha256 in before)


def out_of_fold(table: Table, plan: Plan, options: argparse.Namespace, pool: Pool = HERE) -> OutOfFold:
    """Answers to every picture that is in a fold, by networks that were not trained on it; written to oof.csv."""
    folds = dealt(table, options)
    asked = np.flatnonzero(folds >= 0)
    print(f"{options.folds} folds of {len(asked)} pictures, trained on {len(folds)}", flush=True)
    logits = cross_validation.answers(table, folds.tolist(), plan, options.out / "work", pool=pool)
    own = table.of(asked)
    answered = {key: held[asked] for key, held in logits.items()}
    oof = OutOfFold(own.classes, own.pictures, own.said, own.truth, folds[asked], answered)
    write(oof, options.out / OOF)
    return oof


def dealt(table: Table, options: argparse.Namespace) -> Rows:
    """(N,) fold of each picture; -1 for those that backbones learned from. Written to folds.json.

    Raises:
        BadInput: a class has fewer groups than there are folds.
    """
    free = np.flatnonzero([one.group not in table.seen for one in table.pictures])
    folds = np.full(len(table.pictures), -1, np.intp)
    try:
        folds[free] = partition.folds([table.pictures[row] for row in free], options.folds, seed=options.seed)
    except partition.TooFewGroups as error:
        told = (
            f" {len(folds) - len(free)} pictures that the backbones learned from are in no fold." if table.seen else ""
        )
        raise BadInput(f"--folds {options.folds}: {error}{told} --folds may ask for fewer.") from error
    of_groups = {table.pictures[row].group: int(folds[row]) for row in free}
    with command.whole(options.out / FOLDS) as path:
        path.write_text(json.dumps({"seed": options.seed, "groups": dict(sorted(of_groups.items()))}, indent=0) + "\n")
    return folds


def write(oof: OutOfFold, to: Path) -> None:
    """A CSV with a row for each picture, network and way in which it was told; of the answers, the probabilities."""
    root = Path(os.path.commonpath([one.path.absolute().parent for one in oof.pictures]))
    with command.whole(to) as path, path.open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(["path", "source", "group", "fold", "truth", "network", "told", "answer", *oof.classes])
        for (arm, way), logits in oof.logits.items():
            for row, shares in enumerate(artefact.probabilities(logits, 1.0)):
                written.writerow([*_told(oof, row, root), arm, way, oof.classes[shares.argmax()], *_plain(shares)])


def _told(oof: OutOfFold, row: int, root: Path) -> list[str]:
    one = oof.pictures[row]
    place = one.path.absolute().relative_to(root).as_posix()
    return [place, one.source, one.group, str(oof.folds[row] + 1), oof.classes[oof.truth[row]]]


def _plain(shares: Floats) -> list[str]:
    return [f"{share:.6f}" for share in shares]
