"""The bundle that is checked: a fresh one of this checkout, or, in `make check-bundle`, the one in dist/ with its own programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy import bundle
from tests.conftest import ROOT
from tests.deploy.layout import Release, unpack


@pytest.fixture(scope="session")
def bundle_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("CHECK_BUNDLE"):
        return Path(given).resolve()
    try:
        return bundle.make(ROOT, tmp_path_factory.mktemp("dist")).path
    except bundle.CannotBundle as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def release(bundle_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The unpacked bundle; CHECK_PYTHON names the interpreter of the environment made from its requirements."""
    python = os.environ.get("CHECK_PYTHON")
    return unpack(bundle_zip, tmp_path_factory.mktemp("release"), Path(python).absolute().parent if python else None)
