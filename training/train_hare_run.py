"""Train the Hare Run ensemble on the skin classes of SKIN_DATA and write an artefact that the service serves.

Run:     python -m training.train_hare_run [--data ../shared/data] [--weights imagenet|none] [--out models/hare_run_v6_facial]
Cost:    with `--weights none` about an hour on 2 cores, nearly all of it for the backbones; with ImageNet weights minutes.
         Interrupted, it goes on where it was when run again with the same --work.
Expects: facial_skin_diseases, dermnet_facial, dermalscan4, acne04, utkface; ham10000 and closeups for `--weights none`.

The backbones are frozen: their features of several degraded views of each training picture are computed once, the head is
trained on those. Only the part "train" is trained on; "validation" stops the training and gives temperature and limits;
"test" is opened once, for the card.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, distribution, keras_files, photo, preprocessing, runtime
from analyzer.distribution import Distribution
from analyzer.model_card import (
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
from analyzer.runtime import Network
from analyzer.wording import SEE_A_PROFESSIONAL
from training import evaluate, export, networks, picture_statistics, pretext
from training.data import faces, skin_pictures
from training.data.degradations import degrade
from training.data.skin_pictures import CLASSES, CLINICAL, LICENCES, Example

VERSION = "6.0.0"
VIEWS = 2  # degraded views of each training picture, beside the picture itself
ROTATION_DEG, SHIFT, ZOOM = 30.0, 0.2, (0.85, 1.2)
EPOCHS, BATCH, RATE, PATIENCE = 60, 64, 1e-3, 10
LABEL_SMOOTHING = 0.05
LEAST_DEVIATION = 1e-3  # of a feature; those that hardly change are not blown up
MOST_DEVIATIONS = 5.0  # of a training feature from its median
LEAST_PROBABILITY = 0.5  # under which no class is stated
FAMILIAR_SHARE = 0.9  # of the validation pictures lies within the distance limit
MOST_STRANGERS = 200  # of one kind
PARITY = 0.02  # largest difference of a probability that a faster arithmetic may make
WORDING = {
    "acne": "Blemishes are what this picture resembles most.",
    "healthy": "Skin without a noticeable condition is what this picture resembles most.",
}
SEED = 6


@dataclass(frozen=True, eq=False)
class Part:
    """Labelled pictures of one part of the split, with their features."""

    examples: Sequence[Example]
    features: NDArray[np.float32]  # (N, 3328)
    truth: NDArray[np.intp]  # (N,) index of the class


def main() -> None:
    options = parsed()
    options.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    examples, crops = skin_pictures.crops(options.data, options.work / "crops.npz")
    network = frozen_network(options.weights, examples, crops, options.work, options.epochs)
    backbones = opened_backbones(network, options.work)
    parts = features_of_parts(backbones, examples, crops)
    head = fit_head(network, parts["train"], parts["validation"], options.work)
    logits = {name: head.predict(part.features, verbose=0) for name, part in parts.items()}
    train = parts["train"]
    known = distribution.fit(clipped(train.features, *usual_range(train.features)), train.truth)
    card = measured_card(
        parts, logits, known, options.data, outsiders(backbones, options.data, examples, crops), options.weights
    )
    export.export(network, options.out, card, known)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SKIN_DATA", "../shared/data")))
    parser.add_argument("--weights", choices=("imagenet", "none"), default="imagenet", help="of the backbones")
    parser.add_argument("--work", type=Path, default=Path("runs/hare_run"), help="crops, features, checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/hare_run_v6_facial"), help="folder of the artefact")
    parser.add_argument("--epochs", type=int, help="of each backbone, with --weights none, other than usual")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data}: there is no such folder; name that of the pictures with --data or SKIN_DATA")
    return options


def frozen_network(
    weights: str, examples: Sequence[Example], crops: NDArray[np.uint8], work: Path, epochs: int | None
) -> keras.Model:
    """The network with trained backbones and a fresh head."""
    if weights == "none":
        files = {name: pretext.learn(name, examples, crops, work, epochs) for name in networks.BACKBONES}
        network = networks.hare_run(len(CLASSES))
        networks.take_weights(network, files)
        return network
    try:
        return networks.hare_run(len(CLASSES), weights="imagenet")
    except Exception as error:  # Keras' loader raises a plain Exception when a download fails
        raise SystemExit(
            f"The ImageNet weights could not be fetched ({error}). Connect to the internet, put them into ~/.keras/models, "
            "or train without them: --weights none."
        ) from error


def opened_backbones(network: keras.Model, work: Path) -> Network:
    """The frozen part as the service runs it, which is faster than Keras and gives the very features that it will see."""
    network.save(work / export.KERAS_FILE)
    form = keras_files.read((work / export.KERAS_FILE).read_bytes(), Path(export.KERAS_FILE).suffix)
    return runtime.load(form.xml, form.weights, threads=os.cpu_count() or 1)


def features_of(backbones: Network, pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """(N, 3328) of (224, 224, 3) uint8 pictures."""
    return np.stack([backbones(picture[None])[artefact.FEATURES][0] for picture in pictures])


def features_of_parts(backbones: Network, examples: Sequence[Example], crops: NDArray[np.uint8]) -> dict[str, Part]:
    """Features of all labelled pictures; of the training part also those of its degraded views."""
    rng = np.random.default_rng(SEED)
    parts = {}
    for part in ("train", "validation", "test"):
        rows = [row for row, one in enumerate(examples) if one.part == part and one.label]
        views = 1 + VIEWS * (part == "train")
        found = [examples[row] for _ in range(views) for row in rows]
        drawn = (moved(rng, crops[row]) if view else crops[row] for view in range(views) for row in rows)
        truth = np.array([CLASSES.index(one.label) for one in found if one.label], np.intp)
        parts[part] = Part(found, features_of(backbones, drawn), truth)
        print(part, len(found), dict(Counter(one.label for one in found)), flush=True)
    return parts


def moved(rng: np.random.Generator, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop rotated, shifted, zoomed, mirrored and degraded; never upside down."""
    side = crop.shape[0]
    matrix = cv2.getRotationMatrix2D(
        (side / 2, side / 2), float(rng.uniform(-ROTATION_DEG, ROTATION_DEG)), float(rng.uniform(*ZOOM))
    )
    matrix[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * side
    turned = cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return degrade(rng, turned[:, ::-1] if rng.random() < 0.5 else turned)


def fit_head(network: keras.Model, train: Part, validation: Part, work: Path) -> keras.Model:
    """Train the dense head on features, in place; the epoch with the best balanced validation loss is kept.

    Returns:
        Features -> logits.
    """
    given = keras.Input((train.features.shape[1],))
    head = keras.Model(given, networks.dense_head(given, len(CLASSES)))
    middle, spread = usual_range(train.features)
    head.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * (len(train.truth) // BATCH))),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
        jit_compile=False,
    )
    head.fit(
        (clipped(train.features, middle, spread) - middle) / spread,
        keras.utils.to_categorical(train.truth, len(CLASSES)),
        sample_weight=balanced_weights(train.truth),
        validation_data=(
            (clipped(validation.features, middle, spread) - middle) / spread,
            keras.utils.to_categorical(validation.truth, len(CLASSES)),
            balanced_weights(validation.truth),
        ),
        epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True),
            keras.callbacks.CSVLogger(str(work / "head.csv")),
        ],
        verbose=2,
    )
    first = head.get_layer("head_0")
    kernel, bias = first.get_weights()  # takes over the scaling, so that the network needs no layer for it
    first.set_weights([kernel / spread[:, None], bias - (middle / spread) @ kernel])
    for layer in head.layers:
        if layer.weights:
            network.get_layer(layer.name).set_weights(layer.get_weights())
    return keras.Model(given, head.get_layer("logits").output)


