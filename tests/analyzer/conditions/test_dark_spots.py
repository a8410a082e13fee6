"""Physics of dark spots on generated skin."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.conditions import dark_spots
from tests.analyzer import generated_skin as skin

TONES = tuple(skin.TONES)


@pytest.mark.parametrize("tone", TONES)
def test_more_spots_score_higher(tone):
    raws = [_raw(_spotted(tone, count)) for count in (0, 5, 15, 40)]
    assert raws == sorted(raws)
    assert raws[1] > raws[0]
    assert raws[-1] > raws[0] + 4


def test_darker_spots_score_higher():
    raws = [_raw(_spotted("medium", 15, deficit=deficit)) for deficit in (0.04, 0.08, 0.16)]
    assert raws == sorted(raws)
    assert raws[-1] > raws[0]


@pytest.mark.parametrize("diameter_mm", [3, 6, 10])
def test_spots_of_every_size_are_listed_at_their_place(diameter_mm):
    centres = skin.spread(3, "left_cheek", apart_px=36, inset_px=18)
    lab = skin.add_brown_spots(skin.plain(), centres, diameter_mm=diameter_mm, deficit=0.3)
    lesions = dark_spots.measure(skin.roi_of(lab)).lesions
    for x, y in centres:
        assert any(np.hypot(lesion.box.centre[0] - x, lesion.box.centre[1] - y) < 6 for lesion in lesions)
    for lesion in lesions:
        x, y = (round(value) for value in lesion.box.centre)
        assert skin.region_mask(lesion.region)[y, x]


@pytest.mark.parametrize("tone", TONES)
def test_plain_and_shaded_skin_have_no_spots(tone):
    for lab in (skin.plain(tone), skin.face(tone), skin.add_shading(skin.face(tone), down=12, sideways=6)):
        finding = dark_spots.measure(skin.roi_of(lab))
        assert finding.score < 0.1
        assert not finding.lesions


def test_red_spots_lines_and_grey_dents_are_no_dark_spots():
    clear, places = skin.face(), skin.spread(20)
    red = skin.add_red_blobs(clear, places, a_excess=14)
    rows = [np.float32([[110, y], [400, y]]) for y in (110, 120, 130)]
    lined = skin.add_lines(clear, rows, width_px=5, depth=0.2)
    brown = _raw(skin.add_brown_spots(clear, places, diameter_mm=4, deficit=0.15))
    assert _raw(red) < 0.35 * brown
    assert _raw(lined) < 0.1 * brown


def test_mirror_and_exposure_change_little():
    lab = _spotted("medium", 20)
    raw = _raw(lab)
    assert _raw(skin.flipped(lab)) == pytest.approx(raw, rel=0.1)
    assert _raw(lab * np.float32([1.06, 1.03, 1.03])) == pytest.approx(raw, rel=0.15)


def test_boxes_are_in_original_pixels():
    centre = skin.spread(1, "forehead", inset_px=24)
    lab = skin.add_brown_spots(skin.plain(), centre, diameter_mm=6, deficit=0.3)
    lesion = dark_spots.measure(skin.roi_of(lab, scale=2.0)).lesions[0]
    assert lesion.box.centre == pytest.approx(tuple(centre[0] / 2), abs=3)


def test_a_small_face_and_little_skin_are_refused_with_a_reason():
    lab = _spotted("light", 5)
    small = dark_spots.measure(skin.roi_of(lab, scale=3.5))
    hidden = skin.skin_mask().copy()
    hidden[60:] = False
    few = dark_spots.measure(skin.roi_of(lab, mask=hidden))
    assert small.score is None
    assert small.reason.startswith("too_small")
    assert few.reason.startswith("too_few_pixels")
    assert dark_spots.measure(skin.roi_of(lab, scale=3.5), gate=False).score is not None


def test_a_close_up_is_measured_as_a_whole():
    assert set(dark_spots.measure(skin.close_up_of(skin.plain())).regions) == {"whole"}


def _spotted(tone, count, deficit=0.15):
    return skin.add_brown_spots(skin.face(tone), skin.spread(count), diameter_mm=4, deficit=deficit)


def _raw(lab):
    return dark_spots.measure(skin.roi_of(lab)).evidence["raw"]
