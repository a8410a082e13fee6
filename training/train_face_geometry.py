"""Train the face stage: a detector of boxes and a network of landmarks, and bundle both in models/face_geometry.

Run:     python -m training.train_face_geometry [--only detector|landmarks|export|card] [--data ../shared/data]
Cost:    about 40 minutes on 2 cores with nothing else running. Interrupted, it goes on where it was when run again.
Expects: utkface, acne04, dermalscan4 with face_landmarks.npz, wider, ham10000, closeups. Only the part "train" of the
         split is trained on, "validation" is printed after every epoch and used for thresholds; "test" is not read.
         `--only card` then writes into the card what `benchmarks.detection` and `benchmarks.landmarks` measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import face_crops, head_pose
from analyzer.face_crops import CROP_PX, OVERVIEW_PX
from analyzer.face_network import SHAPE, proposals
from analyzer.head_pose import Shape
from training.data import composites, faces
from training.data.composites import CANVAS_PX, Pictures
from training.data.faces import Scene
from training.data.targets import target_maps
from training.geometry import face_export, face_shape
from training.geometry import face_networks as networks

Batch = tuple[NDArray[np.float32], Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class Course:
    """How one network is trained."""

    epochs: int
    steps: int  # per epoch
    batch: int
    rate: float  # peak learning rate; rises over the first epoch, falls by a cosine


COURSES = {"detector": Course(24, 250, 32, 2.5e-3), "landmarks": Course(20, 250, 48, 2.5e-3)}
WEIGHT_DECAY = 2e-4
LARGEST_GRADIENT = 10.0  # norm
# of the landmark network's crops
CROP_SHARES = {"singles": 0.48, "portraits": 0.20, "crowds": 0.07, "faceless": 0.05, "traps": 0.20}
LEAST_CROWD_PX = 14.0  # side of the smallest face of a crowd that is shown to it
TRAP_LOGIT = -2.5  # of the detector, above which a wrong answer is worth learning from
TRAP_CANVASES, TRAP_BATCH = 3000, 64
NEAR_SIDES, ALIKE_RATIO = 0.4, 1.9  # a box nearer to a face than this, and of a size within this ratio, is no trap
VALIDATION_BATCHES = 12
MIRROR_SAMPLE = 300  # faces that show, before there is a shape, which landmarks change places in a mirror
CONFIDENCE_CANVASES = 600  # generated pictures that the confidence is fitted on, beside the real ones
SEED = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SKIN_DATA", "../shared/data")))
    parser.add_argument("--work", type=Path, default=Path("runs/face_geometry"), help="checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/face_geometry"), help="folder of the artefact")
    parser.add_argument("--only", choices=("detector", "landmarks", "export", "card"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="tables for --only card")
    parser.add_argument("--again", type=Path, help="begin with the weights of this .keras file, at half the rate")
    parser.add_argument("--epochs", type=int, help="other than usual")
    parser.add_argument("--note", action="append", default=[], help="goes into the card, such as how --again was used")
    options = parser.parse_args()
    if options.only == "card":
        record(options.out, options.results)
        return
    if not (options.data / "face_landmarks.npz").is_file():
        parser.error(f"{options.data}: expected face_landmarks.npz there; name the folder with --data or SKIN_DATA")
    cv2.setNumThreads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    shape = mean_face(options.data, options.work)
    train, validation = (gather(options.data, part, shape) for part in ("train", "validation"))
    if options.only in (None, "detector"):
        fit("detector", train, validation, options.work, options.again, options.epochs)
    if options.only in (None, "landmarks"):
        train, validation = (with_traps(pictures, options.work) for pictures in (train, validation))
        fit("landmarks", train, validation, options.work, options.again, options.epochs)
    if options.only in (None, "export"):
        export(options.work, options.out, train, validation, options.note)


def record(out: Path, results: Path) -> None:
    """Write the tables of `benchmarks.detection` and `benchmarks.landmarks` into the card."""
    tables: dict[str, Any] = {}
    for name in ("detection", "landmarks"):
        tables |= json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    card = face_export.record(out, tables)
    print(f"{out}: {sum(len(metrics) for metrics in card.metrics.groups.values())} figures of groups")


def mean_face(data: Path, work: Path) -> Shape:
    """The mean three-dimensional face of the training part; kept in `work`/shape.json."""
    path = work / SHAPE
    if not path.is_file():
        scenes = list(faces.labelled(data, "train"))
        frames = [faces.upright_frame(scene.points) for scene in scenes if scene.points is not None]
        partner = faces.mirror_order(frames[:MIRROR_SAMPLE])
        path.write_text(json.dumps(np.round(face_shape.recovered(frames, partner), 4).tolist()), encoding="utf-8")
    return np.array(json.loads(path.read_text(encoding="utf-8")))


def gather(data: Path, part: str, shape: Shape) -> Pictures:
    """All pictures of one part of the split."""
    labelled = list(faces.labelled(data, part))
    portraits = [scene for scene in labelled if scene.source != "utkface"] + list(faces.profiles(data, part, shape))
    pictures = Pictures(
        singles=[scene for scene in labelled if scene.source == "utkface"],
        portraits=portraits,
        crowds=list(faces.crowds(data, part)),
        faceless=list(faces.faceless(data, part)),
        traps=[],
        partner=head_pose.mirror_partners(shape),
    )
    counts = {name: len(getattr(pictures, name)) for name in ("singles", "portraits", "crowds", "faceless")}
    print(part, counts, flush=True)
    return pictures


def fit(name: str, train: Pictures, validation: Pictures, work: Path, again: Path | None, epochs: int | None) -> None:
    """Train one network, or go on with it; its weights end up in `work`/<name>.keras."""
    course, folder = COURSES[name], work / name
    course = replace(course, epochs=epochs or course.epochs, rate=course.rate / (1 if again is None else 2))
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    network = {"detector": networks.detector, "landmarks": networks.landmarks}[name]()
    print(f"{name}: {network.count_params()} parameters", flush=True)
    if again is not None:
        network.load_weights(again)
    network.compile(optimizer=optimizer(course), **LOSSES[name])
    make = {"detector": detector_batch, "landmarks": landmark_batch}[name]
    checked = [make(np.random.default_rng(i), validation, course.batch) for i in range(VALIDATION_BATCHES)]
    network.fit(
        Stream(make, train, course),
        epochs=course.epochs,
        validation_data=Fixed(checked),
        callbacks=[
            keras.callbacks.BackupAndRestore(str(folder / "backup"), delete_checkpoint=False),
            keras.callbacks.CSVLogger(str(folder / "log.csv"), append=True),
        ],
        verbose=2,
    )
    network.save(work / f"{name}.keras")


def export(work: Path, out: Path, train: Pictures, validation: Pictures, notes: list[str]) -> None:
    """Write the artefact: both networks compiled, the mean face, the card."""
    out.mkdir(parents=True, exist_ok=True)
    for name, side_px in (("detector", OVERVIEW_PX), ("landmarks", CROP_PX)):
        network = keras.models.load_model(work / f"{name}.keras", compile=False)
        face_export.compile_network(network, out, side_px)
    shutil.copy(work / SHAPE, out / SHAPE)
    rng = np.random.default_rng(SEED)
    # four crowds, drawn again and again, would outweigh all else
    lone = replace(validation, crowds=validation.portraits)
    drawn = [Scene("canvas", *composites.canvas(rng, lone)) for _ in range(CONFIDENCE_CANVASES)]
    card = face_export.finish(out, train, validation, drawn, notes)
    print(f"{out}: {sum(file.size_bytes for file in card.files.values()) / 1e6:.2f} MB")


def optimizer(course: Course) -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(
        course.rate / 20,
        decay_steps=course.steps * max(course.epochs - 1, 1),
        warmup_target=course.rate,
        warmup_steps=course.steps,
    )
    return keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=LARGEST_GRADIENT)


LOSSES = {
    "detector": {"loss": {f"stride_{stride}": networks.detector_loss for stride in networks.STRIDES}},
    "landmarks": {
        "loss": {"points": networks.landmark_loss, "face": keras.losses.BinaryCrossentropy(from_logits=True)},
        "metrics": {"face": keras.metrics.BinaryAccuracy(threshold=0.0)},
    },
}


def detector_batch(rng: np.random.Generator, pictures: Pictures, count: int) -> Batch:
    """Canvases (N, 192, 192, 3) float32 0..255 and their target maps."""
    drawn = [composites.canvas(rng, pictures) for _ in range(count)]
    targets = [target_maps(boxes, CANVAS_PX) for _, boxes in drawn]
    maps = {name: np.stack([target[name] for target in targets]) for name in targets[0]}
    return np.stack([rgb for rgb, _ in drawn]).astype(np.float32), maps


def landmark_batch(rng: np.random.Generator, pictures: Pictures, count: int) -> Batch:
    """Crops (N, 128, 128, 3) float32 0..255; landmarks (N, 284), nan where there are none; face or not (N, 1)."""
    kinds = rng.choice(list(CROP_SHARES), count, p=list(CROP_SHARES.values()))
    drawn = [landmark_crop(rng, pictures, kind) for kind in kinds]
    points = np.stack([found.ravel() for _, found in drawn])
    is_face = np.isin(kinds, ("singles", "portraits", "crowds")).astype(np.float32)[:, None]
    return np.stack([rgb for rgb, _ in drawn]).astype(np.float32), {"points": points, "face": is_face}


def landmark_crop(
    rng: np.random.Generator, pictures: Pictures, kind: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One crop of a kind of picture (the names of `Pictures`) and its landmarks, nan where there are none."""
    background = composites.faceless_crop(rng, pictures)
    if kind == "faceless":
        return background, np.full((networks.POINTS, 2), np.nan, np.float32)
    scenes = getattr(pictures, kind)
    scene = scenes[int(rng.integers(len(scenes)))]
    if kind == "crowds":
        scene = one_of(rng, scene)
    return composites.crop(rng, scene, pictures.partner, background)


