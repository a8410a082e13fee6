"""The painted look-alike set: the same by seed, graded, with every odd case, and read as the real one would be."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer import face
from training.command import BadInput
from training.data import make_synthetic, painted_conditions, painting, partition, shine_report, shine_skin
from training.data.shine_labels import CONDITIONS
from training.data.shine_skin import Synthetic
from training.data.synthetic_oddities import EXPECTED

SIDE_PX = 64
V0_FILES, V2_FILES = 42, 24  # at --scale 1, with mirrored copies


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("painted") / "tree"
    make_synthetic.write(out, seed=6, scale=1, side_px=SIDE_PX)
    return out


@pytest.fixture(scope="module")
def found(tree: Path) -> Synthetic:
    return shine_skin.read(tree)


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_odd_case_is_found_and_none_that_is_not_there(found: Synthetic) -> None:
    by_generation = {"filled_targets": V0_FILES, "filled_severities": V0_FILES, "missing_keys": 2 * V2_FILES}
    assert Counter(one.code for one in found.oddities) == Counter(EXPECTED) + Counter(by_generation)


def test_labels_are_those_of_the_sidecar_whatever_name_and_folder_say(found: Synthetic) -> None:
    by_stem = {one.picture.path.stem: one for one in found.labelled}
    misnamed = by_stem["acne_moderate_20250928_151250_8001"]
    assert (misnamed.picture.label, misnamed.severities[CONDITIONS.index("textured_skin")]) == ("textured_skin", 2)
    moved = next(one for one in found.labelled if one.picture.path.parent.name == "mild" and one.picture.label == "pore_size"
                 and one.picture.severity == 2)  # fmt: skip
    assert moved.picture.path.parent.parent.name == "redness"
    assert not any(
        "older" in str(path) or "changes_backup" in str(path) for path in (one.picture.path for one in found.labelled)
    )


def test_severities_are_masked_where_nothing_usable_is_said(found: Synthetic) -> None:
    masked = [
        (one.picture.label, name, there)
        for one in found.labelled
        for name, there, severity in zip(CONDITIONS, one.targets, one.severities, strict=True)
        if severity is None
    ]
    assert sorted(masked) == [("acne", "acne", True), ("redness", "redness", True)]
    assert all(
        (severity > 0) is there
        for one in found.labelled
        for there, severity in zip(one.targets, one.severities, strict=True)
        if severity is not None
    )


def test_generations_know_what_they_know(found: Synthetic) -> None:
    batches = {one.batch: one.generation for one in found.labelled}
    assert batches == {"v0": "v0", "20250910_163628": "v1", "20250928_151250": "v1", "20250930_221854": "v2"}
    for one in found.labelled:
        assert (one.picture.fitzpatrick is not None) is (one.generation == "v2")
        assert not (one.generation == "v2" and one.picture.label in ("acne", "aging", "fine_lines_wrinkles"))
        assert one.generation != "v0" or one.picture.age is None
    healthy = [one for one in found.labelled if one.picture.kind == "healthy/0"]
    assert [(one.targets, one.picture.label) for one in healthy] == [((False,) * 7, None)] * 2


def test_parts_keep_copies_together_and_every_condition_reaches_them(found: Synthetic, tmp_path: Path) -> None:
    pictures = found.pictures
    parts = partition.kept(tmp_path / "split.json", pictures, seed=6, key=shine_skin.stratum)
    homes: dict[str, set[str]] = {}
    for picture, part in zip(pictures, parts, strict=True):
        homes.setdefault(picture.group, set()).add(part)
    assert all(len(reached) == 1 for reached in homes.values())
    for name in CONDITIONS:
        assert {part for picture, part in zip(pictures, parts, strict=True) if picture.label == name} == set(
            partition.PARTS
        )


def test_labels_follow_the_pictures_that_could_be_read(found: Synthetic) -> None:
    some = found.pictures[5:2:-1]
    assert [one.picture for one in found.labels_of(some)] == some
    assert [one.targets for one in found.labels_of(some)] == [one.targets for one in found.labelled[5:2:-1]]


def test_report_names_every_oddity_with_its_place(found: Synthetic, tmp_path: Path) -> None:
    shine_report.write(found, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert told["pictures"] == len(found.labelled)
    assert sum(len(entries) for entries in told["oddities"].values()) == len(found.oddities)
    assert told["oddities"]["bad_json"][0]["line"] >= 1
    text = "\n".join(shine_report.table(found))
    assert all(code in text for code in EXPECTED)


def test_the_same_seed_gives_the_same_files_and_another_one_others(tree: Path, tmp_path: Path) -> None:
    for seed in (6, 7):
        plan = list(make_synthetic.planned(seed, 1))
        for one in (*plan[1:20:6], plan[-1]):  # none of them is made odd
            make_synthetic.put(tmp_path / str(seed), one, seed, SIDE_PX)
    again, other, whole = digest(tmp_path / "6"), digest(tmp_path / "7"), digest(tree / make_synthetic.HOME)
    assert len(again) == len(other) == 20
    assert again.items() <= whole.items()
    assert not set(other.values()) & set(again.values())


def test_a_tidy_tree_has_only_what_its_generations_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_synthetic, "drawn", lambda *_: np.zeros((8, 8, 3), np.uint8))
    make_synthetic.write(tmp_path / "tidy", seed=6, scale=1, tidy=True)
    oddities = shine_skin.read(tmp_path / "tidy").oddities
    assert {one.code for one in oddities} == {"filled_targets", "filled_severities", "missing_keys"}


def test_a_mirrored_copy_is_the_mirrored_picture(tree: Path) -> None:
    copies = sorted((tree / make_synthetic.HOME / "acne" / "moderate").glob("*_flipped.png"))
    original = copies[0].with_name(copies[0].name.replace("_flipped", ""))
    assert (cv2.imread(str(copies[0])) == cv2.imread(str(original))[:, ::-1]).all()


def test_nothing_is_written_over_or_left_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInput, match="is there already"):
        make_synthetic.write(tmp_path / "there", seed=6, scale=1)
    monkeypatch.setattr(make_synthetic, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make_synthetic.write(tmp_path / "tree", seed=6, scale=1)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("tone", ["very fair", "dark"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_plainer_the_more_severe_it_is_and_only_on_skin(condition: str, tone: str) -> None:
    drawn = painting.portrait(painting.Person(tone, "person", 40), np.random.default_rng(0), 224, plain=True)
    off_skin = (drawn.skin + drawn.hair) == 0
    changes = []
    for severity in range(4):
        lab = painted_conditions.painted(drawn, condition, severity, np.random.default_rng(1)).lab
        assert (lab[off_skin] == drawn.lab[off_skin]).all()
        changes.append(float(np.abs(lab - drawn.lab).sum(axis=2)[drawn.skin > 0.5].mean()))
    assert changes[0] == 0
    assert changes[1] > 0.05
    assert all(1.25 * milder < severer for milder, severer in pairwise(changes[1:]))


@pytest.mark.parametrize("tone", ["fair", "deep brown"])
def test_the_service_finds_the_drawn_face(tone: str) -> None:
    rng = np.random.default_rng(2)
    drawn = painting.portrait(painting.Person(tone, "female", 30), rng, make_synthetic.SIDE_PX, plain=False)
    found = face.detect(painting.finished(drawn.lab, rng))
    assert len(found) == 1
    assert abs(found[0].box.centre[0] / make_synthetic.SIDE_PX - 0.5) < 0.1
