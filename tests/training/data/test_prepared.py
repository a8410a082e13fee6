"""Files are read once, what cannot be read is told, and what shows the same picture is in one group."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer import preprocessing
from analyzer.values import Rgb
from tests.analyzer import generated_skin
from tests.training.data.test_duplicates import pictures as fields
from training import command
from training.data import facts, prepared
from training.data.facts import Facts, statistics
from training.data.pictures import Picture, Problem


def written(path: Path, rgb: Rgb, quality: int = 95) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    path.write_bytes(cv2.imencode(path.suffix, rgb[..., ::-1], settings)[1].tobytes())
    return path


def picture(path: Path, source: str = "clinic", label: str = "acne", group: str = "") -> Picture:
    return Picture(path, source, label, group or f"{source}/{path.stem}")


def face(tone: str = "medium") -> Rgb:
    rgb = generated_skin.to_rgb(generated_skin.face(tone))
    return cv2.copyMakeBorder(rgb, 60, 60, 90, 90, cv2.BORDER_CONSTANT, value=(90, 110, 130))


def grains() -> Rgb:
    """Small sharp discs."""
    rgb = np.full((500, 600, 3), 150, np.uint8)
    for x, y, shade in np.random.default_rng(3).integers((0, 0, 20), (600, 500, 250), (300, 3)).tolist():
        cv2.circle(rgb, (x, y), 9, (shade, 120, 90), -1)
    return rgb


@pytest.fixture
def some(tmp_path: Path) -> list[Picture]:
    """Five fields without a face."""
    return [picture(written(tmp_path / "clinic" / f"lesion-{n:03}.jpg", rgb)) for n, rgb in enumerate(fields(5))]


def measured(rgb: Rgb, quality: int = 95) -> tuple[Facts, Rgb]:
    return facts.measured(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def test_a_whole_face_is_cut_as_the_service_cuts_it_and_anything_else_to_its_middle() -> None:
    known, crop = measured(face())
    assert (known.has_face, known.faces, known.width, known.height) == (True, 1, 692, 632)
    assert known.face_box is not None
    assert known.face_box[2] > 200
    middle = preprocessing.middle(face())
    assert np.abs(crop.astype(int) - middle).mean() > 10
    known, crop = measured(fields(1)[0])
    assert (known.has_face, known.faces, known.face_box, known.cut_px) == (False, 0, None, 200)
    assert np.abs(crop.astype(int) - preprocessing.middle(fields(1)[0])).mean() < 3


def test_a_face_that_is_cut_off_is_no_face_to_cut_out() -> None:
    known, _ = measured(face()[:, 250:])
    assert (known.has_face, "face_cut_off" in known.refused) == (False, True)


def test_where_no_face_can_be_none_is_looked_for() -> None:
    data = cv2.imencode(".png", face()[..., ::-1])[1].tobytes()
    assert facts.measured(data, look_for_face=False)[0].faces == 0


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 7), "blurred"),
        (lambda rgb: (rgb * 0.12).astype(np.uint8), "dark"),
        (lambda rgb: cv2.resize(rgb, (100, 100), interpolation=cv2.INTER_AREA), "small"),
    ],
)
@pytest.mark.parametrize("rgb", [face(), grains()], ids=["face", "no face"])
def test_spoiled_pictures_are_told(spoiled, code: str, rgb: Rgb) -> None:  # type: ignore[no-untyped-def]
    assert code not in measured(rgb)[0].failed
    assert code in measured(spoiled(rgb))[0].failed


def test_darker_skin_has_a_lower_angle_and_grey_pictures_have_none() -> None:
    light, dark = (measured(face(tone))[0].ita_deg for tone in ("light", "dark"))
    assert light is not None
    assert dark is not None
    assert light > dark + 20
    grey = cv2.cvtColor(cv2.cvtColor(face(), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert measured(grey)[0].ita_deg is None
    assert measured(fields(1)[0])[0].ita_deg is None


def test_statistics_see_size_light_sharpness_and_border() -> None:
    rgb = np.full((100, 200, 3), 100, np.uint8)
    rgb[20:80, 20:180] = 200
    known, _ = measured(rgb)
    row = dict(zip(facts.STATISTICS, statistics([known])[0].tolist(), strict=True))
    assert (row["width"], row["height"], row["aspect"]) == (200, 100, 2)
    assert row["bytes per pixel"] == pytest.approx(known.size_bytes / 20000)
    assert row["brightness"] == pytest.approx(148, abs=2)
    assert row["border L"] == pytest.approx(42.4, abs=1)  # CIELAB of grey 100
    assert abs(row["border a"]) + abs(row["border b"]) < 1
    soft = statistics([measured(cv2.GaussianBlur(rgb, (0, 0), 3))[0]])[0]
    assert soft[facts.STATISTICS.index("sharpness")] < row["sharpness"] - 1


def test_facts_survive_being_written() -> None:
    for rgb in (face(), fields(1)[0]):
        known, _ = measured(rgb)
        assert Facts.from_json(known.to_json()) == known


def test_prepared_in_order_with_crops_and_estimated_skin_types(some: list[Picture], tmp_path: Path) -> None:
    some.insert(2, picture(written(tmp_path / "faces" / "person-77.png", face("dark")), "faces"))
    done = prepared.prepare(some, tmp_path / "cache")
    assert [one.path for one in done.pictures] == [one.path for one in some]
    assert done.crops.shape == (6, 224, 224, 3)
    assert (done.crops[0] == preprocessing.middle(cv2.imread(str(some[0].path))[..., ::-1])).mean() > 0.95
    assert done.pictures[2].estimated == ("fitzpatrick",)
    assert done.pictures[2].fitzpatrick in ("V", "VI")
    chosen = done.subset([3, 2])
    assert [one.path for one in chosen.pictures] == [some[3].path, some[2].path]
    assert (chosen.crops == done.crops[[3, 2]]).all()


def test_what_cannot_be_read_is_left_out_with_its_reason(some: list[Picture], tmp_path: Path) -> None:
    cut_short = tmp_path / "cut.jpg"
    cut_short.write_bytes(some[0].path.read_bytes()[:-2000])
    (tmp_path / "text.jpg").write_text("no picture")
    tiny = written(tmp_path / "tiny.png", fields(1)[0][:20, :20])
    bad = [picture(one) for one in (cut_short, tmp_path / "text.jpg", tiny, tmp_path / "absent.jpg")]
    before = [Problem(tmp_path / "x.csv", "no such column", 3)]
    done = prepared.prepare([bad[0], *some, *bad[1:]], tmp_path / "cache", before)
    assert [one.path for one in done.pictures] == [one.path for one in some]
    said = [str(problem) for problem in done.problems]
    assert said[0].endswith("x.csv:3: no such column")
    for problem, name, reason in zip(
        said[1:],
        ("cut.jpg", "text.jpg", "tiny.png", "absent.jpg"),
        ("incomplete", "not", "20×20", "no such"),
        strict=True,
    ):
        assert name in problem
        assert "expected a" in problem
        assert reason in problem


def test_nothing_that_can_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(command.BadInput, match=r"none of 1 pictures can be read, the first: .*text\.jpg: expected"):
        prepared.prepare([picture(tmp_path / "text.jpg")], tmp_path / "cache")
    with pytest.raises(command.BadInput, match="no picture to read"):
        prepared.prepare([], tmp_path / "cache")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every file that is really opened and measured."""
    calls: list[int] = []
    real = facts.measured

    def measure(data: bytes, *, look_for_face: bool = True) -> tuple[Facts, Rgb]:
        calls.append(len(data))
        return real(data, look_for_face=look_for_face)

    monkeypatch.setattr(facts, "measured", measure)
    return calls


