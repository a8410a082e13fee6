"""Healthy faces made like clinical pictures: nothing but the skin is left by which to tell them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer.values import Rgb
from tests.training.data.test_duplicates import pictures as fields
from tests.training.data.test_prepared import face, written
from training.data import facts, matching
from training.data.facts import Facts
from training.data.pictures import Picture
from training.data.prepared import Prepared, prepare

SEED = 5


def clinical_picture(number: int) -> tuple[Rgb, int]:
    """A wide close-up of some skin with fine grain, and the quality that it is stored with."""
    rng = np.random.default_rng(number)
    width, height = (416, 277) if number % 3 else (277, 416)
    rgb = cv2.resize(fields(number + 1)[number], (width, height)).astype(np.float32) * 0.5 + (80, 50, 40)
    rgb += rng.normal(0, rng.uniform(3, 7), rgb.shape[:2])[..., None]
    return np.clip(rgb, 0, 255).astype(np.uint8), int(rng.integers(70, 90))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Clinical pictures and small, soft, square faces that are called healthy."""
    folder = tmp_path_factory.mktemp("data")
    found = []
    for number in range(18):
        rgb, quality = clinical_picture(number)
        path = written(folder / "clinic" / f"{number}.jpg", rgb, quality)
        found.append(Picture(path, "clinic", "acne", f"clinic/{number}"))
        tone = ("light", "medium", "dark")[number % 3]
        near = face(tone)[10 * (number % 5) :, 8 * (number % 7) :]
        path = written(folder / "web" / f"{number}.jpg", cv2.resize(near, (128, 128), interpolation=cv2.INTER_AREA))
        found.append(Picture(path, "web", "healthy", f"web/{number}"))
    return prepare(found, folder / "cache")


def healthy(pictures: Prepared) -> np.ndarray:
    return np.array([one.label == "healthy" for one in pictures.pictures])


def clinical(pictures: Prepared) -> list[Facts]:
    return [known for known, one in zip(pictures.facts, pictures.pictures, strict=True) if one.label != "healthy"]


@pytest.fixture(scope="module")
def renewed(pictures: Prepared) -> Prepared:
    return matching.matched_rows(pictures, np.flatnonzero(healthy(pictures)), clinical(pictures), seed=SEED)


def test_a_face_gets_size_detail_and_bytes_of_a_clinical_picture(pictures: Prepared) -> None:
    like = clinical(pictures)[4]
    known, crop = matching.refaced(face(), np.random.default_rng(SEED), [like])
    assert (known.width, known.height, known.has_face) == (like.width, like.height, False)
    assert known.sharpness == pytest.approx(like.sharpness, abs=0.15)
    assert known.size_bytes == pytest.approx(like.size_bytes, rel=0.15)
    assert crop.shape == (224, 224, 3)
    assert (crop == matching.matched(face(), np.random.default_rng(SEED), [like])).all()


@pytest.mark.parametrize("sharpness", [2.5, 7.5])
def test_detail_is_taken_away_or_added(sharpness: float, pictures: Prepared) -> None:
    like = replace(clinical(pictures)[4], sharpness=sharpness, size_bytes=60_000)
    known, _ = matching.refaced(face(), np.random.default_rng(SEED), [like])
    assert known.sharpness == pytest.approx(sharpness, abs=0.3)


def test_the_window_lies_in_the_face_and_shows_a_part_of_it() -> None:
    """Skin in the face's box, blue around it: a close-up shows hardly any blue."""
    rgb = np.full((400, 600, 3), (20, 20, 220), np.uint8)
    rgb[100:300, 200:360] = (200, 150, 130)
    like = facts.measured(cv2.imencode(".jpg", clinical_picture(0)[0])[1].tobytes())[0]
    for seed in range(12):
        crop = matching.matched(rgb, np.random.default_rng(seed), [like], box=(200, 100, 160, 200))
        assert (crop[..., 2] > crop[..., 0]).mean() < 0.12


def test_a_picture_of_a_whole_face_is_drawn_wider(pictures: Prepared) -> None:
    """A clinical picture that shows a face of half its width gives twice a face's width, so far as there is that much."""
    like = replace(clinical(pictures)[4], has_face=True, face_box=(100.0, 50.0, 208.0, 208.0))
    wide = cv2.copyMakeBorder(face(), 300, 300, 300, 300, cv2.BORDER_REPLICATE)
    known, _ = matching.refaced(wide, np.random.default_rng(SEED), [like])
    assert known.has_face
    assert known.face_box is not None
    assert known.face_box[2] == pytest.approx(208, rel=0.15)


def test_drawn_anew_in_the_same_way_whatever_stands_beside(pictures: Prepared, renewed: Prepared) -> None:
    rows = np.flatnonzero(healthy(pictures))
    alone = matching.matched_rows(pictures, rows[3:4], clinical(pictures), seed=SEED)
    assert (alone.crops[0] == renewed.crops[3]).all()
    assert alone.pictures == [renewed.pictures[3]]
    other = matching.matched_rows(pictures, rows[3:4], clinical(pictures), seed=SEED + 1)
    assert (other.crops[0] != renewed.crops[3]).any()


def test_files_that_are_gone_are_told(pictures: Prepared) -> None:
    gone = replace(pictures.pictures[1], path=Path("/gone/face.jpg"))
    some = Prepared([gone, pictures.pictures[3]], [pictures.facts[1], pictures.facts[3]], pictures.crops[[1, 3]], [])
    made = matching.matched_rows(some, [0, 1], clinical(pictures), seed=SEED)
    assert made.pictures == [pictures.pictures[3]]
    assert len(made.crops) == len(made.facts) == 1
    assert "gone" in str(made.problems[0])


def test_what_gave_faces_away_before_gives_them_away_no_more(pictures: Prepared, renewed: Prepared) -> None:
    pytest.importorskip("sklearn", reason="sklearn is in the training environment only: make train-env")
    from training.auditing import confounds

    others = pictures.subset(np.flatnonzero(~healthy(pictures)))
    truth = [one.label or "" for one in [*others.pictures, *renewed.pictures]]
    groups = [str(row) for row in range(len(truth))]  # drawn faces differ in too little to be other persons
    own = pictures.subset(np.flatnonzero(healthy(pictures)))
    before, after = (
        confounds.told("class", confounds.columns([*others.facts, *faces.facts]), truth, groups)
        for faces in (own, renewed)
    )
    assert before is not None
    assert after is not None
    way = confounds.REGRESSION
    assert (before.ways[way].value, before.alone["width"].value, before.alone["height"].value) == (1.0, 1.0, 1.0)
    assert after.ways[way].value < 0.85  # light and colour of the drawn skin are left as they are
    for name in ("width", "height", "aspect", "bytes per pixel", "sharpness", confounds.FACE_FOUND):
        assert after.alone[name].value < min(before.alone[name].value, 0.7), name
