"""What the stages hand to each other: frozen records without behaviour beyond derived properties.

Coordinates: ``x`` to the right, ``y`` down, in pixels. *Original* pixels are those of the upright, full-size picture that
the person sent; *photo* pixels are those of the decoded array, which may be a reduced copy (`Photo.scale`); *working*
pixels are those of the aligned crop (`analyzer.roi`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer.vocabulary import (
    Abstention,
    CheckCode,
    ConditionName,
    Fitzpatrick,
    ItaGroup,
    ReasonCode,
    Region,
    Severity,
    Source,
    Verdict,
)

Rgb = NDArray[np.uint8]  # (H, W, 3), sRGB
Mask = NDArray[np.bool_]  # (H, W)
Points = NDArray[np.float32]  # (N, 2), x then y


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels; the frame of reference is that of its holder."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area(self) -> float:
        return self.width * self.height

    def scaled(self, factor: float) -> Box:
        return Box(self.x * factor, self.y * factor, self.width * factor, self.height * factor)


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded picture.

    Attributes:
        rgb: (H, W, 3) uint8, sRGB, upright (EXIF orientation applied), read-only.
        original_size: (width, height) in pixels of the upright original.
        scale: photo pixels per original pixel, ≤ 1.
        media_type: e.g. ``"image/jpeg"``, from the signature, never from a file name.
    """

    rgb: Rgb
    original_size: tuple[int, int]
    scale: float
    media_type: str


@dataclass(frozen=True, eq=False)
class Face:
    """One face, in photo pixels.

    Attributes:
        box: upright square around the face (mid-forehead to chin).
        confidence: calibrated probability in 0..1 that the box holds a face.
        eyes: (2, 2) float32, the eye on the picture's left first *after* `roll_deg` is undone; None when not found.
        roll_deg: rotation of the face in the picture plane, clockwise positive, -180..180; 0 = upright.
        yaw_deg: turn of the head, -90..90, positive towards the picture's right; None = not known.
        landmarks: group name → (N, 2) float32 points (face_oval, right_eye, left_eye, right_brow, left_brow, lips_outer,
            lips_inner, nose, iris_centres), or None when the detector gives none.
        method: how it was found, e.g. ``"haar-alt2"``.
    """

    box: Box
    confidence: float
    eyes: Points | None
    roll_deg: float
    method: str
    yaw_deg: float | None = None
    landmarks: Mapping[str, Points] | None = None

    def scaled(self, factor: float) -> Face:
        """The same face in a copy of the picture that is `factor` times as large."""
        return Face(
            box=self.box.scaled(factor),
            confidence=self.confidence,
            eyes=None if self.eyes is None else self.eyes * np.float32(factor),
            roll_deg=self.roll_deg,
            method=self.method,
            yaw_deg=self.yaw_deg,
            landmarks=None
            if self.landmarks is None
            else {name: points * np.float32(factor) for name, points in self.landmarks.items()},
        )


@dataclass(frozen=True, slots=True)
class Check:
    """One quality check: a measured value against its limit.

    Attributes:
        refuses: a failed check of this kind ends the analysis; otherwise it only warns.
        value: measured, or None when it could not be measured (then `passed` is True).
        advice: plain sentence for a person, used when the check fails.
    """

    code: CheckCode
    passed: bool
    refuses: bool
    value: float | None
    limit: float
    unit: str
    advice: str


@dataclass(frozen=True, slots=True)
class Lesion:
    """One spot: its box in original pixels and how strongly it stands out (unit named by the condition's formula)."""

    box: Box
    contrast: float
    region: Region | None = None


@dataclass(frozen=True)
class Finding:
    """What is known about one condition.

    Attributes:
        score: 0..1 by the published formula, or None when it could not be measured: never 0, never 0.5 instead.
        interval: 95 % interval of the score from measured repeatability, inside 0..1.
        severity: from the score by the published limits; NONE when not measured.
        confidence: probability in 0..1 that the severity stays the same under the published perturbations.
        area_fraction: affected share of the measured skin, 0..1, where the condition has an area.
        lesions: single spots, strongest first, where the condition has some.
        regions: region name → score 0..1, or None where the region could not be measured.
        evidence: measured numbers by name, in the units that docs/conditions.md gives.
        formula: name and version of the formula in calibration.json, e.g. ``"acne-1"``.
        reason: code and sentence why nothing was measured, e.g. ``"too_blurred: …"``; None when measured.
        reason_code: the code alone.
    """

    name: ConditionName
    score: float | None
    interval: tuple[float, float] | None
    severity: Severity
    confidence: float
    formula: str
    area_fraction: float | None = None
    lesions: tuple[Lesion, ...] = ()
    regions: Mapping[Region, float | None] = field(default_factory=dict)
    evidence: Mapping[str, float] = field(default_factory=dict)
    source: Source = Source.CLASSICAL
    reason: str | None = None
    reason_code: ReasonCode | None = None

    @property
    def detected(self) -> bool:
        """Listed as a real detection: at least `low`."""
        return self.severity in (Severity.LOW, Severity.MODERATE, Severity.HIGH)

    @property
    def spot_count(self) -> int | None:
        """Counted spots: the condition's own count, else its listed lesions, 0 for one without; None when not measured."""
        if self.score is None:
            return None
        count = self.evidence.get("spots", self.evidence.get("count"))
        return len(self.lesions) if count is None or not math.isfinite(count) else max(0, round(count))