def usual_range(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and robust deviation (1.4826 times the median absolute deviation) of each feature."""
    middle = np.median(features, axis=0)
    return middle, 1.4826 * np.median(np.abs(features - middle), axis=0) + LEAST_DEVIATION


def clipped(
    features: NDArray[np.float32], middle: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Features brought back to the usual range, so that a few wild pictures do not rule what is fitted."""
    return np.clip(features, middle - MOST_DEVIATIONS * spread, middle + MOST_DEVIATIONS * spread)


def balanced_weights(truth: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N,) weights with which every class counts alike; their mean is 1."""
    counts = np.bincount(truth, minlength=len(CLASSES))
    return len(truth) / (np.count_nonzero(counts) * counts[truth])


def outsiders(
    backbones: Network, data: Path, examples: Sequence[Example], crops: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """Kind of picture that is none of the classes → (N, 3328) features; nothing of it was used to fit head, distance or limits."""
    rows: dict[str, list[NDArray[np.uint8]]] = {}
    for one, crop in zip(examples, crops, strict=True):
        if one.part == "test" and one.label is None and one.source != "utkface":
            rows.setdefault(f"other pictures of {one.source}", []).append(crop)
    tiles = [scene.rgb for scene in faces.faceless(data, "test") if scene.source == "tiles"]
    rows["pieces of scenes without a face"] = [preprocessing.middle(rgb) for rgb in tiles]
    selfies = sorted((data / "skin_defects").glob("*/*/front.jpg"))
    rows["phone selfies of skin_defects"] = [
        skin_pictures.face_or_middle(photo.decode(path.read_bytes()).rgb)[0] for path in selfies
    ]
    return {kind: features_of(backbones, found[:MOST_STRANGERS]) for kind, found in rows.items() if found}


def measured_card(
    parts: dict[str, Part],
    logits: dict[str, NDArray[np.float32]],
    known: Distribution,
    data: Path,
    strangers: dict[str, NDArray[np.float32]],
    weights: str,
) -> ModelCard:
    """The card, with everything that the test part shows."""
    train, validation, test = (parts[name] for name in ("train", "validation", "test"))
    heat = evaluate.temperature(logits["validation"], validation.truth, balanced_weights(validation.truth))
    shares = artefact.probabilities(logits["test"], heat)
    distances = {name: distances_of(known, part.features) for name, part in parts.items() if name != "train"}
    limit = float(np.quantile(distances["validation"], FAMILIAR_SHARE))
    statistics = {
        name: np.stack([picture_statistics.measure(data / one.path) for one in parts[name].examples[:count]])
        for name, count in (("train", len(train.examples) // (1 + VIEWS)), ("test", len(test.examples)))
    }
    guessed = picture_statistics.answers(
        statistics["train"], train.truth[: len(statistics["train"])], statistics["test"]
    )
    constant = np.full(len(test.truth), np.bincount(train.truth).argmax(), np.intp)
    answered = shares.argmax(axis=1)
    overall = figures(test, answered)
    overall["share answered"] = evaluate.metric(
        lambda rows: float(
            np.mean((shares[rows].max(axis=1) >= LEAST_PROBABILITY) & (distances["test"][rows] <= limit))
        ),
        groups_of(test),
    )
    overall |= {
        f"AUROC of the distance, {source}": stranger_auroc(
            distances["test"], distances_of(known, away), groups_of(test)
        )
        for source, away in strangers.items()
    }
    print({name: (one.value, one.interval) for name, one in overall.items()}, flush=True)
    return ModelCard(
        name=networks.NAME,
        version=VERSION,
        task=f"skin class of one face out of {len(CLASSES)}, EfficientNetB0 and ResNet50 side by side",
        classes=tuple(
            ModelClass(index, name, WORDING.get(name, SEE_A_PROFESSIONAL)) for index, name in enumerate(CLASSES)
        ),
        inputs=(ModelInput("image", (1, *[preprocessing.SIDE_PX] * 2, 3), "NHWC", "uint8", preprocessing.FACE),),
        outputs=(
            ModelOutput(artefact.FEATURES, (1, 3328), "global averages of the last maps, EfficientNetB0 then ResNet50"),
            ModelOutput(artefact.MAPS[0], (1, 7, 7, 1280), "last maps of EfficientNetB0"),
            ModelOutput(artefact.MAPS[1], (1, 7, 7, 2048), "last maps of ResNet50"),
            ModelOutput("logits", (1, len(CLASSES)), "of head.npz on the features; over the temperature, then softmax"),
        ),
        thresholds={"probability": LEAST_PROBABILITY, "distance": round(limit, 4), "parity_probability": PARITY},
        decision_rule="nothing is stated unless the most probable class reaches probability and the distance of the features does "
        "not exceed distance; classes that may not be named are then added up, and the most probable outcome is told",
        training_data=sources_of(train),
        split=Split(
            "training/data/splits.py: half of every source held out for tests, one group in twelve of the rest for validation",
            ("near-duplicates (training/data/duplicates.py)", "ACNE04: severity and number // 20", "others: file stem"),
            {name: len(part.truth) // (1 + VIEWS * (name == "train")) for name, part in parts.items()},
        ),
        metrics=Measured(overall, of_classes(test, answered), of_groups(test, answered)),
        baselines={artefact.BASELINE: figures(test, guessed), "constant": figures(test, constant)},
        calibration=Calibration(round(heat, 4), round(evaluate.expected_calibration_error(shares, test.truth), 4)),
        notes=(
            "Pictures without a face, most of the clinical ones, were cut to their middle square; the service shows aligned faces only.",
            "Healthy faces and clinical pictures come from different sources: overall accuracy says mostly how sources are told apart.",
            f"{evaluate.DRAWS} bootstrap draws of whole groups give the intervals; groups under {evaluate.TOO_FEW} pictures are left out.",
            *BACKBONE_NOTES[weights],
            "Trained on pictures for research and non-commercial use.",
        ),
        commit=export.commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


BACKBONE_NOTES = {
    "none": (
        "Backbones learned from scratch on windows of the training pictures, to tell classes within one source from each other "
        "(training/pretext.py), for few epochs; no downloaded weights. On about one picture in ten the features of ResNet50 leave "
        "their usual range; the distance makes the model abstain there.",
    ),
    "imagenet": ("Backbones with Keras' ImageNet weights, frozen.",),
}


def distances_of(known: Distribution, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.array([known.distance(one) for one in features])


def stranger_auroc(familiar: NDArray[np.float64], strange: NDArray[np.float64], groups: list[str]) -> Metric:
    """How well the distance tells pictures of another kind from those of the classes."""
    scores = np.concatenate([familiar, strange])
    is_strange = np.arange(len(scores)) >= len(familiar)
    apart = [*groups, *(f"stranger {place}" for place in range(len(strange)))]
    return evaluate.metric(evaluate.auroc(scores, is_strange), apart)


def figures(part: Part, answered: NDArray[np.intp]) -> dict[str, Metric]:
    """Metrics of one way to answer, over all test pictures and within the clinical sources."""
    truth, sources = part.truth, np.array([one.source for one in part.examples])
    clinical = np.flatnonzero(np.isin(sources, CLINICAL))
    groups = groups_of(part)
    inside = evaluate.source_matched(truth[clinical], answered[clinical], sources[clinical])
    return {
        artefact.EARNED: evaluate.metric(inside, [groups[row] for row in clinical]),
        "balanced accuracy": evaluate.metric(evaluate.balanced_accuracy(truth, answered), groups),
        "accuracy": evaluate.metric(evaluate.accuracy(truth, answered), groups),
        "macro-F1": evaluate.metric(evaluate.macro_f1(truth, answered), groups),
    }


def of_classes(part: Part, answered: NDArray[np.intp]) -> dict[str, dict[str, Metric]]:
    measures = {"recall": evaluate.recall, "precision": evaluate.precision, "specificity": evaluate.specificity}
    return {
        name: evaluate.metrics(
            {figure: measure(part.truth, answered, index) for figure, measure in measures.items()}, groups_of(part)
        )
        for index, name in enumerate(CLASSES)
    }


def of_groups(part: Part, answered: NDArray[np.intp]) -> dict[str, dict[str, Metric]]:
    """By source, by whether a face was found, and healthy faces by race."""
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(part.examples):
        rows.setdefault(f"source {one.source}", []).append(row)
        rows.setdefault("with a face" if one.has_face else "without a face", []).append(row)
        if one.race:
            rows.setdefault(f"healthy, {one.race}", []).append(row)
    measures = {
        "accuracy": evaluate.accuracy(part.truth, answered),
        "balanced accuracy": evaluate.balanced_accuracy(part.truth, answered),
    }
    return evaluate.of_groups(measures, {name: np.array(held, np.intp) for name, held in rows.items()}, groups_of(part))


def groups_of(part: Part) -> list[str]:
    return [one.group for one in part.examples]


def sources_of(train: Part) -> tuple[TrainingSource, ...]:
    own = train.examples[: len(train.examples) // (1 + VIEWS)]
    counts = Counter(one.source for one in own)
    without = Counter(one.source for one in own if not one.has_face)
    return tuple(
        TrainingSource(
            source, count, LICENCES[source], (f"{without[source]} without a face",) if without[source] else ()
        )
        for source, count in sorted(counts.items())
    )


if __name__ == "__main__":
    main()
