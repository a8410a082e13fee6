"""The JSON of the answers as pydantic models; they check what leaves and describe it in /openapi.json.

Every default is what the field holds when nothing could be analysed, so that a refusal has the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from analyzer.vocabulary import (
    Abstention,
    Agreement,
    CheckCode,
    ConditionName,
    EnsembleKind,
    ErrorCode,
    Fitzpatrick,
    ItaGroup,
    ModelSource,
    ReasonCode,
    Region,
    Severity,
    Source,
    StageName,
)
from web import mending
from web.vocabulary import (
    DemographicName,
    Level,
    Lighting,
    OverallQuality,
    Positioning,
    ReadyState,
    ServiceState,
    Sharpness,
    Status,
    TextureWord,
    ToneWord,
    WireName,
)

Text = Annotated[str, BeforeValidator(mending.readable)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Whole = Annotated[int, Field(ge=0)]
Place = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y in pixels of the upright original.")]
Measured = Annotated[bool, Field(description="False: `severity` says nothing, because nothing was measured.")]
ABSENT = Field(default=None, exclude_if=lambda value: value is None)


class Shape(BaseModel):
    """What all answers have in common: finite numbers and no unknown fields."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid", frozen=True)


class Answer(Shape):
    """A whole answer. A field that it refuses keeps its default; that is logged and counted (`web.mending`)."""

    @model_validator(mode="wrap")
    @classmethod
    def leave_out(cls, fields: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        """Build the answer, without the fields that do not fit."""
        try:
            return build(fields)
        except ValidationError as error:
            refused = {str(place) for refusal in error.errors() for place in refusal["loc"][:1]}
            if not refused or not isinstance(fields, Mapping):
                raise
            mending.note(", ".join(sorted(refused)), error)
            return build({name: value for name, value in fields.items() if name not in refused})


class Guidance(Shape):
    """What a person should know or do next."""

    message: Text = ""
    suggestions: list[Text] = []


class Failure(Shape):
    """Every answer without a result has at least these fields."""

    success: Literal[False] = False
    status: Status = Status.ERROR
    error_code: ErrorCode
    error: Text
    message: Text
    guidance: Guidance
    request_id: Text
    timestamp: Text


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
        dict[Text, list[Place]] | None,
        Field(description="Group of landmarks → places; null unless asked for and measured."),
    ] = None
    cropped_face_image: Annotated[str, Field(description="Base64 PNG, 256 to 384 px square, without data: prefix.")]


class Dimensions(Shape):
    """Size of the upright original in pixels."""

    width: Whole = 0
    height: Whole = 0


class QualityMetrics(Shape):
    """The quality checks in words."""

    lighting: Lighting = Lighting.UNKNOWN
    sharpness: Sharpness = Sharpness.UNKNOWN
    positioning: Positioning = Positioning.UNKNOWN
    overall_quality: OverallQuality = OverallQuality.UNKNOWN
    quality_score: Annotated[Share, Field(description="Share of the quality checks that were passed.")] = 0.0


class QualityCheck(Shape):
    """A measured value against its limit; `refuses` tells whether failing ends the analysis."""

    code: CheckCode
    passed: bool
    refuses: bool
    value: float | None
    limit: float | None
    unit: Text


class FaceAnswer(Answer):
    """Answer of the face detection; `faces` holds only faces that an analysis would accept, the primary first."""

    success: bool = False
    status: Status = Status.ERROR
    error_code: CheckCode | ErrorCode | None = ABSENT
    error: Text | None = ABSENT
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
    message: Text = ""
    processing_time_ms: Annotated[float, Field(ge=0.0)] = 0.0
    timings_ms: dict[Text, float] = {}
    request_id: Text
    timestamp: Text


class ModelInfo(Shape):
    """The learned ensemble; without one, null figures and the type `classical`."""

    version: Text | None = None
    accuracy: Text | float | None = None
    classes: Whole = 0
    model_size: Text | None = None
    features: Text = "classical image measurements"
    type: Text = "classical"
    sha256: Text | None = None
    source: ModelSource | Literal[Source.CLASSICAL] = Source.CLASSICAL


