"""The options of train_face_kfold -> its run, step by step: pictures, features, folds, what demographics add, the artefact."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analyzer import artefact
from training import (
    command,
    cross_validation,
    demographic_gain,
    demographic_report,
    features,
    kfold_artefact,
    pretext,
    weights,
)
from training.command import BadInput
from training.cross_validation import Plan, Table
from training.data import mixture, partition
from training.data.mixture import Mixture
from training.data.prepared import Prepared, prepare
from training.data.sampling import Rows
from training.demographic_gain import Floats, OutOfFold
from training.heads import Recipe
from training.study import Study

SPLIT, FOLDS, OOF, DEMOGRAPHICS = "split.json", "folds.json", "oof.csv", "demographics.json"
TOLD_PROBLEMS = 10


def train(options: argparse.Namespace) -> None:
    """All of it, in order; what was done before an interruption is kept."""
    weights.check(options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        _train(options)
    except partition.TooFewGroups as error:
        raise BadInput(f"{error} With {options.folds} folds; --folds may ask for fewer.") from error


def _train(options: argparse.Namespace) -> None:
    given = mixture.read(options.data, limit=options.limit)
    known = begun(options, given)
    table = known.table(known.of("train", "validation"), options.views)
    folds = dealt(known, options)
    plan = Plan(recipe(options), options.balanced)
    print(f"{options.folds} folds of {np.sum(folds >= 0)} pictures, trained on {len(folds)}", flush=True)
    logits = cross_validation.answers(table, folds.tolist(), plan, options.out / "work")
    oof = out_of_fold(table, folds, logits)
    gain = demographic_gain.measured(oof, options.seed)
    write_out_of_fold(oof, options.out)
    with command.whole(options.out / DEMOGRAPHICS) as path:
        path.write_text(json.dumps(demographic_report.as_json(gain), indent=1) + "\n")
    for sentence in demographic_report.sentences(gain, given.classes):
        print(sentence, flush=True)
    kfold_artefact.finish(known, table, plan, gain)


def begun(options: argparse.Namespace, given: Mixture) -> Study:
    """Pictures read, parted, and the backbones opened."""
    prepared = prepare(given.pictures, options.cache / "pictures", given.problems)
    tell(prepared, given.classes)
    before = weights.seen(options.weights)
    seen = {one.group for one, facts in zip(prepared.pictures, prepared.facts, strict=True) if facts.sha256 in before}
    try:
        parts = partition.kept(options.out / SPLIT, prepared.pictures, seed=options.seed, seen=seen)
    except partition.TooFewGroups:
        raise
    except ValueError as error:
        raise BadInput(str(error)) from error
    trained = None
    if options.weights == weights.NONE:
        trained = pretext.weights(
            prepared, parts, options.out / "backbones", epochs=options.pretext_epochs, seed=options.seed
        )
        seen = {one.group for one, part in zip(prepared.pictures, parts, strict=True) if part == "train"}
    opened = features.opened(weights.network(options.weights, trained), options.cache, options.precision)
    return Study(options, given, prepared, parts, frozenset(seen), opened, trained)


def tell(prepared: Prepared, classes: Sequence[str]) -> None:
    """Problems, and how many pictures of each class there are."""
    for problem in prepared.problems[:TOLD_PROBLEMS]:
        print(problem, file=sys.stderr)
    if len(prepared.problems) > TOLD_PROBLEMS:
        print(f"… and {len(prepared.problems) - TOLD_PROBLEMS} further problems", file=sys.stderr)
    counts = {name: sum(one.label == name for one in prepared.pictures) for name in classes}
    print(", ".join(f"{name} {count}" for name, count in counts.items()), flush=True)
    for name in (name for name, count in counts.items() if not count):
        raise BadInput(f"class {name}: none of its pictures can be read; mend or remove them.")


def dealt(known: Study, options: argparse.Namespace) -> Rows:
    """(N,) fold of each picture outside the test part; -1 for those that backbones learned from. Written to folds.json."""
    pictures = [known.prepared.pictures[row] for row in known.of("train", "validation")]
    free = np.flatnonzero([one.group not in known.seen for one in pictures])
    folds = np.full(len(pictures), -1, np.intp)
    folds[free] = partition.folds([pictures[row] for row in free], options.folds, seed=options.seed)
    of_groups = {pictures[row].group: int(folds[row]) for row in free}
    with command.whole(options.out / FOLDS) as path:
        path.write_text(json.dumps({"seed": options.seed, "groups": dict(sorted(of_groups.items()))}, indent=0) + "\n")
    return folds


def recipe(options: argparse.Namespace) -> Recipe:
    return Recipe(rate=options.rate, batch=options.batch, epochs=options.epochs, seed=options.seed)


def out_of_fold(table: Table, folds: Rows, logits: dict[tuple[str, str], Floats]) -> OutOfFold:
    """The answers to pictures that are in a fold."""
    asked = np.flatnonzero(folds >= 0)
    own = [table.pictures[row] for row in asked]
    answered = {key: held[asked] for key, held in logits.items()}
    return OutOfFold(table.classes, own, table.said[asked], table.truth[asked], folds[asked], answered)


def write_out_of_fold(oof: OutOfFold, out: Path) -> None:
    """oof.csv: a row for each picture, network and way in which it was told."""
    root = Path(os.path.commonpath([one.path.absolute().parent for one in oof.pictures]))
    with command.whole(out / OOF) as path, path.open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file, lineterminator="\n")
        written.writerow(["path", "source", "group", "fold", "truth", "network", "told", "answer", *oof.classes])
        for (arm, way), logits in oof.logits.items():
            shares = artefact.probabilities(logits, 1.0)
            for row, one in enumerate(oof.pictures):
                place = one.path.absolute().relative_to(root).as_posix()
                answer = [oof.classes[oof.truth[row]], arm, way, oof.classes[shares[row].argmax()]]
                figures = (f"{share:.6f}" for share in shares[row])
                written.writerow([place, one.source, one.group, oof.folds[row] + 1, *answer, *figures])
