"""The command at a terminal: table, JSON, overlay, and an exit status that a script can rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data as samples

from analyzer import calibration
from analyzer.__main__ import ANALYSED, BAD_PHOTO, FAILED, REFUSED, _row, main
from analyzer.conditions import CONDITIONS
from analyzer.errors import ModelUnavailable
from analyzer.values import Box, Lesion
from tests.analyzer.predictions import DISEASES, REFERRAL, Answering, prediction, probable, weak

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "portrait.png"
    enlarged = cv2.resize(samples.astronaut(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), enlarged[..., ::-1])
    return path


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """A picture without a face."""
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((600, 600, 3), 150, np.uint8))
    return path


def test_table_has_one_line_per_condition(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(portrait)]) == ANALYSED
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split(" ")[0] in CONDITIONS] == list(CONDITIONS)
    assert "A cosmetic estimate, not a diagnosis." in lines


def test_json_is_whole_and_finite(portrait: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(portrait), "--json"]) == ANALYSED
    report = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert [finding["name"] for finding in report["findings"]] == list(CONDITIONS)
    assert report["photo"] == {"width": 1024, "height": 1024, "media_type": "image/png"}
    box = report["face"]["box"]
    assert 300 < box["x"] + box["width"] / 2 < 600, "in pixels of the file"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """An ensemble that answers, in the place of the installed one."""
    double = Answering(prediction())
    monkeypatch.setattr("analyzer.__main__.Ensemble", lambda sources: double)
    return double


def test_ensemble_is_told_beside_the_measurements(
    portrait: Path, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(portrait)]) == ANALYSED
    printed = capsys.readouterr().out
    assert "Ensemble   blemishes 80%, one for a professional 16%, nothing noticeable 4%" in printed
    assert "Degraded" not in printed


def test_experimental_ensemble_is_marked_and_no_disease_is_named(
    portrait: Path, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering.answer = weak(probable("rosacea"))
    assert main([str(portrait)]) == ANALYSED
    printed = capsys.readouterr().out
    assert "Ensemble   an experiment, no part of the report: one for a professional 92%" in printed
    assert "It is not clearly better than a baseline." in printed
    assert REFERRAL not in printed
    assert main([str(portrait), "--json"]) == ANALYSED
    written = capsys.readouterr().out
    assert json.loads(written)["ensemble"]["outcomes"]["see_a_professional"] == pytest.approx(0.92)
    assert [word for word in DISEASES if word in printed.lower() + written.lower()] == []


def test_without_an_ensemble_the_json_has_none(
    portrait: Path, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering.answer = ModelUnavailable("It is not here.", "Install one.")
    assert main([str(portrait), "--json"]) == ANALYSED
    report = json.loads(capsys.readouterr().out)
    assert (report["ensemble"], report["degraded_reason"]) == (None, "It is not here.")


def test_overlay_is_a_picture_of_the_same_width(portrait: Path, tmp_path: Path) -> None:
    target = tmp_path / "seen.png"
    assert main([str(portrait), "--overlay", str(target)]) == ANALYSED
    drawn = cv2.imread(str(target))
    assert drawn.shape[1] == 1024
    assert drawn.shape[0] > 1024, "the legend stands below"


def test_refusal_says_why_and_still_draws(wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "seen.png"
    assert main([str(wall), "--overlay", str(target)]) == REFUSED
    assert "Refused" in capsys.readouterr().out
    assert cv2.imread(str(target)) is not None


def test_refusal_as_json_has_its_code(wall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(wall), "--json"]) == REFUSED
    report = json.loads(capsys.readouterr().out)
    assert report["error_code"]
    assert report["findings"] == []


def test_file_that_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear all")
    assert main([str(path)]) == BAD_PHOTO
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "letter.jpg" in captured.err


@pytest.mark.parametrize("name", ["absent.jpg", "."])
def test_file_that_cannot_be_read(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / name)]) == FAILED
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".png", b"\x89PNG"), (".jpg", b"\xff\xd8\xff"), (".JPEG", b"\xff\xd8\xff"), (".webp", b"RIFF")],
)
def test_overlay_is_written_in_the_format_of_its_name(wall: Path, tmp_path: Path, suffix: str, start: bytes) -> None:
    target = tmp_path / f"seen{suffix}"
    assert main([str(wall), "--overlay", str(target)]) == REFUSED
    assert target.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["seen.tiff", "seen", "seen.txt", "absent/seen.png"])
def test_overlay_that_could_not_be_written_is_refused_before_any_work(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(tmp_path / "no-photo.jpg"), "--overlay", str(tmp_path / name)])
    assert left.value.code == FAILED
    error = capsys.readouterr().err
    assert Path(name).name in error
    assert "no-photo.jpg" not in error


def test_overlay_that_cannot_be_written(wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "folder.png"
    taken.mkdir()
    assert main([str(wall), "--overlay", str(taken)]) == FAILED
    assert "folder.png" in capsys.readouterr().err


def test_overlay_is_written_though_nobody_reads_the_table(wall: Path, tmp_path: Path) -> None:
    target = tmp_path / "seen.png"
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "analyzer", str(wall), "--overlay", str(target)]
    try:
        ended = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (FAILED, b"")
    assert cv2.imread(str(target)) is not None


@pytest.mark.parametrize(("count", "said"), [(1, "1 spot"), (2, "2 spots")])
def test_spots_are_counted_as_people_say_it(count: int, said: str) -> None:
    spots = tuple(Lesion(Box(10.0 * i, 10.0, 5.0, 5.0), 1.0, "chin") for i in range(count))
    finding = calibration.measured("acne", 2.0, lesions=spots)
    assert finding.detected
    assert _row(finding).endswith(f" {said}")


@pytest.mark.parametrize("arguments", [[], ["a.jpg", "--unknown"]])
def test_wrong_command_is_not_mistaken_for_a_refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == FAILED
    assert "usage" in capsys.readouterr().err


def test_help_tells_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert "exit status" in capsys.readouterr().out
