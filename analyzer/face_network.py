"""rgb -> faces by the two networks of `models/face_geometry`: boxes of any roll, landmarks, pose, a calibrated confidence.

The detector looks once at a small copy of the whole picture. Around each box that it proposes, an upright crop of the
picture goes through the landmark network, which places 142 points and tells whether it sees a face; a second crop, around
those points, and its mirror image place them again. Both networks' logits make the confidence (logistic, numbers in the card).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import card_fields, face_crops, geometry, head_pose, model_card, runtime, settings
from analyzer.errors import BadModel
from analyzer.face_crops import CROP_PX, FaceBox
from analyzer.head_pose import Shape
from analyzer.model_card import ModelCard
from analyzer.runtime import Network
from analyzer.values import Box, Face, Points, Rgb

DETECTOR, LANDMARKS, SHAPE = "detector", "landmarks", "shape.json"
STRIDES = (8, 16, 32)  # of the detector's maps
SIDE_UNIT = 4.0  # strides: what the map's log side is relative to
SAME_PLACE = 0.5  # overlap above which two boxes mean one face, or a part of it
ALIKE_LOG_SIDE = math.log(1.5)  # answers whose sides differ by less are averaged
DOUBTFUL_LOGIT = 4.5  # that a crop shows a face; 99 % of the faces of the validation part lie above
LIKELY_LOGIT = -0.5  # of the detector; below, a doubtful crop is not looked at again (1st percentile of faces: 1.4)
SMALLER = 0.6  # times the side: the detector takes small faces for larger
MOST_PROPOSED = 12  # boxes that are looked at closely
MOST_FACES = 8


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks make of one proposal."""

    points: Points  # (142, 2) in picture pixels
    proposed_logit: float
    face_logit: float


@dataclass(frozen=True, eq=False)
class FaceNetwork:
    """The loaded stage.

    Attributes:
        detector: picture (1, S, S, 3) → maps (1, S / stride, S / stride, 6).
        landmarks: crop (1, 128, 128, 3) → points (1, 284) in crop sides from the middle, face (1, 1) logit.
        shape: (142, 3) mean face.
        partner: of each landmark the one that takes its place in a mirrored picture.
        card: of the artefact.
    """

    detector: Network
    landmarks: Network
    shape: Shape
    partner: NDArray[np.intp]
    card: ModelCard

    @property
    def version(self) -> str:
        return self.card.version

    def detect(self, rgb: Rgb, least_confidence: float | None = None) -> tuple[Face, ...]:
        """Faces of a picture, best first (confidence times area), all with landmarks.

        Args:
            rgb: (H, W, 3) uint8 sRGB.
            least_confidence: below it nothing counts as a face; default: the card's.

        Returns:
            Faces in pixels of `rgb`; empty when none was found.
        """
        least = self.card.thresholds["confidence"] if least_confidence is None else least_confidence
        faces = [self._face(seen) for seen in self.look(rgb)]
        faces = [face for face in distinct(faces) if face.confidence >= least]
        return tuple(sorted(faces, key=lambda face: -face.confidence * face.box.area)[:MOST_FACES])

    def look(self, rgb: Rgb) -> Iterator[Seen]:
        """Every proposal of the detector, looked at closely."""
        copy, shrunk = face_crops.working_copy(rgb)
        small, scale = face_crops.overview(copy)
        maps = self.detector(small[None])
        boxes, logits = proposals(maps, self.card.thresholds["proposal_logit"])
        for box, logit in zip(boxes, logits, strict=True):
            box[:3] /= scale
            picture, factor = (copy, shrunk) if box[2] >= face_crops.FULL_DETAIL_PX else (rgb, 1.0)
            box[:3] *= factor / shrunk
            points, face_logit = self._look_closely(picture, box, float(logit))
            yield Seen(points / np.float32(factor), float(logit), face_logit)

    def _look_closely(self, rgb: Rgb, box: FaceBox, logit: float) -> tuple[Points, float]:
        """Landmarks and the logit that a face is there; doubtful crops are looked at otherwise, too."""
        points, face_logit = self._look_twice(rgb, box)
        if face_logit < DOUBTFUL_LOGIT and logit > LIKELY_LOGIT:
            return max([(points, face_logit), self._look_elsewise(rgb, box)], key=lambda seen: seen[1])
        return points, face_logit

    def _look_twice(self, rgb: Rgb, box: FaceBox) -> tuple[Points, float]:
        """Landmarks of a crop around the box, then of one around these landmarks: the mean of it and its mirror image."""
        points, _ = self._place(face_crops.upright_crop(rgb, box), box)
        box = face_crops.box_of(points)
        crop = face_crops.upright_crop(rgb, box)
        (points, logit), (others, other_logit) = self._place(crop, box), self._place(crop, box, mirrored=True)
        return np.asarray((points + others) / 2, np.float32), (logit + other_logit) / 2

    def _look_elsewise(self, rgb: Rgb, box: FaceBox) -> tuple[Points, float]:
        """The same with the box that shows most of a face of those that the detector may have meant: turned by quarters, smaller."""
        others = [
            box * np.array([1, 1, zoom, 1], np.float32) + np.array([0, 0, 0, quarter * math.pi / 2], np.float32)
            for zoom in (1.0, SMALLER)
            for quarter in range(4)
        ]
        return self._look_twice(
            rgb, max(others[1:], key=lambda other: self._place(face_crops.upright_crop(rgb, other), other)[1])
        )

    def _place(self, crop: Rgb, box: FaceBox, *, mirrored: bool = False) -> tuple[Points, float]:
        """Landmarks in picture pixels and the logit that the crop around a box shows a face."""
        out = self.landmarks(np.ascontiguousarray(crop[:, ::-1] if mirrored else crop)[None])
        points = out["points"].reshape(-1, 2)
        if mirrored:
            points = points[self.partner] * np.array([-1, 1], np.float32)
        to_picture = cv2.invertAffineTransform(face_crops.crop_matrix(box))
        return geometry.transform(to_picture, (points + 0.5) * CROP_PX), float(out["face"][0, 0])

    def _face(self, seen: Seen) -> Face:
        x, y, side, roll = (float(value) for value in face_crops.box_of(seen.points))
        groups = {name: seen.points[part] for name, part in geometry.GROUPS.items()}
        return Face(
            box=Box(x - side / 2, y - side / 2, side, side),
            confidence=self.confidence(seen),
            eyes=np.stack([groups["right_eye"].mean(axis=0), groups["left_eye"].mean(axis=0)]),
            roll_deg=math.degrees(roll),
            method="network",
            yaw_deg=float(np.clip(head_pose.pose(seen.points, self.shape).yaw_deg, -90.0, 90.0)),
            landmarks=groups,
        )

    def confidence(self, seen: Seen) -> float:
        """Probability that the proposal is a face: logistic in both logits, fitted on the validation part of the split."""
        numbers = self.card.thresholds
        z = numbers["confidence_intercept"]
        z += numbers["confidence_per_proposal_logit"] * seen.proposed_logit
        z += numbers["confidence_per_face_logit"] * seen.face_logit
        return 1.0 / (1.0 + math.exp(-min(max(z, -30.0), 30.0)))


