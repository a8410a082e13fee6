"""A card from S3 is believed when a publisher signed it or an operator pinned it; nothing of another one is read or opened."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from analyzer import signatures
from analyzer.ensemble import Ensemble
from analyzer.errors import BadModel, BadSetting, ModelUnavailable
from analyzer.model_command import DONE, FAILED, WRONG, main
from analyzer.model_download import sha256_of
from analyzer.model_sources import NAME, ModelSources
from analyzer.settings import StoreSettings
from tests.analyzer import store_server
from tests.analyzer.store_server import BUCKET, PREFIX, Line, open_stand_in, upload

CARD = b'{"a": "card"}'
RFC_8032_TEST_1 = (  # section 7.1: public key, message, signature
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    b"",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
)


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[Path, str]]:
    """Make a pair of keys: the file of the private one, the public one."""

    def make(name: str) -> tuple[Path, str]:
        path = tmp_path / f"{name}.key"
        assert main(["keygen", str(path)]) == DONE
        return path, capsys.readouterr().out.rpartition("MODEL_PUBLIC_KEYS=")[2].strip()

    return make


@pytest.fixture
def settings(s3: Any, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreSettings:
    """Where publishers and a service look; the service believes nothing yet."""
    monkeypatch.setenv("S3_BUCKET", BUCKET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    return store_server.settings(line.url, tmp_path, allow_unsigned=False)


def artefact(parent: Path, version: str) -> Path:
    return store_server.artefact(parent, version, size=1000)


def put(folder: Path, *keys: Path) -> Path:
    signing = [option for path in keys for option in ("--sign", str(path))]
    assert main(["publish", str(folder), *signing]) == DONE
    return folder


def refusal(settings: StoreSettings) -> str:
    with pytest.raises(ModelUnavailable) as raised:
        ModelSources(settings).wanted()
    return raised.value.message


def test_a_published_signature_of_another_program_is_true() -> None:
    public, message, signature = RFC_8032_TEST_1
    key = base64.b64encode(bytes.fromhex(public)).decode()
    content = json.dumps({"ed25519": {key: base64.b64encode(bytes.fromhex(signature)).decode()}}).encode()
    signatures.check(message, content, StoreSettings(public_keys=(key,)))
    with pytest.raises(BadModel, match="signed by none of MODEL_PUBLIC_KEYS"):
        signatures.check(b"x", content, StoreSettings(public_keys=(key,)))


def test_keys_are_those_of_other_programs(key: Any) -> None:
    path, public = key("mine")
    theirs = Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_text()))
    assert base64.b64encode(theirs.public_key().public_bytes_raw()).decode() == public
    (signature,) = json.loads(signatures.sign(CARD, [path]))["ed25519"].values()
    assert base64.b64decode(signature) == theirs.sign(CARD)


def test_what_is_signed_is_fetched_and_what_is_not_is_not_read(
    settings: StoreSettings, key: Any, tmp_path: Path, line: Line
) -> None:
    mine, public = key("mine")
    theirs, _ = key("theirs")
    believing = replace(settings, public_keys=(public,))
    put(artefact(tmp_path / "2", "2"))
    assert refusal(believing) == "The card is not signed, and MODEL_ALLOW_UNSIGNED is not yes."
    put(tmp_path / "2" / NAME, theirs)
    assert refusal(believing) == "The card is signed by none of MODEL_PUBLIC_KEYS."
    assert line.asked("network.") == [head for head in line.asked("network.") if head.startswith(("PUT", "HEAD"))]
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("network.*"))
    put(tmp_path / "2" / NAME, mine)
    assert ModelSources(believing).wanted().source == "s3"


def test_a_card_that_nobody_signed_is_not_parsed(settings: StoreSettings, key: Any, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}card.json", Body=b"{")
    assert "not signed" in refusal(replace(settings, public_keys=(key("mine")[1],)))


def test_a_signature_belongs_to_one_card(settings: StoreSettings, key: Any, tmp_path: Path, s3: Any) -> None:
    mine, public = key("mine")
    signed = put(artefact(tmp_path / "2", "2"), mine)
    other = artefact(tmp_path / "3", "3")
    upload(s3, other)
    kept = s3.get_object(Bucket=BUCKET, Key=PREFIX + signatures.object_name((signed / "card.json").read_bytes()))
    moved = PREFIX + signatures.object_name((other / "card.json").read_bytes())
    s3.put_object(Bucket=BUCKET, Key=moved, Body=kept["Body"].read())
    assert refusal(replace(settings, public_keys=(public,))) == "The card is signed by none of MODEL_PUBLIC_KEYS."


def test_nothing_is_believed_where_nothing_says_whom(settings: StoreSettings, key: Any, tmp_path: Path) -> None:
    put(artefact(tmp_path / "2", "2"), key("mine")[0])
    assert refusal(settings).startswith("Nothing says whose artefacts are believed")
    assert ModelSources(replace(settings, allow_unsigned=True)).wanted().source == "s3"


def test_keys_are_exchanged_while_both_are_named(settings: StoreSettings, key: Any, tmp_path: Path, line: Line) -> None:
    (old, old_public), (new, new_public) = key("old"), key("new")
    folder = put(artefact(tmp_path / "2", "2"), old)
    both = replace(settings, public_keys=(old_public, new_public))
    assert ModelSources(both).wanted().source == "s3"
    before = len(line.asked("PUT "))
    put(folder, old, new)  # an old artefact, signed anew: nothing but its signatures is uploaded
    (again,) = line.asked("PUT ")[before:]
    assert ".sig" in again.split("\r\n")[0]
    for public in (old_public, new_public):
        assert ModelSources(replace(settings, public_keys=(public,))).wanted().source == "s3"


def test_a_pin_believes_one_card_and_no_other_whoever_signed_it(
    settings: StoreSettings, key: Any, tmp_path: Path
) -> None:
    mine, public = key("mine")
    pinned = artefact(tmp_path / "2", "2")
    config = replace(settings, card_sha256=(sha256_of(pinned / "card.json"),), public_keys=(public,))
    put(pinned)
    assert ModelSources(config).wanted().source == "s3"
    other = put(artefact(tmp_path / "3", "3"), mine)
    assert refusal(config) == (
        f"The card has sha256 {sha256_of(other / 'card.json')}, which MODEL_CARD_SHA256 does not list."
    )


def test_what_is_not_believed_any_more_is_not_taken_from_the_cache(
    settings: StoreSettings, key: Any, tmp_path: Path, line: Line
) -> None:
    mine, public = key("mine")
    put(artefact(tmp_path / "2", "2"), mine)
    config = replace(settings, public_keys=(public,))
    Ensemble(ModelSources(config), open_stand_in).refresh()
    line.faults.append(store_server.Fault("card.json", kind="status 503 SlowDown"))
    for believing, version in ((config, "2"), (replace(config, public_keys=(key("other")[1],)), None)):
        restarted = Ensemble(ModelSources(believing), open_stand_in)
        restarted.refresh()
        assert restarted.state().details.get("version") == version
    assert "signed by none of MODEL_PUBLIC_KEYS" in str(restarted.state().fallback_reason)


def test_the_card_of_the_local_artefact_needs_a_signature_in_s3_too(
    settings: StoreSettings, key: Any, tmp_path: Path, s3: Any
) -> None:
    """It is no secret: unsigned, it would be a way back to it."""
    mine, public = key("mine")
    ensemble = Ensemble(ModelSources(replace(settings, public_keys=(public,))), open_stand_in)
    upload(s3, artefact(settings.folder, "1"))
    for _ in range(2):
        ensemble.refresh()
        state = ensemble.state()
        assert (state.details["version"], state.details["source"], state.details["s3_location"]) == ("1", "local", None)
        assert "not signed" in str(state.fallback_reason)
    put(artefact(tmp_path / "2", "2"), mine)
    ensemble.refresh()
    upload(s3, settings.folder / NAME)
    ensemble.refresh()
    assert ensemble.state().details["version"] == "2"
    put(settings.folder / NAME, mine)
    ensemble.refresh()
    assert (ensemble.state().details["version"], ensemble.state().fallback_reason) == ("1", None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 16_000,
        b"\xff",
        b"[]",
        b'{"ed25519": []}',
        b'{"ed25519": {"KEY": 7}}',
        b'{"ed25519": {"KEY": "AAAA"}}',
        b'{"ed25519": {"KEY": "\xc3\xa9"}}',
        b'{"ed25519": {}}' + b" " * 20_000,
        json.dumps({"ed25519": {str(number): "" for number in range(100)}}).encode(),
    ],
)
def test_what_is_no_signature_is_none(content: bytes) -> None:
    key = base64.b64encode(bytes(32)).decode()
    with pytest.raises(BadModel, match="signed by none"):
        signatures.check(CARD, content.replace(b"KEY", key.encode()), StoreSettings(public_keys=(key,)))


def test_a_private_key_is_for_its_owner_and_never_overwritten(key: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = key("mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    assert main(["keygen", str(path)]) == WRONG
    assert "cannot be written" in capsys.readouterr().err
    assert path.read_text() == before


@pytest.mark.parametrize("content", [None, "", "abc", "A" * 44, base64.b64encode(bytes(31)).decode(), "é"])
def test_a_file_without_a_private_key_is_told(
    content: str | None, settings: StoreSettings, tmp_path: Path, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadSetting, match=r"no\.key"):
        signatures.sign(CARD, [path])
    assert main(["publish", str(artefact(tmp_path / "2", "2")), "--sign", str(path)]) == WRONG
    assert line.asked("PUT ") == []


def test_publish_says_what_an_unsigned_card_needs(
    settings: StoreSettings, key: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, _ = key("mine")
    folder = put(artefact(tmp_path / "2", "2"))
    assert f"MODEL_CARD_SHA256={sha256_of(folder / 'card.json')}" in capsys.readouterr().out
    put(folder, mine)
    said = capsys.readouterr().out
    assert "not signed" not in said
    assert ".sig: " in said
    assert main(["status"]) == FAILED
    assert "Nothing says whose artefacts are believed" in capsys.readouterr().out
