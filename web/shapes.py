"""The JSON of the answers as pydantic models; they check what leaves and describe it in /openapi.json.

Every default is what the field holds when nothing could be analysed, so that a refusal has the same shape.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SeverityWord = Literal["none", "minimal", "low", "moderate", "high"]
LevelWord = Literal["none", "minimal", "low", "moderate", "severe"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Whole = Annotated[int, Field(ge=0)]
Place = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y in pixels of the upright original.")]
ABSENT = Field(default=None, exclude_if=lambda value: value is None)


class Shape(BaseModel):
    """What all answers have in common: finite numbers and no unknown fields."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid", frozen=True)


class Guidance(Shape):
    """What a person should know or do next."""

    message: str = ""
    suggestions: list[str] = []


class Failure(Shape):
    """Every answer without a result has at least these fields."""

    success: Literal[False] = False
    status: str = "error"
    error_code: str
    error: str
    message: str
    guidance: Guidance
    request_id: str
    timestamp: str


class Bounds(Shape):
    """Pixels of the upright original."""

    x: int = 0
    y: int = 0
    width: Whole = 0
    height: Whole = 0


class Point(Shape):
    """A pixel of the upright original."""

    x: int
    y: int


class PrimaryFace(Bounds):
    """Bounds and confidence of the first face."""

    confidence: Share = 0.0


class FaceEntry(PrimaryFace):
    """One accepted face."""

    bounds: Bounds
    eyes: list[Point]
    roll_deg: Annotated[float, Field(ge=-180.0, le=180.0, description="Tilt in the picture, clockwise.")]
    yaw_deg: Annotated[
        float | None, Field(ge=-90.0, le=90.0, description="Turn of the head to the picture's right; null: not known.")
    ]
    landmarks: Annotated[
        dict[str, list[Place]] | None,
        Field(description="Group of landmarks → places; null unless asked for and measured."),
    ] = None
    cropped_face_image: Annotated[str, Field(description="Base64 PNG, 256 to 384 px square, without data: prefix.")]


class Dimensions(Shape):
    """Size of the upright original in pixels."""

    width: Whole = 0
    height: Whole = 0


class QualityMetrics(Shape):
    """The quality checks in words."""

    lighting: Literal["good", "dark", "bright", "uneven", "flat", "tinted", "unknown"] = "unknown"
    sharpness: Literal["sharp", "blurred", "unknown"] = "unknown"
    positioning: Literal["centered", "off_center", "tilted", "turned", "cut_off", "too_far", "unknown"] = "unknown"
    overall_quality: Literal["good", "fair", "poor", "unknown"] = "unknown"
    quality_score: Annotated[Share, Field(description="Share of the quality checks that were passed.")] = 0.0


class QualityCheck(Shape):
    """A measured value against its limit; `refuses` tells whether failing ends the analysis."""

    code: str
    passed: bool
    refuses: bool
    value: float | None
    limit: float | None
    unit: str


class FaceAnswer(Shape):
    """Answer of the face detection; `faces` holds only faces that an analysis would accept, the primary first."""

    success: bool = False
    status: str = "error"
    error_code: str | None = ABSENT
    error: str | None = ABSENT
    face_detected: bool = False
    faces_detected: Whole = 0
    faces_found: Annotated[Whole, Field(description="All faces that were seen, accepted or not.")] = 0
    face_count: Whole = 0
    confidence: Share = 0.0
    face_bounds: Bounds = Bounds()
    faces: list[FaceEntry] = []
    primary_face: PrimaryFace = PrimaryFace()
    cropped_face_image: str | None = None
    image_dimensions: Dimensions = Dimensions()
    quality_metrics: QualityMetrics = QualityMetrics()
    quality_checks: list[QualityCheck] = []
    guidance: Guidance = Guidance()
    message: str = ""
    processing_time_ms: Annotated[float, Field(ge=0.0)] = 0.0
    timings_ms: dict[str, float] = {}
    request_id: str
    timestamp: str


class ModelInfo(Shape):
    """The learned ensemble; without one, null figures and the type `classical`."""

    version: str | None = None
    accuracy: str | float | None = None
    classes: Whole = 0
    model_size: str | None = None
    features: str = "classical image measurements"
    type: str = "classical"
    sha256: str | None = None
    source: str = "classical"


class DetectedCondition(Shape):
    """A real detection, or the single entry `healthy`; an entry of the ensemble is its own view, beside the measured ones."""

    name: str
    confidence: Share
    severity: Annotated[SeverityWord, Field(description="Measured; `none` where the source measures no severity.")]
    source: Annotated[str, Field(description="Who says it: `classical` (measured) or `ensemble`.")]
    description: str


class Outcome(Shape):
    """What the ensemble holds most probable."""

    outcome: Annotated[
        str, Field(description="`healthy`, the name of a condition as on the wire, or `see_a_professional`.")
    ]
    probability: Share
    wording: Annotated[str | None, Field(description="For a person; null when the ensemble abstains.")]