class DetectedCondition(Shape):
    """A real detection, or the single entry `healthy`; an entry of the ensemble is its own view, beside the measured ones."""

    name: WireName
    confidence: Share
    severity: Annotated[Severity, Field(description="`none` also where the source measures no severity.")]
    measured: Measured
    source: Annotated[Source, Field(description="Who says it: `classical` (measured) or `ensemble`.")]
    description: Text


class Outcome(Shape):
    """What the ensemble holds most probable."""

    outcome: Annotated[WireName, Field(description="`healthy`, a condition, or `see_a_professional`.")]
    probability: Share
    wording: Annotated[Text | None, Field(description="For a person; null when the ensemble abstains.")]


class GradedCondition(Shape):
    """One condition as a model sees it that grades each by itself; presence and severity are two outputs of it."""

    probability: Annotated[Share, Field(description="That it is there; compared with `threshold`.")]
    threshold: Share
    present: bool
    severity: Severity
    grade: Annotated[int, Field(ge=0, le=3, description="The severity as a number: 0 none to 3 high.")]
    grade_probabilities: Annotated[
        list[Share], Field(min_length=4, max_length=4, description="Of the grades 0 to 3; they sum to 1.")
    ]


class Ensemble(Shape):
    """What the learned ensemble says of the same face, beside the measurements and never averaged with them."""

    version: Text
    kind: Annotated[
        EnsembleKind,
        Field(
            description="It tells which one class a face shows, whether each of several classes is there, or grades each of "
            "several conditions (`conditions`)."
        ),
    ]
    experimental: Annotated[bool, Field(description="Nothing else in the answer depends on it.")]
    experimental_reason: Annotated[Text | None, Field(description="Why it is experimental; null when it takes part.")]
    abstained: Annotated[bool, Field(description="It does not judge this photo.")]
    abstention_code: Annotated[
        Abstention | None,
        Field(description="unfamiliar: unlike the pictures that it learned from; undecided: below the threshold."),
    ]
    abstention_reason: Text | None
    probabilities: Annotated[
        dict[WireName, Share],
        Field(
            description="Outcome → calibrated probability, what it holds first. Classes that are never stated are one."
        ),
    ]
    top: Outcome
    certainty: Annotated[Share, Field(description="Of the most probable single class; compared with `threshold`.")]
    threshold: Annotated[Share | None, Field(description="Null where each of `conditions` has its own.")]
    distance: Annotated[float | None, Field(description="Mahalanobis distance to what it learned from; null: unknown.")]
    distance_limit: Annotated[float | None, Field(description="Beyond it the photo is unfamiliar.")]
    agreement: Annotated[Agreement, Field(description="With the measurements of the same photo.")]
    agreement_text: Text
    conditions: Annotated[
        dict[WireName, GradedCondition], Field(description="Condition → its grade; empty of a model that grades none.")
    ]


class Explanation(Shape):
    """A picture of the aligned face in which the places are tinted that speak for the ensemble's most probable outcome."""

    outcome: WireName
    method: Literal["grad-cam"] = "grad-cam"
    experimental: Annotated[bool, Field(description="The outcome takes no part in the report.")]
    image: Annotated[str, Field(description="Base64 PNG without data: prefix.")]
    width: Whole
    height: Whole
    note: Text


class Prediction(Shape):
    """A detection with its confidence as a percentage."""

    condition: WireName
    confidence: Share
    percentage: Percent
    measured: Measured


class FaceQuality(Shape):
    """The quality checks in one word and number."""

    overall_quality: OverallQuality = OverallQuality.UNKNOWN
    quality_score: Share = 0.0


class AnalysedFace(Shape):
    """The face that the report rests on."""

    detected: bool = False
    confidence: Share = 0.0
    face_bounds: Bounds = Bounds()
    image_dimensions: Annotated[list[int], Field(min_length=2, max_length=2)] = [0, 0]
    method: Text = "none"
    quality_metrics: FaceQuality = FaceQuality()


