"""How pictures are made worse, and how refusals are counted."""

from __future__ import annotations

import numpy as np
import pytest

from analyzer.values import Check
from benchmarks import quality

RGB = np.random.default_rng(0).integers(20, 180, (120, 160, 3), dtype=np.uint8)


def linear(rgb: np.ndarray) -> np.ndarray:
    share = rgb / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def check(code: str, passed: bool, refuses: bool, value: float | None = 1.0) -> Check:
    return Check(code, passed, refuses, value, 0.5, "unit", "advice")


@pytest.mark.parametrize("factor", [0.1, 0.35, 1.0, 1.8])
def test_exposure_multiplies_the_light(factor: float) -> None:
    np.testing.assert_allclose(linear(quality.exposed(factor)(RGB)), np.minimum(factor * linear(RGB), 1), atol=0.004)


def test_blur_is_counted_at_640_px() -> None:
    step = np.zeros((64, 640, 3), np.uint8)
    step[:, 320:] = 200
    half = np.ascontiguousarray(step[:32, 160:480])
    wide, narrow = quality.blurred(4)(step), quality.blurred(4)(half)
    assert np.diff(wide[5, :, 0].astype(int)).max() == pytest.approx(200 / (4 * np.sqrt(2 * np.pi)), abs=2)
    assert np.diff(narrow[5, :, 0].astype(int)).max() == pytest.approx(200 / (2 * np.sqrt(2 * np.pi)), abs=3)


def test_shade_lies_on_the_right_half() -> None:
    shaded = quality.shaded(RGB)
    np.testing.assert_allclose(linear(shaded[:, :20]), linear(RGB[:, :20]), atol=0.004)
    np.testing.assert_allclose(linear(shaded[:, -20:]), 0.25 * linear(RGB[:, -20:]), atol=0.004)


def test_gray_has_no_colour_and_every_change_keeps_the_shape() -> None:
    assert np.ptp(quality.gray(RGB), axis=2).max() == 0
    for change in quality.DEGRADATIONS.values():
        changed = change(RGB)
        assert (changed.shape, changed.dtype) == (RGB.shape, RGB.dtype)


def test_the_first_refusing_check_is_counted_once_and_warnings_apart() -> None:
    good = (check("no_face", True, True), check("blur", True, True))
    none = (check("no_face", False, True),)
    blurred = (
        check("no_face", True, True),
        check("tilted", False, False),
        check("blur", False, True),
        check("too_dark", False, True),
    )
    counted = quality.failures([good, good, none, blurred])
    assert counted["n"] == 4
    assert counted["refused"] == {"no_face": 1, "blur": 1}
    assert counted["warned"] == {"tilted": 1}
    assert counted["refused_of_found"] == pytest.approx(1 / 3)
    assert quality.failures([blurred], ignored=("blur",))["refused"] == {"too_dark": 1}


def test_the_spread_leaves_out_what_was_not_measured() -> None:
    rows = [(check("a", True, True, value), check("b", True, True, None)) for value in range(101)]
    spread = quality.spread([*rows, (check("a", False, True, 999.0),)])
    assert set(spread) == {"a"}
    assert spread["a"]["n"] == 101
    assert (spread["a"]["5"], spread["a"]["50"], spread["a"]["95"]) == (5.0, 50.0, 95.0)


def test_noise_is_of_the_named_strength_and_the_same_every_time() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = quality.noisy(12)(grey).astype(float) - 128
    assert noise.std() == pytest.approx(12, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    np.testing.assert_array_equal(quality.noisy(12)(grey), quality.noisy(12)(grey))


def test_changes_follow_one_another() -> None:
    dark_then_gray = quality.both(quality.exposed(0.3), quality.gray)(RGB)
    np.testing.assert_array_equal(dark_then_gray, quality.gray(quality.exposed(0.3)(RGB)))