class GradedCondition(Shape):
    """One condition as a model sees it that grades each by itself; presence and severity are two outputs of it."""

    probability: Annotated[Share, Field(description="That it is there; compared with `threshold`.")]
    threshold: Share
    present: bool
    severity: SeverityWord
    grade: Annotated[int, Field(ge=0, le=3, description="The severity as a number: 0 none to 3 high.")]
    grade_probabilities: Annotated[
        list[Share], Field(min_length=4, max_length=4, description="Of the grades 0 to 3; they sum to 1.")
    ]


class Ensemble(Shape):
    """What the learned ensemble says of the same face, beside the measurements and never averaged with them."""

    version: str
    kind: Annotated[
        Literal["one_class", "multilabel_severity"],
        Field(description="It tells which class a face shows, or grades each of several conditions (`conditions`)."),
    ]
    experimental: Annotated[bool, Field(description="Nothing else in the answer depends on it.")]
    experimental_reason: Annotated[str | None, Field(description="Why it is experimental; null when it takes part.")]
    abstained: Annotated[bool, Field(description="It does not judge this photo.")]
    abstention_code: Annotated[
        Literal["unfamiliar", "undecided"] | None,
        Field(description="unfamiliar: unlike the pictures that it learned from; undecided: below the threshold."),
    ]
    abstention_reason: str | None
    probabilities: Annotated[
        dict[str, Share],
        Field(
            description="Outcome → calibrated probability, what it holds first. Classes that are never stated are one."
        ),
    ]
    top: Outcome
    certainty: Annotated[Share, Field(description="Of the most probable single class; compared with `threshold`.")]
    threshold: Annotated[Share | None, Field(description="Null where each of `conditions` has its own.")]
    distance: Annotated[float | None, Field(description="Mahalanobis distance to what it learned from; null: unknown.")]
    distance_limit: Annotated[float | None, Field(description="Beyond it the photo is unfamiliar.")]
    agreement: Annotated[
        Literal["agree", "disagree", "not_comparable"], Field(description="With the measurements of the same photo.")
    ]
    agreement_text: str
    conditions: Annotated[
        dict[str, GradedCondition], Field(description="Condition → its grade; empty of a model that grades none.")
    ]


class Explanation(Shape):
    """A picture of the aligned face in which the places are tinted that speak for the ensemble's most probable outcome."""

    outcome: str
    method: Literal["grad-cam"] = "grad-cam"
    experimental: Annotated[bool, Field(description="The outcome takes no part in the report.")]
    image: Annotated[str, Field(description="Base64 PNG without data: prefix.")]
    width: Whole
    height: Whole
    note: str


class Prediction(Shape):
    """A detection with its confidence as a percentage."""

    condition: str
    confidence: Share
    percentage: Percent


class FaceQuality(Shape):
    """The quality checks in one word and number."""

    overall_quality: str = "unknown"
    quality_score: Share = 0.0


class AnalysedFace(Shape):
    """The face that the report rests on."""

    detected: bool = False
    confidence: Share = 0.0
    face_bounds: Bounds = Bounds()
    image_dimensions: Annotated[list[int], Field(min_length=2, max_length=2)] = [0, 0]
    method: str = "none"
    quality_metrics: FaceQuality = FaceQuality()


class SkinTone(Shape):
    """Estimates from this photo under its light; not a fact about the person."""

    ita_deg: float
    ita_group: str
    fitzpatrick_estimate: str
    monk_estimate: Annotated[int, Field(ge=1, le=10)]
    estimates_agree: bool
    caveat: str | None


class LocatedCondition(Shape):
    """A detection and where it is strongest."""

    condition: str
    severity: SeverityWord
    confidence: Share
    location: str
    description: str


class SkinAnalysis(Shape):
    """The report in the words of an older page."""

    overall_health_score: Share = 0.0
    texture: str = "unknown"
    tone: str = "unknown"
    analysis_confidence: Share = 0.0
    conditions_detected: list[LocatedCondition] = []


class Recommendations(Shape):
    """Plain sentences for the person."""

    immediate_actions: list[str] = []
    lifestyle_changes: list[str] = []
    professional_advice: list[str] = []
    products: list[str] = []
    immediate_care: list[str] = []
    long_term_care: list[str] = []
    professional_consultation: bool = False


class Condition(Shape):
    """Everything that was measured about one condition."""

    detected: bool
    score: Share | None
    score_interval: Annotated[list[Share], Field(min_length=2, max_length=2)] | None
    severity: SeverityWord
    confidence: Share
    description: str
    percentage: Annotated[Share | None, Field(description="Affected share of the measured skin, 0 to 1.")]
    spot_count: Whole | None
    source: str
    formula: str
    reason: Annotated[str | None, Field(description="Why nothing was measured.")] = ABSENT
    evidence: dict[str, float | None] = {}


class Lesion(Bounds):
    """One spot, in pixels of the upright original."""

    contrast: float | None
    region: str | None


