"""Physics of the pore measurement on generated skin."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from analyzer.conditions import pores
from analyzer.values import Finding
from tests.analyzer import generated_skin as skin

TONES = ("light", "medium", "dark")
PLACES = ("nose", "left_cheek", "right_cheek")


def measured(lab: skin.Lab, **roi_options: float) -> Finding:
    finding = pores.measure(skin.roi_of(lab, **roi_options))
    assert finding.score is not None, finding.reason
    return finding


def with_pores(tone: str, count: int, *, deficit: float = 0.12) -> skin.Lab:
    lab = skin.face(tone, noise=0.15)
    return skin.add_pores(lab, skin.spread(count, *PLACES, apart_px=9), deficit=deficit) if count else lab


def covered(tone: str, count: int, *, diameter_mm: float = 0.7, draw: int = 4) -> float:
    """Area share of pores that lie anywhere between the pixels; each draw moves them by parts of a pixel."""
    centres = skin.spread(count, *PLACES, apart_px=9)
    centres += np.random.default_rng(draw).uniform(-0.5, 0.5, centres.shape).astype(np.float32)
    share = measured(skin.add_pores(skin.face(tone, noise=0.15), centres, diameter_mm=diameter_mm)).area_fraction
    assert share is not None
    return share


@pytest.mark.parametrize("tone", TONES)
def test_more_pores_score_higher(tone: str) -> None:
    scores = [measured(with_pores(tone, count)).score for count in (0, 20, 60, 120)]
    assert np.all(np.diff(scores) > 0.03)


@pytest.mark.parametrize("tone", TONES)
def test_deeper_pores_score_higher(tone: str) -> None:
    scores = [measured(with_pores(tone, 60, deficit=deficit)).score for deficit in (0.06, 0.12, 0.2)]
    assert np.all(np.diff(scores) > 0.03)


@pytest.mark.parametrize("tone", TONES)
def test_more_pores_cover_more_skin(tone: str) -> None:
    shares = [covered(tone, count) for count in (0, 20, 60, 120)]
    assert shares[0] < 0.001
    assert np.all(np.diff(shares) > 0.001)


def test_wider_pores_cover_more_skin() -> None:
    assert np.all(np.diff([covered("medium", 60, diameter_mm=mm) for mm in (0.7, 1.2, 1.7)]) > 0.001)


def test_covered_share_is_about_that_of_the_discs() -> None:
    finding = pores.find_dots(skin.roi_of(skin.face(noise=0.15)))
    skin_cm2 = sum(dots.area_cm2 for dots in finding.values())
    shares = [covered("medium", 100, diameter_mm=1.0, draw=draw) for draw in range(4, 10)]
    assert np.mean(shares) == pytest.approx(100 * np.pi / 4 * 0.01 / skin_cm2, rel=0.35)


def test_area_of_a_dot_is_what_is_half_as_dark() -> None:
    y, x = np.mgrid[0:40, 0:40].astype(np.float32)
    bump = np.exp(-((x - 20) ** 2 + (y - 12) ** 2) / (2 * 1.5**2)).astype(np.float32)
    around = pores.around_dots(bump, np.array([12]), np.array([20]))
    assert np.array_equal(around, bump >= 0.5)
    corner = pores.around_dots(np.roll(bump, (-12, -20), (0, 1)), np.array([0]), np.array([0]))
    assert corner[:4, :4].sum() == corner.sum() > 0
    assert not pores.around_dots(bump, np.array([], int), np.array([], int)).any()


@pytest.mark.parametrize("tone", TONES)
def test_count_is_that_of_the_pores(tone: str) -> None:
    assert measured(with_pores(tone, 60)).evidence["count"] == pytest.approx(60, abs=8)


@pytest.mark.parametrize("tone", TONES)
def test_uniform_patch_has_none(tone: str) -> None:
    finding = pores.measure(skin.roi_of(skin.plain(tone)), gate=False)
    assert finding.score == 0.0
    assert finding.area_fraction == 0.0
    assert finding.evidence["count"] == 0
    assert finding.evidence["mean_contrast_percent"] == 0


@pytest.mark.parametrize("sd", [0.3, 1.0, 2.5])
def test_noise_of_the_camera_has_hardly_any(sd: float) -> None:
    lab = skin.plain()
    lab[..., 0] += sd * np.random.default_rng(2).standard_normal(lab.shape[:2]).astype(np.float32)
    assert pores.measure(skin.roi_of(lab), gate=False).score < 0.05


def test_lines_dead_pixels_and_moles_are_no_pores() -> None:
    bare = skin.face(noise=0.15)
    lines = [np.array([[x, 270], [x + 12, 345]], np.float32) for x in (160, 340)]  # whose ends may look like dots
    dead = bare.copy()
    for x, y in skin.spread(40, *PLACES, apart_px=9).astype(int):
        dead[y, x, 0] = 2.0
    moles = skin.add_brown_spots(bare, skin.spread(8, *PLACES), diameter_mm=5, deficit=0.5)
    for lab in (skin.add_lines(bare, lines), dead, moles):
        assert measured(lab).evidence["count"] <= measured(bare).evidence["count"] + 4


def test_boxes_lie_on_the_pores_in_original_pixels() -> None:
    centres = skin.spread(12, *PLACES)
    lab = skin.add_pores(skin.face(noise=0.15), centres, deficit=0.15)
    found = np.array([lesion.box.centre for lesion in measured(lab, scale=0.5).lesions]) / 2
    nearest = [np.hypot(*(found - centre).T).min() for centre in centres]
    assert np.max(nearest) < 1.5


def test_pores_raise_their_own_region() -> None:
    lab = skin.add_pores(skin.face(noise=0.15), skin.spread(40, "left_cheek", apart_px=9))
    regions = measured(lab).regions
    assert regions["left_cheek"] > regions["right_cheek"] + 0.1


def test_mirrored_face_scores_the_same() -> None:
    lab = with_pores("medium", 60)
    assert measured(skin.flipped(lab)).score == pytest.approx(measured(lab).score, abs=0.03)


def test_refuses_with_a_reason() -> None:
    lab = skin.face()
    assert pores.measure(skin.roi_of(lab, scale=2.0)).reason.startswith("too_small")
    assert pores.measure(skin.roi_of(cv2.GaussianBlur(lab, (0, 0), 4))).reason.startswith("too_blurred")
    assert pores.measure(skin.roi_of(lab, mask=np.zeros((512, 512), bool))).reason.startswith("too_few_pixels")
    assert pores.measure(skin.roi_of(lab, scale=2.0), gate=False).score is not None


def test_close_up_is_measured_as_a_whole() -> None:
    centres = np.array([[x, y] for x in range(40, 480, 20) for y in range(40, 480, 20)], np.float32)
    finding = pores.measure(skin.close_up_of(skin.add_pores(skin.plain(), centres)), gate=False)
    assert finding.evidence["count"] == pytest.approx(len(centres), abs=5)


def test_noise_shares_of_the_bands_are_what_white_noise_gives() -> None:
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    levels = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in pores.SIGMAS]
    shares = [float((fine - coarse).std()) / 0.02 for fine, coarse in itertools.pairwise(levels)]
    assert shares == pytest.approx(pores.NOISE_IN_BANDS, rel=0.03)
