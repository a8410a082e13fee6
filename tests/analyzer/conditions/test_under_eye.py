"""Physics of the under-eye measurement on generated skin."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.conditions import under_eye
from analyzer.values import Finding
from tests.analyzer import generated_skin as skin

TONES = ("light", "medium", "dark")


def measured(lab: skin.Lab, *, gate: bool = True, **roi_options: float) -> Finding:
    finding = under_eye.measure(skin.roi_of(lab, **roi_options), gate=gate)
    assert finding.score is not None, finding.reason
    return finding


def with_bag(lab: skin.Lab, depth: float) -> skin.Lab:
    """A bright bulge and a shadow line below it, under both eyes."""
    changed = lab.copy()
    for name in ("right_eye", "left_eye"):
        eye = skin.landmarks()[name]
        y, x = np.mgrid[0:512, 0:512].astype(np.float32)
        below = y - under_eye.lid_line(eye, np.arange(512, dtype=np.float32))[None]
        across = np.exp(-(((x - eye[:, 0].mean()) / 30) ** 2))
        bulge = np.exp(-(((below - 16) / 7) ** 2)) - np.exp(-(((below - 30) / 4) ** 2))
        changed[..., 0] += depth * changed[..., 0] * bulge * across
    return changed


@pytest.mark.parametrize("tone", TONES)
def test_darker_crescents_score_higher(tone: str) -> None:
    raws = [
        measured(skin.add_under_eye_darkening(skin.face(tone), deficit)).evidence["raw"]
        for deficit in (0.0, 0.1, 0.2, 0.35)
    ]
    assert np.all(np.diff(raws) > 0.04)


@pytest.mark.parametrize("tone", TONES)
def test_darker_crescents_are_dark_on_a_larger_area(tone: str) -> None:
    shares = [
        measured(skin.add_under_eye_darkening(skin.face(tone), deficit)).area_fraction
        for deficit in (0.0, 0.1, 0.3, 0.45)
    ]
    assert shares[:2] == pytest.approx([0.0, 0.0], abs=0.01)
    assert shares[1] + 0.3 < shares[2] < shares[3] <= 1.0


def test_one_dark_crescent_is_half_of_the_area() -> None:
    both, left = (
        measured(skin.add_under_eye_darkening(skin.face(), 0.4, sides=sides)).area_fraction
        for sides in (["left", "right"], ["left"])
    )
    assert left == pytest.approx(both / 2, abs=0.03)


def test_same_relative_darkness_counts_alike_on_all_tones() -> None:
    raws = [measured(skin.add_under_eye_darkening(skin.face(tone), 0.25)).evidence["raw"] for tone in TONES]
    assert max(raws) - min(raws) < 0.06


@pytest.mark.parametrize("tone", TONES)
def test_even_skin_scores_next_to_nothing(tone: str) -> None:
    assert measured(skin.plain(tone), gate=False).evidence["raw"] == pytest.approx(0.0, abs=0.005)
    assert measured(skin.face(tone, noise=0.0)).score < 0.05


def test_picture_without_an_edge_is_taken_for_blurred() -> None:
    assert under_eye.measure(skin.roi_of(skin.plain())).reason.startswith("too_blurred")


def test_light_from_above_or_from_the_side_is_no_dark_circle() -> None:
    flat = measured(skin.plain("medium"), gate=False).evidence["raw"]
    for down, sideways in ((12.0, 0.0), (-12.0, 0.0)):
        lit = measured(skin.add_shading(skin.plain("medium"), down=down, sideways=sideways), gate=False)
        assert lit.evidence["raw"] == pytest.approx(flat, abs=0.02)


def test_bags_show_as_puffiness() -> None:
    puffiness = [measured(with_bag(skin.face(), depth)).evidence["puffiness_percent"] for depth in (0.0, 0.04, 0.08)]
    assert puffiness[0] < 2
    assert puffiness[1] > puffiness[0] + 2
    assert puffiness[2] > puffiness[1] + 2
    bare = skin.add_under_eye_darkening(skin.face(), 0.2)
    assert measured(with_bag(bare, 0.08)).score > measured(bare).score


def test_the_worse_eye_counts() -> None:
    finding = measured(skin.add_under_eye_darkening(skin.face(), 0.3, sides=["left"]))
    assert finding.score == finding.regions["left_under_eye"]
    assert finding.regions["right_under_eye"] < finding.score - 0.2


def test_mirrored_face_scores_the_same() -> None:
    lab = skin.add_under_eye_darkening(skin.face(), 0.2, sides=["left"])
    straight, mirrored = measured(lab), measured(skin.flipped(lab))
    assert mirrored.score == pytest.approx(straight.score, abs=0.02)
    assert mirrored.regions["right_under_eye"] == pytest.approx(straight.regions["left_under_eye"], abs=0.02)


def test_smaller_original_scores_alike() -> None:
    lab = skin.add_under_eye_darkening(skin.face(), 0.25)
    assert measured(lab, scale=2.5).score == pytest.approx(measured(lab).score, abs=0.05)


def test_refuses_with_a_reason() -> None:
    lab = skin.face()
    assert under_eye.measure(skin.roi_of(lab, scale=6.0)).reason.startswith("too_small")
    assert under_eye.measure(skin.roi_of(lab, mask=np.zeros((512, 512), bool))).reason.startswith("too_few_pixels")
    assert under_eye.measure(skin.close_up_of(lab), gate=False).reason.startswith("too_few_pixels")


def test_gate_can_be_switched_off() -> None:
    assert under_eye.measure(skin.roi_of(skin.face(), scale=6.0), gate=False).score is not None


def test_valley_prominence_is_that_of_the_lower_shoulder() -> None:
    assert under_eye.valley_prominence(np.array([5, 3, 1, 2, 4], np.float32)) == 3
    assert under_eye.valley_prominence(np.array([5, 4, 2, 1], np.float32)) == 0
