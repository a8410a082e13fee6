"""The Dockerfile by rules of our own and by hadolint, and its steps done in an empty folder; the workflow by its schema."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml

from tests.conftest import ROOT
from tests.deploy import dockerfile
from tests.deploy.layout import Release
from tests.web.test_server import WAIT_S, Server, free_port

GITHUB = ROOT / ".github"
STEPS = dockerfile.read(ROOT / "Dockerfile")
KNOWN = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}


def rest(word: str) -> list[str]:
    return [step.rest for step in STEPS if step.word == word]


def test_every_instruction_is_known() -> None:
    assert {step.word for step in STEPS} == KNOWN
    assert STEPS[0].word == "FROM"


def test_the_base_is_pinned_by_digest_slim_and_of_a_supported_python() -> None:
    (base,) = rest("FROM")
    found = re.fullmatch(r"python:3\.(\d+)\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base)
    assert found
    assert 11 <= int(found[1]) <= 13


def test_it_does_not_run_as_root() -> None:
    (user,) = rest("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    words = [step.word for step in STEPS]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")
    assert words.index("USER") < words.index("CMD")


def test_nothing_secret_or_fetched_by_address_is_in_it() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"\bADD\b|curl|wget|sudo|TOKEN|SECRET|KEY", text)
    (install,) = (step for step in rest("RUN") if "pip install" in step)
    assert {"--no-cache-dir", "--require-hashes"} <= set(install.split())


def test_packages_come_before_code_so_that_they_are_kept() -> None:
    copies = rest("COPY")
    assert copies[0].startswith("requirements.txt ")
    words = [step.word for step in STEPS]
    assert words.index("RUN") < [i for i, word in enumerate(words) if word == "COPY"][1]


def test_the_service_is_that_of_the_procfile() -> None:
    (command,) = rest("CMD")
    assert json.loads(command) == (ROOT / "Procfile").read_text().removeprefix("web:").split()
    (check,) = rest("HEALTHCHECK")
    assert "/ready" in check


def test_what_is_copied_is_what_the_engine_is_sent() -> None:
    copied = {source for line in rest("COPY") for source in line.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    assert "*" in ignored


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.timeout(1800)  # downloads
@pytest.mark.skipif("CHECK_PYTHON" not in os.environ, reason="installs all packages: make check-bundle")
def test_its_steps_give_a_service_that_is_ready(release: Release, tmp_path: Path) -> None:
    base = tmp_path / "python"
    subprocess.run([release.programs / "python", "-m", "venv", base], check=True)
    image = dockerfile.build(STEPS, ROOT, tmp_path / "image", base / "bin")
    port, log = free_port(), tmp_path / "container.log"
    environment = {**image.environment, "PORT": str(port)}
    with log.open("wb") as stream:
        program = shutil.which(image.command[0], path=environment["PATH"])
        assert program is not None
        process = subprocess.Popen(
            [program, *image.command[1:]], cwd=image.inside("."), env=environment, stdout=stream, stderr=stream
        )
    try:
        server = Server(process, port, log)
        server.wait_ready()
        assert requests.get(f"{server.url}/api/v5/skin/model-status", timeout=WAIT_S).json()["model_loaded"]
        assert image.inside("sbom.cdx.json").read_bytes() == (ROOT / "sbom.cdx.json").read_bytes()
        check = json.loads(rest("HEALTHCHECK")[0].split("CMD ")[1])
        assert subprocess.run(check, env=environment, check=False).returncode == 0
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0
    assert subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, check=False).returncode != 0


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("workflows/suite.yml", "github-workflows"),
        ("workflows/weekly.yml", "github-workflows"),
        ("dependabot.yml", "dependabot"),
    ],
)
def test_files_of_github_keep_their_published_schema(name: str, schema: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", GITHUB / name]
    ended = subprocess.run(check, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_every_action_is_pinned_to_a_commit() -> None:
    used = [use for file in GITHUB.rglob("*.yml") for use in re.findall(r"uses: (\S+)", file.read_text())]
    assert len(used) >= 4
    assert [use for use in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", use)] == []


def test_each_week_the_audit_must_look_and_the_bundle_is_proven() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows/weekly.yml").read_text())
    assert workflow[True]["schedule"], "`on` is a truth value in YAML 1.1"
    assert [job["steps"][-1]["run"] for job in workflow["jobs"].values()] == [
        "make audit REQUIRED=1",
        "make check-bundle",
    ]
    assert workflow["permissions"] == {"contents": "read"}


def test_dependabot_watches_every_lock_the_base_image_and_the_actions() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    watched = {update["package-ecosystem"]: update for update in updates}
    assert watched.keys() == {"uv", "docker", "github-actions"}
    folders = {ROOT / folder.removeprefix("/") for folder in watched["uv"]["directories"]}
    assert {path.parent for path in ROOT.rglob("requirements*.in") if ".venv" not in path.as_posix()} == folders


def test_the_workflow_runs_the_same_suite_on_every_python() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows/suite.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert workflow["permissions"] == {"contents": "read"}
