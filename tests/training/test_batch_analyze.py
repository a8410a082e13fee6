"""An archive is scored once, whatever ends the run: one row per photo, bad ones with a code, from a folder or from S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from skimage import data

pytest.importorskip("pyarrow", reason="pyarrow is in the training environment only: make train-env RAY=1")

from pyarrow import parquet

from analyzer import settings
from analyzer.ensemble import Ensemble
from analyzer.model_sources import ModelSources
from analyzer.pipeline import analyze_photo
from analyzer.values import ModelState
from tests.analyzer import store_server
from training import batch_analyze, command
from training.scoring import archive, batch, parts, photo_rows, scorer
from training.scoring.archive import Archive, Photo
from training.scoring.scorer import Scorer

ROOT = Path(__file__).resolve().parents[2]
SIDE = 900  # px


def jpeg(side: int = SIDE, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", cv2.resize(data.astronaut(), (side, side))[..., ::-1], [1, quality])[1].tobytes()


def filled(folder: Path, portraits: int = 1) -> Path:
    """Portraits, a picture without a face, and files that are no pictures."""
    (folder / "2024" / ".thumbnails").mkdir(parents=True)
    for place in range(portraits):
        (folder / "2024" / f"{place}.JPG").write_bytes(jpeg(SIDE + 8 * place))
    dull = np.full((300, 300, 3), 120, np.uint8)
    (folder / "dull.png").write_bytes(cv2.imencode(".png", dull)[1].tobytes())
    (folder / "cut.jpg").write_bytes(jpeg()[:4000])
    (folder / "text").write_text("a key without an ending\n")
    (folder / "notes.txt").write_text("no photo\n")
    (folder / "2024" / ".thumbnails" / "a.jpg").write_bytes(jpeg())
    return folder


PATHS = ["2024/0.JPG", "cut.jpg", "dull.png", "text"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """The command, but for the threads that it gives its process."""
    monkeypatch.setattr(sys, "argv", ["batch_analyze", *map(str, arguments)])
    command.run(lambda: batch.analyze(batch_analyze.parsed()))


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Path → row; there is one of each."""
    found = parquet.read_table(folder).to_pylist()
    assert len({row["path"] for row in found}) == len(found)
    return {row["path"]: row for row in found}


def test_a_row_says_what_the_service_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, filled(tmp_path / "photos"), tmp_path / "rows")
    found = rows(tmp_path / "rows")
    assert sorted(found) == PATHS
    assert {path: row["error_code"] for path, row in found.items()} == {
        "2024/0.JPG": None,
        "cut.jpg": "truncated_image",
        "dull.png": "no_face",
        "text": "bad_image",
    }
    ensemble = Ensemble(ModelSources(settings.read().store))
    report = analyze_photo(jpeg(), ensemble)
    row = found["2024/0.JPG"]
    assert (row["width"], row["size_bytes"]) == (SIDE, len(jpeg()))
    assert (row["primary_condition"], row["health_score"]) == (report.primary_condition, report.health_score)
    assert row["model_version"] == ensemble.state().details["version"]
    for finding in report.findings:
        assert row[f"{finding.name}_score"] == finding.score
        assert (row[f"{finding.name}_severity"] is None) == (finding.score is None)
        assert (row[f"{finding.name}_low"], row[f"{finding.name}_high"]) == (finding.interval or (None, None))
    assert 0 < row["face_ms"] < row["total_ms"]
    assert found["dull.png"]["message"] == "No face was found in this photo."
    assert all(row["model_version"] for row in found.values()), "refusals say which model was there, too"


class Asked:
    """A scorer that answers in no time and notes what it was asked."""

    paths: ClassVar[list[str]] = []
    version: str | None = "1"
    ends_at = ""

    def __init__(self, where: Archive) -> None:
        self.model = ModelState(True, None, {"version": self.version})

    def __call__(self, photo: Photo) -> dict[str, Any]:
        if photo.path == self.ends_at:
            raise KeyboardInterrupt
        self.paths.append(photo.path)
        code = photo_rows.UNREADABLE if "away" in photo.path else "no_face"
        return photo_rows.failed(photo, None, code, "the disk is away", self.model)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> type[Asked]:
    made = type("Fresh", (Asked,), {"paths": []})
    monkeypatch.setattr(batch, "Scorer", made)
    return made


