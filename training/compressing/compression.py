"""Options of `compress` -> int8 forms and a student, measured on the test pictures beside what they came from."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, model_card
from analyzer.model_card import ModelCard
from training import command
from training.command import BadInput
from training.compressing import compression_table, quantisation
from training.compressing.compression_measure import Line, Measured, Runnable, measured
from training.compressing.quantisation import Form, Layer
from training.data import mixture, partition
from training.data.prepared import prepare
from training.evaluation.scores import Answers
from training.gathering import SPLIT, Pictures, tell

LEAST_AGREEMENT = 0.97  # of the validation pictures that a form answers with the same class as f32
LEAST_GAIN = 1.05  # times as fast as f32 that a form must be


@dataclass(frozen=True, eq=False)
class Judge:
    """The pictures that all networks are measured on."""

    pictures: Pictures

    def of(self, part: str) -> list[NDArray[np.uint8]]:
        return [self.pictures.prepared.crops[row] for row in self.pictures.rows[part]]

    def answers(self, answered: NDArray[np.intp]) -> Answers:
        """(N,) classes that were answered to the test pictures, with all that they are judged by."""
        held = [self.pictures.prepared.pictures[row] for row in self.pictures.rows["test"]]
        groups, sources = [one.group for one in held], [one.source for one in held]
        return Answers(self.pictures.classes, self.pictures.truth["test"], answered, groups, sources)

    def measured(self, run: Runnable, before: tuple[Runnable, Measured] | None = None) -> Measured:
        """Of one network, compared with what it came from."""
        return measured(run, self.of("validation"), self.of("test"), self.answers, before)


def compress(options: argparse.Namespace) -> None:
    """All of it, in order; forms, features and trainings that were finished before an interruption are kept."""
    card = model_card.read(options.artefact)
    if card.output_kind != model_card.ONE_CLASS:
        raise BadInput(
            f"{options.artefact}: is of the kind {card.output_kind}; only {model_card.ONE_CLASS} can be compressed."
        )
    pictures = gathered(options, card)
    judge = Judge(pictures)
    run = Runnable("f32", options.artefact, options.artefact / artefact.NETWORK)
    whole = judge.measured(run)
    lines = [whole.line]
    if options.int8:
        lines += quantised(run, whole, options.out / "int8", judge, options)
    if options.distil:
        from training.compressing import distillation

        lines += distillation.distilled((run, whole), judge, options)
    compression_table.write(lines, options.out, len(pictures.rows["test"]))


def gathered(options: argparse.Namespace, card: ModelCard) -> Pictures:
    """The pictures of the artefact's training, parted as they were there; others are left out.

    Raises:
        BadInput: the split is absent or of another training, or the classes are others.
    """
    if not options.split.is_file():
        raise BadInput(
            f"{options.split}: there is no split of the artefact's training; name the split.json of its run with --split."
        )
    given = mixture.read(options.data, limit=options.limit)
    names = tuple(entry.name for entry in card.classes)
    if given.classes != names:
        raise BadInput(
            f"{options.data}: has the classes {', '.join(given.classes)}; the artefact has {', '.join(names)}."
        )
    known, own = split_of(options.split, options.seed), options.out / SPLIT
    if own.is_file() and split_of(own, options.seed) != known:
        raise BadInput(f"{options.out}: holds figures of another split than {options.split}; name another --out.")
    prepared = prepare(given.pictures, options.cache / "pictures", given.problems)
    tell(prepared, given.classes)
    rows = [row for row, one in enumerate(prepared.pictures) if one.group in known]
    if left := len(prepared.pictures) - len(rows):
        print(
            f"left out: {left} pictures that {options.split} does not name; they had no part in the training",
            flush=True,
        )
    pictures = Pictures(given, prepared.subset(rows), [known[prepared.pictures[row].group] for row in rows])
    check_split(pictures, card, options.split)
    options.out.mkdir(parents=True, exist_ok=True)
    with command.whole(own) as path:
        shutil.copyfile(options.split, path)
    return pictures


def split_of(path: Path, seed: int) -> dict[str, str]:
    """Group → part."""
    try:
        return partition.read(path, seed)
    except ValueError as error:
        raise BadInput(str(error)) from error


def check_split(pictures: Pictures, card: ModelCard, path: Path) -> None:
    """See that a split can be that of the artefact's training: else pictures that it has learned would be tested on.

    Raises:
        BadInput: a class is absent from a part. More pictures than the card counts are told: copies that --drop left out may be.
    """
    to_do = "name the split.json of the artefact's run with --split, and the DATA and --limit of that run."
    for part in ("train", "validation", "test"):
        found = {pictures.prepared.pictures[row].label for row in pictures.rows[part]}
        if lacking := [name for name in pictures.classes if name not in found]:
            raise BadInput(f"{path}: puts no picture of {lacking[0]} in the part {part}; {to_do}")
        count, told = len(pictures.rows[part]), card.split.counts.get(part)
        if told is not None and count > told:
            print(
                f"{path}: puts {count} pictures in the part {part}, the artefact's card counts {told} there: unless the training left "
                f"some out (--drop), this is the split of another one; then {to_do}",
                file=sys.stderr,
                flush=True,
            )


def quantised(run: Runnable, whole: Measured, out: Path, judge: Judge, options: argparse.Namespace) -> list[Line]:
    """A line for each int8 form of an artefact; the fastest that is as good is written to `out`, beside the f32 form."""
    shown = calibration(judge.pictures, options.calibration, options.seed)
    layers = quantisation.layers_of(quantisation.graph_of(run.folder), shown)
    compression_table.tell_layers(layers, options.out / f"{out.name}_layers.csv")
    lines, good = [], []
    for form in quantisation.forms_for(layers):
        taken = sum(form.takes(layer) for layer in layers)
        print(f"int8 of {form.name}: {taken} of {len(layers)} convolutions", flush=True)
        made = options.out / "work" / out.name / form.name.replace("'", "").replace(",", "").replace(" ", "_")
        with_form(run.folder, made, form, layers, shown)
        own = Runnable(f"{run.name} → int8: {form.name} ({taken} of {len(layers)})", run.folder, made / artefact.INT8)
        line = judge.measured(own, (run, whole)).line
        lines.append(replace(line, note=verdict(line)))
        good += [(line.ms, own, len(lines) - 1)] * (not lines[-1].note)
    shutil.rmtree(out, ignore_errors=True)
    if good:
        _, best, place = min(good, key=lambda one: one[0])
        adopt(run.folder, best, out, lines[place])
        lines[place] = replace(lines[place], note=f"kept: {out}")
    return lines


def verdict(line: Line) -> str:
    """Why a form is not kept; empty where it may be."""
    if not line.passes:
        return "not kept: the service would not take it"
    if line.agreement is not None and line.agreement < LEAST_AGREEMENT:
        return f"not kept: fewer than {LEAST_AGREEMENT:.0%} of the validation pictures keep their class"
    return "" if line.times_as_fast >= LEAST_GAIN else "not kept: hardly faster"


def calibration(pictures: Pictures, count: int, seed: int) -> list[NDArray[np.uint8]]:
    """Crops of the training part, every class alike as far as it goes."""
    rng = np.random.default_rng(seed)
    rows, truth = pictures.rows["train"], pictures.truth["train"]
    ranks = np.empty(len(rows), np.intp)
    for label in np.unique(truth):
        inside = np.flatnonzero(truth == label)
        ranks[inside] = rng.permutation(len(inside))
    return [pictures.prepared.crops[row] for row in rows[np.argsort(ranks, kind="stable")[:count]]]


def with_form(
    folder: Path, made: Path, form: Form, layers: Sequence[Layer], shown: Sequence[NDArray[np.uint8]]
) -> None:
    """Write a form's two files, unless they are there of the very same graph and pictures."""
    said = f"{form.name}{[form.takes(layer) for layer in layers]}".encode()
    digest = hashlib.sha256(said + (folder / f"{artefact.NETWORK}.bin").read_bytes() + np.stack(shown).tobytes())
    kept = made / "fingerprint"
    if not kept.is_file() or kept.read_text() != digest.hexdigest():
        made.mkdir(parents=True, exist_ok=True)
        quantisation.save(quantisation.quantised(folder, form, layers, shown), made, artefact.INT8)
        with command.whole(kept) as path:
            path.write_text(digest.hexdigest())


def adopt(folder: Path, run: Runnable, out: Path, line: Line) -> None:
    """Write an artefact with an int8 form beside its f32 one, and open it as the service does."""
    card = model_card.read(folder)
    unfinished = out.with_name(f".{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    serving = [name for name, file in card.files.items() if file.serving]
    for name in serving:
        shutil.copyfile(folder / name, unfinished / name)
    for ending in (".xml", ".bin"):
        shutil.copyfile(run.form.with_suffix(ending), unfinished / f"{artefact.INT8}{ending}")
    note = f"int8 form ({run.name}): {line.agreement:.1%} of the validation pictures keep their class; figures of this card are of f32."
    names = [*serving, f"{artefact.INT8}.xml", f"{artefact.INT8}.bin"]
    model_card.write(replace(card, notes=(*card.notes, note)), unfinished, dict.fromkeys(names))
    print(f"{out}: {artefact.open_folder(unfinished, precision='int8').self_test}", flush=True)
    unfinished.rename(out)
