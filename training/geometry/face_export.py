"""Trained face networks -> models/face_geometry: the compiled form, numbers of the confidence, and the card."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from analyzer import face_crops, face_network, model_card, runtime
from analyzer.face_network import FaceNetwork, Seen
from analyzer.model_card import Measured, Metric, ModelCard, ModelInput, ModelOutput, Split, TrainingSource
from training.data.composites import Pictures
from training.data.faces import Scene

if TYPE_CHECKING:
    import keras

NAME, VERSION = "face_geometry", "1.0.0"
PROPOSAL_LOGIT = -1.5  # of the detector; what is above is looked at closely
# on the validation part it costs no UTKFace face and one of 60 portraits; a cat and a cup stay below
LEAST_CONFIDENCE = 0.9
# a right box: centre off by at most this many true sides, size within this ratio
RIGHT_SHIFT, RIGHT_SIZES = 0.3, (0.6, 1.6)
LEAST_SHARE = 0.08  # side of the smallest face that is looked for, of the long side of the picture
RIDGE = 1e-3
NUMBER = re.compile(r"\d+\.\d+")
LICENCES = {
    "utkface": "non-commercial research",
    "acne04": "CC BY 4.0, as the uploader states",
    "dermalscan4": "scraped, unclear",
    "profiles": "CC BY 4.0, as the uploader states",
    "wider": "research",
    "ham10000": "CC BY-NC 4.0",
    "closeups": "unclear",
    "tiles": "research",
}


def compile_network(network: keras.Model, folder: Path, side_px: int) -> None:
    """Write `<name>.xml` and `<name>.bin`: weights as f16, input uint8 (1, side, side, 3)."""
    openvino = runtime.openvino()
    from openvino.preprocess import PrePostProcessor
    from openvino.tools.ovc import convert_model

    model = convert_model(network)
    model.reshape([1, side_px, side_px, 3])
    prepared = PrePostProcessor(model)
    prepared.input().tensor().set_element_type(openvino.Type.u8)
    openvino.save_model(prepared.build(), folder / f"{network.name}.xml", compress_to_fp16=True)


def finish(
    folder: Path, train: Pictures, validation: Pictures, canvases: Sequence[Scene], notes: Sequence[str]
) -> ModelCard:
    """Fit the confidence on the validation part, and write the card beside the files that lie in the folder."""
    files = [f"{name}.{kind}" for name in ("detector", "landmarks") for kind in ("xml", "bin")] + [face_network.SHAPE]
    draft = model_card.write(_card(train, validation, {}, notes), folder, files)
    stage = face_network.load(folder)
    rows = [row for scene in (*scenes_of(validation), *canvases) for row in judged(stage, scene)]
    numbers = fit_confidence(np.array(rows))
    return model_card.write(_card(train, validation, numbers, notes, draft), folder, files)


def record(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> ModelCard:
    """Write what the benchmarks measured into the card of an artefact.

    Args:
        folder: of the artefact.
        tables: of `benchmarks.detection` and `benchmarks.landmarks`, both stages.
    """
    card = model_card.read(folder)
    learned, haar = measured_of("network", tables), measured_of("haar", tables)
    baselines = {f"haar, {group}": metrics for group, metrics in haar.items()}
    metrics = Measured(learned.pop("all"), {}, learned)
    return model_card.write(replace(card, metrics=metrics, baselines=baselines), folder, list(card.files))


def measured_of(stage: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Metric]]:
    """Group of pictures (``"all"`` among them) → metrics of one stage."""
    found: dict[str, dict[str, Metric]] = {"all": {}}
    for row in tables["recall"]:
        group = f"{row['source']}, {row['group']}"
        found.setdefault(group, {})["recall"] = metric(row[f"{stage}_right"], row["pictures"])
    for name, figure in (("landmark_error", "landmark error, diagonals"), ("polygon_agreement", "polygon IoU")):
        for row in tables[name]:
            if row["stage"] == stage:
                found.setdefault(row["faces of"], {})[figure] = metric(row["mean"], row["faces"] - row["not_found"])
    return {group: {name: one for name, one in rows.items() if one} for group, rows in found.items()}


def metric(text: str, count: int) -> Metric | None:
    """A figure as the tables write it, ``"0.944 [0.902, 0.968]"``; None for ``"-"``."""
    numbers = [float(number) for number in NUMBER.findall(text)]
    return Metric(numbers[0], (numbers[1], numbers[2]), count) if len(numbers) == 3 else None


def scenes_of(pictures: Pictures) -> Iterator[Scene]:
    for group in (pictures.singles, pictures.portraits, pictures.crowds, pictures.faceless):
        yield from group


def judged(stage: FaceNetwork, scene: Scene) -> Iterator[tuple[float, float, float]]:
    """Both logits of every proposal in a picture, and 1 where it is a face; faces that are too small to be looked for count not."""
    small = scene.boxes[:, 2] < LEAST_SHARE * max(scene.rgb.shape[:2])
    for seen in stage.look(scene.rgb):
        if not is_right(seen, scene.boxes[small]):
            yield seen.proposed_logit, seen.face_logit, float(is_right(seen, scene.boxes[~small]))


def is_right(seen: Seen, boxes: NDArray[np.float32]) -> bool:
    """The proposal is one of the true boxes (centre x, centre y, side, roll)."""
    x, y, side, _ = face_crops.box_of(seen.points)
    away = np.hypot(boxes[:, 0] - x, boxes[:, 1] - y) / boxes[:, 2]
    ratio = side / boxes[:, 2]
    return bool(((away < RIGHT_SHIFT) & (ratio > RIGHT_SIZES[0]) & (ratio < RIGHT_SIZES[1])).any())


def fit_confidence(rows: NDArray[np.float64]) -> dict[str, float]:
    """Logistic regression of right (last column) on both logits."""
    x, y = np.column_stack([np.ones(len(rows)), rows[:, :2]]), rows[:, 2]

    def loss(weights: NDArray[np.float64]) -> float:
        z = x @ weights
        return float(np.mean(np.logaddexp(0, z) - y * z) + RIDGE * (weights[1:] ** 2).sum())

    names = ("confidence_intercept", "confidence_per_proposal_logit", "confidence_per_face_logit")
    weights = minimize(loss, np.zeros(3), bounds=[(None, None), (0, None), (0, None)], method="L-BFGS-B").x
    print(f"confidence: {len(y)} proposals, {int(y.sum())} right", dict(zip(names, weights.round(3), strict=True)))
    return {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)}


def _card(
    train: Pictures,
    validation: Pictures,
    numbers: Mapping[str, float],
    notes: Sequence[str],
    draft: ModelCard | None = None,
) -> ModelCard:
    return ModelCard(
        name=NAME,
        version=VERSION,
        task="faces in a picture: boxes of any roll, 142 landmarks, confidence",
        output_kind=model_card.FACES,
        classes=(),
        inputs=(
            ModelInput("picture", (1, *[face_crops.OVERVIEW_PX] * 2, 3), "NHWC", "uint8", "face_crops.overview"),
            ModelInput("crop", (1, *[face_crops.CROP_PX] * 2, 3), "NHWC", "uint8", "face_crops.upright_crop"),
        ),
        outputs=(
            *[
                ModelOutput(
                    f"stride_{stride}",
                    (1, face_crops.OVERVIEW_PX // stride, face_crops.OVERVIEW_PX // stride, 6),
                    "logit, centre offset x and y in strides, log of side over four strides, cosine and sine of roll",
                )
                for stride in face_network.STRIDES
            ],
            ModelOutput("points", (1, 284), "x, y of 142 landmarks in crop sides from the middle of the crop"),
            ModelOutput("face", (1, 1), "logit that the crop shows a face"),
        ),
        thresholds={
            "proposal_logit": PROPOSAL_LOGIT,
            "confidence": LEAST_CONFIDENCE,
            "confidence_intercept": 0.0,
            "confidence_per_proposal_logit": 0.5,
            "confidence_per_face_logit": 0.5,
            **numbers,
        },
        decision_rule="a proposal above proposal_logit is a face when its confidence, logistic in both logits, reaches confidence",
        training_data=tuple(_sources(train)),
        split=Split(
            "training/data/splits.py: half of every source held out for tests, one group in twelve of the rest for validation",
            ("ACNE04: severity and number // 20", "HAM10000: lesion_id", "others: file stem"),
            {
                "train": sum(1 for _ in scenes_of(train)),
                "validation": sum(1 for _ in scenes_of(validation)),
            },
        ),
        metrics=Measured({}, {}, {}),
        baselines={},
        calibration=None,
        notes=(
            "Landmarks were learned from another network's answers: they share its habits, such as an oval below the hair line.",
            "Strong profiles were learned from the training part of 104 ACNE04 faces marked by eye, a mean face laid over the marks.",
            "Trained on pictures for research and non-commercial use.",
            *notes,
        ),
        commit=_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds") if draft is None else draft.created,
    )


def _sources(pictures: Pictures) -> Iterator[TrainingSource]:
    names = [scene.source for scene in scenes_of(pictures)]
    for name in dict.fromkeys(names):
        flags = ("no faces",) if name in ("ham10000", "closeups", "tiles") else ()
        yield TrainingSource(name, names.count(name), LICENCES[name], flags)


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
