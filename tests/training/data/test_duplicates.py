"""Copies of a picture are told from pictures of something else, by their detail or by their file's name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer.values import Rgb
from training.data import duplicates
from training.data.degradations import degrade


def pictures(count: int) -> list[Rgb]:
    """Fields of light and shade in several grains, each another one."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        layers = [
            cv2.resize(rng.uniform(-50, 50, (cells, cells, 3)), (200, 200), interpolation=cv2.INTER_CUBIC)
            for cells in (5, 13, 29)
        ]
        found.append(np.clip(128 + sum(layers), 0, 255).astype(np.uint8))
    return found


@pytest.mark.parametrize(
    "copied",
    [
        lambda rgb: rgb,
        lambda rgb: rgb[:, ::-1],
        lambda rgb: cv2.resize(rgb, (130, 130), interpolation=cv2.INTER_AREA),
        lambda rgb: np.clip(rgb * 0.7 + 10, 0, 255).astype(np.uint8),
        lambda rgb: cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR),
        lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 1.5),
    ],
    ids=["copy", "flip", "smaller", "darker", "compressed", "softer"],
)
def test_a_changed_copy_is_in_the_group_of_its_original(copied) -> None:  # type: ignore[no-untyped-def]
    originals = pictures(4)
    prints = [duplicates.fingerprint(rgb) for rgb in [*originals, copied(originals[2])]]
    assert duplicates.groups(prints).tolist() == [0, 1, 2, 3, 2]


def test_unlike_pictures_are_groups_of_their_own() -> None:
    prints = [duplicates.fingerprint(degrade(np.random.default_rng(9), rgb)) for rgb in pictures(40)]
    assert duplicates.groups(prints).tolist() == list(range(40))


def test_one_form_in_common_does_not_make_two_pictures_one() -> None:
    """Faces in one pose share their coarse shape; hashes of it took thousands of them for copies."""
    shape = np.zeros((200, 200, 3), np.uint8)
    cv2.ellipse(shape, (100, 100), (60, 85), 0, 0, 360, (200, 160, 140), -1)
    soft = cv2.GaussianBlur(shape, (0, 0), 15)
    prints = np.stack([duplicates.fingerprint(cv2.addWeighted(soft, 0.6, rgb, 0.4, 0)) for rgb in pictures(6)])
    assert duplicates.pairs(prints, duplicates.SAME) == []


def test_one_watermark_does_not_make_two_pictures_one() -> None:
    marked = [cv2.addWeighted(np.full_like(rgb, 150), 0.7, rgb, 0.3, 0) for rgb in pictures(6)]
    for rgb in marked:
        cv2.putText(rgb, "watermark", (4, 190), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 4)
    prints = np.stack([duplicates.fingerprint(rgb) for rgb in marked])
    assert duplicates.pairs(prints, duplicates.SAME) == []


def test_plain_pictures_are_like_none() -> None:
    plain = [np.full((60, 60, 3), level, np.uint8) for level in (90, 90, 91)]
    assert duplicates.groups([duplicates.fingerprint(rgb) for rgb in plain]).tolist() == [0, 1, 2]


def test_pairs_over_the_border_of_a_block_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = pictures(5)
    prints = np.stack([duplicates.fingerprint(rgb) for rgb in [*originals, originals[0], originals[4][:, ::-1]]])
    whole = duplicates.pairs(prints, duplicates.COPY)
    monkeypatch.setattr(duplicates, "BLOCK", 2)
    assert [pair[:2] for pair in whole] == [(0, 5), (4, 6)]
    assert sorted(pair[:2] for pair in duplicates.pairs(prints, duplicates.COPY)) == [(0, 5), (4, 6)]


def test_ties_are_passed_on() -> None:
    assert duplicates.united(6, [(1, 2), (4, 5), (2, 4)]).tolist() == [0, 1, 1, 3, 1, 1]
    assert duplicates.united(4, duplicates.ties_of(["a", None, "a", None])).tolist() == [0, 1, 0, 3]


def test_fingerprints_survive_being_written() -> None:
    prints = [duplicates.fingerprint(rgb) for rgb in pictures(2)]
    assert (duplicates.read(duplicates.written(prints)) == np.stack(prints)).all()


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("Acne-Face-16.jpg", "acne-face-16"),
        ("07RosaceaK0216.jpg", "07rosaceak0216"),
        ("25_1_2_20170116.jpg", None),
        ("IMG_2041.jpg", None),
        ("DSC 00041 (2).jpg", None),
        ("front.jpg", None),
        ("a1.jpg", None),
    ],
)
def test_only_telling_names_speak_for_the_same_picture(name: str, shared: str | None) -> None:
    assert duplicates.shared_name(Path(name)) == shared


def test_nothing_has_no_groups() -> None:
    assert duplicates.groups([]).size == 0
