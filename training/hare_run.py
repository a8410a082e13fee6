"""The options of train_hare_run -> its run, step by step: pictures, parts, backbones, features, heads, figures, artefact."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import distribution
from analyzer.artefact import probabilities
from analyzer.distribution import Distribution
from training import (
    audit,
    cards,
    command,
    ensembles,
    evaluate,
    export,
    features,
    fine_tuning,
    gradcam,
    heads,
    networks,
    recipes,
    strangers,
    tracking,
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
from training.gathering import SPLIT, Pictures, backbones, gathered
from training.heads import Floats, Indices
from training.recipes import Setting
from training.reporting import report
from training.reporting.findings import Run
from training.tracking import Tracker

EXPLAINED = 6  # test pictures whose evidence is shown
MOST_ARTEFACT_MB = 500
RECIPE_OPTIONS = ("epochs", "batch", "rate", "schedule", "label_smoothing")
FINE_TUNED = "fine-tuned"


@dataclass(frozen=True, eq=False)
class Trained:
    """A whole network with what was chosen, and the features of its own backbones: part → (N, V, 3328)."""

    network: keras.Model
    chosen: Candidate
    backbones: Backbones
    features: Mapping[str, NDArray[np.float16]]


def train(options: argparse.Namespace) -> None:
    """All of it, in order; what was done before an interruption is kept."""
    begun = time.monotonic()
    weights.check(options.weights)
    setting = setting_of(options)
    options.out.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(options.out, {**vars(options), **asdict(setting.recipe)})

    pictures = gathered(options)
    found_wrong = audited(pictures, options)
    base = backbones(options, pictures)
    opened = features.opened(base, options.cache, options.precision)
    fed = features_of(opened, pictures, setting, options)
    validation = known(pictures, "validation", fed)
    found = candidates(pictures, fed, setting, options, tracker)
    chosen = ensembles.best(found, validation)
    trained = Trained(network_of(base, chosen, pictures.classes), chosen, opened, fed)
    if setting.fine_tune:
        trained, tuned = fine_tuned(trained, pictures, setting, options, tracker)
        found.append(tuned)
    tell_candidates(found, trained.chosen, validation, tracker)

    final = Final(pictures, trained, options)
    evidence = evidence_of(final)
    export.export(trained.network, options.model_dir, cards.card(evidence), final.known)
    figures = report.write(run_of(final, evidence, found, found_wrong), options.out)
    tracker.log({f"test/{name}": one["value"] for name, one in figures["overall"].items()})
    tracker.finish([options.out / name for name in ("config.json", "metrics.json", "report.html")])
    tell_costs(options.model_dir, time.monotonic() - begun)


def setting_of(options: argparse.Namespace) -> Setting:
    """What --recipe says, or the default; options that were given overrule it."""
    setting = recipes.read(options.recipe) if options.recipe else Setting()
    said = {name: getattr(options, name) for name in RECIPE_OPTIONS if getattr(options, name) is not None}
    whole = {name: getattr(options, name) for name in ("views", "fine_tune") if getattr(options, name) is not None}
    return replace(setting, recipe=replace(setting.recipe, **said, seed=options.seed), **whole)


def audited(pictures: Pictures, options: argparse.Namespace) -> list[str]:
    """What the audit finds wrong with the pictures, told and kept in DIR/audit; done once for the same pictures and parts."""
    folder = options.out / "audit"
    known = [(one.sha256, part) for one, part in zip(pictures.prepared.facts, pictures.parts, strict=True)]
    asked = hashlib.sha256(repr((known, pictures.classes)).encode()).hexdigest()
    kept = folder / "said.json"
    if not kept.is_file() or json.loads(kept.read_text())["asked"] != asked:
        made = audit.audit(pictures.prepared, pictures.classes, pictures.parts, folder, seed=options.seed)
        said = [f"{one.severity}: {one.said}" for one in made.findings if one.severity != "note"]
        with command.whole(kept) as path:
            path.write_text(json.dumps({"asked": asked, "said": said}))
    answer: list[str] = json.loads(kept.read_text())["said"]
    for sentence in answer:
        print(f"audit: {sentence}", flush=True)
    return answer


def features_of(
    opened: Backbones, pictures: Pictures, setting: Setting, options: argparse.Namespace
) -> dict[str, NDArray[np.float16]]:
    """Part → (N, V, 3328): of the training part with views, of the others without."""
    return {
        part: features.features_of(
            opened,
            pictures.prepared,
            rows,
            setting.views if part == "train" else 0,
            setting.augmentation,
            options.cache / "features",
        )
        for part, rows in pictures.rows.items()
    }


def known(pictures: Pictures, part: str, fed: Mapping[str, NDArray[np.float16]]) -> Known:
    groups = [pictures.prepared.pictures[row].group for row in pictures.rows[part]]
    return Known(fed[part], pictures.truth[part], groups)


def candidates(
    pictures: Pictures,
    fed: Mapping[str, NDArray[np.float16]],
    setting: Setting,
    options: argparse.Namespace,
    tracker: Tracker,
) -> list[Candidate]:
    """Heads of each backbone alone and of both, and what is made of them."""

    def told(name: str) -> list[keras.callbacks.Callback]:
        return watched(name, setting.recipe.epochs, options.out, tracker)

    train, validation = (known(pictures, part, fed) for part in ("train", "validation"))
    return ensembles.candidates(train, validation, setting.recipe, pictures.classes, options.out / "heads", told)


def watched(name: str, epochs: int, out: Path, tracker: Tracker) -> list[keras.callbacks.Callback]:
    """What a training of this name tells: a bar, TensorBoard's curves, MLflow's figures."""
    curves = tracking.tensorboard(out / "curves" / name.replace(" ", "_"))
    return [tracking.Bar(name, epochs), curves, tracker.callback(name)]


def network_of(base: keras.Model, chosen: Candidate, classes: Sequence[str]) -> keras.Model:
    """The whole network: trained backbones, and the chosen head in the form that is served."""
    network = networks.hare_run(len(classes), units=ensembles.units_of(chosen.chain))
    networks.take_backbones(network, base)
    networks.take_head(network, chosen.chain)
    return network


def fine_tuned(
    trained: Trained, pictures: Pictures, setting: Setting, options: argparse.Namespace, tracker: Tracker
) -> tuple[Trained, Candidate]:
    """The network with its top blocks trained on, if that is better on validation, else as it was; and the attempt."""
    network, history = fine_tuning.tuned(
        trained.network,
        pictures.prepared.crops,
        (pictures.rows["train"], pictures.truth["train"]),
        (pictures.rows["validation"], pictures.truth["validation"]),
        epochs=setting.fine_tune,
        seed=options.seed,
        label_smoothing=setting.recipe.label_smoothing,
        work=options.out / "fine_tuning",
        callbacks=watched(FINE_TUNED, setting.fine_tune, options.out, tracker),
    )
    opened = features.opened(network, options.cache, options.precision)
    fed = features_of(opened, pictures, setting, options)
    validation = known(pictures, "validation", fed)
    chain = tuple(networks.head_of(network))
    attempt = Candidate(
        FINE_TUNED, chain, heads.logits_of(chain, validation.seen), history, f"from {trained.chosen.name}"
    )
    if ensembles.best([trained.chosen, attempt], validation) is attempt:
        return Trained(network, attempt, opened, fed), attempt
    return trained, attempt


def tell_candidates(found: Sequence[Candidate], chosen: Candidate, validation: Known, tracker: Tracker) -> None:
    for name, figures in ensembles.table(found, validation).items():
        tracker.log({f"validation/{name}/{figure}": value for figure, value in figures.items()})
        line = ", ".join(f"{figure} {value:.3f}" for figure, value in figures.items())
        print(f"{'→' if name == chosen.name else ' '} {name}: {line}", flush=True)


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


def run_of(final: Final, evidence: Evidence, found: Sequence[Candidate], found_wrong: Sequence[str]) -> Run:
    """What the report is written from."""
    pictures, options = final.pictures, final.options
    test, truth = pictures.of("test"), pictures.truth["test"]
    shown = [int(np.flatnonzero(truth == label)[0]) for label in np.unique(truth)][:EXPLAINED]
    answered = [int(final.logits["test"][row].argmax()) for row in shown]
    titles = [f"{pictures.classes[truth[row]]} picture" for row in shown]
    network = final.trained.network
    return Run(
        title="Skin classes of faces: EfficientNetB0 and ResNet50",
        command=shlex.join(["python", "-m", "training.train_hare_run", *sys.argv[1:]]),
        config={name: str(value) for name, value in vars(options).items()},
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
        history=final.trained.chosen.history or next(one.history for one in found if one.history),
        candidates=ensembles.table(found, known(pictures, "validation", final.trained.features)),
        explanations=gradcam.explain(
            network, test.crops[shown], answered, pictures.classes, titles, options.out / "plots"
        ),
        notes=[*cards.NOTES, *evidence.notes, *(f"Audit, {one}" for one in found_wrong)],
        pictures_validation=[pictures.prepared.pictures[row] for row in pictures.rows["validation"]],
        split=options.out / SPLIT,
    )


def tell_costs(folder: Path, seconds: float) -> None:
    """Print time, peak memory and the artefact's size."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gb = kilobytes / (1024**2 if sys.platform != "darwin" else 1024**3)
    size_mb = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    print(
        f"{seconds / 60:.1f} minutes, peak memory {peak_gb:.2f} GB, artefact {folder} of {size_mb:.0f} MB", flush=True
    )
