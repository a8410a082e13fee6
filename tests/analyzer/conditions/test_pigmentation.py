"""Physics of uneven pigment on generated skin."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.conditions import pigmentation
from tests.analyzer import generated_skin as skin

TONES = tuple(skin.TONES)


@pytest.mark.parametrize("tone", TONES)
def test_stronger_blotches_score_higher(tone):
    raws = [_raw(_blotched(tone, sd)) for sd in (0, 2, 4, 7)]
    assert raws == sorted(raws)
    assert raws[-1] > 5 * raws[0] + 20


@pytest.mark.parametrize("tone", TONES)
def test_plain_skin_is_even(tone):
    finding = pigmentation.measure(skin.roi_of(skin.plain(tone)))
    assert finding.score < 1e-4
    assert finding.area_fraction == 0


def test_shading_and_flush_are_no_pigment():
    clear = skin.plain()
    blotched = _raw(skin.add_uneven_pigment(clear, 5))
    assert _raw(skin.add_shading(clear, down=10, sideways=8)) < 0.3 * blotched
    assert _raw(skin.add_redness(clear, 10, blur_px=8)) < 0.3 * blotched


def test_light_from_one_side_does_not_spread_the_tone():
    x = np.linspace(-1, 1, 512, dtype=np.float32)[None, :, None]
    lab = skin.plain("light")
    tilted = (lab + x * np.float32([6, 0, 0])).astype(np.float32)
    spread = pigmentation.measure(skin.roi_of(tilted)).evidence["tone_spread_deg"]
    assert spread < 3


def test_a_darker_forehead_spreads_the_tone():
    lab = skin.plain("light")
    lab[skin.region_mask("forehead")] -= np.float32([25, 0, -4])
    assert pigmentation.measure(skin.roi_of(lab)).evidence["tone_spread_deg"] > 20


def test_mirror_and_size_change_little():
    lab = _blotched("medium", 5)
    raw = _raw(lab)
    assert _raw(skin.flipped(lab)) == pytest.approx(raw, rel=0.02)
    assert pigmentation.measure(skin.roi_of(lab, scale=2.5)).evidence["raw"] == pytest.approx(raw, rel=0.1)


def test_little_skin_is_refused_with_a_reason():
    hidden = skin.skin_mask().copy()
    hidden[60:] = False
    finding = pigmentation.measure(skin.roi_of(skin.face(), mask=hidden))
    assert finding.score is None
    assert finding.reason.startswith("too_few_pixels")


def test_a_close_up_is_measured_as_a_whole():
    finding = pigmentation.measure(skin.close_up_of(skin.plain()))
    assert set(finding.regions) == {"whole"}
    assert "tone_spread_deg" not in finding.evidence


def _blotched(tone, sd):
    return skin.add_uneven_pigment(skin.face(tone), sd)


def _raw(lab):
    return pigmentation.measure(skin.roi_of(lab)).evidence["raw"]
