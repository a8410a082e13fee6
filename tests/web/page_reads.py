"""What the pages of the contract read of an answer, as JavaScript would: a read that would fail there fails here."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

MATCHED = ("acne", "redness", "wrinkle", "dark_spot", "pore", "hyperpigmentation")  # substrings that pages look for
CONDITION_WORDS = ("none", "minimal", "low", "moderate", "high")
LEVEL_WORDS = ("none", "minimal", "low", "moderate", "severe")
SESSION_BYTES = 64 * 1024
HEAVY = ("overlays", "region_outlines", "lesions", "explanation")


def lower_case(value: Any) -> str:
    """``value.toLowerCase()``."""
    assert type(value) is str
    return value.lower()


def fixed(value: Any, digits: int) -> str:
    """``value.toFixed(digits)``; JSON has no other number than a finite one."""
    assert type(value) in (int, float)
    return f"{value:.{digits}f}"


def either(value: Any, otherwise: Any) -> Any:
    """``value || otherwise``."""
    return value or otherwise


def rendered(value: Any) -> str:
    """What a page puts between tags: an object there ends React."""
    assert type(value) in (str, int, float)
    return str(value)


def read_faces(answer: Mapping[str, Any]) -> bool:
    """Read a face detection as the camera page does; true when it goes on to the analysis."""
    assert type(answer["face_detected"]) is bool
    assert type(answer["faces"]) is list
    bounds = answer["face_bounds"]
    assert all(type(bounds[side]) is int for side in ("x", "y", "width", "height"))
    rendered(answer["message"])
    for tip in answer["guidance"]["suggestions"]:
        rendered(tip)
    for word in ("lighting", "sharpness", "positioning", "overall_quality"):
        lower_case(answer["quality_metrics"][word])
    fixed(answer["quality_metrics"]["quality_score"], 2)
    if not answer["faces"]:
        assert (answer["success"], answer["cropped_face_image"]) == (False, None)
        return False
    fixed(100 * answer["faces"][0]["confidence"], 1)
    crop = answer["faces"][0]["cropped_face_image"]
    assert base64.b64decode(crop, validate=True).startswith(
        b"\x89PNG"
    )  # the page writes `data:image/png;base64,` before it
    return True


def read_report(answer: Mapping[str, Any], size_bytes: int) -> None:
    """Read an analysis as the pages of the live flow do: result page, older result page, recommendations, storage."""
    lower_case(answer["primary_condition"])
    for part in (answer, answer["result"]):
        for name in ("confidence", "severity", "skin_health_score"):
            fixed(part[name], 2)
            assert 0 <= part[name] <= 1
        fixed(part["health_score"], 0)
        assert 0 <= part["health_score"] <= 100
        assert type(part["detected_conditions"]) is list
        assert [lower_case(name) for name in part["primary_concerns"]] == part["primary_concerns"]
    lower_case(answer["summary"])
    _read_conditions(answer["result"])
    _read_lists(answer)
    _read_skin_analysis(answer["skin_analysis"])
    if not any(answer.get(name) for name in HEAVY):  # it is kept in sessionStorage
        assert size_bytes < SESSION_BYTES
    if answer["success"]:
        assert answer["result"]["detected_conditions"]
        assert either(answer["severity"], 0.5) == answer["severity"]
        assert either(answer["skin_health_score"], 0.5) == answer["skin_health_score"]
        assert len(answer["result"]["conditions"]) == len(answer["result"]["severity_levels"]) == 8


def _read_conditions(result: Mapping[str, Any]) -> None:
    """The list of conditions and the coloured levels: `high` in the one, `severe` in the other."""
    levels = result["severity_levels"]
    for name, condition in result["conditions"].items():
        assert condition["severity"] in CONDITION_WORDS
        assert levels[name] in LEVEL_WORDS
        assert (condition["severity"] == "high") == (levels[name] == "severe")
        rendered(condition["description"])
        assert type(condition["measured"]) is bool
        assert condition["measured"] == (name not in result["unmeasured_conditions"])
        if condition["measured"]:
            fixed(condition["score"], 2)
            low, high = condition["score_interval"]
            fixed(low, 2), fixed(high, 2)
        else:
            assert not is_green(condition), name
            rendered(condition["reason"])


def _read_lists(answer: Mapping[str, Any]) -> None:
    for entry in (*answer["detected_conditions"], *answer["result"]["detected_conditions"]):
        name = lower_case(entry["name"])
        assert any(part in name for part in MATCHED) or name in ("healthy", "unknown", "texture", "under_eye")
        assert entry["severity"] in CONDITION_WORDS
        for value in (entry["confidence"], entry["description"], entry["source"]):
            rendered(value)
        assert type(entry["measured"]) is bool
    for prediction in answer["top_3_predictions"]:
        rendered(prediction["condition"])
        fixed(prediction["percentage"], 1)
    assert all(type(share) in (int, float) for share in answer["all_predictions"].values())
    for advice in answer["recommendations"].values():
        texts: Sequence[Any] = advice if isinstance(advice, list) else ()
        for text in texts:
            rendered(text)


def _read_skin_analysis(analysis: Mapping[str, Any]) -> None:
    fixed(analysis["overall_health_score"], 2)
    lower_case(analysis["texture"])
    lower_case(analysis["tone"])
    for entry in analysis["conditions_detected"]:
        lower_case(entry["condition"])
        assert entry["severity"] in CONDITION_WORDS
        rendered(entry["location"].replace("_", " "))


def is_green(condition: Mapping[str, Any]) -> bool:
    """Whether a page that heeds `measured` shows that nothing is there."""
    return condition["measured"] and condition["severity"] == "none"


def read_model_status(answer: Mapping[str, Any]) -> None:
    """Read the model status as the page of the model does."""
    lower_case(answer["status"])
    assert type(answer["model_status"]["models_loaded"]) is bool
    fixed(answer["model_status"]["total_models"], 0)
    for details in answer["model_status"]["model_details"].values():
        assert type(details["available"]) is bool
