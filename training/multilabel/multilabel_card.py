"""What was measured on test pictures -> the card of an artefact that answers conditions and severities."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from analyzer import artefact, model_card, preprocessing, severity
from analyzer.artefact import GENERATED
from analyzer.model_card import Measured, Metric, ModelCard, ModelClass, ModelInput, ModelOutput, Split, TrainingSource
from training import evaluate, export, weights
from training.cards import PARITY
from training.data.shine_skin import CONDITIONS
from training.multilabel import figures
from training.multilabel.figures import Answers
from training.multilabel.labelled import Pictures
from training.multilabel.outcome import Served
from training.multilabel.simple_methods import BATCH

NAME, VERSION = "hare_run_v6_facial", "6.0.0-multilabel"
LICENCE = "generated pictures; as their maker states"
RULE = (
    "each condition on its own: it is there where its probability reaches its threshold; how severe it is, 0 to 3, its own outputs "
    "say, whatever the probability; nothing is said where the distance of the features exceeds distance"
)
SPLIT = (
    "training/data/partition.py: 70/15/15, less to train on where groups are few; stratified by condition, severity and generation "
    "batch; a picture and its mirrored copy in one part"
)
NOTES = (
    "Painted faces: nothing is known of what these figures are worth on photos of people.",
    "An answer of nothing at all is right in six of seven entries (85.7 % where each picture has one condition): element-wise "
    "accuracy says little; the F1 of each condition and the figures within a batch say more.",
    f"{evaluate.DRAWS} bootstrap draws of whole groups (a picture with its mirrored copy) give the intervals.",
)


def card(
    answers: Answers,
    simple: Mapping[str, Answers],
    thresholds: Sequence[float],
    served: Served,
    pictures: Pictures,
    options: argparse.Namespace,
) -> ModelCard:
    """The card, all but its files.

    Args:
        answers: of the network to the test pictures.
        simple: method → its answers to the same.
        thresholds: of each condition.
        served: what the artefact holds.
    """
    presence = {severity.presence_threshold(name): float(one) for name, one in zip(CONDITIONS, thresholds, strict=True)}
    side = preprocessing.SIDE_PX
    return ModelCard(
        name=NAME,
        version=VERSION,
        task=f"which of {len(CONDITIONS)} conditions one face shows, and how severe each is, {options.backbone}",
        output_kind=model_card.SEVERITIES,
        classes=tuple(ModelClass(index, name, None) for index, name in enumerate(CONDITIONS)),
        inputs=(ModelInput("image", (1, side, side, 3), "NHWC", "uint8", preprocessing.FACE),),
        outputs=(
            ModelOutput(
                artefact.FEATURES,
                (1, served.compiled.width),
                f"global averages of the last maps of {options.backbone}, less the usual ones",
            ),
            ModelOutput(
                "logits",
                (1, served.chain[-1][1].size),
                "presence of each condition, then its severity (analyzer/severity.py)",
            ),
        ),
        thresholds={**presence, "distance": round(served.limit, 4), "parity_probability": PARITY},
        decision_rule=RULE,
        training_data=sources(pictures),
        split=Split(SPLIT, ("stem without _flipped",), {part: len(rows) for part, rows in pictures.rows.items()}),
        metrics=Measured(
            figures.overall(answers), figures.of_conditions(answers), grouped(figures.of_batches(answers))
        ),
        baselines={name: figures.overall(one) for name, one in simple.items()},
        calibration=None,
        notes=(*NOTES, *confounds(pictures, simple), weights_note(options.weights)),
        commit=export.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def sources(pictures: Pictures) -> tuple[TrainingSource, ...]:
    """Each batch of the training pictures."""
    held = [pictures.prepared.pictures[row].source for row in pictures.rows["train"]]
    return tuple(TrainingSource(name, count, LICENCE, (GENERATED,)) for name, count in sorted(Counter(held).items()))


def grouped(batches: Mapping[str, Mapping[str, Metric]]) -> dict[str, Mapping[str, Metric]]:
    return {f"batch {name}": one for name, one in batches.items()}


def confounds(pictures: Pictures, simple: Mapping[str, Answers]) -> list[str]:
    """What a batch gives away, in sentences."""
    never = figures.absent(CONDITIONS, pictures.labels.present, pictures.batches)
    told = [
        f"In the batch {batch} {', '.join(names)} never occur{'s' * (len(names) == 1)}: who recognises it, by its background for "
        "example, rules them out without looking at skin."
        for batch, names in never.items()
    ]
    share = figures.overall(simple[BATCH]).get(figures.MACRO_AUROC)
    if share is not None:
        told.append(
            f"The batch alone, without any picture, tells the conditions with a macro AUROC of {share.value:.2f}; within a batch it "
            "tells nothing (0.50)."
        )
    return told


def weights_note(choice: str) -> str:
    """What is known of the backbone's weights."""
    said = {
        weights.NONE: "Backbone learned from scratch on windows of the training pictures, for few epochs; no downloaded weights.",
        weights.IMAGENET: "Backbone with Keras' ImageNet weights.",
    }
    return said.get(choice, "Backbone with weights of an earlier training.")
