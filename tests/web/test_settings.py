"""Configuration: defaults, every variable, and messages that name what is wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from analyzer import settings
from analyzer.errors import BadSetting
from analyzer.settings import Settings, StoreSettings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
PUBLIC_KEY = "A" * 43 + "="
SHOWN = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_defaults_hold_without_any_variable() -> None:
    assert settings.read({}) == Settings()
    assert settings.read(dict.fromkeys(SHOWN, "")) == Settings()


def test_the_example_shows_every_variable_with_its_default() -> None:
    source = (Path(settings.__file__)).read_text()
    assert set(SHOWN) == set(re.findall(r'(?:env, |env\.get\()"([A-Z0-9_]+)"', source))
    assert len(SHOWN) == len(fields(Settings)) - 1 + len(fields(StoreSettings))  # `store` itself is no variable
    assert settings.read(SHOWN) == Settings()


def test_values_are_read() -> None:
    read = settings.read(
        {
            "HOST": "::1",
            "PORT": "9000",
            "CORS_ORIGINS": "https://a.example, http://localhost:5000/",
            "MAX_BODY_MIB": "2",
            "QUEUE_TIMEOUT_S": "0.5",
            "OPERATOR_TOKEN": "0123456789abcdef",
            "OPERATOR_LOCAL": "No",
            "LOG_LEVEL": "WARNING",
        }
    )
    assert read.host == "::1"
    assert (read.port, read.max_body_bytes, read.queue_timeout_s) == (9000, 2 * 1024 * 1024, 0.5)
    assert read.cors_origins == ("https://a.example", "http://localhost:5000")
    assert (read.operator_token, read.operator_local, read.log_level) == ("0123456789abcdef", False, "warning")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "999.1.1.1"),
        ("HOST", "http://localhost"),
        ("HOST", "1.2.3"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("PORT", "http"),
        ("PORT", "8_000"),
        ("PORT", "9" * 5000),
        ("LOG_LEVEL", "loud"),
        ("CORS_ORIGINS", "example.com"),
        ("CORS_ORIGINS", "https://a.example/path"),
        ("MAX_BODY_MIB", "-1"),
        ("MAX_PIXELS", "89000001"),
        ("MAX_DECODE_MIB", "63"),
        ("QUEUE_TIMEOUT_S", "nan"),
        ("QUEUE_TIMEOUT_S", "soon"),
        ("OPERATOR_TOKEN", "short"),
        ("OPERATOR_LOCAL", "maybe"),
        ("S3_BUCKET", "Shine"),
        ("S3_BUCKET", "s3://shine"),
        ("S3_EXPECTED_OWNER", "12345"),
        ("S3_MODEL_KEY", "/a/b.h5"),
        ("S3_MODEL_KEY", "a/../b.h5"),
        ("S3_MODEL_KEY", "a/b.pkl"),
        ("S3_MODEL_PREFIX", "a//b"),
        ("AWS_ENDPOINT_URL", "ftp://x"),
        ("AWS_ENDPOINT_URL", "http://user:secret@x"),
        ("MODEL_SHA256", "abc"),
        ("MODEL_PUBLIC_KEYS", "abc"),
        ("MODEL_PUBLIC_KEYS", f"{PUBLIC_KEY},{PUBLIC_KEY}"),
        ("MODEL_CARD_SHA256", "A" * 64),
        ("MODEL_ALLOW_UNSIGNED", "perhaps"),
        ("MODEL_TRUST_BARE", "perhaps"),
        ("MODEL_CLASSES", "acne"),
        ("MODEL_CLASSES", "acne,acne"),
        ("MODEL_PRECISION", "f16"),
        ("MODEL_POLL_S", "-1"),
        ("MODEL_START_WAIT_S", "61"),
        ("S3_CONNECT_TIMEOUT_S", "0"),
        ("S3_READ_TIMEOUT_S", "never"),
        ("MODEL_DOWNLOAD_TIMEOUT_S", "0.5"),
    ],
)
def test_wrong_values_are_named_and_tokens_not_repeated(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name) as raised:
        settings.read({name: value})
    assert raised.value.hint
    assert "short" not in raised.value.message


def test_memory_for_decoding_grows_with_the_places() -> None:
    places = {"2": 1024, "4": 1024, "8": 1792}
    read = {count: settings.read({"MAX_ANALYSES": count}).max_decode_bytes / settings.MIB for count in places}
    assert read == places
    assert settings.read({"MAX_ANALYSES": "8", "MAX_DECODE_MIB": "300"}).max_decode_bytes == 300 * settings.MIB


def test_a_former_setting_is_told_with_the_one_in_its_place() -> None:
    with pytest.raises(BadSetting, match="MAX_LARGE is no longer a setting: MAX_DECODE_MIB"):
        settings.read({"MAX_LARGE": "2"})
    assert settings.read({"MAX_LARGE": ""}) == Settings()


@pytest.mark.parametrize(
    ("given", "prefix", "key"),
    [
        ({}, "hare_run_v6/hare_run_v6_facial/", "hare_run_v6/hare_run_v6_facial/best_facial_model.h5"),
        ({"S3_MODEL_KEY": "a/b.keras"}, "a/", "a/b.keras"),
        ({"S3_MODEL_KEY": "b.h5"}, "", "b.h5"),
        ({"S3_MODEL_PREFIX": "x/y"}, "x/y/", "x/y/best_facial_model.h5"),
        ({"S3_MODEL_PREFIX": "x/y/", "S3_MODEL_KEY": "z/b.h5"}, "x/y/", "z/b.h5"),
    ],
)
def test_prefix_and_key_follow_from_each_other(given: dict[str, str], prefix: str, key: str) -> None:
    store = settings.read(given).store
    assert (store.prefix, store.key) == (prefix, key)


def test_settings_of_the_store_are_read() -> None:
    sums = ("0" * 64, "1" * 64)
    store = settings.read(
        {
            "S3_BUCKET": "shine-skincare-models",
            "S3_EXPECTED_OWNER": "123456789012",
            "MODEL_SHA256": ", ".join(sums),
            "MODEL_POLL_S": "0",
            "MODEL_PUBLIC_KEYS": PUBLIC_KEY,
            "MODEL_CARD_SHA256": sums[1],
            "MODEL_ALLOW_UNSIGNED": "Yes",
        }
    ).store
    assert (store.bucket, store.sha256, store.poll_s) == ("shine-skincare-models", sums, 0.0)
    assert (store.public_keys, store.card_sha256, store.allow_unsigned) == ((PUBLIC_KEY,), sums[1:], True)


def test_a_bucket_at_amazon_needs_its_owner() -> None:
    """Elsewhere a bucket may have no owner that could be asked for."""
    with pytest.raises(BadSetting, match="S3_BUCKET is set and S3_EXPECTED_OWNER is not"):
        settings.read({"S3_BUCKET": "shine-skincare-models", "S3_EXPECTED_OWNER": " "})
    elsewhere = {"S3_BUCKET": "models", "AWS_ENDPOINT_URL": "http://localhost:9000"}
    assert settings.read(elsewhere).store.expected_owner is None


@pytest.mark.skipif(shutil.which("make") is None, reason="make is absent")
def test_make_serve_reads_the_env_file_and_the_environment_wins(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".env").write_bytes(
        b"# PORT=1\nPORT=9000\r\nLOG_LEVEL=debug\nOPERATOR_TOKEN=a $b;c=d`e\nMAX_QUEUE=\nHOST=::1"
    )
    (tmp_path / "requirements.txt").touch()
    for name in ("python.stamp", "serve.stamp"):
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".venv" / name).touch()
    server = tmp_path / ".venv" / "bin" / "gunicorn"
    server.write_text("#!/bin/sh\nenv\n")
    server.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LOG_LEVEL": "warning"}
    shown = subprocess.run(["make", "serve"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    given = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert (given["PORT"], given["HOST"], given["OPERATOR_TOKEN"]) == ("9000", "::1", "a $b;c=d`e")
    assert given["LOG_LEVEL"] == "warning"


def test_the_most_pixels_that_can_be_set_are_below_what_pillow_warns_of() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert settings.read({"MAX_PIXELS": "89000000"}).max_pixels == settings.MOST_PIXELS < Image.MAX_IMAGE_PIXELS
