"""The tables of face finding, on stages whose answers are known."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyzer import face
from analyzer.errors import ModelUnavailable
from analyzer.face import Detector, FaceStage
from analyzer.values import Face, Rgb
from benchmarks import dataset, detection, detection_stages, figures
from benchmarks import detection_tables as tables
from benchmarks.detection_pictures import Picture, turned
from benchmarks.detection_truth import drawn, from_landmarks
from tests.benchmarks.generated_faces import face_at, landmarks

TRUTH = from_landmarks(landmarks())
RIGHT = face_at(*TRUTH.centre, TRUTH.side)
WRONG = face_at(40, 40, 30)
NAMES = [f"utkface/{number}_0_0_1.jpg" for number in range(50)]
HELD_OUT_AND_NOT = [
    next(name for name in NAMES if dataset.held_out(Path(name)) == held_out) for held_out in (True, False)
]


def stage(name: str, *answers: Sequence[Face]) -> Detector:
    """A stage that gives these answers one after the other, the last one for ever."""
    left = [tuple(answer) for answer in answers]

    def detect(rgb: Rgb) -> tuple[Face, ...]:
        return left.pop(0) if len(left) > 1 else left[0]

    return Detector(FaceStage(name, "1"), detect)


def pictures(*groups: str, source: str = "UTKFace") -> list[Picture]:
    rgb = np.zeros((400, 400, 3), np.uint8)
    return [Picture(source, group, f"{source}/{group}", rgb, (TRUTH,)) for group in groups]


def test_stages_stand_beside_each_other_on_the_same_pictures() -> None:
    stages = {"haar": stage("haar", [RIGHT], [WRONG], []), "network": stage("network", [RIGHT])}
    found = tables.places(stages, pictures("Black", "Black", "White"))
    rows = {row["group"]: row for row in found["recall"]}
    assert rows["all"]["pictures"] == 3
    assert rows["all"]["haar_right"] == figures.share(1, 3)
    assert rows["all"]["haar_some"] == figures.share(2, 3)
    assert rows["all"]["network_right"] == figures.share(3, 3)
    assert rows["White"]["haar_right"] == figures.share(0, 1)
    gaps = {row["stage"]: row for row in found["race_gap"]}
    assert (gaps["haar"]["highest"], gaps["haar"]["lowest"]) == ("Black", "White")
    assert gaps["network"]["difference"].startswith("0.000")


def test_only_the_first_face_counts() -> None:
    assert not tables.outcome([WRONG, RIGHT], [TRUTH]).right
    assert tables.outcome([RIGHT, WRONG], [TRUTH]).right
    assert tables.outcome([], [TRUTH]) == tables.Outcome(False, False)


def test_acne04_stands_by_severity_by_view_and_with_its_hand_marks() -> None:
    taught, marked = pictures("severity 2", source="ACNE04")[0], pictures("severity 2", source="ACNE04 hand-marked")[0]
    found = tables.places({"haar": stage("haar", [RIGHT])}, [taught, marked])
    counts = {(row["source"], row["group"]): row["pictures"] for row in found["recall"]}
    assert counts["ACNE04 by view", "front"] == 2
    assert counts["ACNE04 with hand marks", "severity 2"] == 2
    assert counts["ACNE04", "severity 2"] == counts["ACNE04 hand-marked", "severity 2"] == 1


def test_errors_are_in_units_of_the_face() -> None:
    assert TRUTH.eyes is not None
    off = Face(RIGHT.box, 0.9, TRUTH.eyes + np.float32([7, 0]), 5.0, "test", yaw_deg=-12.0)
    found = tables.errors_of(off, TRUTH)
    assert found["eyes"] == pytest.approx(0.1, abs=1e-3)  # of 70 px between the eyes
    assert found["roll"] == pytest.approx(5.0, abs=0.1)
    assert found["yaw"] == pytest.approx(-12.0, abs=0.5)
    assert found["box_shift"] == pytest.approx(0.0, abs=1e-6)
    assert math.isnan(tables.errors_of(RIGHT, TRUTH)["eyes"])


def test_small_drawn_faces_are_neither_wanted_nor_false() -> None:
    large, small = drawn(np.array([100, 100, 160, 180])), drawn(np.array([300, 300, 330, 340]))
    scene = Picture("WIDER", "scenes", "wider/x.jpg", np.zeros((416, 416, 3), np.uint8), (large, small))
    faces = [face_at(130, 140, 66), face_at(315, 320, 33), face_at(40, 300, 50)]
    rows = tables.crowds({"haar": stage("haar", faces), "network": stage("network", faces[1:2])}, [scene])
    assert [row["faces_of_40_px"] for row in rows] == [1, 1]
    assert rows[0]["recall"] == figures.share(1, 1)
    assert rows[0]["false_per_picture"] == 1.0
    assert rows[1]["recall"] == figures.share(0, 1)
    assert rows[1]["false_per_picture"] == 0.0


def test_false_faces_are_counted_per_source_and_in_all() -> None:
    empty = [Picture(source, "no face", "x", np.zeros((9, 9, 3), np.uint8), ()) for source in ("a", "b", "b")]
    rows = tables.false_faces({"haar": stage("haar", [], [WRONG, WRONG], [])}, empty)
    assert [(row["source"], row["pictures"]) for row in rows] == [("a", 1), ("b", 2), ("all", 3)]
    assert rows[1]["haar_faces_per_picture"] == 1.0
    assert rows[2]["haar_pictures_hit"] == figures.share(1, 3)


def test_rotations_tell_recall_and_roll_error_per_angle() -> None:
    upright = pictures("White")[0]
    angles = [(0.0, upright), (90.0, turned(upright, 90))]
    rows = tables.rotations({"haar": stage("haar", [RIGHT])}, angles)
    assert [row["angle_deg"] for row in rows] == [0.0, 90.0, "all"]
    assert [row["haar_right"] for row in rows] == [figures.share(1, 1), figures.share(0, 1), figures.share(1, 2)]


def test_reliability_of_a_true_and_of_an_overconfident_stage() -> None:
    rng = np.random.default_rng(0)
    stated = rng.random(20_000)
    honest = tables.reliability(stated, rng.random(20_000) < stated)[-1]["confidence"]
    assert float(honest.split()[-1]) < 0.02
    boastful = tables.reliability(stated, rng.random(20_000) < stated / 2)[-1]["confidence"]
    assert float(boastful.split()[-1]) == pytest.approx(0.25, abs=0.02)
    assert tables.reliability([], []) == []


def test_speed_has_a_row_for_each_case_and_size() -> None:
    rows = tables.speed({"haar": stage("haar", [])}, {"front": pictures("White")}, repeats=2)
    assert [(row["case"], row["long_px"]) for row in rows] == [("front", 640), ("front", 1600)]
    assert all(row["haar_median_ms"] >= 0 for row in rows)


def test_every_angle_is_asked_of_the_same_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection.pictures, "utkface", lambda *_, **__: iter(pictures("White")))
    monkeypatch.setattr(detection.pictures, "acne04", lambda *_, **__: iter(pictures("severity 1", source="ACNE04")))
    asked = [(angle_deg, picture.source) for angle_deg, picture in detection.turned_faces(1.0)]
    assert len(asked) == 48
    assert {angle for angle, source in asked if source == "ACNE04"} == set(map(float, range(0, 360, 15)))


def test_the_network_is_asked_for_all_that_it_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = pictures("White")[0]
    monkeypatch.setattr(
        detection.fitting,
        "fitting_pictures",
        lambda size: iter([replace(picture, name=name) for name in HELD_OUT_AND_NOT]),
    )
    asked: list[float] = []

    def detect(rgb: Rgb, least_confidence: float = 0.5) -> tuple[Face, ...]:
        asked.append(least_confidence)
        return (RIGHT, face_at(40, 40, 30, confidence=0.1))

    rows = detection.reliability("network", Detector(FaceStage("network", "1"), detect), 1.0)
    assert asked == [detection.LEAST_CONFIDENCE]  # one picture is held out
    assert rows[-1]["candidates"] == 2
    assert rows[-1]["confidence"] == "all, ECE 0.100"


def test_a_network_that_is_not_there_is_left_out_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(folder: Path) -> Detector:
        raise ModelUnavailable("No artefact.", "Install one.")

    parser = argparse.ArgumentParser()
    monkeypatch.setattr(face, "network", missing)
    assert set(detection_stages.chosen("both", parser)) == {"haar"}
    assert "No artefact." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        detection_stages.chosen("network", parser)
    monkeypatch.setattr(face, "network", lambda folder: stage("network", []))
    assert set(detection_stages.chosen("both", parser)) == {"haar", "network"}
    assert set(detection_stages.chosen("network", parser)) == {"network"}
    assert set(detection_stages.chosen("haar", parser)) == {"haar"}
