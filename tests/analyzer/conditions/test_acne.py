"""Physics of the acne measurement on generated skin."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.conditions import acne
from analyzer.values import Finding
from tests.analyzer import generated_skin as skin

TONES = tuple(skin.TONES)
CHEEKS = ("left_cheek", "right_cheek")


def with_spots(tone: str = "medium", count: int = 12, a_excess: float = 9.0, diameter_mm: float = 4.0) -> skin.Lab:
    spots = skin.spread(count, *CHEEKS)
    return skin.add_red_blobs(skin.face(tone), spots, diameter_mm=diameter_mm, a_excess=a_excess)


def raw(lab: skin.Lab) -> float:
    return measured(lab).evidence["raw"]


def measured(lab: skin.Lab) -> Finding:
    finding = acne.measure(skin.roi_of(lab))
    assert finding.score is not None, finding.reason
    assert 0 <= finding.score <= 1
    return finding


@pytest.mark.parametrize("tone", TONES)
def test_uniform_skin_has_no_acne(tone: str) -> None:
    finding = measured(skin.plain(tone))
    assert finding.evidence["raw"] == 0
    assert finding.score == 0
    assert finding.severity == "none"
    assert finding.lesions == ()
    assert finding.area_fraction == 0


@pytest.mark.parametrize("tone", TONES)
def test_clear_skin_with_noise_and_shading_is_at_most_minimal(tone: str) -> None:
    finding = measured(skin.face(tone))
    assert finding.severity in ("none", "minimal")
    assert len(finding.lesions) <= 1


@pytest.mark.parametrize("tone", TONES)
def test_more_spots_score_higher(tone: str) -> None:
    scores = [raw(with_spots(tone, count)) for count in (0, 4, 12, 30)]
    assert (np.diff(scores) > 0.05).all(), scores


@pytest.mark.parametrize("tone", TONES)
def test_redder_spots_score_higher(tone: str) -> None:
    scores = [raw(with_spots(tone, a_excess=a_excess)) for a_excess in (0.0, 4.0, 8.0, 14.0)]
    assert (np.diff(scores) > 0.02).all(), scores


def test_tones_are_treated_alike() -> None:
    """The same excess of a* gives scores within a tenth of the scale of each other on light and on dark skin."""
    scores = [measured(with_spots(tone, 20)).score for tone in TONES]
    assert np.ptp(scores) < 0.1, dict(zip(TONES, scores, strict=True))


@pytest.mark.parametrize("tone", TONES)
def test_every_spot_is_boxed_once_where_it_lies(tone: str) -> None:
    centres = skin.spread(12, *CHEEKS, apart_px=24)
    lesions = measured(skin.add_red_blobs(skin.face(tone), centres, diameter_mm=4, a_excess=12)).lesions
    middles = np.array([lesion.box.centre for lesion in lesions])
    distances = np.linalg.norm(middles[:, None] - centres[None], axis=2)
    assert (distances.min(axis=0) < 5).sum() >= 11
    assert (distances.min(axis=1) < 5).sum() >= len(lesions) - 1
    assert {lesion.region for lesion in lesions} <= {*CHEEKS, "perioral"}  # which overlap
    sides = np.array([lesion.box.width for lesion in lesions])
    assert np.median(sides) == pytest.approx(4 * 2.2 * 1.4, rel=0.5)


def test_boxes_are_in_original_pixels() -> None:
    lab = with_spots()
    full, half = (acne.measure(skin.roi_of(lab, scale=scale)).lesions for scale in (1.0, 0.5))
    assert len(full) == len(half)
    for one, other in zip(full, half, strict=True):
        assert other.box.centre == pytest.approx([2 * value for value in one.box.centre], abs=1e-3)
        assert other.box.width == pytest.approx(2 * one.box.width, abs=1e-3)


def test_lesions_come_strongest_first() -> None:
    contrasts = [lesion.contrast for lesion in measured(with_spots(count=20)).lesions]
    assert contrasts == sorted(contrasts, reverse=True)


@pytest.mark.parametrize("tone", TONES)
def test_mirrored_face_scores_the_same(tone: str) -> None:
    lab = skin.add_red_blobs(skin.face(tone), skin.spread(12, "left_cheek"), a_excess=9)
    finding, mirrored = measured(lab), measured(skin.flipped(lab))
    assert mirrored.score == pytest.approx(finding.score, abs=0.02)
    assert len(mirrored.lesions) == pytest.approx(len(finding.lesions), abs=1)
    for side, other in (CHEEKS, CHEEKS[::-1]):
        assert mirrored.regions[side] == pytest.approx(finding.regions[other], abs=0.05)


@pytest.mark.parametrize("scale", [1.2, 1.5])
def test_smaller_pictures_score_about_the_same(scale: float) -> None:
    lab = with_spots(count=20)
    assert acne.measure(skin.roi_of(lab, scale=scale)).score == pytest.approx(measured(lab).score, abs=0.12)


@pytest.mark.parametrize("tone", TONES)
def test_brown_spots_are_not_acne(tone: str) -> None:
    spots = skin.spread(20, *CHEEKS)
    brown = measured(skin.add_brown_spots(skin.face(tone), spots, deficit=0.25))
    red = measured(skin.add_red_blobs(skin.face(tone), spots, a_excess=9))
    clear = measured(skin.face(tone))
    assert brown.evidence["raw"] - clear.evidence["raw"] < 0.2 * (red.evidence["raw"] - clear.evidence["raw"])
    assert len(brown.lesions) <= 1


@pytest.mark.parametrize("tone", TONES)
def test_diffuse_redness_is_not_acne(tone: str) -> None:
    flushed, clear = (measured(skin.add_redness(skin.face(tone), a_excess)) for a_excess in (10.0, 0.0))
    assert flushed.score == pytest.approx(clear.score, abs=0.05)
    assert len(flushed.lesions) <= 1


def test_creases_count_less_than_spots() -> None:
    x = np.linspace(185, 325, 40, dtype=np.float32)
    lines = [np.stack([x, y + 3 * np.sin(x / 30)], axis=1) for y in (110.0, 125.0, 140.0)]
    creased = measured(skin.add_lines(skin.face(), lines, depth=0.2))
    assert creased.score < 0.25
    assert creased.lesions == ()


def test_single_wrong_pixels_are_not_acne() -> None:
    roi = skin.roi_of(skin.face())
    rgb = roi.rgb.copy()
    places = np.random.default_rng(0).integers(0, 512, (1500, 2))
    rgb[places[:, 0], places[:, 1]] = np.random.default_rng(1).choice([0, 255], (1500, 1))
    noisy = acne.measure(skin.roi.from_parts(rgb, roi.skin.copy(), {k: v.copy() for k, v in roi.landmarks.items()}))
    assert noisy.score == pytest.approx(acne.measure(roi).score, abs=0.06)


def test_regions_tell_where_it_is() -> None:
    lab = skin.add_red_blobs(skin.face(), skin.spread(10, "left_cheek"), a_excess=10)
    regions = measured(lab).regions
    assert regions["left_cheek"] > regions["right_cheek"] + 0.3
    assert regions["nose"] is None
    assert regions["left_under_eye"] is None


def test_face_too_small_in_the_picture_is_not_measured_unless_the_gate_is_off() -> None:
    roi = skin.roi_of(with_spots(), scale=3.5)
    refused = acne.measure(roi)
    assert refused.score is None
    assert refused.reason.startswith("too_small: ")
    assert refused.severity == "none"
    assert acne.measure(roi, gate=False).score is not None


@pytest.mark.parametrize("rows", [0, 110])
def test_too_little_skin_is_not_measured(rows: int) -> None:
    mask = skin.skin_mask() & (np.arange(512)[:, None] < rows)
    finding = acne.measure(skin.roi_of(with_spots(), mask=mask))
    assert finding.score is None
    assert finding.reason.startswith("too_few_pixels: ")


def test_skin_without_a_face_is_measured_as_one_region() -> None:
    clear = acne.measure(skin.close_up_of(skin.add_texture(skin.plain(), 0.6)))
    spots = skin.add_red_blobs(skin.add_texture(skin.plain(), 0.6), skin.spread(20, *CHEEKS), a_excess=9)
    spotted = acne.measure(skin.close_up_of(spots))
    assert spotted.score > clear.score
    assert set(spotted.regions) == {"whole"}
    assert all(lesion.region == "whole" for lesion in spotted.lesions)