def empty_photos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_ctrl_c_keeps_what_is_done_and_nothing_is_scored_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = empty_photos(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg")
    asked.ends_at = "c.jpg"
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, photos, tmp_path / "rows")
    assert ended.value.code == command.INTERRUPTED_CODE
    assert sorted(rows(tmp_path / "rows")) == ["a.jpg", "b.jpg"]
    asked.ends_at = ""
    run(monkeypatch, photos, tmp_path / "rows")
    run(monkeypatch, photos, tmp_path / "rows")
    assert asked.paths == ["a.jpg", "b.jpg", "c.jpg"]
    assert sorted(rows(tmp_path / "rows")) == asked.paths
    assert "3 photos, 3 of them need nothing; to be scored: 0" in capsys.readouterr().out


def test_photos_that_cannot_be_read_have_no_row_and_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked]
) -> None:
    photos = empty_photos(tmp_path / "photos", "a.jpg", "away.jpg")
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"1 photos have no row, .* away.jpg \(the disk is away\); run the same"):
            run(monkeypatch, photos, tmp_path / "rows")
    assert sorted(rows(tmp_path / "rows")) == ["a.jpg"]
    assert asked.paths == ["a.jpg", "away.jpg", "away.jpg"]
    most = empty_photos(tmp_path / "most", *(f"away {place}.jpg" for place in range(40)), "good.jpg")
    with pytest.raises(SystemExit, match="40 photos have no row"):
        run(monkeypatch, most, tmp_path / "others")
    assert sorted(rows(tmp_path / "others")) == ["good.jpg"]


def test_where_nothing_can_be_read_from_afar_it_ends_early() -> None:
    row = photo_rows.failed(Photo("a.jpg", 1), None, photo_rows.UNREADABLE, "away", ModelState(False, "none", {}))
    batch.stop_if_hopeless([row] * (batch.HOPELESS - 1), Counter())
    batch.stop_if_hopeless([row] * 40, Counter(analysed=1))
    with pytest.raises(command.BadInput, match="the first 8 photos could not be read"):
        batch.stop_if_hopeless([row] * batch.HOPELESS, Counter())


def test_what_a_folder_may_hold_beside_photos_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = empty_photos(tmp_path / "photos", "a.jpg", "b.jpg", os.fsdecode(b"bad\xff.jpg"))
    (photos / "up").symlink_to(photos, target_is_directory=True)
    (photos / "linked.jpg").symlink_to(photos / "a.jpg")
    (photos / "away.jpg").symlink_to(photos / "nowhere")
    os.mkfifo(photos / "pipe.jpg")
    run(monkeypatch, photos, photos / "rows", "--limit", 1)
    told = capsys.readouterr()
    assert "4 photos, 0 of them need nothing; to be scored: 1" in told.out
    assert "1 files are left out: their names are no UTF-8" in told.err
    with pytest.raises(SystemExit, match="1 photos have no row"):
        run(monkeypatch, photos, photos / "rows")
    assert sorted(rows(photos / "rows")) == ["a.jpg", "b.jpg", "linked.jpg"]


def test_rows_of_another_model_or_archive_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked]
) -> None:
    photos = empty_photos(tmp_path / "photos", "a.jpg")
    run(monkeypatch, photos, tmp_path / "rows")
    with pytest.raises(SystemExit, match=r"holds rows of .*photos, not of .*others"):
        run(monkeypatch, empty_photos(tmp_path / "others", "a.jpg"), tmp_path / "rows")
    asked.version = "2"
    with pytest.raises(SystemExit, match="come from the model 1, this run has 2; name another DST"):
        run(monkeypatch, photos, tmp_path / "rows")
    (tmp_path / "rows" / "part-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SystemExit, match="cannot be read as rows of photos; remove it"):
        run(monkeypatch, photos, tmp_path / "rows")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "there is no such folder"),
        ("empty", "holds no photos among 1 files"),
        ("s3://", "expected s3://bucket"),
    ],
)
def test_what_cannot_be_an_archive(
    source: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked]
) -> None:
    empty_photos(tmp_path / "empty", "a.txt")
    with pytest.raises(SystemExit, match=sentence):
        run(monkeypatch, source if source.startswith("s3") else tmp_path / source, tmp_path / "rows")