def test_files_are_measured_once_and_changed_ones_anew(
    some: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch)
    first = prepared.prepare(some, tmp_path / "cache")
    assert len(calls) == 5
    again = prepared.prepare(some, tmp_path / "cache")
    assert len(calls) == 5
    assert again.facts == first.facts
    assert again.pictures == first.pictures
    assert (again.crops == first.crops).all()
    written(some[1].path, fields(9)[8])
    changed = prepared.prepare(some, tmp_path / "cache")
    assert len(calls) == 6
    assert changed.facts[1] != first.facts[1]
    shutil.copy(some[0].path, tmp_path / "elsewhere.jpg")
    prepared.prepare([picture(tmp_path / "elsewhere.jpg")], tmp_path / "cache")
    assert len(calls) == 6


def test_another_face_stage_measures_anew(some: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    prepared.prepare(some, tmp_path / "cache")
    stage = prepared.face.warm_up()
    monkeypatch.setattr(prepared.face, "warm_up", lambda: replace(stage, version="9.9.9"))
    prepared.prepare(some, tmp_path / "cache")
    assert len(calls) == 10


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-40],
        lambda data: b"",
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0x55]) + data[len(data) // 2 + 1 :],
    ],
    ids=["cut", "empty", "a byte"],
)
def test_damaged_entries_are_made_anew(harm, some: list[Picture], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first = prepared.prepare(some, tmp_path / "cache")
    for path in entries(tmp_path / "cache"):
        path.write_bytes(harm(path.read_bytes()))
    again = prepared.prepare(some, tmp_path / "cache")
    assert again.facts == first.facts
    assert (again.crops == first.crops).all()


def test_an_interrupted_run_keeps_what_it_has_and_goes_on(
    some: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        real = facts.measured
        stop = some[3].path.read_bytes()

        def measure(data: bytes, *, look_for_face: bool = True) -> tuple[Facts, Rgb]:
            if data == stop:
                raise KeyboardInterrupt
            return real(data, look_for_face=look_for_face)

        during.setattr(facts, "measured", measure)
        with pytest.raises(KeyboardInterrupt):
            prepared.prepare(some, tmp_path / "cache")
    kept = entries(tmp_path / "cache")
    assert len(kept) >= 3
    assert all(path.suffix == ".npz" for path in kept)
    calls = counted(monkeypatch)
    assert len(prepared.prepare(some, tmp_path / "cache").pictures) == 5
    assert len(calls) == 5 - len(kept)


def test_a_full_disk_is_no_bad_picture(some: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        prepared.prepare(some, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_copies_are_in_one_group_whatever_their_source(some: list[Picture], tmp_path: Path) -> None:
    mirrored = written(tmp_path / "b" / "other.jpg", cv2.resize(fields(1)[0][:, ::-1], (150, 150)), 60)
    same_name = written(tmp_path / "c" / "lesion-003.jpg", fields(20)[19])
    counter = written(tmp_path / "c" / "0001.jpg", fields(21)[20])
    counters = [picture(shutil.copy(counter, tmp_path / "0002.jpg"), "clinic"), picture(counter, "c")]
    written(counters[0].path, fields(22)[21])
    added = [picture(mirrored, "b", "eczema"), picture(same_name, "c"), *counters]
    done = prepared.prepare([*some, *added], tmp_path / "cache")
    groups = [one.group for one in done.pictures]
    assert groups[5] == groups[0] == "b/other"
    assert groups[6] == groups[3] == "c/lesion-003"
    assert len(set(groups)) == 7
    assert [one.label for one in done.pictures][5] == "eczema"


def test_groups_of_persons_grow_together(some: list[Picture], tmp_path: Path) -> None:
    """A copy ties its whole group to the group of the original."""
    some = [replace(one, group=f"clinic/person {n // 2}") for n, one in enumerate(some)]
    copy = picture(written(tmp_path / "copy-of-2.jpg", fields(3)[2], 50), group="clinic/person 0")
    groups = [one.group for one in prepared.prepare([*some, copy], tmp_path / "cache").pictures]
    assert groups == ["clinic/person 0"] * 4 + ["clinic/person 2", "clinic/person 0"]
