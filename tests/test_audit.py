"""The audit of the libraries tells what was looked up; pip-audit's own word is not taken for it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = {"name": "a", "skip_reason": "Dependency not found"}
SOUND = {"name": "b", "version": "1.0", "vulns": []}
WEAK = {"name": "c", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


@pytest.fixture
def audit() -> ModuleType:
    specification = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def answering(packages: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pip-audit write what a test wants; it says that all is well, whatever it writes."""

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        Path(command[command.index("-o") + 1]).write_text(json.dumps({"dependencies": packages}))
        return subprocess.CompletedProcess(command, 0, b"No known vulnerabilities found")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([UNKNOWN], 0, "SKIPPED, nothing was looked at"),
        ([SOUND, UNKNOWN], 0, "1 packages looked up, 1 unknown to the registry, 0 weaknesses"),
        ([SOUND, WEAK], 1, "c 2.0: PYSEC-1, mended in 2.1"),
    ],
)
def test_what_was_looked_up_decides(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packages: list[dict[str, Any]],
    status: int,
    said: str,
) -> None:
    answering(packages, monkeypatch)
    assert audit.main(["some.txt"]) == status
    assert said in capsys.readouterr().out


def test_without_pip_audit_nothing_is_claimed(audit: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["some.txt"]) == 0
    assert "SKIPPED" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "status", "kind"), [([], 0, "warning"), (["--required"], 3, "error")])
def test_a_skipped_audit_is_seen_on_github_and_fails_where_it_is_required(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
    kind: str,
) -> None:
    answering([UNKNOWN], monkeypatch)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert audit.main([*options, "some.txt"]) == status
    assert f"::{kind} title=audit skipped::nothing was looked at" in capsys.readouterr().out
