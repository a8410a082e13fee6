"""What the accuracy tables stand on: the split, the Rois of pictures, the rank statistics."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import stats

from analyzer import geometry
from benchmarks import dataset
from tests.analyzer import generated_skin


def picture(path: Path, height: int, width: int) -> Path:
    """A skin-coloured picture with a dark blue top row, written without loss."""
    rgb = np.full((height, width, 3), (205, 160, 135), np.uint8)
    rgb += np.random.default_rng(0).integers(0, 3, rgb.shape, dtype=np.uint8)
    cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def test_about_half_of_the_names_are_held_out_and_always_the_same() -> None:
    names = [Path(f"utkface/{age}_{number}_0_2017.jpg") for age in range(20, 70) for number in range(10)]
    split = [dataset.held_out(name) for name in names]
    assert 0.44 < np.mean(split) < 0.56
    assert split == [dataset.held_out(name) for name in names]


def test_the_split_does_not_depend_on_where_the_data_lies_or_on_the_ending() -> None:
    for number in range(50):
        place = dataset.held_out(Path(f"acne04/levle1_{number}.jpg"))
        assert dataset.held_out(Path(f"/elsewhere/acne04/levle1_{number}.jpg")) is place
        assert dataset.held_out(Path(f"acne04/levle1_{number}.xml")) is place


def test_pictures_of_one_person_in_acne04_lie_on_one_side() -> None:
    """Numbers 0 to 19, 20 to 39, … of one severity stay together; the groups are divided about evenly."""
    sides = [
        {dataset.held_out(Path(f"acne04/levle{severity}_{number}.jpg")) for number in range(first, first + 20)}
        for severity in range(4)
        for first in range(0, 600, 20)
    ]
    assert all(len(side) == 1 for side in sides)
    assert 0.35 < np.mean([side == {True} for side in sides]) < 0.65


def test_severities_and_neighbouring_groups_of_acne04_are_divided_apart() -> None:
    for other in (lambda s, n: (s + 1, n), lambda s, n: (s, n + 20)):
        pairs = [(s, n, *other(s, n)) for s in range(3) for n in range(0, 400, 20)]
        held_out = [[dataset.held_out(Path(f"acne04/levle{s}_{n}.jpg")) for s, n in (p[:2], p[2:])] for p in pairs]
        assert any(one != two for one, two in held_out)
        assert any(one == two for one, two in held_out)


def test_other_sources_are_divided_name_by_name() -> None:
    split = [dataset.held_out(Path(f"dermalscan4/levle1_{number}.jpg")) for number in range(20)]
    assert 0 < sum(split) < 20


def test_the_selfies_are_held_out_as_a_whole() -> None:
    assert all(dataset.held_out(Path(f"skin_defects/acne/{number}/front.jpg")) for number in range(40))
    assert all(dataset.held_out(Path(f"phone_originals/{number}.jpg")) for number in range(40))


def test_data_root_is_the_named_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKIN_DATA", str(tmp_path))
    (tmp_path / "set").mkdir()
    for name in ("b.jpg", "a.png", "notes.txt"):
        (tmp_path / "set" / name).write_bytes(b"")
    assert dataset.data_root() == tmp_path
    assert [path.name for path in dataset.pictures("set/*")] == ["a.png", "b.jpg"]


@pytest.mark.parametrize(("height", "width"), [(300, 300), (300, 420), (900, 640)])
def test_a_close_up_is_its_middle_square(tmp_path: Path, height: int, width: int) -> None:
    region = dataset.close_up_roi(picture(tmp_path / "skin.png", height, width))
    side = min(height, width)
    assert region.rgb.shape == (geometry.SIZE, geometry.SIZE, 3)
    assert region.scale == pytest.approx(geometry.SIZE / side)
    assert set(region.regions) == {"whole"}
    assert region.skin.mean() > 0.95
    whole = region.original_box(0, 0, geometry.SIZE, geometry.SIZE)
    assert (whole.x, whole.y) == pytest.approx(((width - side) // 2, (height - side) // 2))
    assert (whole.width, whole.height) == pytest.approx((side, side))


def test_a_picture_without_a_face_has_no_service_roi(tmp_path: Path) -> None:
    assert dataset.service_roi(picture(tmp_path / "skin.png", 300, 300)) is None


def test_spearman_is_that_of_scipy_also_with_ties() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, 60)
    y = x + rng.normal(0, 2, 60)
    assert dataset.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert dataset.spearman(x, -x) == pytest.approx(-1.0)


def test_auc_is_the_chance_that_a_positive_scores_higher() -> None:
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 6, 80).astype(float)
    positive = rng.random(80) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert dataset.auc(scores, positive) == pytest.approx(np.mean(pairs))
    assert dataset.auc([1, 2, 3, 4], [False, False, True, True]) == 1.0
    assert dataset.auc([1, 1, 1, 1], [False, True, False, True]) == 0.5


def test_the_interval_of_a_mean_is_about_two_standard_errors_each_way() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    low, high = dataset.interval(np.mean, values)
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.4 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.4 * error)
    assert dataset.interval(np.mean, values) == (low, high)


def test_the_interval_resamples_rows_together() -> None:
    x = np.arange(50.0)
    assert dataset.interval(dataset.spearman, x, 3 * x + 1) == pytest.approx((1.0, 1.0))


def test_resamples_without_a_statistic_are_left_out() -> None:
    low, high = dataset.interval(dataset.auc, [1.0, 2.0, 3.0], [False, True, True])
    assert (low, high) == (1.0, 1.0)


def test_progress_gives_every_item() -> None:
    assert list(dataset.progress(range(120), "counting")) == list(range(120))


@pytest.mark.data
def test_teacher_landmarks_lie_on_the_face(skin_data: Path) -> None:
    path = next(path for path in dataset.pictures("acne04/*") if dataset.teacher_landmarks(path) is not None)
    region = dataset.teacher_roi(path)
    assert region is not None
    assert region.measured_landmarks
    assert region.skin.mean() > 0.1
    assert dataset.teacher_landmarks(skin_data / "acne04" / "no such picture.jpg") is None


@pytest.mark.parametrize(("tone", "group"), [("light", "light"), ("medium", "intermediate"), ("dark", "dark")])
def test_tone_groups_follow_the_typology_angle(tone: str, group: str) -> None:
    assert dataset.tone_group(generated_skin.roi_of(generated_skin.plain(tone))) == group


def test_race_is_read_from_utkface_names_only() -> None:
    names = [Path(f"utkface/31_0_{code}_20170109.jpg") for code in range(5)]
    assert [dataset.race(name) for name in names] == list(dataset.RACES)
    assert dataset.race(Path("acne04/levle1_3_0_2.jpg")) == ""


@pytest.mark.parametrize(
    ("name", "race"), [("26_0_1_20170116.jpg", "Black"), ("61_1_20170109.jpg", ""), ("1_0_4_2016.chip.jpg", "other")]
)
def test_the_race_of_a_utkface_name_is_its_third_part(name: str, race: str) -> None:
    assert dataset.race(Path("utkface") / name) == race
