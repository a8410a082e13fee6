"""The options of train_hare_run -> its run, step by step: pictures, parts, backbones, features, heads, figures, artefact."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from training import (
    audit,
    cards,
    cluster,
    command,
    ensembles,
    export,
    features,
    fine_tuning,
    heads,
    networks,
    recipes,
    tracking,
    weights,
)
from training.cluster import HERE, Pool
from training.ensembles import Candidate, Known
from training.features import Backbones
from training.gathering import Pictures, backbones, gathered
from training.measured import Final, Trained, evidence_of, known, run_of
from training.recipes import Setting
from training.reporting import report
from training.tracking import Tracker

MOST_ARTEFACT_MB = 500
RECIPE_OPTIONS = ("epochs", "batch", "rate", "schedule", "label_smoothing")
FINE_TUNED = "fine-tuned"


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
    with cluster.opened(options) as pool:
        fed = features_of(opened, pictures, setting, options, pool)
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
    used = {name: value for name, value in asdict(setting.recipe).items() if not name.startswith("demographics")}
    used |= {"views": setting.views, "fine_tune": setting.fine_tune}
    figures = report.write(run_of(final, evidence, found, found_wrong, used), options.out)
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
    opened: Backbones, pictures: Pictures, setting: Setting, options: argparse.Namespace, pool: Pool = HERE
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
            pool=pool,
        )
        for part, rows in pictures.rows.items()
    }


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
    with cluster.opened(options) as pool:
        fed = features_of(opened, pictures, setting, options, pool)
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


def tell_costs(folder: Path, seconds: float) -> None:
    """Print time, peak memory and the artefact's size."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gb = kilobytes / (1024**2 if sys.platform != "darwin" else 1024**3)
    size_mb = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
    print(
        f"{seconds / 60:.1f} minutes, peak memory {peak_gb:.2f} GB, artefact {folder} of {size_mb:.0f} MB", flush=True
    )
