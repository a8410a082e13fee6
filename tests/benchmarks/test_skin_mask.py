"""The measure of the skin mask: a perfect mask, a greedy one, an empty one; and the marks themselves."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer import roi
from analyzer.geometry import SIZE
from benchmarks import skin_mask

SQUARE = [[100, 100], [300, 100], [300, 300], [100, 300]]
EYE = [[150, 150], [200, 150], [200, 200], [150, 200]]
LEFT_OF_IT = [[20, 100], [90, 100], [90, 300], [20, 300]]
ENTRY = {
    "face_box": [100, 100, 200, 200],
    "skin": [SQUARE],
    "not_skin": [{"kind": "eye", "points": EYE}, {"kind": "background", "points": LEFT_OF_IT}],
    "unmarked": [],
}
KINDS = {
    *("hair", "beard", "moustache", "glasses", "background", "eye", "brow", "lips", "nostril", "clothes", "other"),
}


def measure(mask: np.ndarray, pixel: float = 1.0) -> dict:
    """Figures of a working-pixel mask whose pixels are `pixel` original pixels wide."""
    to_original = np.float32([[pixel, 0, 0], [0, pixel, 0]])
    found = roi.from_parts(np.zeros((SIZE, SIZE, 3), np.uint8), mask, {}, to_original=to_original)
    marks = skin_mask.rasterise(ENTRY)
    return skin_mask.compare(skin_mask.on_raster(found, marks), marks)


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_marked_skin_itself_is_pure_and_covered() -> None:
    figures = measure(box(100, 100, 300, 300) & ~box(150, 150, 200, 200))
    assert figures["coverage"] == pytest.approx(1.0, abs=0.001)
    assert figures["impurity"] == pytest.approx(0.0, abs=0.001)


def test_a_mask_over_the_eye_and_beyond_the_face_is_impure() -> None:
    figures = measure(box(20, 100, 300, 300))
    assert figures["kinds"]["eye"] == pytest.approx(50 * 50 / (280 * 200), abs=0.01)
    assert figures["kinds"]["background"] == pytest.approx(70 * 200 / (280 * 200), abs=0.02)
    assert figures["impurity"] == pytest.approx(sum(figures["kinds"].values()), abs=1e-6)


def test_half_a_mask_covers_half() -> None:
    half_of_it = box(100, 200, 300, 300)
    assert measure(half_of_it)["coverage"] == pytest.approx(20000 / 37500, abs=0.02)


def test_the_mask_is_compared_in_original_pixels() -> None:
    figures = measure(box(50, 50, 150, 150), pixel=2.0)
    assert figures["coverage"] == pytest.approx(1.0, abs=0.01)


def test_an_empty_mask_covers_nothing() -> None:
    assert measure(np.zeros((SIZE, SIZE), bool))["coverage"] == 0.0


def test_faces_that_were_not_found_are_counted_and_left_out_of_the_means() -> None:
    known = {"source": "a", "tone": "dark", "view": "front", "attributes": []}
    found = {**known, "found": True, "impurity": 0.1, "coverage": 0.8, "unmarked": 0.0, "kinds": {"hair": 0.1}}
    lost = {**known, "found": False, "impurity": None, "coverage": None, "unmarked": None, "kinds": {}}
    group = skin_mask.summarise([found, lost])["tone: dark"]
    assert (group["n"], group["found"], group["within_targets"]) == (2, 1, 0)
    assert group["coverage"]["mean"] == pytest.approx(0.8)


@pytest.mark.parametrize("entry", skin_mask.entries(), ids=lambda entry: entry["path"])
def test_marks_lie_in_their_picture_and_leave_skin(entry: dict) -> None:
    width, height = entry["size"]
    polygons = [*entry["skin"], *entry["unmarked"], *(part["points"] for part in entry["not_skin"])]
    assert all(0 <= x <= width and 0 <= y <= height for polygon in polygons for x, y in polygon)
    assert {part["kind"] for part in entry["not_skin"]} <= KINDS
    marks = skin_mask.rasterise(entry)
    assert marks.skin.sum() > 0.2 * skin_mask.FACE_PX**2 * min(width, height) / max(width, height)
    assert not np.any([marks.skin & area for area in marks.not_skin.values()])


def test_the_choice_of_faces_is_varied() -> None:
    entries = skin_mask.entries()
    assert len({entry["path"] for entry in entries}) == 40
    assert sum(entry["tone"] == "dark" for entry in entries) >= 12
    assert sum(bool(skin_mask.BEARDED & set(entry["attributes"])) for entry in entries) >= 10
    assert sum("glasses" in entry["attributes"] for entry in entries) >= 6
    assert sum("fringe" in entry["attributes"] for entry in entries) >= 8
