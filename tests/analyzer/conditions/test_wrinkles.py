"""Physics of the wrinkle measurement on generated skin, and its filter beside skimage's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzer import geometry
from analyzer.conditions import wrinkles
from analyzer.values import Finding, Points
from tests.analyzer import generated_skin as skin

TONES = ("light", "medium", "dark")


def measured(lab: skin.Lab, **roi_options: float) -> Finding:
    finding = wrinkles.measure(skin.roi_of(lab, **roi_options))
    assert finding.score is not None, finding.reason
    return finding


def forehead_lines(count: int) -> list[Points]:
    """`count` level lines across the forehead, from its middle outwards."""
    rows = np.argwhere(skin.region_mask("forehead"))
    middle = int(np.median(rows[:, 0]))
    offsets = [0, 10, -10, 20, -20][:count]
    x = np.linspace(180, 331, 12)
    return [np.stack([x, middle + offset + 3 * np.sin(x / 30)], axis=1).astype(np.float32) for offset in offsets]


def crow_lines() -> list[Points]:
    """Lines that radiate from the outer corners of both eyes."""
    lines = []
    for name, side in (("right_eye", -1), ("left_eye", 1)):
        eye = skin.landmarks()[name]
        corner = eye[(side * eye[:, 0]).argmax()]
        for slope in (-0.3, 0.1, 0.5):
            reach = np.array([[12, 12 * slope], [44, 44 * slope]], np.float32) * [side, 1]
            lines.append((corner + reach).astype(np.float32))
    return lines


@pytest.mark.parametrize("tone", TONES)
def test_more_lines_score_higher(tone: str) -> None:
    raws = [
        measured(skin.add_lines(skin.face(tone), forehead_lines(count)) if count else skin.face(tone)).evidence["raw"]
        for count in (0, 1, 3, 5)
    ]
    assert np.all(np.diff(raws) > 0.1)


@pytest.mark.parametrize("tone", TONES)
def test_more_lines_take_more_of_the_zones(tone: str) -> None:
    bare = skin.face(tone, noise=0.2)
    shares = [
        measured(skin.add_lines(bare, forehead_lines(count)) if count else bare).area_fraction for count in (0, 1, 3, 5)
    ]
    assert shares[0] < 0.01
    assert np.all(np.diff(shares) > 0.005)
    assert shares[-1] < 0.4


def test_ridges_of_the_area_are_far_above_the_floor() -> None:
    assert wrinkles.FLOOR < wrinkles.RIDGE < wrinkles.CAP
    faint = skin.add_lines(skin.face(noise=0.0), forehead_lines(3), depth=0.015)
    deep = skin.add_lines(skin.face(noise=0.0), forehead_lines(3), depth=0.15)
    assert measured(faint).area_fraction < 0.1 * measured(deep).area_fraction


@pytest.mark.parametrize("tone", TONES)
def test_deeper_lines_score_higher(tone: str) -> None:
    raws = [
        measured(skin.add_lines(skin.face(tone), forehead_lines(3), depth=depth)).evidence["raw"]
        for depth in (0.04, 0.08, 0.16)
    ]
    assert np.all(np.diff(raws) > 0.1)


def test_lines_count_alike_on_all_tones() -> None:
    raws = [measured(skin.add_lines(skin.face(tone, noise=0.2), forehead_lines(3))).evidence["raw"] for tone in TONES]
    assert max(raws) / min(raws) < 1.25


@pytest.mark.parametrize("tone", TONES)
def test_uniform_patch_scores_zero(tone: str) -> None:
    plain = wrinkles.measure(skin.roi_of(skin.plain(tone)), gate=False)
    assert (plain.score, plain.area_fraction) == (0.0, 0.0)
    assert measured(skin.face(tone, noise=0.0)).score < 0.02


def test_picture_without_an_edge_is_taken_for_blurred() -> None:
    assert wrinkles.measure(skin.roi_of(skin.plain())).reason.startswith("too_blurred")


def test_spots_are_no_lines() -> None:
    spots = skin.add_brown_spots(skin.face(), skin.spread(12, "forehead"), diameter_mm=2.5, deficit=0.15)
    lines = skin.add_lines(skin.face(), forehead_lines(2), depth=0.1)
    bare = measured(skin.face()).evidence["raw"]
    assert measured(spots).evidence["raw"] - bare < 0.35 * (measured(lines).evidence["raw"] - bare)


def test_strands_of_hair_are_left_out() -> None:
    middle = forehead_lines(1)[0]
    strand = skin.add_lines(skin.face(), [middle], width_px=4, depth=0.75)
    crease = skin.add_lines(skin.face(), [middle], width_px=4, depth=0.15)
    assert measured(strand).regions["forehead"] < 0.5 * measured(crease).regions["forehead"]


def test_lines_raise_their_own_zone_only() -> None:
    bare, lined = measured(skin.face()).regions, measured(skin.add_lines(skin.face(), crow_lines())).regions
    for side in ("left", "right"):
        assert lined[f"{side}_crows_feet"] > bare[f"{side}_crows_feet"] + 0.2
        assert lined[f"{side}_nasolabial"] == pytest.approx(bare[f"{side}_nasolabial"], abs=0.02)
    assert lined["forehead"] == pytest.approx(bare["forehead"], abs=0.02)


def test_lines_across_the_expected_direction_count_less() -> None:
    level = forehead_lines(3)
    upright = [np.array([[x, 125], [x, 165]], np.float32) for x in (200, 240, 280)]
    bare = measured(skin.face()).regions["forehead"]
    gain = measured(skin.add_lines(skin.face(), level)).regions["forehead"] - bare
    assert measured(skin.add_lines(skin.face(), upright)).regions["forehead"] - bare < 0.3 * gain


def test_mirrored_face_scores_the_same() -> None:
    lab = skin.add_lines(skin.face(), crow_lines()[:3] + forehead_lines(2))
    straight, mirrored = measured(lab), measured(skin.flipped(lab))
    assert mirrored.score == pytest.approx(straight.score, abs=0.02)
    assert mirrored.regions["right_crows_feet"] == pytest.approx(straight.regions["left_crows_feet"], abs=0.06)


def test_smaller_original_scores_alike() -> None:
    lab = skin.add_lines(skin.face(), forehead_lines(3), width_px=3)
    assert measured(lab, scale=1.5).score == pytest.approx(measured(lab).score, abs=0.08)


def test_refuses_with_a_reason() -> None:
    lab = skin.face()
    blurred = cv2.GaussianBlur(lab, (0, 0), 6)
    assert wrinkles.measure(skin.roi_of(lab, scale=3.0)).reason.startswith("too_small")
    assert wrinkles.measure(skin.roi_of(blurred)).reason.startswith("too_blurred")
    assert wrinkles.measure(skin.roi_of(lab, mask=np.zeros((512, 512), bool))).reason.startswith("too_few_pixels")
    assert wrinkles.measure(skin.roi_of(blurred, scale=3.0), gate=False).score is not None


def test_close_up_is_measured_as_a_whole() -> None:
    finding = wrinkles.measure(skin.close_up_of(skin.add_lines(skin.plain(), forehead_lines(5))), gate=False)
    assert finding.regions["whole"] > 0


def test_ridge_filter_agrees_with_sato() -> None:
    """Along level lines the directed filter and skimage's undirected one find the same ridges."""
    filters = pytest.importorskip("skimage.filters")
    lab = skin.add_lines(skin.plain(), forehead_lines(3))
    plane = cv2.resize(lab[..., 0], (wrinkles.WORK, wrinkles.WORK), interpolation=cv2.INTER_AREA) / 60
    hessian = wrinkles.second_derivatives(plane, wrinkles.RIDGE_SIGMA)
    ours = np.clip(wrinkles.line_contrast(hessian, wrinkles.LEVEL), 0, None)
    theirs = filters.sato(plane, sigmas=[wrinkles.RIDGE_SIGMA], black_ridges=True)
    inner = np.s_[55:95, 95:160]
    assert np.corrcoef(ours[inner].ravel(), theirs[inner].ravel())[0, 1] > 0.95


def test_gaussian_derivatives_are_exact_on_a_parabola() -> None:
    x = np.arange(64, dtype=np.float32)
    plane = np.broadcast_to(0.5 * (x - 32) ** 2, (64, 64)).astype(np.float32)
    xx, yy, xy = wrinkles.second_derivatives(plane, 2.0)
    assert xx[32, 32] == pytest.approx(4.0, rel=0.02)  # d²/dx² = 1, times sigma²
    assert abs(yy[32, 32]) < 0.02
    assert abs(xy[32, 32]) < 0.02


def test_work_size_is_half_of_the_crop() -> None:
    assert wrinkles.WORK * 2 == geometry.SIZE