class Result(Shape):
    """The report as the result page reads it."""

    primary_condition: str = "unknown"
    confidence: Share = 0.0
    severity: Share = 0.0
    health_score: Percent = 0.0
    skin_health_score: Share = 0.0
    processing_time_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    primary_concerns: list[str] = []
    severity_levels: dict[str, LevelWord] = {}
    conditions: dict[str, Condition] = {}
    detected_conditions: list[DetectedCondition] = []
    age_group: str | None = None
    ethnicity: str | None = None
    gender: str | None = None
    fitzpatrick: Annotated[str | None, Field(description="Type I to VI that the person named.")] = None
    demographics_ignored: Annotated[
        list[str], Field(description="Names of the demographics that were sent but cannot be used.")
    ] = []
    model_info: ModelInfo = ModelInfo()


class ApiMetadata(Shape):
    """Which route answered, when and how fast."""

    endpoint: str = ""
    timestamp: str = ""
    processing_time: Annotated[float, Field(ge=0.0)] = 0.0


class AnalysisAnswer(Shape):
    """Answer of the skin analysis. A cosmetic reading, not a diagnosis."""

    success: bool = False
    status: str = "error"
    error_code: str | None = ABSENT
    error: str | None = ABSENT
    message: str = ""
    analysis_type: str = "hare_run_v6_facial"
    request_id: str
    timestamp: str
    processing_time_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    timings_ms: dict[str, float] = {}
    enhanced_ml: Annotated[
        bool, Field(description="A learned ensemble is loaded; `ensemble` says whether the report depends on it.")
    ] = False
    degraded: bool = False
    degraded_reason: str | None = None
    model_version: str = "none"
    accuracy: Annotated[
        str | None,
        Field(description="The ensemble's figure and what it was measured on, from its card; null: not measured."),
    ] = None
    model_info: ModelInfo = ModelInfo()
    primary_condition: str = "unknown"
    confidence: Share = 0.0
    percentage: Percent = 0.0
    confidence_score: Share = 0.0
    severity: Share = 0.0
    severity_level: LevelWord = "none"
    skin_health_score: Share = 0.0
    health_score: Percent = 0.0
    summary: str = ""
    analysis_summary: str = ""
    primary_concerns: list[str] = []
    detected_conditions: list[DetectedCondition] = []
    all_predictions: dict[str, Share] = {}
    top_3_predictions: Annotated[list[Prediction], Field(max_length=3)] = []
    face_detection: AnalysedFace = AnalysedFace()
    quality_checks: list[QualityCheck] = []
    skin_tone: SkinTone | None = None
    ensemble: Annotated[Ensemble | None, Field(description="Null when no ensemble answered.")] = None
    regions: dict[str, dict[str, Share | None]] = {}
    skin_analysis: SkinAnalysis = SkinAnalysis()
    recommendations: Recommendations = Recommendations()
    guidance: Guidance = Guidance()
    api_metadata: ApiMetadata = ApiMetadata()
    result: Result = Result()
    disclaimer: str = ""
    overlays: dict[str, str] | None = ABSENT
    region_outlines: dict[str, list[list[list[int]]]] | None = ABSENT
    lesions: dict[str, list[Lesion]] | None = ABSENT
    explanation: Annotated[Explanation | None, Field(description="Null unless asked for and there is one.")] = None
    explanation_reason: str | None = ABSENT


class Health(Shape):
    """The process lives."""

    status: Literal["healthy"] = "healthy"
    service: str
    message: str
    models_loaded: bool
    timestamp: str


class Ready(Shape):
    """Whether the process has warmed up."""

    ready: bool
    state: Literal["cold", "warming", "ready", "failed"]
    timestamp: str


class ModelDetails(Shape):
    """The artefact that is loaded; paths only for operators."""

    source: Literal["s3", "cache", "local"] | None = None
    path: str | None = None
    size: float | None = None
    available: bool = False
    version: str | None = None
    sha256: str | None = None
    s3_location: str | None = None
    s3_version_id: str | None = None
    loaded_at: str | None = None
    metrics: dict[str, Any] = {}
    self_test: Annotated[str | None, Field(description="`passed`: what fails is not served.")] = None
    self_test_detail: Annotated[str | None, Field(description="What the golden pictures showed.")] = None
    precision: Annotated[str | None, Field(description="Of the arithmetic that passed the parity check.")] = None
    model_size: str | None = None
    features: str | None = None


class ModelStatusBody(Shape):
    """What the ensemble's place holds."""

    model_config = ConfigDict(protected_namespaces=())

    models_loaded: bool
    total_models: Whole
    model_details: dict[str, ModelDetails]
    fallback_reason: Annotated[
        str | None, Field(description="Why nothing is loaded, or not what was preferred; details are for operators.")
    ]
    config: dict[str, Any]


class FaceStage(Shape):
    """What finds the faces: the learned network, or the cascades and why."""

    name: Literal["network", "haar"]
    version: str
    fallback_reason: str | None


class HareRun(Shape):
    """The ensemble in short."""

    available: bool
    version: str | None
    accuracy: str | float | None
    classes: list[str]


class ModelStatus(Shape):
    """Answer of the model status."""

    model_config = ConfigDict(protected_namespaces=())

    service: str
    status: Literal["healthy", "degraded"]
    timestamp: str
    model_loaded: bool
    classes: list[str]
    model_status: ModelStatusBody
    hare_run_v6: HareRun
    face_stage: Annotated[FaceStage | None, Field(description="Null until the first picture or the warm-up.")]
