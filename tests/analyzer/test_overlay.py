"""The overlay shows what the report holds, at the right place, for every size of picture and for refusals."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analyzer import overlay
from analyzer.values import (
    Box,
    Demographics,
    Face,
    Finding,
    Guidance,
    Lesion,
    ModelState,
    Photo,
    Recommendations,
    Report,
)
from analyzer.vocabulary import Severity

GRAY = 128
WIDTH, HEIGHT = 800, 600  # of the original; within LONG_SIDE_PX, so that the canvas has the same pixels


def photo(width: int = WIDTH, height: int = HEIGHT, scale: float = 1.0) -> Photo:
    rgb = np.full((max(1, round(height * scale)), max(1, round(width * scale)), 3), GRAY, np.uint8)
    return Photo(rgb=rgb, original_size=(width, height), scale=scale, media_type="image/png")


def finding(name: str, *boxes: Box) -> Finding:
    lesions = tuple(Lesion(box, 1.0) for box in boxes)
    return Finding(name, 0.5, (0.4, 0.6), Severity.MODERATE, 0.9, f"{name}-1", lesions=lesions)


def report(**parts: Any) -> Report:
    plain: dict[str, Any] = {
        "photo": photo(),
        "face": None,
        "checks": (),
        "error_code": None,
        "guidance": Guidance("fine"),
        "findings": (),
        "skin_tone": None,
        "primary_condition": "healthy",
        "primary_concerns": (),
        "health_score": 90.0,
        "confidence": 0.9,
        "summary": "",
        "recommendations": Recommendations(),
        "model": ModelState(False, "none"),
        "demographics": Demographics(),
        "timings_ms": {},
        "roi": None,
    }
    return Report(**{**plain, **parts})


def roi(to_original: list[list[float]]) -> SimpleNamespace:
    skin = np.zeros((512, 512), bool)
    skin[100:400, 100:400] = True
    nose = np.zeros((512, 512), bool)
    nose[200:300, 200:300] = True
    return SimpleNamespace(
        skin=skin, regions={"nose": nose, "chin": np.zeros_like(nose)}, to_original=np.array(to_original, np.float32)
    )


def face(scale: float = 1.0) -> Face:
    eyes = np.array([[300, 250], [500, 250]], np.float32)
    return Face(Box(200, 100, 400, 400), 0.97, eyes, 0.0, "test").scaled(scale)


def of_colour(rgb: np.ndarray, colour: tuple[int, int, int], tolerance: int = 40) -> np.ndarray:
    return np.abs(rgb.astype(int) - colour).max(axis=2) <= tolerance


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is set."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max(), rows.max()


def on_photo(drawn: np.ndarray, picture: Photo | None = None) -> np.ndarray:
    height, width = (picture or photo()).rgb.shape[:2]
    return drawn[: round(drawn.shape[1] * height / width)]


def test_plain_report_leaves_the_photo_as_it_is() -> None:
    drawn = overlay.draw(report())
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (WIDTH, 3)
    assert (on_photo(drawn) == GRAY).all()


def test_photo_of_the_report_stays_untouched() -> None:
    seen = report(face=face(), findings=(finding("acne", Box(300, 300, 20, 20)),))
    overlay.draw(seen)
    assert (seen.photo.rgb == GRAY).all()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_face_lies_where_it_was_found_whatever_the_scale_of_decoding(scale: float) -> None:
    picture = photo(scale=scale)
    drawn = on_photo(overlay.draw(report(photo=picture, face=face(scale))), picture)
    factor = drawn.shape[1] / WIDTH
    assert extent(of_colour(drawn, overlay.FACE)) == pytest.approx(np.array([200, 100, 600, 500]) * factor, abs=4)
    assert extent(of_colour(drawn, overlay.EYES)) == pytest.approx(np.array([294, 244, 506, 256]) * factor, abs=8)


@pytest.mark.parametrize("name", ["acne", "dark_spots", "redness"])
def test_lesions_lie_in_original_pixels_also_on_a_reduced_photo(name: str) -> None:
    picture = photo(width=3200, height=2400, scale=0.25)
    seen = report(photo=picture, findings=(finding(name, Box(1600, 800, 400, 200)),))
    drawn = on_photo(overlay.draw(seen), picture)
    colour = overlay.LESION_STYLES.get(name, overlay.OTHER_LESION).colour
    assert extent(of_colour(drawn, colour)) == pytest.approx((400, 200, 500, 250), abs=4)


def test_kinds_of_lesions_differ_in_colour_and_shape() -> None:
    styles = [*overlay.LESION_STYLES.values(), overlay.OTHER_LESION]
    assert len({style.colour for style in styles}) == len(styles)
    corner = (slice(297, 304), slice(297, 304))
    square, ellipse = (
        overlay.draw(report(findings=(finding(name, Box(300, 300, 100, 100)),)))[corner]
        for name in ("acne", "dark_spots")
    )
    assert of_colour(square, overlay.LESION_STYLES["acne"].colour).any()
    assert (ellipse == GRAY).all()


def test_skin_is_tinted_inside_the_mask_only() -> None:
    drawn = overlay.draw(report(roi=roi([[1, 0, 50], [0, 1, 20]])))
    inside, outside = drawn[150, 170].astype(int), drawn[60, 60].astype(int)
    assert inside[1] > inside[0], "the tint is green"
    assert (outside == GRAY).all()
    assert extent(of_colour(on_photo(drawn), overlay.SKIN)) == pytest.approx((150, 120, 450, 420), abs=4)


def test_turned_crop_is_drawn_turned() -> None:
    quarter_turn = [[0, -1, 600], [1, 0, 20]]  # working (x, y) → original (600 - y, 20 + x)
    drawn = overlay.draw(report(roi=roi(quarter_turn)))
    assert extent(of_colour(on_photo(drawn), overlay.SKIN)) == pytest.approx((200, 120, 500, 420), abs=4)


def test_regions_carry_their_names_and_empty_ones_nothing() -> None:
    with_name = overlay.draw(report(roi=roi([[1, 0, 50], [0, 1, 20]])))
    names = roi([[1, 0, 50], [0, 1, 20]])
    names.regions = {"chin": names.regions["chin"]}
    without = overlay.draw(report(roi=names))
    middle = (slice(255, 285), slice(280, 320))  # of the nose
    assert of_colour(with_name[middle], overlay.REGION).any()
    assert not of_colour(without[middle], overlay.REGION).any()


def test_names_in_one_place_are_written_below_each_other() -> None:
    names = [
        ("chin", (100.0, 50.0)),
        ("nose", (102.0, 52.0)),
        ("left cheek", (99.0, 60.0)),
        ("forehead", (400.0, 51.0)),
    ]
    apart = dict(overlay._apart(names, text_px=10))
    assert apart["chin"] == (100.0, 50.0)
    assert apart["forehead"] == (400.0, 51.0)
    heights = sorted(y for name, (_, y) in apart.items() if name != "forehead")
    assert all(lower - upper >= 10 for upper, lower in pairwise(heights))


def test_refusal_gets_its_reason_and_what_is_known() -> None:
    refused = report(face=face(), error_code="too_dark", guidance=Guidance("Turn to a window. " * 20))
    drawn = overlay.draw(refused)
    assert drawn.shape[0] - HEIGHT > 100, "the long reason takes several rows"
    assert of_colour(drawn[HEIGHT:], overlay.INK).any()
    assert of_colour(drawn[:HEIGHT], overlay.FACE).any()


def test_boxes_beyond_the_picture_do_no_harm() -> None:
    far = finding("acne", Box(-500, -500, 100, 100), Box(5000, 5000, 300, 300), Box(790, 590, 100, 100))
    drawn = overlay.draw(report(face=Face(Box(-100, -100, 2000, 2000), 0.5, None, 0.0, "test"), findings=(far,)))
    assert drawn.shape[1] == WIDTH


@pytest.mark.parametrize("size", [(1, 1), (20000, 20), (20, 20000), (128, 128), (6000, 4000)])
def test_every_size_gives_a_readable_size(size: tuple[int, int]) -> None:
    picture = photo(*size)
    drawn = overlay.draw(report(photo=picture, error_code="no_face", guidance=Guidance("No face was found.")))
    least, most = overlay.LONG_SIDE_PX
    assert least <= max(drawn.shape[1], drawn.shape[0]) <= 2 * most
    assert drawn.shape[1] <= most


def test_colours_stay_apart_for_colour_blind_eyes() -> None:
    """Simulated protanopia and deuteranopia (Viénot, Brettel & Mollon 1999) leave all pairs distinguishable."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    protan = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    deutan = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    colours = np.array([overlay.FACE, overlay.EYES, overlay.SKIN, *(s.colour for s in overlay.LESION_STYLES.values())])
    linear = (colours / 255.0) ** 2.2
    for blind in (protan, deutan):
        seen = np.clip(linear @ (np.linalg.inv(to_lms) @ blind @ to_lms).T, 0, 1) ** (1 / 2.2) * 255
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        assert distances[~np.eye(len(colours), dtype=bool)].min() > 40
