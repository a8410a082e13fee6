"""The Python client of openapi-python-client: every module imports, and its functions call the service."""

from __future__ import annotations

import base64
import importlib
import io
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGE = "skin_client"


@pytest.fixture(scope="module")
def generated(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package; the generator had nothing to warn about."""
    folder = tmp_path_factory.mktemp("generated")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(description)]
    options = ["--output-path", str(folder / PACKAGE), "--meta", "none", "--fail-on-warning"]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it formats what it wrote with ruff
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, env={**os.environ, "PATH": tools}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module(PACKAGE)
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def client(generated: ModuleType, service: str) -> Iterator[Any]:
    with generated.Client(base_url=service, timeout=60.0) as client:
        yield client


def part(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def bodies(photo: bytes) -> dict[str, Any]:
    """The same photo in every form that the client knows."""
    models, file = part("models"), part("types").File
    demographics = models.Demographics.from_dict({"age": 34, "fitzpatrick": "II"})
    return {
        "json": models.ImageRequest(image=base64.b64encode(photo).decode(), demographics=demographics),
        "form": models.PhotoForm(
            image=file(payload=io.BytesIO(photo), file_name="selfie.jpg", mime_type="image/jpeg"),
            demographics=demographics,
        ),
        "bytes": file(payload=io.BytesIO(photo)),
    }


def test_every_module_imports(generated: ModuleType) -> None:
    names = [module.name for module in pkgutil.walk_packages(generated.__path__, f"{PACKAGE}.")]
    assert {f"{PACKAGE}.api.photos.analyze_skin", f"{PACKAGE}.api.service.model_status"} <= set(names)
    for name in names:
        importlib.import_module(name)


@pytest.mark.parametrize("form", ["json", "form", "bytes"])
def test_photo_is_analysed(client: Any, selfie: bytes, form: str) -> None:
    report = part("api.photos.analyze_skin").sync(client=client, body=bodies(selfie)[form])
    assert type(report).__name__ == "AnalysisAnswer"
    assert report.success is True
    assert report.result.conditions["acne"].score is not None
    assert report.result.fitzpatrick == (None if form == "bytes" else "II")


def test_refused_photo_is_an_answer(client: Any, landscape: bytes) -> None:
    report = part("api.photos.analyze_skin").sync(client=client, body=bodies(landscape)["json"])
    assert (report.success, report.error_code) == (False, "no_face")
    assert report.guidance.suggestions


def test_faces_are_found(client: Any, selfie: bytes) -> None:
    answer = part("api.photos.detect_faces").sync(client=client, body=bodies(selfie)["bytes"])
    assert answer.face_detected is True
    assert answer.faces[0].bounds.width > 100


def test_failures_are_typed(client: Any) -> None:
    analyze = part("api.photos.analyze_skin").sync_detailed
    bad = analyze(client=client, body=part("models").ImageRequest(image="%%%"))
    wrong = analyze(client=client, body=part("types").File(payload=io.BytesIO(b"%PDF-1.7\n" + bytes(100))))
    assert {type(answer.parsed).__name__ for answer in (bad, wrong)} == {"Failure"}
    assert (bad.status_code, bad.parsed.error_code) == (400, "bad_base64")
    assert (wrong.status_code, wrong.parsed.error_code) == (415, "unsupported_type")


def test_model_status_is_read(client: Any) -> None:
    status = part("api.service.model_status").sync(client=client)
    assert status.model_loaded is status.model_status.model_details["facial"].available


def test_older_addresses_stand_apart(client: Any, selfie: bytes) -> None:
    older = part("api.aliases.analyze_skin_v6_skin_analyze_advanced")
    assert older.sync(client=client, body=bodies(selfie)["bytes"]).success is True
