"""What docs/runbook.md, docs/alarms.yml and docs/grafana-dashboard.json say is what a service does: states, metrics, commands."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from analyzer.ensemble import Ensemble
from analyzer.model_sources import NAME, ModelSources
from analyzer.settings import Settings
from application import create_app
from tests.analyzer import artefacts, poisoned, store_server
from tests.analyzer.conftest import line, moto_port, s3
from tests.analyzer.store_server import Fault, Line, artefact, open_stand_in, upload
from tests.web.records import ANALYZE
from tests.web.test_server import ROOT, Server, post, running
from web.readiness import generated_portrait

__all__ = ["line", "moto_port", "s3"]  # fixtures of the tests of the store
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "docs" / "alarms.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
BOARD = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text(encoding="utf-8"))
SHOWN = dict(re.findall(r"<!-- state: (\w+) -->\n```json\n(.*?)```", RUNBOOK, re.DOTALL))
STATES = ("s3", "fallback", "cached", "refused", "crashing", "nothing")
METRIC = re.compile(r"\b((?:skin|process)_[a-z0-9_]+|up)\b")
MADE_BY_PROMETHEUS = {"up"}
VOLATILE = ("loaded_at", "s3_version_id")


def state(name: str, folder: Path, s3: Any, line: Line) -> dict[str, Any]:
    """The model status of a service that was brought into a state, as the runbook shows it."""
    config = store_server.settings(line.url, folder, bucket=None if name == "nothing" else store_server.BUCKET)
    if name != "nothing":
        artefact(folder / "models", "6.0.0")
        upload(s3, artefact(folder / "published", "6.1.0"))
    if name == "fallback":
        line.faults.append(Fault("card.json", kind="status 403"))
    ensemble = Ensemble(ModelSources(config), open_stand_in)
    ensemble.refresh()
    if name == "refused":
        upload(s3, artefact(folder / "newer", "6.2.0", broken=True))
        ensemble.refresh()
    if name == "crashing":
        artefacts.make(folder / "real" / NAME, version="6.0.0")
        upload(s3, poisoned.make(folder / "poisoned", "division while answering", "6.2.0"))
        ensemble = Ensemble(ModelSources(replace(config, folder=folder / "real", cache=folder / "another")))
        ensemble.refresh()
    if name == "cached":
        ensemble = Ensemble(ModelSources(config), open_stand_in)
        line.faults.append(Fault("card.json", kind="status 503 SlowDown"))
        ensemble.refresh()
    answer = create_app(Settings(store=config), ensemble).test_client().get("/api/v5/skin/model-status").json
    told, facial = answer["model_status"], answer["model_status"]["model_details"]["facial"]
    return {
        **{key: answer[key] for key in ("status", "model_loaded")},
        "fallback_reason": told["fallback_reason"],
        "facial": {key: facial[key] for key in ("source", "version", "available", "s3_location", "self_test")},
    }


@pytest.mark.parametrize("name", STATES)
def test_the_model_status_reads_as_the_runbook_shows(name: str, tmp_path: Path, s3: Any, line: Line) -> None:
    assert json.loads(SHOWN[name]) == state(name, tmp_path, s3, line)


def test_every_state_that_is_shown_is_tested() -> None:
    assert set(SHOWN) == set(STATES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """Names of the metrics that a running service exports."""
    with running(tmp_path_factory.mktemp("metrics")) as server:
        yield names(server)


def test_the_process_is_found_as_the_runbook_says(tmp_path: Path) -> None:
    ((options, pattern),) = re.findall(r"MASTER=\$\(pgrep -o(f) '([^']+)'\)", RUNBOOK)
    with running(tmp_path) as server:
        found = subprocess.run(
            ["pgrep", f"-{options}", pattern], capture_output=True, text=True, check=True
        ).stdout.split()
        worker = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
    assert str(server.process.pid) in found
    assert len(worker.stdout.split()) == 1


def names(server: Server) -> set[str]:
    for picture in (generated_portrait(), b"no picture"):
        post(server, ANALYZE, picture)
    text = requests.get(f"{server.url}/metrics", timeout=30).text
    return set(re.findall(r"^([a-z_0-9]+)[{ ]", text, re.MULTILINE))


def test_every_metric_of_board_alarms_and_runbook_is_exported(exported: set[str]) -> None:
    expressions = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for rule in RULES] + re.findall(r"`([^`]*(?:skin|process)_[^`]*)`", RUNBOOK)
    named = {name for text in expressions for name in METRIC.findall(text)}
    assert len(named) > 10
    assert named <= exported | MADE_BY_PROMETHEUS


def test_every_metric_of_ours_is_on_the_board(exported: set[str]) -> None:
    shown = json.dumps(BOARD)
    ours = {re.sub(r"_(total|created|bucket|sum|count)$", "", name) for name in exported if name.startswith("skin_")}
    assert sorted(name for name in ours if name not in shown) == []


def test_every_alarm_has_its_section_and_every_section_its_parts() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    assert set(sections) == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["for"].endswith("m")
        assert [
            part for part in ("Means:", "Look at:", "Do:", "Over when:") if part not in sections[rule["alert"]]
        ] == []


def test_the_board_is_one_that_grafana_imports() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time", "refresh"} <= set(BOARD)
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({tuple(panel["gridPos"].items()) for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for panel in BOARD["panels"]:
        assert panel["type"] in ("timeseries", "stat")
        assert set(panel["gridPos"]) == {"x", "y", "w", "h"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_the_events_that_the_runbook_names_are_logged_somewhere() -> None:
    source = "".join(path.read_text() for top in ("analyzer", "web") for path in (ROOT / top).rglob("*.py"))
    events = re.findall(r"event `(\w+)`", RUNBOOK)
    assert events
    assert [event for event in events if f'"{event}"' not in source] == []
