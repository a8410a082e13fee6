"""Colour and texture of lesions -> what a random forest answers that sees no shapes, and how much a leaking split flatters it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.settings import CORES
from training import command
from training.dermaops import lesions
from training.dermaops.lesions import WAYS, Lesions
from training.evaluation import scores
from training.evaluation.scores import Answers

TREES = 300
PUBLISHED = {
    "accuracy": 0.6936,
    "weighted F1": 0.61,
    "macro-F1": 0.24,
}  # of validation, image-level split, in the DermaOps report
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


def answered(colours: Floats, truth: Indices, train: Indices, asked: Indices, seed: int) -> Indices:
    """The class that a forest (Breiman 2001) learned from some rows answers to others.

    Classes are not weighed: weighed alike, a forest of whole trees answers no rare class more often, and fewer of the rest.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=CORES)
    return np.asarray(forest.fit(colours[train], truth[train]).predict(colours[asked]), np.intp)


def run(found: Lesions, colours: Floats, to: Path, *, repeats: int, seed: int) -> Path:
    """Answers of a forest to validation and test of each split, and the leak; kept as JSON."""
    truth = found.truth
    told: dict[str, Any] = {}
    for way in WAYS:
        asked = {part: found.rows(way, part) for part in ("validation", "test")}
        both = answered(colours, truth, found.rows(way, "train"), np.concatenate([*asked.values()]), seed)
        cut = len(asked["validation"])
        told[way] = {"validation": both[:cut].tolist(), "test": both[cut:].tolist()}
    told["leak"] = leak(found, colours, repeats, seed)
    with command.whole(to) as path:
        path.write_text(json.dumps(told) + "\n", encoding="utf-8")
    return to


def leak(found: Lesions, colours: Floats, repeats: int, seed: int) -> list[dict[str, float]]:
    """What a split of images gives away, on several of them.

    For each: the share of its test pictures whose lesion is in training; the accuracy on them and on the others; and, of the
    very same test pictures, the accuracy of a forest that was not shown their lesions, beside one from whose training as many
    other pictures were taken. The last row of figures is of a split of lesions with the same seed.
    """
    rows = []
    for number in command.progress(range(seed, seed + repeats), repeats, "leak, splits"):
        parts = lesions.parted(found.pictures, "image", number)
        kept = lesions.parted(found.pictures, "lesion", number)
        rows.append(_of_images(found, colours, parts, number) | _of_lesions(found, colours, kept, number))
    return rows


def _of_images(found: Lesions, colours: Floats, parts: Sequence[str], seed: int) -> dict[str, float]:
    truth, groups = found.truth, np.asarray(found.groups)
    train, test = (np.flatnonzero(np.asarray(parts) == part) for part in ("train", "test"))
    known = lesions.leaked(found.groups, parts)[test]
    strange = train[~np.isin(groups[train], groups[test])]
    rng = np.random.default_rng(seed)
    fewer = rng.choice(strange, max(len(strange) - (len(train) - len(strange)), 1), replace=False)
    as_many = np.concatenate([fewer, np.setdiff1d(train, strange)])
    right = {
        name: answered(colours, truth, rows, test, seed) == truth[test]
        for name, rows in (("all", train), ("strange", strange), ("as many", as_many))
    }
    return {
        "test pictures": float(len(test)),
        "known share": float(known.mean()),
        "images": float(right["all"].mean()),
        "images, lesion known": float(right["all"][known].mean()) if known.any() else float("nan"),
        "images, lesion strange": float(right["all"][~known].mean()),
        "same pictures, lesions strange": float(right["strange"].mean()),
        "same pictures, as few trained": float(right["as many"].mean()),
    }


def _of_lesions(found: Lesions, colours: Floats, parts: Sequence[str], seed: int) -> dict[str, float]:
    truth = found.truth
    train, test = (np.flatnonzero(np.asarray(parts) == part) for part in ("train", "test"))
    told = answered(colours, truth, train, test, seed)
    plain = Answers(found.classes, truth[test], told, [found.groups[row] for row in test], [""] * len(test))
    return {"lesions": float(np.mean(told == truth[test])), "lesions, balanced": balanced(plain)}


def balanced(answers: Answers) -> float:
    return scores.overall(answers)[scores.BALANCED].value
