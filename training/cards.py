"""What a training knows of its network and of the test pictures -> the card of the artefact. Every figure is of the test part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, preprocessing
from analyzer.model_card import (
    ONE_CLASS,
    Calibration,
    Measured,
    Metric,
    ModelCard,
    ModelClass,
    ModelInput,
    ModelOutput,
    Split,
    TrainingSource,
)
from analyzer.wording import SEE_A_PROFESSIONAL
from training import evaluate, export
from training.data.facts import Facts
from training.data.pictures import Picture
from training.evaluation import bootstrap, fairness, scores
from training.evaluation.scores import Answers

VERSION = "6.0.0"
NAME = "hare_run_v6_facial"
LEAST_PROBABILITY = 0.5  # under which no class is stated
FAMILIAR_SHARE = 0.9  # of the validation pictures lies within the distance limit
PARITY = 0.02  # largest difference of a probability that a faster arithmetic may make
WORDING = {
    "acne": "Blemishes are what this picture resembles most.",
    "healthy": "Skin without a noticeable condition is what this picture resembles most.",
}
SHARE_ANSWERED = "share answered"
RULE = (
    "nothing is stated unless the most probable class reaches probability and the distance of the features does not exceed "
    "distance; classes that may not be named are then added up, and the most probable outcome is told"
)
SPLIT = (
    "training/data/partition.py: 70/15/15, less to train on where groups are few; stratified by class, source, ethnicity, gender and age; "
    "groups kept whole"
)
NOTES = (
    "Pictures without a face, most of the clinical ones, were cut to their middle square; the service shows aligned faces only.",
    "Healthy faces and clinical pictures come from different sources: overall accuracy says mostly how sources are told apart.",
    f"{evaluate.DRAWS} bootstrap draws of whole groups give the intervals; groups under {evaluate.TOO_FEW} pictures are left out.",
    "Trained on pictures for research and non-commercial use.",
)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a card is written from.

    Attributes:
        answers: to the N test pictures, with their probabilities.
        pictures, facts: of the test part.
        baselines: name → (N,) what it answers to the test pictures.
        distances: (N,) of their features, and the `limit` beyond which they are unfamiliar.
        strangers: kind of picture that is none of the classes → distances of its features.
        matched: answers to the same test pictures, the healthy ones cut, scaled and compressed as clinical ones; or None.
        trained, trained_facts: of the training part.
        licences: source → licence.
        counts: part → labelled pictures.
        notes: further ones, such as of the backbones and of the head that was chosen.
        demographics: width of the second input.
    """

    answers: Answers
    pictures: Sequence[Picture]
    facts: Sequence[Facts]
    baselines: Mapping[str, NDArray[np.intp]]
    temperature: float
    distances: NDArray[np.float64]
    limit: float
    strangers: Mapping[str, NDArray[np.float64]]
    matched: Answers | None
    trained: Sequence[Picture]
    trained_facts: Sequence[Facts]
    licences: Mapping[str, str]
    counts: Mapping[str, int]
    notes: Sequence[str] = ()
    demographics: int = 0


