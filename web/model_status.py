"""ModelState -> the model status of the contract; file and bucket paths and what failed only for operators."""

from __future__ import annotations

from dataclasses import asdict

from analyzer.face import FaceStage
from analyzer.settings import Settings
from analyzer.values import ModelState
from web import mending, shapes, wire
from web.shapes import HareRun, ModelDetails, ModelStatus, ModelStatusBody
from web.vocabulary import ServiceState
from web.words import FALLBACK, SERVICE

OPERATORS_ONLY = ("path", "s3_location", "s3_version_id")
SECRET = ("operator_token", "api_keys", "rate_limit_redis_url")


def describe(model: ModelState, stage: FaceStage | None, settings: Settings, is_operator: bool) -> ModelStatus:
    """The status; `config` holds the settings in force for operators and is empty for others."""
    details = _details(model, is_operator)
    classes = [str(name) for name in model.details.get("labels", ())]
    config = {name: value for name, value in asdict(settings).items() if name not in SECRET} if is_operator else {}
    return ModelStatus(
        service=SERVICE,
        status=ServiceState.HEALTHY if model.available and model.fallback_reason is None else ServiceState.DEGRADED,
        timestamp=wire.timestamp(),
        model_loaded=model.available,
        classes=classes,
        model_status=ModelStatusBody(
            models_loaded=model.available,
            total_models=int(model.available),
            model_details={"facial": details},
            fallback_reason=_fallback_reason(model, is_operator),
            config=config,
        ),
        hare_run_v6=HareRun(
            available=model.available, version=details.version, accuracy=model.details.get("accuracy"), classes=classes
        ),
        face_stage=None if stage is None else shapes.FaceStage(**asdict(stage)),
    )


def _details(model: ModelState, is_operator: bool) -> ModelDetails:
    hidden = () if is_operator else OPERATORS_ONLY
    known = {name: value for name, value in model.details.items() if name in ModelDetails.model_fields}
    return mending.part(
        "model_details",
        lambda: ModelDetails(**{**known, "available": model.available, **dict.fromkeys(hidden)}),
        lambda: ModelDetails(available=model.available),
    )


def _fallback_reason(model: ModelState, is_operator: bool) -> str | None:
    """Why something else is loaded than was preferred, or nothing; operators read the cause, which may name buckets and paths."""
    if is_operator and model.fallback_reason:
        return model.fallback_reason
    return model.reason or (FALLBACK if model.fallback_reason else None)
