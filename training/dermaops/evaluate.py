"""Stage 4: trained weights and the test part -> metrics.json, predictions.csv, and where the network sees melanoma."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analyzer.artefact import probabilities
from training import command
from training.dermaops import checkpoints, finetune, lesions
from training.dermaops.lesions import NETWORK, WAYS, Lesions
from training.dermaops.settings import Settings
from training.evaluation import baselines, scores
from training.evaluation.scores import ACCURACY, BALANCED, MACRO_F1, WEIGHTED_F1, Answers

if TYPE_CHECKING:
    import keras

    from analyzer.model_card import Metric

VERSION = 2  # of what is made here
PARTS = ("validation", "test")
FIGURES = (ACCURACY, BALANCED, WEIGHTED_F1, MACRO_F1)
CLASS_FIGURES = (scores.RECALL, scores.PRECISION, scores.F1, scores.SPECIFICITY, scores.AUROC)
FOREST, CONSTANT = "random forest", "always the most frequent"
SAMPLED = "mel"  # the diagnosis whose samples are explained
SAMPLES = 4  # of those that were recognised, and of those that were missed
USUAL = 128  # test pictures whose mean features are the usual ones
BATCH = 64  # pictures that are answered at once


def inputs(settings: Settings) -> str:
    return checkpoints.fingerprint(VERSION, settings.side_px)


def run(settings: Settings) -> Sequence[Path]:
    """Ask the network, the forest and the constant answer; open the test part for it."""
    found = lesions.read(settings.lesions)
    history, kept = (json.loads(path.read_text(encoding="utf-8")) for path in (settings.history, settings.forest))
    told = {f"{FOREST}, {way} split": forest(found, kept, way) for way in WAYS} | {CONSTANT: constant(found)}
    crops = {part: crops_of(found, part, settings.side_px) for part in PARTS}
    for phase in history["phases"]:
        network = finetune.restored(settings, len(found.classes), phase)
        told[phase] = {part: of_network(network, found, part, crops[part]) for part in PARTS}
        if phase == history["chosen"]:
            explained(network, told[phase]["test"], crops["test"], settings.gradcam)
    with command.whole(settings.metrics) as path:
        path.write_text(json.dumps(figures(found, told, history["chosen"]) | {"leak": kept["leak"]}, indent=1) + "\n")
    written(found, told[history["chosen"]]["test"], settings.predictions)
    return [settings.metrics, settings.predictions, *([settings.gradcam] if settings.gradcam.is_file() else [])]


def figures(found: Lesions, told: Mapping[str, Mapping[str, Answers]], chosen: str) -> dict[str, Any]:
    """What metrics.json holds: every figure of everybody who answered, and the chosen phase class by class.

    Args:
        told: who answers → part → answers.
        chosen: phase of the network that was kept.
    """
    test, other = told[chosen]["test"], told[f"{FOREST}, {NETWORK} split"]["test"]
    leaked = {way: lesions.leaked(found.groups, found.parts[way])[found.rows(way, "test")] for way in WAYS}
    return {
        "chosen": chosen,
        "classes": list(found.classes),
        "sizes": {way: {part: len(found.rows(way, part)) for part in ("train", *PARTS)} for way in WAYS},
        "leaked share": {way: float(held.mean()) for way, held in leaked.items()},
        "figures": {
            who: {part: plain(scores.overall(one)) for part, one in parts.items()} for who, parts in told.items()
        },
        "of classes": {name: plain(one) for name, one in scores.of_classes(test).items()},
        "confusion": scores.confusion(test).tolist(),
        "confusion of the forest": scores.confusion(other).tolist(),
    }


def of_network(network: keras.Model, found: Lesions, part: str, crops: NDArray[np.uint8]) -> Answers:
    """What a network answers to a part."""
    import keras

    logits = keras.Model(network.inputs[0], network.get_layer("logits").output)
    steps = range(0, len(crops), BATCH)
    told = [
        np.asarray(logits(crops[start : start + BATCH].astype(np.float32), training=False))
        for start in command.progress(steps, len(steps), f"{part} answered, in parts")
    ]
    shares = probabilities(np.concatenate(told), 1.0)
    return answers(found, NETWORK, part, shares.argmax(axis=1), shares)


def forest(found: Lesions, kept: Mapping[str, Any], way: str) -> dict[str, Answers]:
    return {part: answers(found, way, part, np.array(kept[way][part], np.intp)) for part in PARTS}


def constant(found: Lesions) -> dict[str, Answers]:
    truth = found.truth[found.rows(NETWORK, "train")]
    return {
        part: answers(found, NETWORK, part, baselines.constant(truth, len(found.rows(NETWORK, part)))) for part in PARTS
    }


def answers(
    found: Lesions, way: str, part: str, answered: NDArray[np.intp], shares: NDArray[np.float64] | None = None
) -> Answers:
    rows = found.rows(way, part)
    groups = [found.groups[row] for row in rows]
    return Answers(found.classes, found.truth[rows], answered, groups, ["ham10000"] * len(rows), shares)


def crops_of(found: Lesions, part: str, side_px: int) -> NDArray[np.uint8]:
    return lesions.crops_of([found.pictures[row] for row in found.rows(NETWORK, part)], side_px)


def explained(network: keras.Model, test: Answers, crops: NDArray[np.uint8], to: Path) -> None:
    """Draw Grad-CAM of melanomas: the surest that were recognised, then the surest that were missed; nothing without any."""
    from training import gradcam
    from training.reporting import plots

    to.unlink(missing_ok=True)
    if SAMPLED not in test.classes or test.shares is None:
        return
    label = list(test.classes).index(SAMPLED)
    rows, usual = sampled(test, label), gradcam.usual_features(network, crops[:USUAL])
    pictures, titles = [], []
    for row in rows:
        evidence = next(iter(gradcam.maps_of(network, crops[row], label, usual=usual).values()))
        told = f"answer {test.classes[test.answered[row]]}, {SAMPLED} {test.shares[row, label]:.2f}"
        pictures += [enlarged(crops[row]), gradcam.drawn(crops[row], evidence)]
        titles += [f"is {SAMPLED}, {told}", f"evidence for {SAMPLED}"]
    if rows:
        plots.save(plots.sheet(pictures, titles), to)


def sampled(test: Answers, label: int) -> list[int]:
    """Rows of a class: those answered rightly with the highest share, then wrongly with the lowest."""
    own = np.flatnonzero(test.truth == label)
    order = own[np.argsort(-test.shares[own, label], kind="stable")] if test.shares is not None else own
    right = [int(row) for row in order if test.answered[row] == label]
    wrong = [int(row) for row in order[::-1] if test.answered[row] != label]
    return [*right[:SAMPLES], *wrong[:SAMPLES]]


def enlarged(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(crop, (448, 448), interpolation=cv2.INTER_CUBIC), np.uint8)


def plain(figures: Mapping[str, Metric]) -> dict[str, dict[str, object]]:
    """Figures as JSON holds them."""
    return {
        name: {"value": one.value, "interval": one.interval, "count": one.count}
        for name, one in figures.items()
        if name in (*FIGURES, *CLASS_FIGURES)
    }


def written(found: Lesions, test: Answers, to: Path) -> Path:
    """A CSV with a row for each test picture: truth, answer and probabilities of the chosen network."""
    with command.whole(to) as path, path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "lesion", "truth", "answer", *test.classes])
        for place, row in enumerate(found.rows(NETWORK, "test")):
            shares = [f"{share:.6f}" for share in test.shares[place]] if test.shares is not None else []
            names = [test.classes[test.truth[place]], test.classes[test.answered[place]]]
            rows.writerow([found.pictures[row].path.stem, found.groups[row], *names, *shares])
    return to
