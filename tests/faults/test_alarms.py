"""docs/alarms.yml in the hands of Prometheus itself: each alarm is raised by what it is for and silent below its limit."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conftest import ROOT
from tests.faults.test_runbook import RULES, RUNBOOK
from tests.web.records import ANALYZE
from tests.web.test_server import START_S, WAIT_S, end, free_port, post, running

ALARMS = ROOT / "docs" / "alarms.yml"
TOKEN = "a-token-of-thirty-two-characters"
WHEN = "20m"  # after the begin of the series below, one number a minute
REQUESTS, REFUSALS = "skin_requests_total", "skin_refusals_total"
SECONDS = 'skin_request_seconds_bucket{route="analyze",le="%s"}'
AT = '{instance="a",job="skin"}'
OTHER = '{instance="b",job="node"}'  # another program's process

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is absent: apt-get install prometheus")


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them (first value, then a step per minute): some that raise an alarm, some that do not."""

    bad: Mapping[str, str]
    calm: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=lambda: {"instance": "a", "job": "skin"})  # of the alarm


def of_all(bad: Mapping[str, str], calm: Mapping[str, str]) -> Case:
    """An alarm over all instances together."""
    return Case(bad, calm, {})


CASES = {
    "NotReady": Case({f"skin_ready{AT}": "0x20"}, {f"skin_ready{AT}": "1x20"}),
    "Unreachable": Case({f"up{AT}": "0x20"}, {f"up{AT}": "0x13 1x6", f"up{OTHER}": "0x20"}),  # a machine that boots
    "AllUnreachable": of_all({f"up{AT}": "0x20", f"up{OTHER}": "1x20"}, {f"up{AT}": "1x20"}),
    "Faults": of_all({f'{REQUESTS}{{status="500"}}': "0+2x20"}, {f'{REQUESTS}{{status="500"}}': "0+1x20"}),
    "AnswersMended": Case({f"skin_answers_mended_total{AT}": "0x10 1x9"}, {f"skin_answers_mended_total{AT}": "1x20"}),
    "Busy": of_all(
        {
            f'{REQUESTS}{{status="503",route="analyze"}}': "0+6x20",
            f'{REQUESTS}{{status="200",route="analyze"}}': "0+94x20",
        },
        {
            f'{REQUESTS}{{status="503",route="analyze"}}': "0+4x20",
            f'{REQUESTS}{{status="200",route="analyze"}}': "0+96x20",
        },
    ),
    "Slow": of_all(
        {SECONDS % "6.5": "0+980x20", SECONDS % "10": "0+1000x20", SECONDS % "+Inf": "0+1000x20"},
        {SECONDS % "6.5": "0+995x20", SECONDS % "10": "0+1000x20", SECONDS % "+Inf": "0+1000x20"},
    ),
    "Memory": Case(
        {f"process_resident_memory_bytes{AT}": "1.6e9x20"},
        {f"process_resident_memory_bytes{AT}": "1.4e9x20", f"process_resident_memory_bytes{OTHER}": "9e9x20"},
    ),
    "OpenFiles": Case(
        {f"process_open_fds{AT}": "900x20", f"process_max_fds{AT}": "1024x20"},
        {
            f"process_open_fds{AT}": "700x20",
            f"process_max_fds{AT}": "1024x20",
            f"process_open_fds{OTHER}": "1000x20",
            f"process_max_fds{OTHER}": "1024x20",
        },
    ),
    "Restarts": Case(
        {f"process_start_time_seconds{AT}": "100x5 500x5 900x8"},
        {f"process_start_time_seconds{AT}": "100x10 500x9", f"process_start_time_seconds{OTHER}": "100x5 500x5 900x8"},
    ),
    "ModelMissing": Case(
        {f"skin_model_loaded{AT}": "0x20", f"skin_ready{AT}": "1x20"},
        {f"skin_model_loaded{AT}": "0x20", f"skin_ready{AT}": "0x20"},  # still starting
    ),
    "ModelFallback": Case({f"skin_model_fallback{AT}": "1x20"}, {f"skin_model_fallback{AT}": "0x10 1x9"}),
    "ModelCrashes": Case({f"skin_model_kept_out{AT}": "0x19 1x1"}, {f"skin_model_kept_out{AT}": "0x20"}),
    "S3Errors": Case(
        {f"skin_model_failed_looks_total{AT}": "0+1x20"}, {f"skin_model_failed_looks_total{AT}": "0x10 2x9"}
    ),
    "DiskFull": Case({f"skin_model_cache_free_bytes{AT}": "4e8x20"}, {f"skin_model_cache_free_bytes{AT}": "6e8x20"}),
    "RateLimited": of_all(
        {f'{REFUSALS}{{code="rate_limited"}}': "0+70x20"}, {f'{REFUSALS}{{code="rate_limited"}}': "0+50x20"}
    ),
    "RateLimitRedis": Case(
        {f"skin_rate_limit_redis_failures_total{AT}": "0x10 1x9"}, {f"skin_rate_limit_redis_failures_total{AT}": "0x20"}
    ),
    "Unauthorized": of_all(
        {f'{REFUSALS}{{code="unauthorized"}}': "0+40x20"}, {f'{REFUSALS}{{code="unauthorized"}}': "0+20x20"}
    ),
}


