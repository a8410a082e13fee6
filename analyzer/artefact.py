"""Artefacts in use: files verified, compiled, tried on golden pictures, then run for predictions.

Nothing is opened before its sha256 matched the card. An artefact that answers the golden pictures otherwise than its
training script stored is refused, and a faster arithmetic that differs too much is left alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from analyzer import distribution, head, keras_files, model_card, preprocessing, runtime, severity
from analyzer.combination import condition_of, outcome_of
from analyzer.distribution import Distribution
from analyzer.errors import BadModel
from analyzer.head import Head
from analyzer.model_card import MULTILABEL, ONE_CLASS, SEVERITIES, Metric, ModelCard, ModelClass
from analyzer.runtime import Network
from analyzer.settings import CORES
from analyzer.values import Demographics, Prediction, Rgb
from analyzer.wording import SEE_A_PROFESSIONAL

NETWORK, INT8 = "network", "network_int8"  # .xml and .bin
HEAD, DISTRIBUTION, GOLDEN = "head.npz", "distribution.npz", "golden.npz"
MAPS_ENDING = "_maps"  # of the outputs that are the last maps of a backbone, in the order of the features
MAPS = ("efficientnet_maps", "resnet_maps")  # of the networks that are trained here
FEATURES = "features"
PRECISIONS = ("int8", "bf16", "f32")  # fastest first
EARNED = "source-matched balanced accuracy"  # what decides whether a model speaks
BASELINE = "picture statistics"
GENERATED = "generated pictures"  # flag of a training source
DEFAULT_THRESHOLDS = {"probability": 0.5, "parity_probability": 0.02}  # of a file without a card
IMAGENET_CLASSES = 1000
NO_TOP = "Build the backbone with include_top=False, train a head for the skin classes, and save the network anew."
NAME_CLASSES = (
    "Name as many classes as the network has outputs, in their order: MODEL_CLASSES of a bare file, else the card."
)
OTHER_WIDTH = "Give the second input the 12 numbers of analyzer.preprocessing.demographics_vector, or leave it out."
HINT = "Fetch the artefact again, or make it anew with its training script."

log = logging.getLogger("analyzer.artefact")


@dataclass(frozen=True, eq=False)
class Golden:
    """Drawn pictures and what the training script's own network answered to them."""

    pictures: NDArray[np.uint8]  # (N, side, side, 3)
    logits: NDArray[np.float32]  # (N, outputs of the head)