def one_of(rng: np.random.Generator, scene: Scene) -> Scene:
    """A scene with one of its larger faces only."""
    large = np.flatnonzero(scene.boxes[:, 2] >= LEAST_CROWD_PX)
    chosen = int(rng.choice(large)) if len(large) else int(scene.boxes[:, 2].argmax())
    return replace(scene, boxes=scene.boxes[chosen : chosen + 1])


def with_traps(pictures: Pictures, work: Path) -> Pictures:
    """The pictures with the places where the trained detector is wrong, for the landmark network to learn to refuse."""
    detector = keras.models.load_model(work / "detector.keras", compile=False)
    rng = np.random.default_rng(SEED)
    drawn = [Scene("canvas", *composites.canvas(rng, pictures)) for _ in range(TRAP_CANVASES)]
    scenes = [*pictures.faceless, *pictures.crowds, *pictures.portraits, *drawn]
    traps: list[Scene] = []
    for start in range(0, len(scenes), TRAP_BATCH):
        part = scenes[start : start + TRAP_BATCH]
        seen = [face_crops.overview(scene.rgb, CANVAS_PX) for scene in part]
        maps = detector.predict_on_batch(np.stack([small for small, _ in seen]).astype(np.float32))
        for row, (scene, (_, scale)) in enumerate(zip(part, seen, strict=True)):
            boxes, _ = proposals({name: answers[row : row + 1] for name, answers in maps.items()}, TRAP_LOGIT)
            boxes[:, :3] /= scale
            traps += [Scene(scene.source, scene.rgb, box[None]) for box in boxes if is_wrong(box, scene.boxes)]
    print(f"{len(traps)} places where the detector is wrong", flush=True)
    return replace(pictures, traps=traps)


def is_wrong(box: NDArray[np.float32], faces_there: NDArray[np.float32]) -> bool:
    """The box is none of the true ones, nor like one; parts of faces are wrong."""
    away = np.hypot(*(faces_there[:, :2] - box[:2]).T) / np.maximum(faces_there[:, 2], box[2])
    ratio = np.abs(np.log(faces_there[:, 2] / box[2]))
    return not bool(((away < NEAR_SIDES) & (ratio < math.log(ALIKE_RATIO))).any())


class Stream(keras.utils.PyDataset):
    """Batches that are drawn anew all the time, each from its own seed."""

    def __init__(self, make: Callable[..., Batch], pictures: Pictures, course: Course) -> None:
        super().__init__(workers=1, max_queue_size=12)
        self.make, self.pictures, self.course, self.epoch = make, pictures, course, 0

    def __len__(self) -> int:
        return self.course.steps

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng((SEED, self.epoch, index, os.getpid()))
        return self.make(rng, self.pictures, self.course.batch)

    def on_epoch_end(self) -> None:
        self.epoch += 1


class Fixed(keras.utils.PyDataset):
    """The same few batches every time."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


if __name__ == "__main__":
    main()