SLOW = """
import sys, time
from pathlib import Path
from tests.training.test_batch_analyze import Asked, batch, batch_analyze, command, parts

class Slow(Asked):
    def __call__(self, photo):
        time.sleep(0.01)
        return super().__call__(photo)

parts.ROWS, batch.Scorer = 7, Slow
command.run(lambda: batch.analyze(batch_analyze.parsed()))
"""


def test_a_killed_run_leaves_whole_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked]) -> None:
    photos = empty_photos(tmp_path / "photos", *(f"{place:03}.jpg" for place in range(300)))
    out = tmp_path / "rows"
    child = subprocess.Popen([sys.executable, "-c", SLOW, photos, out], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not (out / "part-000002.parquet").exists() and child.poll() is None:
            time.sleep(0.01)
        with pytest.raises(SystemExit, match="another run is at work there"):
            run(monkeypatch, photos, out)
    finally:
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    (out / parts.UNFINISHED).write_bytes(b"half of a part")
    left = rows(out)
    assert 14 <= len(left) < 300
    run(monkeypatch, photos, out)
    assert len(rows(out)) == 300
    assert sorted(asked.paths + list(left)) == sorted(rows(out)), "none twice"
    assert not (out / parts.UNFINISHED).exists()


def test_an_archive_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: type[Asked]) -> None:
    pytest.importorskip("moto", reason="moto is in the training environment only: make train-env RAY=1")
    with store_server.moto() as port:
        for name, value in {**store_server.CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
            monkeypatch.setenv(name, value)
        client = store_server.s3(port)
        client.create_bucket(Bucket="selfies")
        for path in sorted(filled(tmp_path / "photos").rglob("*")):
            if path.is_file():
                client.upload_file(path, "selfies", f"2024/{path.relative_to(tmp_path / 'photos').as_posix()}")
        client.put_object(Bucket="selfies", Key="other/x.jpg", Body=b"x")
        client.close()
        here, there = Archive(str(tmp_path / "photos")), Archive("s3://selfies/2024", f"http://127.0.0.1:{port}")
        assert archive.located("s3://selfies/2024/", os.environ) == there
        assert archive.photos(there) == archive.photos(here)
        assert [one.path for one in archive.photos(there)] == PATHS
        for photo in archive.photos(there):
            assert archive.read(*there.open(), photo) == (tmp_path / "photos" / photo.path).read_bytes()
        run(monkeypatch, "s3://selfies/2024", tmp_path / "rows")
        assert sorted(rows(tmp_path / "rows")) == PATHS
        with pytest.raises(OSError, match=r"does not exist|NoSuchKey|not found"):
            archive.read(*there.open(), Photo("away.jpg", 1))
        with pytest.raises(SystemExit, match=r"s3://strangers/x: cannot be listed .*; look at its name"):
            run(monkeypatch, "s3://strangers/x", tmp_path / "none")


def test_files_that_the_service_would_not_take_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_BODY_MIB", "1")
    photos = empty_photos(tmp_path / "photos", "a.jpg")
    row = Scorer(Archive(str(photos)))(Photo("a.jpg", settings.MIB + 1))
    assert (row["error_code"], row["message"]) == ("too_large", "The file is larger than 1 MiB.")
    assert row["sha256"] is None


def test_a_fault_of_ours_costs_one_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(scorer, "analyze_photo", fault)
    row = Scorer(Archive(str(empty_photos(tmp_path / "photos", "a.jpg"))))(Photo("a.jpg", 0))
    assert (row["error_code"], row["message"]) == (
        "internal_error",
        "The analysis failed on this photo (ZeroDivisionError).",
    )
    assert "ZeroDivisionError" in capsys.readouterr().err
