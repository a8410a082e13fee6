"""A running service, its description as clients fetch it, and the pictures that they send."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.web import records
from tests.web.real_answers import portrait
from tests.web.test_server import running

HERE = Path(__file__).parent
NODE_MODULES = HERE / "node_modules"
ENVIRONMENT = HERE.parents[1] / ".venv-clients"
INSTALL = "run make test-clients"
TIMEOUT_S = 120.0


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real gunicorn."""
    with running(tmp_path_factory.mktemp("service")) as server:
        yield server.url


@pytest.fixture(scope="session")
def description(service: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_bytes(requests.get(f"{service}/openapi.json", timeout=30).content)
    return path


@pytest.fixture(scope="session")
def selfie() -> bytes:
    return portrait()


@pytest.fixture(scope="session")
def landscape() -> bytes:
    """A picture without a face."""
    return records.picture(640, 480)


def program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def node_modules() -> Path:
    """Return the folder of the npm packages; skip the test where they are not installed."""
    if not NODE_MODULES.is_dir():
        pytest.skip(f"the npm packages of tests/clients are not installed: {INSTALL}")
    return NODE_MODULES


def tool(name: str) -> Path:
    """Return the path of a program of `.venv-clients`; skip the test where it is not installed."""
    path = ENVIRONMENT / "bin" / name
    if not path.exists():
        pytest.skip(f"{ENVIRONMENT.name} has no {name}: {INSTALL}")
    return path


def run(*command: str | Path, folder: Path, input_text: str = "") -> str:
    """Run a program in a folder and return what it printed; fail with all of its output otherwise."""
    done = subprocess.run(
        command, cwd=folder, input=input_text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