def load(folder: Path) -> FaceNetwork:
    """The stage of an artefact folder.

    Raises:
        ModelUnavailable: there is no artefact.
        BadModel: it is damaged or does not fit.
    """
    card = model_card.read(folder)
    if card.output_kind != model_card.FACES:
        raise BadModel(f"{folder.name} answers {card.output_kind}, not faces.", card_fields.HINT)
    detector, landmarks = (
        runtime.load(
            model_card.verified_bytes(card, folder, f"{name}.xml"),
            model_card.verified_bytes(card, folder, f"{name}.bin"),
            threads=settings.CORES,
        )
        for name in (DETECTOR, LANDMARKS)
    )
    shape = np.array(json.loads(model_card.verified_bytes(card, folder, SHAPE)), float)
    return FaceNetwork(detector, landmarks, shape, head_pose.mirror_partners(shape), card)


def proposals(
    maps: dict[str, NDArray[np.float32]], least_logit: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (N, 4) in overview pixels and their logits (N,), best first; overlapping answers are averaged."""
    found = np.concatenate([decoded(maps[f"stride_{stride}"][0], stride, least_logit) for stride in STRIDES])
    found = found[np.argsort(-found[:, 0])]
    boxes: list[NDArray[np.float32]] = []
    logits: list[float] = []
    while len(found) and len(boxes) < MOST_PROPOSED:
        same = overlap(found[0, 1:4], found[:, 1:4]) > SAME_PLACE
        alike = same & (np.abs(np.log(found[:, 3] / found[0, 3])) < ALIKE_LOG_SIDE)
        boxes.append(merged(found[alike]))
        logits.append(found[0, 0])
        found = found[~same]
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(logits, np.float32)


def decoded(answers: NDArray[np.float32], stride: int, least_logit: float) -> NDArray[np.float32]:
    """(N, 6) of one map: logit, centre x, centre y, side in overview pixels, cosine and sine of the roll."""
    rows, columns = np.nonzero(answers[..., 0] > least_logit)
    logit, dx, dy, log_side, cos, sin = answers[rows, columns].T
    x, y = (columns + 0.5 + dx) * stride, (rows + 0.5 + dy) * stride
    side = SIDE_UNIT * stride * np.exp(np.minimum(log_side, 4.0))
    return np.stack([logit, x, y, side, cos, sin], axis=1).astype(np.float32)


def merged(answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """One box (4,) of answers to one face, weighted by their probabilities."""
    weights = 1 / (1 + np.exp(-answers[:, 0]))
    x, y, side, cos, sin = weights @ answers[:, 1:] / weights.sum()
    return np.array([x, y, side, math.atan2(sin, cos)], np.float32)


def overlap(square: NDArray[np.floating], squares: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection of one square (centre x, centre y, side) with (N, 3) others, all taken as upright, over the smaller area."""
    half = (square[2] + squares[:, 2]) / 2
    least = np.minimum(square[2], squares[:, 2])
    width, height = (np.clip(half - np.abs(squares[:, i] - square[i]), 0, least) for i in (0, 1))
    return width * height / least**2


def distinct(faces: Sequence[Face]) -> list[Face]:
    """The most probable of each group of faces in one place; a part of a face is in its place."""
    return face_crops.distinct(faces, overlap, SAME_PLACE)
