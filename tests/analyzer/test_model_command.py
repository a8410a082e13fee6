"""python -m analyzer.model_store: what operators see, and exit statuses that a script can rely on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from analyzer import model_cache, model_card
from analyzer.model_command import DONE, FAILED, OTHER_CONTENT, WRONG, main
from tests.analyzer import artefacts
from tests.analyzer.store_server import BUCKET, FILES, PREFIX, Line, artefact, upload


@pytest.fixture(autouse=True)
def environment(s3: Any, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 behind the line, no local artefact, an empty cache."""
    monkeypatch.setenv("S3_BUCKET", BUCKET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    monkeypatch.setenv("MODEL_ALLOW_UNSIGNED", "yes")
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))


def puts(line: Line) -> list[str]:
    return [head.split("\r\n")[0].split()[1].rsplit("/", 1)[1] for head in line.asked("PUT ")]


def test_publish_uploads_with_checksums_and_the_card_last(
    tmp_path: Path, s3: Any, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = artefact(tmp_path, "2")
    assert main(["publish", str(folder), "--dry-run"]) == DONE
    assert "would be uploaded" in capsys.readouterr().out
    assert puts(line) == []
    assert main(["publish", str(folder)]) == DONE
    assert puts(line) == [*FILES, "card.json"]
    for name in (*FILES, "card.json"):
        kept = s3.head_object(Bucket=BUCKET, Key=PREFIX + name, ChecksumMode="ENABLED")
        assert base64.b64decode(kept["ChecksumSHA256"]).hex() == model_cache.sha256_of(folder / name)
    assert s3.head_object(Bucket=BUCKET, Key=f"{PREFIX}card.json")["ContentType"] == "application/json"
    assert main(["publish", str(folder)]) == DONE
    assert len(puts(line)) == 4
    assert "there already" in capsys.readouterr().out


def test_publish_does_not_replace_a_version_by_other_content(
    tmp_path: Path, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(artefact(tmp_path / "a", "2"))]) == DONE
    other = artefact(tmp_path / "b", "2", broken=True)
    assert main(["publish", str(other)]) == OTHER_CONTENT
    assert "--force" in capsys.readouterr().err
    assert len(puts(line)) == 4
    assert main(["publish", str(other), "--force"]) == DONE
    assert main(["publish", str(artefact(tmp_path / "c", "3"))]) == DONE


def test_a_damaged_card_in_s3_is_told_and_replaced_on_wish(
    tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = artefact(tmp_path / "a", "2")
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}card.json", Body=b'{"name": ')
    assert main(["status"]) == FAILED
    assert "In S3, below" in capsys.readouterr().out
    assert main(["publish", str(folder)]) == OTHER_CONTENT
    assert "What S3 holds is damaged" in capsys.readouterr().err
    assert main(["publish", str(folder), "--force"]) == DONE
    assert main(["status"]) == DONE


def test_publish_says_which_file_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = artefact(tmp_path / "a", "2")
    (folder / "best_facial_model.keras").unlink()
    assert main(["publish", str(folder)]) == DONE
    assert "best_facial_model.keras: not in the folder and not needed to serve" in capsys.readouterr().out


def test_status_compares_the_checksums_that_s3_keeps(
    tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = artefact(tmp_path / "a", "2")
    assert main(["publish", str(folder)]) == DONE
    flipped = bytes([255 - (folder / "network.bin").read_bytes()[0]]) + (folder / "network.bin").read_bytes()[1:]
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}network.bin", Body=flipped, ChecksumAlgorithm="SHA256")
    assert main(["status"]) == FAILED
    assert "network.bin in S3 has another sha256" in capsys.readouterr().out


def test_publish_and_verify_refuse_a_folder_that_is_not_sound(
    tmp_path: Path, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = artefact(tmp_path, "2")
    assert main(["verify", str(folder)]) == DONE
    assert "spots 2 is sound" in capsys.readouterr().out
    (folder / "network.bin").write_bytes(b"x")
    for command in ("verify", "publish"):
        assert main([command, str(folder)]) == FAILED
        assert "network.bin must have" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == WRONG
    assert "there is no such folder" in capsys.readouterr().err
    assert line.heads == []


def test_publish_sends_the_expected_owner(tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.owner = "123456789012"
    monkeypatch.setenv("S3_EXPECTED_OWNER", "999999999999")
    assert main(["publish", str(artefact(tmp_path, "2"))]) == FAILED
    assert puts(line) == []


def test_status_tells_what_is_where(tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == FAILED
    told = json.loads(capsys.readouterr().out)
    assert told["s3"]["problem"] == "The artefact is not in the bucket (404)."
    assert told["cache"] == []
    artefact(tmp_path / "models", "1")
    artefacts.make(tmp_path / "new", version="2")
    upload(s3, tmp_path / "new")
    assert main(["fetch"]) == DONE
    said = capsys.readouterr()
    assert "2 is in" in said.out
    assert "self-test passed: 3 golden pictures" in said.out
    assert "network.bin 100 %" in said.err
    assert main(["status", "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["s3"]["version"], told["cache"][0]["version"], told["local"]["version"]) == ("2", "2", "1")
    assert told["s3"]["content"] == told["cache"][0]["content"]
    assert main(["status"]) == DONE
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["s3", "2"],
        ["cache", "2"],
        ["local", "1"],
    ]


def test_status_without_s3_speaks_of_the_local_artefact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("S3_BUCKET")
    assert main(["status"]) == FAILED
    folder = artefact(tmp_path / "models", "1")
    assert main(["status"]) == DONE
    (folder / model_card.CARD).unlink()
    assert main(["status"]) == FAILED
    assert main(["fetch"]) == WRONG
    assert "S3_BUCKET is not set" in capsys.readouterr().err


def test_a_wrong_setting_or_command_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_POLL_S", "often")
    assert main(["status"]) == WRONG
    assert "MODEL_POLL_S must be a number" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["destroy"])
    assert left.value.code == WRONG