def card(known: Evidence, name: str = NAME, version: str = VERSION) -> ModelCard:
    """The card, all but its files."""
    answers = known.answers
    assert answers.shares is not None
    return ModelCard(
        name=name,
        version=version,
        task=f"skin class of one face out of {len(answers.classes)}, EfficientNetB0 and ResNet50 side by side",
        output_kind=ONE_CLASS,
        classes=tuple(
            ModelClass(index, one, WORDING.get(one, SEE_A_PROFESSIONAL)) for index, one in enumerate(answers.classes)
        ),
        inputs=inputs(known.demographics),
        outputs=outputs(len(answers.classes)),
        thresholds={"probability": LEAST_PROBABILITY, "distance": round(known.limit, 4), "parity_probability": PARITY},
        decision_rule=RULE,
        training_data=sources(known.trained, known.trained_facts, known.licences),
        split=Split(SPLIT, ("person, lesion or picture as the source says", "near-duplicates"), dict(known.counts)),
        metrics=Measured(overall(known), scores.of_classes(answers), groups(known)),
        baselines=baselines(known),
        calibration=Calibration(
            round(known.temperature, 4),
            round(evaluate.expected_calibration_error(answers.shares, answers.truth), 4),
        ),
        notes=(*NOTES, *known.notes),
        commit=export.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def inputs(demographics: int = 0) -> tuple[ModelInput, ...]:
    side = preprocessing.SIDE_PX
    picture = ModelInput("image", (1, side, side, 3), "NHWC", "uint8", preprocessing.FACE)
    if not demographics:
        return (picture,)
    return picture, ModelInput("demographics", (1, demographics), "NC", "float32", preprocessing.DEMOGRAPHICS)


def outputs(classes: int) -> tuple[ModelOutput, ...]:
    return (
        ModelOutput(artefact.FEATURES, (1, 3328), "global averages of the last maps, EfficientNetB0 then ResNet50"),
        ModelOutput(artefact.MAPS[0], (1, 7, 7, 1280), "last maps of EfficientNetB0"),
        ModelOutput(artefact.MAPS[1], (1, 7, 7, 2048), "last maps of ResNet50"),
        ModelOutput("logits", (1, classes), "of head.npz on the features; over the temperature, then softmax"),
    )


def overall(known: Evidence) -> dict[str, Metric]:
    """Figures of all test pictures, how many are answered, what the same crop leaves of them, and how strangers are told."""
    answers = known.answers
    assert answers.shares is not None
    stated = (answers.shares.max(axis=1) >= LEAST_PROBABILITY) & (known.distances <= known.limit)
    found = scores.overall(answers)
    found[SHARE_ANSWERED] = answers.bootstrap.share(stated, np.ones(len(stated), bool))
    if known.matched is not None:
        same = scores.overall(known.matched)
        found |= {f"{figure}, healthy faces through the clinical crop": one for figure, one in same.items()}
    for kind, away in known.strangers.items():
        found[f"AUROC of the distance, {kind}"] = told_apart(known.distances, away, answers.groups)
    return {figure: one for figure, one in found.items() if np.isfinite(one.value)}


def told_apart(familiar: NDArray[np.float64], strange: NDArray[np.float64], together: Sequence[str]) -> Metric:
    """How well the distance tells pictures of another kind from those of the classes."""
    values = np.concatenate([familiar, strange])
    is_strange = np.arange(len(values)) >= len(familiar)
    apart = [*together, *(f"stranger {place}" for place in range(len(strange)))]
    return evaluate.metric(evaluate.auroc(values, is_strange), apart)


def baselines(known: Evidence) -> dict[str, dict[str, Metric]]:
    """What simpler methods reach on the same pictures."""
    answers = known.answers
    return {
        name: scores.overall(Answers(answers.classes, answers.truth, answered, answers.groups, answers.sources))
        for name, answered in known.baselines.items()
    }


def groups(known: Evidence) -> dict[str, dict[str, Metric]]:
    """By source, by whether a face was found, and by what is known of the people, healthy ones apart; small ones left out."""
    truth = known.answers.truth
    names = {f"source {one.source}" for one in known.pictures}
    rows = {name: np.array([f"source {one.source}" == name for one in known.pictures]) for name in sorted(names)}
    faces = np.array([one.has_face for one in known.facts])
    rows |= {"with a face": faces, "without a face": ~faces}
    classes = list(known.answers.classes)
    healthy = truth == (classes.index(fairness.HEALTHY) if fairness.HEALTHY in classes else -1)
    for ethnicity in sorted({one.ethnicity for one in known.pictures if one.ethnicity}):
        rows[f"healthy, {ethnicity}"] = healthy & np.array([one.ethnicity == ethnicity for one in known.pictures])
    found = {name: _figures(known.answers.of(held)) for name, held in rows.items() if held.sum() >= evaluate.TOO_FEW}
    for attribute, people in fairness.of_people(known.answers, known.pictures).items():
        found |= {f"{attribute}: {one.name}": dict(one.figures) for one in people if not one.too_few}
    return found


def sources(
    pictures: Sequence[Picture], facts: Sequence[Facts], licences: Mapping[str, str]
) -> tuple[TrainingSource, ...]:
    """Each source of the training pictures with its licence, and how many of them show no face."""
    counts = Counter(one.source for one in pictures)
    without = Counter(one.source for one, fact in zip(pictures, facts, strict=True) if not fact.has_face)
    return tuple(
        TrainingSource(
            source,
            count,
            licences.get(source, "not stated"),
            (f"{without[source]} without a face",) if without[source] else (),
        )
        for source, count in sorted(counts.items())
    )


def _figures(inside: Answers) -> dict[str, Metric]:
    values = scores.values_of_all(inside)
    found = {name: bootstrap.metric(values[name], len(inside.truth)) for name in (scores.ACCURACY, scores.BALANCED)}
    return {name: one for name, one in found.items() if np.isfinite(one.value)}
