"""The baseline sees size, light and sharpness, and nothing of the skin."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")

from training import picture_statistics


def written(folder: Path, name: str, rgb: np.ndarray) -> Path:
    cv2.imwrite(str(folder / name), rgb[..., ::-1])
    return folder / name


def test_statistics_are_those_of_the_file(tmp_path: Path) -> None:
    rgb = np.full((100, 200, 3), 128, np.uint8)
    rgb[20:80, 40:160] = (255, 0, 0)  # the middle does not count for the border
    found = dict(
        zip(picture_statistics.NAMES, picture_statistics.measure(written(tmp_path, "a.png", rgb)), strict=True)
    )
    assert (found["width"], found["height"], found["aspect"]) == (200, 100, 2)
    assert found["border L"] == pytest.approx(53.6, abs=0.5)
    assert abs(found["border a"]) < 1
    assert found["sharpness"] > picture_statistics.measure(written(tmp_path, "b.png", rgb * 0 + 128))[6]


def test_it_tells_sources_apart_by_size_alone_and_classes_within_a_source_not_at_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for index in range(80):
        side = 120 if index % 2 else 60
        skin = rng.integers(90, 160, (side, side, 3)).astype(np.uint8)
        rows.append(picture_statistics.measure(written(tmp_path, f"{index}.png", skin)))
        labels.append(index % 2)
    table = np.stack(rows)
    assert (picture_statistics.answers(table[:60], labels[:60], table[60:]) == labels[60:]).all()
    random_labels = rng.integers(0, 2, 60)
    told = picture_statistics.answers(table[:60, :2], list(random_labels), table[60:, :2])
    assert len(set(told[0::2])) == len(set(told[1::2])) == 1  # equal statistics, equal answers
