"""The bundle as a file: the same bytes twice, what is in it, and its configuration against what is documented."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
import zipfile
from pathlib import Path

import pytest

from analyzer import settings
from analyzer.errors import BadSetting
from analyzer.model_sources import NAME
from application import create_app
from deploy import bundle, proxy_answers
from tests.conftest import ROOT
from tests.deploy import eb_options
from tests.deploy.layout import SERVICE, Release
from tests.test_documentation import setting_names

MEMORY_MIB = {"m7i.2xlarge": 32 * 1024}  # of the default machine
POLICY = json.loads((ROOT / "deploy/instance-policy.json").read_text())
THEIRS = {"S3_EXPECTED_OWNER": "123456789012", "MODEL_PUBLIC_KEYS": "A" * 43 + "="}  # of those who deploy
DEPLOYMENT = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")


def test_the_same_files_give_the_same_bytes(bundle_zip: Path, tmp_path: Path) -> None:
    first, second = (bundle.make(ROOT, tmp_path / name, with_ensemble=False) for name in "ab")
    assert first.sha256 == second.sha256
    with zipfile.ZipFile(first.path) as lean, zipfile.ZipFile(bundle_zip) as whole:
        kept = [entry for entry in whole.infolist() if not entry.filename.startswith(bundle.ENSEMBLE)]
        assert [(entry.filename, entry.CRC) for entry in lean.infolist()] == [
            (entry.filename, entry.CRC) for entry in kept
        ]


def test_without_the_ensemble_it_is_small(tmp_path: Path) -> None:
    lean = bundle.make(ROOT, tmp_path, with_ensemble=False)
    assert lean.size <= bundle.MOST_BYTES
    assert lean.ensemble_size == 0
    with zipfile.ZipFile(lean.path) as archive:
        models = {name.split("/")[1] for name in archive.namelist() if name.startswith("models/")}
    assert models == {"face_geometry"}


def test_outside_git_it_ends_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(bundle.CannotBundle, match="git checkout"):
        bundle.make(tmp_path, tmp_path)


def test_what_is_served_is_in_it_and_nothing_else(release: Release) -> None:
    names = {path.relative_to(release.folder).as_posix() for path in release.folder.rglob("*") if path.is_file()}
    assert {
        "Procfile", "application.py", "gunicorn.conf.py", "requirements.txt", "sbom.cdx.json", "web/static/index.html",
        "analyzer/calibration.json", "models/face_geometry/card.json", f"models/{NAME}/card.json",
    } <= names  # fmt: skip
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        ".ebextensions", ".platform", "Procfile", "analyzer", "application.py", "deploy", "gunicorn.conf.py", "models",
        "requirements.txt", "sbom.cdx.json", "web",
    }  # fmt: skip
    assert [
        name for name in names if re.search(r"__pycache__|\.pyc$|\.env|\.(jpe?g|png|heic|keras|h5|md)$", name)
    ] == []


def test_no_text_has_carriage_returns(release: Release) -> None:
    texts = [path for path in release.folder.rglob("*") if path.suffix not in (".bin", ".npz") and path.is_file()]
    assert len(texts) > 100
    assert [path.name for path in texts if b"\r" in path.read_bytes()] == []


def test_hooks_run_and_nothing_else_does(release: Release) -> None:
    runnable = {path for path in release.folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o111}
    hooks = set((release.folder / ".platform").rglob("*.sh"))
    assert runnable == hooks
    assert len(hooks) == 3
    for file in hooks:
        assert file.read_text().startswith("#!/usr/bin/env bash\n")
        subprocess.run(["bash", "-n", file], check=True)


def test_the_procfile_starts_the_service_alone(release: Release) -> None:
    lines = (release.folder / "Procfile").read_text().splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"web:\s*[^\s].*", lines[0])  # AWS: ^[A-Za-z0-9_-]+:\s*[^\s].*$


def test_every_option_is_documented_and_its_value_allowed(release: Release) -> None:
    options = eb_options.read(release.folder / ".ebextensions")
    assert len(options) > 40
    assert list(eb_options.problems(options)) == []


@pytest.mark.parametrize(
    ("namespace", "name", "value", "told"),
    [
        ("aws:autoscaling:asg", "MaxSise", "3", "no such option"),
        ("aws:elasticbeanstalk:container:python", "NumThreads", "3", "no such option"),
        ("aws:autoscaling:asg", "MaxSize", 3, "quotation marks"),
        ("aws:autoscaling:asg", "MaxSize", "many", "is not among"),
        ("aws:elasticbeanstalk:command", "Timeout", "4000", "is not among"),
        ("aws:autoscaling:trigger", "MeasureName", "CPU", "is not among"),
        ("aws:elasticbeanstalk:managedactions", "PreferredStartTime", "Tuesday", "is not among"),
        ("aws:elasticbeanstalk:application:environmentsecrets", "API_KEYS", "the key itself", "is not among"),
    ],
)
def test_the_check_of_options_finds_mistakes(namespace: str, name: str, value: str, told: str) -> None:
    (problem,) = eb_options.problems({(namespace, name): value})
    assert told in problem


def test_the_options_in_the_guide_are_documented_too(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n( *option_settings:.*?)```", DEPLOYMENT, re.DOTALL)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.config").write_text(textwrap.dedent(block))
    options = eb_options.read(tmp_path)
    assert options["aws:elbv2:listener:443", "Protocol"] == "HTTPS"
    assert options["aws:elbv2:listener:default", "ListenerEnabled"] == "false"
    assert list(eb_options.problems(options)) == []
    secrets = {
        name for namespace, name in options if namespace == "aws:elasticbeanstalk:application:environmentsecrets"
    }
    assert secrets == {"API_KEYS", "OPERATOR_TOKEN"}


def test_the_instance_may_read_the_secrets_of_the_guide_and_no_others() -> None:
    (read,) = json.loads((ROOT / "deploy/secrets-policy.json").read_text())["Statement"]
    assert (read["Effect"], read["Action"]) == ("Allow", "secretsmanager:GetSecretValue")
    place = re.escape(read["Resource"]).replace(r"\*", "[^:]*")
    named = re.findall(r"arn:aws:secretsmanager:\S+", DEPLOYMENT)
    assert len(named) == 2
    assert [name for name in named if not re.fullmatch(place, name)] == []
    assert not re.fullmatch(place, "arn:aws:secretsmanager:us-east-1:ACCOUNT:secret:another-XXXXXX")


def test_properties_are_settings_of_the_service(release: Release) -> None:
    assert set(release.properties) <= set(setting_names())
    read = settings.read(release.properties | THEIRS)
    assert (read.host, read.operator_local) == ("127.0.0.1", False)
    assert read.rate_limit > 0
    assert [origin for origin in read.cors_origins if not origin.startswith("https://")] == []
    assert f"{read.host}:{read.port}" == SERVICE
    conf = (release.folder / ".platform/nginx/conf.d/elasticbeanstalk/service.conf").read_text()
    assert re.findall(r"proxy_pass http://([^;]+);", conf) == [SERVICE]


def test_numbers_of_balancer_proxy_and_service_agree(release: Release) -> None:
    options = eb_options.read(release.folder / ".ebextensions")
    conf = "".join(path.read_text() for path in (release.folder / ".platform/nginx").rglob("*.conf"))
    idle_s = int(options["aws:elbv2:loadbalancer", "IdleTimeout"])
    process, trigger = "aws:elasticbeanstalk:environment:process:default", "aws:autoscaling:trigger"
    kept_s = [int(seconds) for seconds in re.findall(r"^\s+keepalive_timeout (\d+)s;", conf, re.MULTILINE)]
    assert len(kept_s) == len(re.findall("^location ", conf, re.MULTILINE))
    read_s = int(re.findall(r"proxy_read_timeout (\d+)s", conf)[0])
    assert min(kept_s) > idle_s > read_s > settings.Settings().queue_timeout_s
    assert read_s <= int(options[process, "DeregistrationDelay"])
    period, times, lasting = (int(options[trigger, name]) for name in ("Period", "EvaluationPeriods", "BreachDuration"))
    assert lasting == period * times
    sizes = re.findall(r"^client_(max_body|body_buffer)_size (\d+)m;", conf, re.MULTILINE)
    limit_mib = settings.Settings().max_body_bytes // settings.MIB
    assert sizes == [("max_body", str(limit_mib)), ("body_buffer", str(limit_mib * 4 // 3))]
    held_mib = int(re.findall(r"^limit_conn bodies (\d+);", conf, re.MULTILINE)[0]) * int(sizes[1][1])
    assert held_mib <= MEMORY_MIB[options["aws:ec2:instances", "InstanceTypes"]] / 4
    assert options[process, "HealthCheckPath"] in {rule.rule for rule in create_app().url_map.iter_rules()}


def test_health_leaves_out_what_callers_get_wrong(release: Release) -> None:
    options = eb_options.read(release.folder / ".ebextensions")
    rules = json.loads(options["aws:elasticbeanstalk:healthreporting:system", "ConfigDocument"])
    assert rules["Version"] == 1
    environment = rules["Rules"]["Environment"]
    assert environment["Application"]["ApplicationRequests4xx"] == {"Enabled": False}
    assert environment["ELB"]["ELBRequests4xx"] == {"Enabled": False}


def test_the_proxys_own_answers_are_those_of_the_code(release: Release) -> None:
    checked_in = (release.folder / ".platform/nginx/conf.d/20_answers.conf").read_text()
    assert checked_in == proxy_answers.document(settings.read(release.properties | THEIRS)), (
        "run python -m deploy.proxy_answers (see its docstring)"
    )


def test_every_page_is_told_where_all_are_allowed() -> None:
    assert "default '*';" in proxy_answers.document(settings.read({"CORS_ORIGINS": "*"}))


def test_the_instance_may_read_the_model_and_no_more() -> None:
    config = settings.read({"S3_BUCKET": "shine-skincare-models"} | THEIRS).store
    (read,) = POLICY["Statement"]
    place, _, end = read["Resource"].rpartition("*")
    assert end == ""
    assert f"arn:aws:s3:::{config.bucket}/{config.prefix}".startswith(place)
    assert place != f"arn:aws:s3:::{config.bucket}/"
    assert (read["Effect"], read["Action"]) == ("Allow", "s3:GetObject")
    assert read["Condition"] == {"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}


def test_what_belongs_to_an_account_is_set_by_the_guide_and_missed_by_the_start(release: Release) -> None:
    (named,) = re.findall(r"--envvars (\S+)", DEPLOYMENT)
    assert {pair.split("=")[0] for pair in named.split(",")} == set(THEIRS)
    with pytest.raises(BadSetting, match="S3_EXPECTED_OWNER"):
        settings.read(release.properties)
    store = settings.read(release.properties | THEIRS).store
    assert store.expected_owner == THEIRS["S3_EXPECTED_OWNER"]
    assert store.public_keys == (THEIRS["MODEL_PUBLIC_KEYS"],)
    assert not store.allow_unsigned


def test_the_guide_names_what_the_command_line_overrides(release: Release) -> None:
    """`eb create` sets some options itself; .ebextensions cannot, so that the guide has to."""
    options = eb_options.read(release.folder / ".ebextensions")
    overridden = [
        name
        for namespace, names in eb_options.TABLE["recommended_by_cli"].items()
        for name in names
        if (namespace, name) in options
    ]
    assert len(overridden) >= 6
    assert [
        name for name in overridden if f"`{name}`" not in DEPLOYMENT and f"OptionName={name}" not in DEPLOYMENT
    ] == []
