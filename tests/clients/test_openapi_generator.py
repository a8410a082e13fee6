"""The Python client of openapi-generator: every module imports, and its functions call the service."""

from __future__ import annotations

import base64
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.clients.conftest import program, run, tool

PACKAGE = "openapi_client"


@pytest.fixture(scope="module")
def generated(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    generator = tool("openapi-generator-cli")
    program("java")
    folder = tmp_path_factory.mktemp("generated")
    run(generator, "generate", "-i", description, "-g", "python", "-o", ".", folder=folder)
    sys.path.insert(0, str(folder))
    yield importlib.import_module(PACKAGE)
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def client(generated: ModuleType, service: str) -> Iterator[Any]:
    with generated.ApiClient(generated.Configuration(host=service)) as client:
        yield client
        client.rest_client.pool_manager.clear()


@pytest.fixture(scope="module")
def photos(generated: ModuleType, client: Any) -> Any:
    return generated.PhotosApi(client)


def request(generated: ModuleType, photo: bytes) -> Any:
    return generated.ImageRequest(
        image=base64.b64encode(photo).decode(),
        demographics=generated.Demographics(age=34, fitzpatrick="II"),
        include=["lesions"],
    )


def test_every_module_imports(generated: ModuleType) -> None:
    names = [module.name for module in pkgutil.walk_packages(generated.__path__, f"{PACKAGE}.")]
    assert {f"{PACKAGE}.api.photos_api", f"{PACKAGE}.api.service_api", f"{PACKAGE}.models.failure"} <= set(names)
    for name in names:
        importlib.import_module(name)


def test_photo_is_analysed(generated: ModuleType, photos: Any, selfie: bytes) -> None:
    report = photos.analyze_skin(request(generated, selfie))
    assert isinstance(report, generated.AnalysisAnswer)
    assert report.success is True
    assert report.result.conditions["acne"].score is not None
    assert report.result.fitzpatrick == "II"
    assert report.lesions


def test_refused_photo_is_an_answer(generated: ModuleType, photos: Any, landscape: bytes) -> None:
    report = photos.analyze_skin(request(generated, landscape))
    assert (report.success, report.error_code) == (False, "no_face")
    assert report.guidance.suggestions


def test_faces_are_found(generated: ModuleType, photos: Any, selfie: bytes) -> None:
    answer = photos.detect_faces(request(generated, selfie))
    assert answer.face_detected is True
    assert answer.faces[0].bounds.width > 100


def test_failures_are_typed(generated: ModuleType, photos: Any) -> None:
    with pytest.raises(generated.exceptions.BadRequestException) as bad:
        photos.analyze_skin(generated.ImageRequest(image="%%%"))
    assert isinstance(bad.value.data, generated.Failure)
    assert bad.value.data.error_code == "bad_base64"
    with pytest.raises(generated.ApiException) as wrong:
        photos.analyze_skin(request(generated, b"%PDF-1.7\n" + bytes(100)))
    assert isinstance(wrong.value.data, generated.Failure)
    assert (wrong.value.status, wrong.value.data.error_code) == (415, "unsupported_type")


def test_model_status_is_read(generated: ModuleType, client: Any) -> None:
    status = generated.ServiceApi(client).model_status()
    assert status.model_loaded is status.model_status.model_details["facial"].available