class SkinTone(Shape):
    """Estimates from this photo under its light; not a fact about the person."""

    ita_deg: float
    ita_group: ItaGroup
    fitzpatrick_estimate: Fitzpatrick
    monk_estimate: Annotated[int, Field(ge=1, le=10)]
    estimates_agree: bool
    caveat: Text | None


class LocatedCondition(Shape):
    """A detection and where it is strongest."""

    condition: WireName
    severity: Severity
    measured: Measured
    confidence: Share
    location: Region | Literal["face"]
    description: Text


class SkinAnalysis(Shape):
    """The report in the words of an older page."""

    overall_health_score: Share = 0.0
    texture: TextureWord = TextureWord.UNKNOWN
    tone: ToneWord = ToneWord.UNKNOWN
    analysis_confidence: Share = 0.0
    conditions_detected: list[LocatedCondition] = []


class Recommendations(Shape):
    """Plain sentences for the person."""

    immediate_actions: list[Text] = []
    lifestyle_changes: list[Text] = []
    professional_advice: list[Text] = []
    products: list[Text] = []
    immediate_care: list[Text] = []
    long_term_care: list[Text] = []
    professional_consultation: bool = False


class Condition(Shape):
    """Everything that was measured about one condition."""

    detected: bool
    measured: Measured
    score: Share | None
    score_interval: Annotated[list[Share], Field(min_length=2, max_length=2)] | None
    severity: Severity
    confidence: Share
    description: Text
    percentage: Annotated[Share | None, Field(description="Affected share of the measured skin, 0 to 1.")]
    spot_count: Whole | None
    source: Source
    formula: Text
    reason: Annotated[Text | None, Field(description="Why nothing was measured: code and sentence.")] = ABSENT
    reason_code: Annotated[ReasonCode | None, Field(description="The code alone.")] = ABSENT
    evidence: dict[Text, float | None] = {}


class Lesion(Bounds):
    """One spot, in pixels of the upright original."""

    contrast: float | None
    region: Region | None


class Result(Shape):
    """The report as the result page reads it."""

    primary_condition: WireName = WireName.UNKNOWN
    confidence: Share = 0.0
    severity: Share = 0.0
    health_score: Percent = 0.0
    skin_health_score: Share = 0.0
    processing_time_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    primary_concerns: list[WireName] = []
    severity_levels: Annotated[
        dict[ConditionName, Level],
        Field(description="`none` also where nothing was measured: see `unmeasured_conditions`."),
    ] = {}
    unmeasured_conditions: Annotated[
        list[ConditionName], Field(description="Those whose `none` says nothing, because they were not measured.")
    ] = []
    conditions: dict[ConditionName, Condition] = {}
    detected_conditions: list[DetectedCondition] = []
    age_group: Text | None = None
    ethnicity: Text | None = None
    gender: Text | None = None
    fitzpatrick: Annotated[Fitzpatrick | None, Field(description="Type I to VI that the person named.")] = None
    demographics_ignored: Annotated[
        list[DemographicName], Field(description="Names of the demographics that were sent but cannot be used.")
    ] = []
    model_info: ModelInfo = ModelInfo()


class ApiMetadata(Shape):
    """Which route answered, when and how fast."""

    endpoint: Text = ""
    timestamp: Text = ""
    processing_time: Annotated[float, Field(ge=0.0)] = 0.0


