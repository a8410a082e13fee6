"""The options of train_multilabel -> its run, step by step: pictures, backbone, features, head, folds, figures, artefact, report."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard
from training import export, features, hare_run, weights
from training.data import shine_skin
from training.data.augmentation import STANDARD
from training.data.shine_skin import CONDITIONS
from training.features import Backbones
from training.multilabel import (
    backbones,
    explanations,
    labelled,
    multilabel_card,
    multilabel_report,
    outcome,
    severity_head,
    top_tuning,
)
from training.multilabel.labelled import Pictures
from training.multilabel.multilabel_report import Run
from training.multilabel.objective import Aim
from training.multilabel.outcome import LEARNED_FROM, Network, Served
from training.multilabel.severity_head import MACRO_F1, Known, Recipe
from training.multilabel.top_tuning import Shown
from training.tracking import Tracker

EXPERIMENT = "multilabel"


def train(options: argparse.Namespace) -> None:
    """All of it, in order; what was done before an interruption is kept."""
    begun = time.monotonic()
    shine_skin.home_of(options.data)  # a wrong folder is told before anything is fetched
    backbones.check(options.backbone, options.weights)
    options.out.mkdir(parents=True, exist_ok=True)
    tracker = Tracker(options.out, vars(options), EXPERIMENT)
    pictures = labelled.gathered(options)
    network, recipe = trained(pictures, options, tracker)
    if options.fine_tune:
        network = fine_tuned(network, pictures, recipe, options, tracker)
    card = finish(network, pictures, recipe, options)
    tracker.log({f"test/{name}": one.value for name, one in card.metrics.overall.items()})
    tracker.finish([options.out / name for name in ("config.json", "metrics.json", "report.html")])
    hare_run.tell_costs(options.model_dir, time.monotonic() - begun)


def finish(network: Network, pictures: Pictures, recipe: Recipe, options: argparse.Namespace) -> ModelCard:
    """Open the test part; write artefact and report."""
    rows, limits = pictures.rows["test"], outcome.tuned(network, pictures)
    answers = outcome.answers_of(outcome.told_of(network, rows, limits), pictures, rows)
    simple = outcome.simple_answers(pictures, options)
    folded, fold = outcome.folded(network, pictures, recipe, options) if options.folds else ({}, np.zeros(0, np.intp))
    served = outcome.served(network, pictures)
    card = exported(
        network, served, recipe, multilabel_card.card(answers, simple, limits, served, pictures, options), options
    )
    shown = pictures.prepared.crops[rows]
    run = Run(
        command=shlex.join(["python", "-m", "training.train_multilabel", *sys.argv[1:]]),
        options=options,
        recipe=asdict(recipe),
        pictures=pictures,
        card=card,
        answers=answers,
        folds=folded,
        fold=fold.tolist(),
        history=network.history,
        explanations=explanations.write(served, shown, answers, options.out / "plots"),
    )
    multilabel_report.write(run, options.out)
    return card


def exported(
    network: Network, served: Served, recipe: Recipe, card: ModelCard, options: argparse.Namespace
) -> ModelCard:
    """The artefact: what is compiled must answer as the whole network does in Keras."""
    whole = top_tuning.joined(network.backbone, network.chain, len(CONDITIONS), recipe)

    def answer(shown: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(whole.predict(shown.astype(np.float32), batch_size=2, verbose=0), np.float32)

    form = KerasForm(served.compiled.xml, served.compiled.weights, served.chain, 0)
    return export.export_severities(form, answer, options.model_dir, card, served.known)


def recipe_of(options: argparse.Namespace) -> Recipe:
    aim = Aim(options.loss, options.severity_loss, options.severity_weight)
    said = {
        name: getattr(options, name) for name in ("dropout", "rate", "decay", "batch", "epochs", "patience", "seed")
    }
    return Recipe(aim=aim, **said)


def trained(pictures: Pictures, options: argparse.Namespace, tracker: Tracker) -> tuple[Network, Recipe]:
    """A frozen backbone with a head, and how that was trained."""
    backbone = backbones.network(
        options.backbone,
        options.weights,
        pictures.prepared,
        pictures.parts,
        options.out / "backbone",
        epochs=options.pretext_epochs,
        seed=options.seed,
    )
    compiled = backbones.compiled(backbone)
    fed = features_of(compiled.opened(options.precision), pictures, options)
    train, validation = (known_of(fed, pictures, part) for part in LEARNED_FROM)
    recipe = recipe_of(options)
    if options.trials:
        from training.multilabel import recipe_search

        recipe = recipe_search.best(train, validation, recipe, options)
    told = hare_run.watched("head", recipe.epochs, options.out, tracker)
    fitted = severity_head.fit(train, validation, recipe, options.out / "head", told)
    taught = learned_from(pictures) if options.weights == weights.NONE else pictures.seen
    return Network(backbone, taught, compiled, fed, fitted.chain, fitted.history), recipe


def fine_tuned(
    network: Network, pictures: Pictures, recipe: Recipe, options: argparse.Namespace, tracker: Tracker
) -> Network:
    """The network with its top blocks trained on, if its macro-F1 on validation is better, else as it was."""
    parts = [Shown(pictures.rows[part], pictures.labels.of(pictures.rows[part])) for part in LEARNED_FROM]
    told = hare_run.watched("fine-tuned", options.fine_tune, options.out, tracker)
    found = top_tuning.tuned(
        network.backbone,
        network.chain,
        pictures.prepared.crops,
        *parts,
        recipe,
        options.fine_tune,
        options.out / "fine_tuning",
        told,
    )
    before, after = (max(row[MACRO_F1] for row in one.history) for one in (network, found))
    print(f"fine-tuned: macro-F1 {after:.3f} on validation, {before:.3f} before", flush=True)
    if after <= before:
        return network
    compiled = backbones.compiled(found.backbone)
    without_views = argparse.Namespace(**{**vars(options), "views": 0})
    fed = features_of(compiled.opened(options.precision), pictures, without_views)
    return Network(found.backbone, learned_from(pictures), compiled, fed, found.chain, found.history)


def learned_from(pictures: Pictures) -> frozenset[str]:
    """Groups of the part "train"."""
    return frozenset(pictures.groups[row] for row in pictures.rows["train"])


def features_of(opened: Backbones, pictures: Pictures, options: argparse.Namespace) -> NDArray[np.float16]:
    """(N, 1 + views, D) of all pictures; those of the test part are only shown themselves, their views are zeros."""
    learned = np.concatenate([pictures.rows[part] for part in LEARNED_FROM])
    answer = np.zeros((len(pictures.said), 1 + options.views, opened.width), np.float16)
    for rows, views in ((learned, options.views), (pictures.rows["test"], 0)):
        found = features.features_of(opened, pictures.prepared, rows, views, STANDARD, options.cache / "features")
        answer[rows, : 1 + views] = found
    return answer


def known_of(fed: NDArray[np.float16], pictures: Pictures, part: str) -> Known:
    rows = pictures.rows[part]
    return Known(fed[rows], pictures.labels.of(rows))
