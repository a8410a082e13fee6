"""Physics of the texture measurement on generated skin, and its patterns beside skimage's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzer import calibration
from analyzer.conditions import texture
from analyzer.values import Finding
from tests.analyzer import generated_skin as skin

TONES = ("light", "medium", "dark")


def measured(lab: skin.Lab, **roi_options: float) -> Finding:
    finding = texture.measure(skin.roi_of(lab, **roi_options))
    assert finding.score is not None, finding.reason
    return finding


def rough(tone: str, share: float, *, grain_px: float = 3.0) -> skin.Lab:
    """A face whose surface varies by `share` of its lightness."""
    return skin.add_texture(skin.face(tone, noise=0.2), share * skin.TONES[tone][0], grain_px=grain_px)


@pytest.mark.parametrize("tone", TONES)
def test_rougher_skin_scores_higher(tone: str) -> None:
    scores = [measured(rough(tone, share)).score for share in (0.0, 0.02, 0.04, 0.08)]
    assert np.all(np.diff(scores) > 0.05)


def test_same_relative_roughness_counts_alike_on_all_tones() -> None:
    raws = [measured(rough(tone, 0.04)).evidence["raw"] for tone in TONES]
    assert max(raws) / min(raws) < 1.15


@pytest.mark.parametrize("tone", TONES)
def test_rougher_skin_is_rough_on_a_larger_area(tone: str) -> None:
    shares = [measured(rough(tone, share)).area_fraction for share in (0.0, 0.02, 0.04, 0.08)]
    assert shares[0] < 0.02
    assert np.all(np.diff(shares) >= 0)
    assert shares[-1] > 0.9


def test_one_rough_cheek_is_its_share_of_the_skin() -> None:
    lab, bumpy = skin.face(noise=0.2), rough("medium", 0.1)
    cheek = skin.region_mask("left_cheek")
    lab[cheek] = bumpy[cheek]
    others = [name for name in texture.REGIONS if name != "whole"]
    share = cheek.sum() / sum(skin.region_mask(name).sum() for name in others)
    assert measured(lab).area_fraction == pytest.approx(share, abs=0.08)


def test_area_begins_where_the_severity_low_does() -> None:
    raw = texture.raw_where_low_begins()
    formula = calibration.formulas()["texture"]
    assert formula.score(raw) == pytest.approx(formula.severity_limits[1])
    surface = texture.Surface(roughness=raw, noise=3.0, entropy=texture.ENTROPY_TYPICAL)
    noise = texture.NOISE_IN_BAND * 3.0
    assert surface.energy_at(surface.raw) == pytest.approx((raw**2 + noise**2) / 1e4)


@pytest.mark.parametrize("tone", TONES)
def test_uniform_patch_scores_zero(tone: str) -> None:
    finding = texture.measure(skin.roi_of(skin.plain(tone)), gate=False)
    assert finding.score == 0.0
    assert finding.area_fraction == 0.0
    assert finding.evidence["roughness_percent"] == pytest.approx(0.0, abs=1e-3)


def test_noise_of_the_camera_is_taken_off() -> None:
    """Pixel-fine grain of twice the contrast raises the roughness by little of what coarse grain raises it."""
    still = measured(rough("medium", 0.02)).evidence["roughness_percent"]
    rng = np.random.default_rng(1)
    noisy = rough("medium", 0.02)
    noisy[..., 0] += 2.5 * rng.standard_normal(noisy.shape[:2]).astype(np.float32)
    finding = measured(noisy)
    assert finding.evidence["noise_percent"] > 3
    assert finding.evidence["roughness_percent"] == pytest.approx(still, rel=0.1)


def test_shading_is_no_texture() -> None:
    lit, flat = (measured(skin.face(shading=shading)) for shading in (12.0, 0.0))
    assert lit.score == pytest.approx(flat.score, abs=0.03)


def test_a_few_moles_are_no_texture() -> None:
    spotted = skin.add_brown_spots(skin.face(), skin.spread(6), diameter_mm=3, deficit=0.4)
    assert measured(spotted).score == pytest.approx(measured(skin.face()).score, abs=0.05)


def test_rough_cheek_raises_its_own_region() -> None:
    lab, bumpy = skin.face(noise=0.2), rough("medium", 0.06)
    cheek = skin.region_mask("left_cheek")
    lab[cheek] = bumpy[cheek]
    regions = measured(lab).regions
    assert regions["left_cheek"] > regions["right_cheek"] + 0.2


def test_mirrored_face_scores_the_same() -> None:
    lab = rough("medium", 0.04)
    assert measured(skin.flipped(lab)).score == pytest.approx(measured(lab).score, abs=0.02)


def test_smaller_original_scores_alike() -> None:
    lab = rough("medium", 0.04)
    assert measured(lab, scale=1.5).score == pytest.approx(measured(lab).score, abs=0.06)


def test_refuses_with_a_reason() -> None:
    lab = skin.face()
    assert texture.measure(skin.roi_of(lab, scale=3.0)).reason.startswith("too_small")
    assert texture.measure(skin.roi_of(cv2.GaussianBlur(lab, (0, 0), 5))).reason.startswith("too_blurred")
    assert texture.measure(skin.roi_of(lab, mask=np.zeros((512, 512), bool))).reason.startswith("too_few_pixels")
    assert texture.measure(skin.roi_of(lab, scale=3.0), gate=False).score is not None


def test_close_up_is_measured_as_a_whole() -> None:
    finding = texture.measure(skin.close_up_of(skin.add_texture(skin.plain(), 2.0, grain_px=3)), gate=False)
    assert set(finding.regions) == {"whole"}
    assert finding.score > 0.2


def test_patterns_agree_with_skimage() -> None:
    feature = pytest.importorskip("skimage.feature")
    # steps of 1/64 with distances that bilinear weights of 1/2 keep exact, so that ties fall alike in both
    plane = np.random.default_rng(0).integers(0, 4096, (96, 96)).astype(np.float32)
    plane = cv2.GaussianBlur(plane, (0, 0), 1.0)
    ours = texture.uniform_patterns(plane, 2.0)
    theirs = feature.local_binary_pattern(np.round(plane * 16).astype(np.uint16), 8, 2.0, method="uniform")
    assert (ours[4:-4, 4:-4] == theirs[4:-4, 4:-4]).mean() > 0.995


def test_flat_plane_has_one_pattern() -> None:
    assert np.unique(texture.uniform_patterns(np.ones((32, 32), np.float32), 2.0)).tolist() == [8]


def test_noise_share_of_the_band_is_what_white_noise_gives() -> None:
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)
    half = cv2.resize(noise, (256, 256), interpolation=cv2.INTER_AREA)
    fine, coarse = (cv2.GaussianBlur(half, (0, 0), sigma) for sigma in texture.BAND_SIGMAS)
    assert (fine - coarse).std() / 0.02 == pytest.approx(texture.NOISE_IN_BAND, rel=0.03)