class AnalysisAnswer(Answer):
    """Answer of the skin analysis. A cosmetic reading, not a diagnosis."""

    success: bool = False
    status: Status = Status.ERROR
    error_code: CheckCode | ErrorCode | None = ABSENT
    error: Text | None = ABSENT
    message: Text = ""
    analysis_type: Text = "hare_run_v6_facial"
    request_id: Text
    timestamp: Text
    processing_time_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    timings_ms: dict[Text, float] = {}
    enhanced_ml: Annotated[
        bool, Field(description="A learned ensemble is loaded; `ensemble` says whether the report depends on it.")
    ] = False
    degraded: bool = False
    degraded_reason: Text | None = None
    model_version: Text = "none"
    accuracy: Annotated[
        Text | None,
        Field(description="The ensemble's figure and what it was measured on, from its card; null: not measured."),
    ] = None
    model_info: ModelInfo = ModelInfo()
    primary_condition: WireName = WireName.UNKNOWN
    confidence: Share = 0.0
    percentage: Percent = 0.0
    confidence_score: Share = 0.0
    severity: Share = 0.0
    severity_level: Level = Level.NONE
    skin_health_score: Share = 0.0
    health_score: Percent = 0.0
    summary: Text = ""
    analysis_summary: Text = ""
    primary_concerns: list[WireName] = []
    detected_conditions: list[DetectedCondition] = []
    all_predictions: dict[WireName, Share] = {}
    top_3_predictions: Annotated[list[Prediction], Field(max_length=3)] = []
    face_detection: AnalysedFace = AnalysedFace()
    quality_checks: list[QualityCheck] = []
    skin_tone: SkinTone | None = None
    ensemble: Annotated[Ensemble | None, Field(description="Null when no ensemble answered.")] = None
    regions: dict[Region, dict[WireName, Share | None]] = {}
    skin_analysis: SkinAnalysis = SkinAnalysis()
    recommendations: Recommendations = Recommendations()
    guidance: Guidance = Guidance()
    api_metadata: ApiMetadata = ApiMetadata()
    result: Result = Result()
    disclaimer: Text = ""
    overlays: dict[Text, str] | None = ABSENT
    region_outlines: dict[Region, list[list[list[int]]]] | None = ABSENT
    lesions: dict[WireName, list[Lesion]] | None = ABSENT
    explanation: Annotated[Explanation | None, Field(description="Null unless asked for and there is one.")] = None
    explanation_reason: Text | None = ABSENT


class Health(Shape):
    """The process lives."""

    status: Literal[ServiceState.HEALTHY] = ServiceState.HEALTHY
    service: Text
    message: Text
    models_loaded: bool
    timestamp: Text


class Ready(Shape):
    """Whether the process has warmed up."""

    ready: bool
    state: ReadyState
    timestamp: Text


class ModelDetails(Shape):
    """The artefact that is loaded; paths only for operators."""

    source: ModelSource | None = None
    path: Text | None = None
    size: float | None = None
    available: bool = False
    version: Text | None = None
    sha256: Text | None = None
    s3_location: Text | None = None
    s3_version_id: Text | None = None
    loaded_at: Text | None = None
    metrics: dict[Text, Any] = {}
    self_test: Annotated[Text | None, Field(description="`passed`: what fails is not served.")] = None
    self_test_detail: Annotated[Text | None, Field(description="What the golden pictures showed.")] = None
    precision: Annotated[Text | None, Field(description="Of the arithmetic that passed the parity check.")] = None
    model_size: Text | None = None
    features: Text | None = None


class ModelStatusBody(Shape):
    """What the ensemble's place holds."""

    model_config = ConfigDict(protected_namespaces=())

    models_loaded: bool
    total_models: Whole
    model_details: dict[Text, ModelDetails]
    fallback_reason: Annotated[
        Text | None, Field(description="Why nothing is loaded, or not what was preferred; details are for operators.")
    ]
    config: dict[Text, Any]


class FaceStage(Shape):
    """What finds the faces: the learned network, or the cascades and why."""

    name: StageName
    version: Text
    fallback_reason: Text | None


class HareRun(Shape):
    """The ensemble in short."""

    available: bool
    version: Text | None
    accuracy: Text | float | None
    classes: list[Text]


class ModelStatus(Shape):
    """Answer of the model status."""

    model_config = ConfigDict(protected_namespaces=())

    service: Text
    status: ServiceState
    timestamp: Text
    model_loaded: bool
    classes: list[Text]
    model_status: ModelStatusBody
    hare_run_v6: HareRun
    face_stage: Annotated[FaceStage | None, Field(description="Null until the first picture or the warm-up.")]