@dataclass(frozen=True, slots=True)
class SkinTone:
    """Estimates from the picture under its lighting; never shown as fact.

    Attributes:
        ita_deg: individual typology angle, atan2(L* - 50, b*) in degrees, -90..90.
        fitzpatrick_estimate: from ITA.
        monk_estimate: 1..10, nearest swatch of the Monk Skin Tone scale in CIELAB.
        estimates_agree: ITA group and Monk estimate point at neighbouring tones.
        caveat: sentence about lighting, None when nothing speaks against the estimate.
    """

    ita_deg: float
    ita_group: ItaGroup
    fitzpatrick_estimate: Fitzpatrick
    monk_estimate: int
    estimates_agree: bool
    caveat: str | None = None


@dataclass(frozen=True)
class Recommendations:
    """Wording for a person; each entry is one plain sentence."""

    immediate_actions: tuple[str, ...] = ()
    lifestyle_changes: tuple[str, ...] = ()
    professional_advice: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    professional_consultation: bool = False


@dataclass(frozen=True)
class Guidance:
    """What a person should know or do next about the photo itself."""

    message: str
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Demographics:
    """Self-reported, echoed; never guessed from the picture."""

    age: int | None = None
    ethnicity: str | None = None
    gender: str | None = None
    fitzpatrick: Fitzpatrick | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """One condition as a multi-label ensemble sees it; presence and severity are told apart, each by its own outputs.

    Attributes:
        probability: that it is there, 0..1.
        threshold: of the card, from which it is said to be there.
        severity: 0 none, 1 slight, 2 moderate, 3 severe.
        shares: probabilities of these four; they sum to 1.
    """

    probability: float
    threshold: float
    severity: int
    shares: tuple[float, ...]

    @property
    def present(self) -> bool:
        """It is there; a probability that equals the threshold reaches it."""
        return self.probability >= self.threshold

    @property
    def word(self) -> Severity:
        """The severity in the words of the contract."""
        return (Severity.NONE, Severity.LOW, Severity.MODERATE, Severity.HIGH)[self.severity]

    @property
    def stated(self) -> bool:
        """Both outputs say that something is there; only then is it told to a person."""
        return self.present and self.severity > 0


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the ensemble answers to one face.

    Attributes:
        version: of the artefact that answered.
        probabilities: class name → probability 0..1 after temperature scaling; they sum to 1, unless there are `grades` or they are
            `independent`: then each is of its own that the class is there.
        wordings: class name → what its card says to a person; None = nothing.
        threshold: top probability, 0..1, below which no class is stated; None where each of the `grades` has its own.
        distance: Mahalanobis distance of the features to the nearest training class; None when the artefact knows none.
        distance_limit: distance above which the picture is unlike those that it learned from; None when unknown.
        speaks: the card's metrics allow it to take part in the report; otherwise it is shown as an experiment.
        silence_reason: why it does not speak, for people; None when it speaks.
        activation: class name → (7, 7) float32 in 0..1: where in the aligned crop the evidence for that class lies (Grad-CAM).
        grades: class name → presence and severity; None for an ensemble that does not grade.
        independent: each class is there or not, whatever the others; else a face shows one of them.
    """

    version: str
    probabilities: Mapping[str, float]
    wordings: Mapping[str, str | None]
    threshold: float | None
    distance: float | None
    distance_limit: float | None
    speaks: bool
    silence_reason: str | None
    activation: Callable[[str], NDArray[np.float32]]
    grades: Mapping[str, Grade] | None = None
    independent: bool = False

    @property
    def top(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def abstention(self) -> Abstention | None:
        """Why no class is stated; None when the ensemble decides."""
        if self.distance is not None and self.distance_limit is not None and self.distance > self.distance_limit:
            return Abstention.UNFAMILIAR
        is_sure = self.threshold is None or self.probabilities[self.top] >= self.threshold
        return None if is_sure else Abstention.UNDECIDED


@dataclass(frozen=True)
class ModelState:
    """What the ensemble's place in the pipeline holds.

    Attributes:
        available: an artefact is loaded and passed its self-test.
        reason: why not, for people; None when available.
        fallback_reason: why a source that was preferred (S3, the local folder) is not what is loaded, for operators; None
            when the preferred one is.
        details: fields of `model_info` / `model_details` of the contract; empty when unavailable.
    """

    available: bool
    reason: str | None
    details: Mapping[str, Any] = field(default_factory=dict)
    fallback_reason: str | None = None


@dataclass(frozen=True, eq=False)
class Detection:
    """Answer of `pipeline.detect_faces`.

    Attributes:
        faces: accepted faces only (no refusing check failed), the primary first, in photo pixels.
        faces_found: how many were seen, accepted or not.
        checks: quality checks of the primary candidate.
        error_code: code of the check that refused, None when a face was accepted.
        timings_ms: stage name → milliseconds.
    """

    photo: Photo
    faces: tuple[Face, ...]
    faces_found: int
    checks: tuple[Check, ...]
    error_code: CheckCode | None
    guidance: Guidance
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Report:
    """Answer of `pipeline.analyze_photo`.

    A refusal has `error_code` set, no findings, and guidance. `roi` is kept for drawing overlays and is never written out.
    """

    photo: Photo
    face: Face | None
    checks: tuple[Check, ...]
    error_code: CheckCode | None
    guidance: Guidance
    findings: tuple[Finding, ...]
    skin_tone: SkinTone | None
    primary_condition: ConditionName | Verdict
    primary_concerns: tuple[ConditionName, ...]
    health_score: float | None  # 0..100
    confidence: float  # of the primary condition, 0..1
    summary: str
    recommendations: Recommendations
    model: ModelState
    demographics: Demographics
    timings_ms: Mapping[str, float]
    roi: Any = None  # analyzer.roi.Roi | None; typed loosely so that values import nothing
    prediction: Prediction | None = None
