"""Physics of redness on generated skin."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.conditions import redness
from tests.analyzer import generated_skin as skin

TONES = tuple(skin.TONES)


@pytest.mark.parametrize("tone", TONES)
def test_a_stronger_flush_scores_higher(tone):
    raws = [_raw(skin.add_redness(skin.face(tone), a_excess)) for a_excess in (0, 4, 8, 14)]
    assert raws == sorted(raws)
    assert raws[-1] > raws[0] + 3


@pytest.mark.parametrize("tone", TONES)
def test_plain_skin_and_a_face_without_flush_are_not_red(tone):
    for lab in (skin.plain(tone), skin.face(tone)):
        finding = redness.measure(skin.roi_of(lab))
        assert finding.score < 0.1
        assert not finding.detected


def test_a_flush_is_found_where_it_is():
    regions = redness.measure(skin.roi_of(skin.add_redness(skin.face(), 10, regions=("left_cheek",)))).regions
    assert regions["left_cheek"] > 0.4
    assert regions["left_cheek"] == max(score for score in regions.values() if score is not None)
    assert regions["right_cheek"] < 0.15


def test_a_flush_is_diffuse_and_pimples_are_spots():
    flush = redness.measure(skin.roi_of(skin.add_redness(skin.face(), 14))).evidence
    spots = skin.add_red_blobs(skin.face(), skin.spread(12), diameter_mm=4, a_excess=16)
    pimples = redness.measure(skin.roi_of(spots)).evidence
    assert flush["diffuse_share"] > 0.9
    assert pimples["spot_share"] > 0.9


def test_brown_patches_are_not_red():
    brown = skin.add_brown_spots(skin.face(), skin.spread(25), diameter_mm=6, deficit=0.25)
    assert _raw(brown) < _raw(skin.face()) + 0.3


def test_a_colour_cast_all_over_changes_little_but_a_face_red_all_over_is_seen():
    base = skin.face("light")
    assert abs(_raw(base + np.float32([0, 2, 0])) - _raw(base)) < 0.1
    assert _raw(base + np.float32([0, 22, 0])) > _raw(base) + 2


def test_mirror_and_exposure_and_size_change_little():
    lab = skin.add_redness(skin.face(), 10)
    raw = _raw(lab)
    assert _raw(skin.flipped(lab)) == pytest.approx(raw, rel=0.02)
    assert _raw(lab * np.float32([1.06, 1.03, 1.03])) == pytest.approx(raw, rel=0.1)
    assert redness.measure(skin.roi_of(lab, scale=3.0)).evidence["raw"] == pytest.approx(raw, rel=0.1)


def test_too_little_skin_and_a_grey_picture_are_refused_with_a_reason():
    hidden = skin.skin_mask().copy()
    hidden[60:] = False
    few = redness.measure(skin.roi_of(skin.face(), mask=hidden))
    grey = redness.measure(skin.roi_of(skin.face() * np.float32([1, 0, 0])))
    assert few.score is None
    assert few.reason.startswith("too_few_pixels")
    assert grey.score is None
    assert grey.reason.startswith("no_colour")


def test_a_hidden_region_has_no_score():
    mask = skin.skin_mask() & ~skin.region_mask("chin")
    assert redness.measure(skin.roi_of(skin.face(), mask=mask)).regions["chin"] is None


def test_a_close_up_is_measured_as_a_whole():
    assert set(redness.measure(skin.close_up_of(skin.face())).regions) == {"whole"}


def test_a_flush_of_both_cheeks_counts_in_full() -> None:
    finding = redness.measure(skin.roi_of(skin.add_redness(skin.face(), 12)))
    cheeks = [finding.regions["left_cheek"], finding.regions["right_cheek"]]
    assert finding.score is not None
    assert finding.score >= min(cheeks) - 1e-6
    assert finding.score > finding.regions["forehead"] + 0.1


def _raw(lab):
    return redness.measure(skin.roi_of(lab)).evidence["raw"]