@dataclass(frozen=True, eq=False)
class Artefact:
    """A model that passed its self-test, for any number of threads.

    Attributes:
        precision: of the backbones' arithmetic: ``"f32"``, ``"bf16"`` or ``"int8"``.
        self_test: what the golden pictures showed, for operators.
        sha256: of the file that holds the weights.
    """

    card: ModelCard
    network: Network
    head: Head
    distribution: Distribution | None
    precision: str
    self_test: str
    sha256: str

    def predict(self, picture: Rgb, demographics: Demographics) -> Prediction:
        """Return the answer to one face.

        Args:
            picture: (S, S, 3) uint8, such as `preprocessing.inner_square`; brought to the side that the network takes.
            demographics: self-reported; ignored by an artefact without that input, zeros where nothing was said.
        """
        answers = self.network(preprocessing.fitted(picture, self.side_px)[None])
        features = answers[FEATURES][0]
        said = preprocessing.demographics_vector(demographics) if self.head.inputs > features.size else features[:0]
        known = np.concatenate([features, said])
        logits, names = self.head.logits(known), [entry.name for entry in self.card.classes]
        grades = None
        if self.card.output_kind == SEVERITIES:
            grades = severity.grades(logits, names, self.card.thresholds, self.temperature)
        maps = [answers[name][0] for name in self.network.outputs if name.endswith(MAPS_ENDING)]
        silence = silence_reason(self.card)
        return Prediction(
            version=self.card.version,
            probabilities=dict(zip(names, map(float, self.shares(logits)), strict=False)),
            wordings={entry.name: entry.wording for entry in self.card.classes},
            threshold=None if grades else self.card.thresholds.get("probability", DEFAULT_THRESHOLDS["probability"]),
            distance=None if self.distribution is None else self.distribution.distance(features),
            distance_limit=self.card.thresholds.get("distance"),
            speaks=silence is None,
            silence_reason=silence,
            activation=partial(_activation, self.head, known, maps, names),
            grades=grades,
            independent=self.card.output_kind == MULTILABEL,
        )

    def shares(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (…, N) all probabilities that the head's outputs come to: first one for each class."""
        if self.card.output_kind == MULTILABEL:
            return np.asarray(expit(np.asarray(logits, np.float64) / self.temperature))
        if self.card.output_kind == SEVERITIES:
            return severity.all_shares(logits, len(self.card.classes), self.temperature)
        return probabilities(logits, self.temperature)

    @property
    def side_px(self) -> int:
        """Side of the picture that the network takes."""
        return _side_px(self.network)

    @property
    def temperature(self) -> float:
        return self.card.calibration.temperature if self.card.calibration else 1.0

    def describe(self) -> dict[str, Any]:
        """What model-status and `model_info` say of it, from the card alone."""
        overall, card = self.card.metrics.overall, self.card
        size_mb = sum(file.size_bytes for file in card.files.values() if file.serving) / 1e6
        return {
            "version": card.version,
            "accuracy": _told(overall.get(EARNED), GENERATED if is_of_generated(card) else "pictures"),
            "classes": len(card.classes),
            "labels": [entry.name for entry in card.classes],
            "model_size": f"{size_mb:.0f} MB",
            "size": round(size_mb, 1),
            "features": card.task,
            "type": "facial",
            "sha256": self.sha256,
            "metrics": asdict(card.metrics)["overall"],
            "self_test": self.self_test.partition(": ")[0],
            "self_test_detail": self.self_test.partition(": ")[2],
            "precision": self.precision,
        }


def open_folder(folder: Path, *, precision: str = "auto", threads: int = CORES) -> Artefact:
    """The artefact of a folder with a card.

    Args:
        precision: ``"auto"`` takes the fastest that answers the golden pictures as stored; or one of `PRECISIONS`, which is
            then tried before f32.
        threads: of one prediction.

    Raises:
        ModelUnavailable: there is no card.
        BadModel: a file is missing, damaged, of another shape, or answers otherwise than it should.
    """
    card = model_card.read(folder)
    read = partial(model_card.verified_bytes, card, folder)
    if f"{NETWORK}.xml" in card.files:
        dense = head.read(read(HEAD))
        forms = {"f32": NETWORK, "bf16": NETWORK} | ({"int8": INT8} if f"{INT8}.xml" in card.files else {})
        makers = {
            name: partial(_compiled, read, form, name, threads)
            for name, form in sorted(forms.items(), key=lambda entry: PRECISIONS.index(entry[0]))
        }
        weights = f"{NETWORK}.bin"
    else:
        weights = _keras_name(card)
        form = keras_files.read(read(weights), Path(weights).suffix)
        dense = head.of_layers(form.head, form.activations)
        makers = {
            name: partial(runtime.load, form.xml, form.weights, threads=threads, precision=name)
            for name in ("bf16", "f32")
        }
    known = distribution.read(read(DISTRIBUTION), _feature_count(card, dense)) if DISTRIBUTION in card.files else None
    golden = _golden(read(GOLDEN), dense) if GOLDEN in card.files else None
    return _tried(card, dense, known, golden, makers, precision, card.files[weights].sha256)


def open_bare(
    data: bytes, suffix: str, sha256: str, classes: Sequence[str], *, precision: str = "auto", threads: int = CORES
) -> Artefact:
    """Return the artefact of a Keras file without a card. Nothing is known of how good it is, so that it never speaks.

    Args:
        data: verified bytes of the file.
        suffix: ``".keras"`` or ``".h5"``.
        sha256: theirs.
        classes: names in the order of the outputs.

    Raises:
        BadModel: the file is damaged, of another shape, or has another number of classes.
    """
    form = keras_files.read(data, suffix)
    dense = head.of_layers(form.head, form.activations)
    card = bare_card(sha256, len(data), suffix, classes, MULTILABEL if form.is_multilabel else ONE_CLASS)
    makers = {"f32": partial(runtime.load, form.xml, form.weights, threads=threads, precision="f32")}
    return _tried(card, dense, None, None, makers, precision, sha256)


def silence_reason(card: ModelCard) -> str | None:
    """Why a model may not speak, for people; None when it may: better than picture statistics, with intervals apart.

    What learned from generated pictures alone was measured on such ones: whatever its figures, they say nothing of photos.
    """
    if is_of_generated(card):
        return "It learned from generated pictures and was not measured on photos of people."
    earned = card.metrics.overall.get(EARNED)
    baseline = card.baselines.get(BASELINE, {}).get(EARNED)
    if earned is None or earned.interval is None or baseline is None or baseline.interval is None:
        return "It was not measured how much better this model is than picture statistics alone."
    if earned.interval[0] > baseline.interval[1]:
        return None
    worse = earned.interval[1] < baseline.interval[0]
    return (
        f"On pictures of the same sources this model ({_interval(earned)}) is {'worse' if worse else 'not clearly better'} than "
        f"picture statistics alone ({_interval(baseline)})."
    )


def is_of_generated(card: ModelCard) -> bool:
    """Whether all that a model learned from, and was measured on, are generated pictures."""
    return bool(card.training_data) and all(GENERATED in source.flags for source in card.training_data)


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Softmax of logits over a temperature (Guo et al., ICML 2017), along the last axis."""
    scaled = np.asarray(logits, np.float64) / temperature
    shares = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def bare_card(
    sha256: str, size_bytes: int, suffix: str, classes: Sequence[str], output_kind: str = ONE_CLASS
) -> ModelCard:
    """Return what can be said of a file without a card: its hash, and the class names that the settings give."""
    return ModelCard(
        name="bare",
        version=f"sha256-{sha256[:12]}",
        task="skin classes of one face",
        output_kind=output_kind,
        classes=tuple(
            ModelClass(index, name, None if outcome_of(name) == name else SEE_A_PROFESSIONAL)
            for index, name in enumerate(classes)
        ),
        inputs=(),
        outputs=(),
        thresholds=DEFAULT_THRESHOLDS,
        decision_rule="the most probable class where it reaches probability",
        training_data=(),
        split=model_card.Split("unknown", (), {}),
        metrics=model_card.Measured({}, {}, {}),
        baselines={},
        calibration=None,
        notes=("A bare Keras file: nothing is known of its training.",),
        commit="unknown",
        created="1970-01-01T00:00:00+00:00",
        files={f"model{suffix}": model_card.ModelFile(sha256, size_bytes)},
    )


def _tried(
    card: ModelCard,
    dense: Head,
    known: Distribution | None,
    golden: Golden | None,
    makers: Mapping[str, Callable[[], Network]],
    precision: str,
    sha256: str,
) -> Artefact:
    """The first precision that passes; f32 must, or the artefact is refused."""
    _check_head(dense, card)
    wanted = PRECISIONS if precision == "auto" else (precision, "f32")
    for name, make in makers.items():
        if name not in wanted or (name != "f32" and golden is None):
            continue
        network = make()
        _check_shape(network, card)
        used = name if name == "int8" else network.precision  # f32 where the host has no bf16
        candidate = Artefact(card, network, dense, known, used, "", sha256)
        passed, told = _self_test(candidate, golden)
        if passed:
            return replace(candidate, self_test=told)
        log.warning("parity_failed: %s of %s: %s", name, card.name, told)
    raise BadModel(f"The artefact {card.name} {card.version} failed its self-test: {told}.", HINT)


def _self_test(candidate: Artefact, golden: Golden | None) -> tuple[bool, str]:
    """Whether it answers the golden pictures as stored, and a sentence."""
    side_px = candidate.side_px
    pictures = np.full((1, side_px, side_px, 3), 128, np.uint8) if golden is None else golden.pictures
    features = [candidate.network(picture[None])[FEATURES][0] for picture in pictures]
    width = candidate.head.inputs - features[0].size
    if width not in (0, preprocessing.DEMOGRAPHICS_WIDTH):
        raise BadModel(
            f"The head takes {candidate.head.inputs} numbers and there are {features[0].size} features.", OTHER_WIDTH
        )
    unsaid = np.zeros(width, np.float32)
    logits = np.stack([candidate.head.logits(np.concatenate([one, unsaid])) for one in features])
    if not np.isfinite(logits).all():
        return False, "answers that are not finite"
    if golden is None:
        return True, "passed: answers are finite; there are no golden pictures"
    stored, answered = (candidate.shares(array) for array in (golden.logits, logits))
    difference = float(np.abs(stored - answered).max())
    limit = candidate.card.thresholds.get("parity_probability", DEFAULT_THRESHOLDS["parity_probability"])
    told = f"{len(pictures)} golden pictures, probabilities differ by {difference:.2g} at most (limit {limit:g})"
    return difference <= limit, f"passed: {told}" if difference <= limit else told


def _compiled(read: Callable[[str], bytes], form: str, precision: str, threads: int) -> Network:
    arithmetic = "f32" if precision == "int8" else precision  # int8 stands in the graph itself
    return runtime.load(read(f"{form}.xml"), read(f"{form}.bin"), threads=threads, precision=arithmetic)


def _check_head(dense: Head, card: ModelCard) -> None:
    """Check that the head answers what the card says."""
    count = len(card.classes)
    if card.output_kind in (ONE_CLASS, MULTILABEL) and dense.classes != count:
        is_imagenet = dense.classes == IMAGENET_CLASSES
        whose = ", those of ImageNet," if is_imagenet else ""
        message = f"The network answers {dense.classes} classes{whose} and {count} are named."
        raise BadModel(message, NO_TOP if is_imagenet else NAME_CLASSES)
    if card.output_kind == SEVERITIES and not severity.fits(dense.classes, count):
        raise BadModel(f"The head has {dense.classes} outputs, which are not those of {count} graded classes.", HINT)
    if card.output_kind == SEVERITIES and not any(condition_of(entry.name) for entry in card.classes):
        raise BadModel("None of the graded classes is a condition that this service knows.", HINT)
    if card.output_kind not in (ONE_CLASS, MULTILABEL, SEVERITIES):
        raise BadModel(f"The artefact {card.name} is no ensemble: its output kind is {card.output_kind}.", HINT)


def _check_shape(network: Network, card: ModelCard) -> None:
    """The network takes one picture, and gives features and maps."""
    shape = next(iter(network.inputs.values()))[0]
    if (
        len(network.inputs) != 1
        or len(shape) != 4
        or FEATURES not in network.outputs
        or not any(name.endswith(MAPS_ENDING) for name in network.outputs)
    ):
        raise BadModel(f"The network of {card.name} does not take a picture and give {FEATURES} and maps.", HINT)


def _side_px(network: Network) -> int:
    return next(iter(network.inputs.values()))[0][1] or preprocessing.SIDE_PX


def _feature_count(card: ModelCard, dense: Head) -> int:
    """Of the head's inputs without the demographics."""
    takes_demographics = any(entry.name == "demographics" for entry in card.inputs)
    return dense.inputs - (preprocessing.DEMOGRAPHICS_WIDTH if takes_demographics else 0)


def _golden(data: bytes, dense: Head) -> Golden:
    arrays = head.read_arrays(data, GOLDEN)
    pictures, logits = arrays.get("pictures"), arrays.get("logits")
    if (
        pictures is None
        or logits is None
        or pictures.dtype != np.uint8
        or pictures.ndim != 4
        or not len(pictures)
        or logits.shape != (len(pictures), dense.classes)
    ):
        raise BadModel(f"{GOLDEN} does not hold pictures and their logits.", HINT)
    return Golden(pictures, logits.astype(np.float32))


def _keras_name(card: ModelCard) -> str:
    """The Keras file of a card without a compiled form."""
    names = [name for name in card.files if Path(name).suffix in keras_files.SUFFIXES]
    if not names:
        raise BadModel(f"The card of {card.name} names neither {NETWORK}.xml nor a Keras file.", HINT)
    return names[0]


def _activation(
    dense: Head, known: NDArray[np.float32], maps: Sequence[NDArray[np.float32]], names: Sequence[str], name: str
) -> NDArray[np.float32]:
    return head.activation_map(maps, dense.gradient(known, names.index(name)))


def _told(figure: Metric | None, what: str) -> str | None:
    """A figure with what it was measured on, for people."""
    if figure is None:
        return None
    return f"{EARNED} {_interval(figure)} on {figure.count} held-out {what}, their classes told apart within one source"


def _interval(figure: Metric) -> str:
    if figure.interval is None or not math.isfinite(figure.value):
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f}, 95 % interval {figure.interval[0]:.2f} to {figure.interval[1]:.2f}"