def promtool(*arguments: object) -> None:
    ended = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alarm_has_its_case() -> None:
    assert set(CASES) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("name", list(CASES))
def test_an_alarm_is_raised_by_what_it_is_for_and_by_nothing_less(name: str, tmp_path: Path) -> None:
    rule, case = next(rule for rule in RULES if rule["alert"] == name), CASES[name]
    raised = {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": rule["annotations"]}
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in given.items()],
            "alert_rule_test": [{"eval_time": WHEN, "alertname": name, "exp_alerts": expected}],
        }
        for given, expected in ((case.bad, [raised]), (case.calm, []))
    ]
    document = {"rule_files": [str(ALARMS)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(document))
    promtool("test", "rules", tmp_path / "cases.yml")


@pytest.fixture
def scraping(tmp_path: Path) -> dict[str, Any]:
    """The configuration that the runbook shows, with its secret in a file of this test."""
    (block,) = (part for part in RUNBOOK.split("```yaml\n")[1:] if part.startswith("scrape_configs:"))
    config: dict[str, Any] = yaml.safe_load(block.split("```")[0])
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    config["scrape_configs"][0]["authorization"]["credentials_file"] = str(secret)
    return config | {"rule_files": [str(ALARMS)], "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}


def test_the_configuration_of_the_runbook_is_one(tmp_path: Path, scraping: dict[str, Any]) -> None:
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    promtool("check", "config", tmp_path / "prometheus.yml")


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """The address of a Prometheus of our own, ended afterwards."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    files = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'series'}")
    process = subprocess.Popen(["prometheus", *files, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL)
    try:
        yield f"http://{address}/api/v1"
    finally:
        end(process)


def eventually(url: str, enough: Callable[[Any], bool], **parameters: str) -> Any:
    """The data of an answer as soon as it is enough."""
    deadline, data = time.monotonic() + START_S, None
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError, ValueError, KeyError):  # not listening, or still loading
            data = requests.get(url, params=parameters, timeout=WAIT_S).json()["data"]
            if enough(data):
                return data
        time.sleep(0.1)
    raise AssertionError(f"Prometheus never told enough, last: {data}")


def test_a_real_prometheus_reads_a_real_service(tmp_path: Path, scraping: dict[str, Any]) -> None:
    with running(tmp_path, OPERATOR_TOKEN=TOKEN, OPERATOR_LOCAL="no") as server:
        post(server, ANALYZE, b"no picture")
        scraping["scrape_configs"][0].pop("ec2_sd_configs")
        scraping["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{server.port}"]}]
        with prometheus(tmp_path, scraping) as api:
            refused = 'skin_refusals_total{job="skin",code="bad_image"}'
            (series,) = eventually(f"{api}/query", lambda data: bool(data["result"]), query=refused)["result"]
            (group,) = eventually(f"{api}/rules", all_judged)["groups"]
    assert series["value"][1] == "1"
    assert {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]} == dict.fromkeys(
        CASES, ("ok", "inactive")
    )


def all_judged(data: Any) -> bool:
    """All rules were evaluated since the service was read; a rule that waits is looked at again."""
    rules = [rule for group in data["groups"] for rule in group["rules"]]
    return all(rule["health"] != "unknown" and rule["state"] != "pending" for rule in rules)
