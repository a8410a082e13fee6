"""An app with a pipeline that answers from records, one with the real pipeline, and real faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from analyzer import pipeline
from analyzer.settings import Settings
from application import create_app
from tests.web import records
from tests.web.real_answers import portrait


class FakePipeline:
    """Answers with what a test puts here, and remembers what it was asked."""

    def __init__(self) -> None:
        self.detection: Any = records.detection()
        self.report: Any = records.report()
        self.calls: list[tuple[bytes, dict[str, Any]]] = []

    def detect_faces(self, data: bytes, **options: Any) -> Any:
        self.calls.append((data, options))
        return _given(self.detection)

    def analyze_photo(self, data: bytes, ensemble: Any, **options: Any) -> Any:
        self.calls.append((data, options))
        return _given(self.report)


def _given(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer() if callable(answer) else answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePipeline:
    """The pipeline's two functions, replaced."""
    stand_in = FakePipeline()
    monkeypatch.setattr(pipeline, "detect_faces", stand_in.detect_faces)
    monkeypatch.setattr(pipeline, "analyze_photo", stand_in.analyze_photo)
    return stand_in


@pytest.fixture
def app() -> Flask:
    return create_app(Settings(max_analyses=2))


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


@pytest.fixture(scope="session")
def portrait_jpeg() -> bytes:
    return portrait()


@pytest.fixture(scope="session")
def face_jpeg(skin_data: Path) -> bytes:
    """A real selfie out of the pictures that are for testing only."""
    fronts = sorted((skin_data / "skin_defects").rglob("*front*.jpg"))
    if not fronts:
        pytest.skip("the real pictures are absent: set SKIN_DATA to their folder")
    return fronts[0].read_bytes()
