"""A TypeScript client with the types of openapi-typescript: strictly checked, then run against the service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, node_modules, program, run


@pytest.fixture(scope="module")
def printed(
    service: str,
    description: Path,
    selfie: bytes,
    landscape: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """What the checked and compiled program prints."""
    node, packages = program("node"), node_modules()
    folder = tmp_path_factory.mktemp("typescript")
    folder.joinpath("node_modules").symlink_to(packages)
    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(HERE / name, folder)
    folder.joinpath("selfie.jpg").write_bytes(selfie)
    folder.joinpath("landscape.png").write_bytes(landscape)
    run(packages / ".bin" / "openapi-typescript", description, "-o", "service.d.ts", folder=folder)
    run(packages / ".bin" / "tsc", "-p", ".", folder=folder)
    return json.loads(run(node, "built/client.js", service, "selfie.jpg", "landscape.png", folder=folder))


def test_photo_is_analysed_as_json_and_as_a_form(printed: Any) -> None:
    success, primary, health, severity = printed["report"]
    assert success is True
    assert 0 < health < 100
    assert severity in ("none", "minimal", "low", "moderate", "high")
    assert printed["form"] == primary != "unknown"
    assert printed["lesions"] is True


def test_refused_photo_is_an_answer(printed: Any) -> None:
    assert printed["refusal"] == [False, "no_face", True]


def test_faces_are_found(printed: Any) -> None:
    detected, width, picture = printed["faces"]
    assert detected is True
    assert width > 100
    assert picture == "iVBO"


def test_model_status_is_read(printed: Any) -> None:
    loaded, available = printed["model"]
    assert loaded is available


def test_failures_are_typed(printed: Any) -> None:
    assert printed["failures"] == [[400, "bad_base64"], [415, "unsupported_type"]]
