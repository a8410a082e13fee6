"""An artefact that grades each condition, in an answer: its severities, what it may list, and the measured numbers untouched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from analyzer import preprocessing
from analyzer.model_sources import NAME
from analyzer.settings import Settings, StoreSettings
from analyzer.vocabulary import Severity
from application import create_app
from tests.analyzer import artefacts
from tests.analyzer.predictions import graded
from tests.web import records
from tests.web.conftest import FakePipeline
from tests.web.records import ANALYZE

BODY = {"image": records.encoded(records.picture())}
OF_THIS_REQUEST = ("request_id", "timestamp", "processing_time_seconds", "timings_ms", "api_metadata")
OF_THE_MODEL = ("ensemble", "enhanced_ml", "degraded", "degraded_reason", "model_version", "accuracy", "model_info")
TOLD = {"acne": (0.7, 1), "fine_lines_wrinkles": (0.6, 3), "redness": (0.2, 2), "hyperpigmentation": (0.3, 0)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of artefacts with one that grades seven conditions, of the size that the service feeds."""
    folder = tmp_path_factory.mktemp("models")
    artefacts.make_graded(folder / NAME, side_px=preprocessing.SIDE_PX)
    return folder


@pytest.fixture(scope="module")
def served(models: Path) -> Iterator[FlaskClient]:
    """The whole service, with nothing of it replaced."""
    with create_app(Settings(max_analyses=2, store=StoreSettings(folder=models))).test_client() as client:
        yield client


def posted(client: FlaskClient, portrait: bytes, **more: Any) -> Any:
    answer = client.post(ANALYZE, json={"image": records.encoded(portrait), **more})
    assert answer.status_code == 200
    records.check_schema("analysis", answer.json)
    return answer.json


def told(client: FlaskClient, fake: FakePipeline, measured: dict[str, Severity], **parts: Any) -> Any:
    fake.report = records.report(records.findings(**measured), prediction=graded(TOLD, **parts))
    answer = client.post(ANALYZE, json=BODY).json
    records.check_schema("analysis", answer)
    return answer


def without(answer: Any, *names: str) -> Any:
    kept = {name: value for name, value in answer.items() if name not in names}
    return kept | {"result": {name: value for name, value in answer["result"].items() if name not in names}}


def test_a_photo_is_answered_with_presence_and_severity_of_each_condition(
    served: FlaskClient, portrait_jpeg: bytes
) -> None:
    answer = posted(served, portrait_jpeg)
    block = answer["ensemble"]
    assert (answer["degraded"], block["kind"], block["threshold"]) == (False, "multilabel_severity", None)
    assert list(block["conditions"]) == ["acne", "redness", "texture", "pores", "wrinkles", "hyperpigmentation"]
    assert block["conditions"]["acne"]["threshold"] == 0.3
    for entry in block["conditions"].values():
        assert entry["present"] is (entry["probability"] >= entry["threshold"])
        assert entry["severity"] == ("none", "low", "moderate", "high")[entry["grade"]]
        assert sum(entry["grade_probabilities"]) == pytest.approx(1, abs=1e-3)
    assert answer["model_info"]["classes"] == 7


def test_a_model_that_has_not_earned_it_changes_its_block_and_nothing_else(
    served: FlaskClient, portrait_jpeg: bytes, tmp_path: Path
) -> None:
    with create_app(Settings(max_analyses=2, store=StoreSettings(folder=tmp_path))).test_client() as nothing:
        plain = posted(nothing, portrait_jpeg)
    answer = posted(served, portrait_jpeg)
    assert (answer["ensemble"]["experimental"], plain["ensemble"]) == (True, None)
    changed = (*OF_THIS_REQUEST, *OF_THE_MODEL)
    assert without(answer, *changed) == without(plain, *changed)


def test_an_explanation_shows_what_it_holds(served: FlaskClient, portrait_jpeg: bytes) -> None:
    answer = posted(served, portrait_jpeg, include=["explanation"])
    assert answer["explanation"]["outcome"] == answer["ensemble"]["top"]["outcome"]
    assert answer["explanation"]["image"]


def test_the_severity_is_that_of_its_own_outputs(client: FlaskClient, fake: FakePipeline) -> None:
    block = told(client, fake, {})["ensemble"]
    words = {name: (entry["severity"], entry["present"]) for name, entry in block["conditions"].items()}
    assert words == {
        "acne": ("low", True),
        "redness": ("moderate", False),
        "wrinkles": ("high", True),
        "hyperpigmentation": ("none", False),
    }
    assert list(block["probabilities"])[:2] == ["wrinkles", "acne"], "the most severe of what is there comes first"
    assert block["top"] == {
        "outcome": "wrinkles",
        "probability": 0.6,
        "wording": "The trained model sees lines and wrinkles and blemishes in this photo.",
    }


def test_what_it_sees_is_listed_behind_the_measured_with_its_severity(client: FlaskClient, fake: FakePipeline) -> None:
    answer = told(client, fake, {"pores": Severity.LOW})
    listed = [(one["name"], one["source"], one["severity"]) for one in answer["detected_conditions"]]
    assert listed == [("pores", "classical", "low"), ("wrinkles", "ensemble", "high"), ("acne", "ensemble", "low")]
    assert answer["detected_conditions"][1]["description"] == (
        "Lines and wrinkles: strongly noticeable in the trained model's own view (60% probable)."
    )
    assert (answer["primary_condition"], answer["result"]["severity_levels"]["wrinkles"]) == ("pores", "none")


@pytest.mark.parametrize("parts", [{"speaks": False}, {"distance": 99.0}])
def test_a_silent_one_lists_nothing(client: FlaskClient, fake: FakePipeline, parts: dict[str, Any]) -> None:
    answer = told(client, fake, {"pores": Severity.LOW}, **parts)
    assert [one["name"] for one in answer["detected_conditions"]] == ["pores"]
    assert answer["ensemble"]["conditions"]["wrinkles"]["severity"] == "high", (
        "it is shown as an experiment all the same"
    )
