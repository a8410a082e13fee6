"""Skin tone: ITA, its groups, the Monk swatches, agreement, and the caveat about light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzer import quality, skin_tone
from analyzer.values import Check, Rgb
from tests.analyzer import generated_skin as made

LIGHT_CODES = {"too_dark", "too_bright", "overexposed", "uneven_light", "colour_cast"}


def uniform(rgb: tuple[int, int, int]) -> Rgb:
    return np.full((512, 512, 3), rgb, np.uint8)


def estimate_of(lab: np.ndarray, checks: tuple[Check, ...] = ()) -> object:
    return skin_tone.estimate(made.roi_of(lab), checks)


@pytest.mark.parametrize(
    ("lab", "ita_deg"),
    [
        ((70.0, 0.0, 20.0), 45.0),
        ((50.0, 0.0, 20.0), 0.0),
        ((30.0, 0.0, 20.0), -45.0),
        ((50.0 + 20 * np.sqrt(3), 8.0, 20.0), 60.0),
        ((80.0, 5.0, 0.0), 90.0),
        ((20.0, 5.0, -3.0), -90.0),
    ],
)
def test_ita_is_the_angle_of_lightness_over_50_against_yellow(lab: tuple[float, ...], ita_deg: float) -> None:
    assert skin_tone.ita_degrees(np.array(lab)) == pytest.approx(ita_deg, abs=1e-3)


@pytest.mark.parametrize(
    ("limit", "above", "below"),
    [
        (55.0, "very light", "light"),
        (41.0, "light", "intermediate"),
        (28.0, "intermediate", "tan"),
        (10.0, "tan", "brown"),
        (-30.0, "brown", "dark"),
    ],
)
def test_groups_change_at_the_published_angles(limit: float, above: str, below: str) -> None:
    """Chardon 1991: very light > 55 ≥ light > 41 ≥ intermediate > 28 ≥ tan > 10 ≥ brown > -30 ≥ dark."""
    groups = [skin_tone.ITA_GROUPS[skin_tone.ita_group(angle)] for angle in (limit + 0.01, limit, limit - 0.01)]
    assert groups == [above, below, below]


def test_darker_skin_never_gets_a_lighter_estimate() -> None:
    found = []
    for lightness in np.linspace(85, 20, 14):
        lab = np.broadcast_to(np.float32([lightness, 10, 16]), (512, 512, 3))
        tone = estimate_of(lab)
        assert tone is not None
        found.append((tone.ita_deg, skin_tone.ITA_GROUPS.index(tone.ita_group), -tone.monk_estimate))
    for column in zip(*found, strict=True):
        assert list(column) == sorted(column, reverse=True)
        assert len(set(column)) >= 5


@pytest.mark.parametrize("number", range(1, 11))
def test_each_monk_swatch_is_recognised(number: int) -> None:
    code = skin_tone.MONK_HEX[number - 1]
    region = made.roi.from_parts(
        uniform(tuple(int(code[i : i + 2], 16) for i in (0, 2, 4))), made.skin_mask().copy(), dict(made.landmarks())
    )
    tone = skin_tone.estimate(region)
    assert tone is not None
    assert tone.monk_estimate == number
    assert tone.estimates_agree


def test_monk_swatches_are_ten_and_darken() -> None:
    swatches = skin_tone.monk_swatches()
    assert swatches.shape == (10, 3)
    assert swatches[0, 0] > 90
    assert swatches[-1, 0] < 20
    assert (np.diff(swatches[3:, 0]) < 0).all()


@pytest.mark.parametrize(("tone", "types"), [("light", {"I", "II"}), ("medium", {"III", "IV"}), ("dark", {"V", "VI"})])
def test_generated_faces_fall_where_their_tone_is(tone: str, types: set[str]) -> None:
    found = estimate_of(made.face(tone))
    assert found is not None
    assert found.fitzpatrick_estimate in types
    expected = skin_tone.ita_degrees(np.array(made.TONES[tone]))
    assert found.ita_deg == pytest.approx(expected, abs=6.0)


def test_fitzpatrick_follows_the_group() -> None:
    assert len(skin_tone.FITZPATRICK) == len(skin_tone.ITA_GROUPS) == len(skin_tone.ITA_LIMITS) + 1
    for lightness in (80, 70, 64, 58, 45, 20):
        tone = estimate_of(np.broadcast_to(np.float32([lightness, 10, 16]), (512, 512, 3)))
        assert tone is not None
        assert skin_tone.FITZPATRICK.index(tone.fitzpatrick_estimate) == skin_tone.ITA_GROUPS.index(tone.ita_group)


def test_estimates_disagree_under_blue_light() -> None:
    """ITA goes by b*, which blue light takes away: at b* 0.5 medium skin reads as very light; the nearest swatch does not."""
    tone = estimate_of(np.broadcast_to(np.float32([56.0, 12.0, 0.5]), (512, 512, 3)))
    assert tone is not None
    assert tone.ita_group == "very light"
    assert not tone.estimates_agree


@pytest.mark.parametrize(("share", "said"), [(0.39, True), (0.41, False)])
def test_a_face_of_which_little_is_seen_is_told_so(share: float, said: bool) -> None:
    seen = Check("not_enough_skin", True, True, share, quality.MIN_SKIN, "share of face", "")
    found = skin_tone.estimate(made.roi_of(made.face()), [seen])
    assert found is not None
    assert ("Only a part of the face" in found.caveat) is said


def test_estimate_is_of_cheeks_and_forehead_not_of_spots() -> None:
    plain = made.face()
    spotted = made.add_brown_spots(plain, made.spread(25, "left_cheek", "right_cheek"), diameter_mm=4, deficit=0.4)
    one, other = estimate_of(plain), estimate_of(spotted)
    assert one is not None
    assert other is not None
    assert other.ita_deg == pytest.approx(one.ita_deg, abs=3.0)


def test_too_little_skin_gives_no_estimate() -> None:
    few = np.zeros((512, 512), bool)
    few[250:270, 250:270] = True
    assert skin_tone.estimate(made.roi_of(made.face(), mask=few)) is None


@pytest.mark.parametrize("code", sorted(LIGHT_CODES))
def test_a_failed_check_of_light_becomes_the_caveat(code: str) -> None:
    def check(passed: bool) -> Check:
        return Check(code, passed, False, 1.0, 2.0, "unit", "advice")

    plain, warned = estimate_of(made.face(), (check(True),)), estimate_of(made.face(), (check(False),))
    assert plain is not None
    assert warned is not None
    assert warned.caveat != plain.caveat
    assert "light" in (warned.caveat or "").lower()
    assert warned.ita_deg == plain.ita_deg


def test_failed_checks_that_are_not_about_light_leave_the_caveat() -> None:
    check = Check("blur", False, False, 1.0, 2.0, "unit", "advice")
    one, other = estimate_of(made.face()), estimate_of(made.face(), (check,))
    assert one == other


def test_the_codes_of_light_are_checks_that_exist() -> None:
    codes = {check.code for check in quality.check_roi(made.roi_of(made.face()))}
    assert codes >= set(skin_tone.LIGHT_CODES) == LIGHT_CODES


def test_cheeks_of_different_tone_are_pointed_out() -> None:
    lab = made.face()
    lab[:, :256, 0] -= 9
    lab[:, 256:, 0] += 9
    uneven, even = estimate_of(lab), estimate_of(made.face())
    assert uneven is not None
    assert even is not None
    assert uneven.caveat != even.caveat


def test_the_same_person_under_less_light_is_estimated_darker_and_there_is_always_a_caveat() -> None:
    rgb = made.to_rgb(made.face())
    dimmed = cv2.cvtColor((rgb * 0.6).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    one, other = estimate_of(made.face()), estimate_of(dimmed)
    assert one is not None
    assert other is not None
    assert other.ita_deg < one.ita_deg
    assert one.caveat
    assert other.caveat
