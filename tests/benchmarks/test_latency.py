"""The pictures of the speed benchmark have the sizes that its table names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import latency


@pytest.mark.parametrize("name", latency.SIZES)
def test_pictures_without_the_data_folder_have_their_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIN_DATA", str(tmp_path))
    (picture,) = latency.photos(name, 3)
    height, width = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert (width, height) == latency.SIZES[name]


@pytest.mark.data
def test_large_pictures_are_real_phone_files(skin_data: Path) -> None:
    originals = {path.read_bytes() for path in (skin_data / "phone_originals").iterdir()}
    assert set(latency.photos("12 MP", 3)) <= originals


@pytest.mark.parametrize("shape", [(100, 400), (400, 100), (480, 640)])
def test_fitting_keeps_the_aspect(shape: tuple[int, int]) -> None:
    white = np.full((*shape, 3), 255, np.uint8)
    white[:, : shape[1] // 2] = 0
    fitted = latency.fitted(white, (640, 480))
    assert fitted.shape == (480, 640, 3)
    rows, columns = np.nonzero((fitted != int(white.mean())).any(axis=2))
    seen = (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
    assert seen == pytest.approx(shape[1] / shape[0], rel=0.05)


def test_refusals_are_counted_apart() -> None:
    wall = latency.encoded(np.full((480, 640, 3), 150, np.uint8))
    table = latency.measure([wall], 2)
    assert table["analyses"] == 0
    assert table["median_ms"] is None
    assert sum(table["refused"].values()) == 2  # type: ignore[attr-defined]
