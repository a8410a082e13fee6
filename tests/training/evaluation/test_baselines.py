"""The baselines see size, light, colour and texture, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is in the training environment only: make train-env")

from training.data.facts import Facts, measured
from training.evaluation import baselines

SIDE_PX = 64
SKIN = (190, 140, 115)


@dataclass(frozen=True, eq=False)
class Seen:
    facts: list[Facts]
    crops: np.ndarray


def drawn(rng: np.random.Generator, kind: int, side_px: int = SIDE_PX) -> np.ndarray:
    """Skin: 0 smooth, 1 reddish, 2 grainy."""
    colour = np.array(SKIN) + (np.array([25, -15, -10]) if kind == 1 else 0) + rng.normal(0, 3, 3)
    grain = rng.normal(0, 12 if kind == 2 else 2, (side_px, side_px, 1))
    return np.clip(colour + grain, 0, 255).astype(np.uint8)


def seen(rng: np.random.Generator, kinds: np.ndarray, sides_px: np.ndarray) -> Seen:
    pictures = [drawn(rng, kind, side_px) for kind, side_px in zip(kinds, sides_px, strict=True)]
    files = [cv2.imencode(".png", rgb[..., ::-1])[1].tobytes() for rgb in pictures]
    facts = [measured(data, look_for_face=False)[0] for data in files]
    return Seen(facts, np.stack([cv2.resize(rgb, (SIDE_PX, SIDE_PX)) for rgb in pictures]))


def test_each_baseline_answers_every_picture_by_what_it_sees() -> None:
    rng = np.random.default_rng(0)
    truth, asked = np.tile([0, 1, 2, 2], 12), np.tile([0, 1, 2], 8)
    same_size = (np.full(48, SIDE_PX), np.full(24, SIDE_PX))
    train, test = (seen(rng, *one) for one in zip((truth, asked), same_size, strict=True))
    found = baselines.answered(train, truth, test)
    assert list(found) == ["constant", "picture statistics", "random forest on colour and texture"]
    assert set(found["constant"]) == {2}
    assert np.mean(found["random forest on colour and texture"] == asked) > 0.9
    again = baselines.fitted(train, truth)(test)
    assert all((found[name] == again[name]).all() for name in found)


def test_statistics_tell_sources_apart_by_size_and_see_no_skin_where_files_are_alike() -> None:
    rng = np.random.default_rng(1)
    truth = np.tile([0, 1], 20)
    train, test = (seen(rng, np.zeros(40, int), np.where(truth, 100, 50)) for _ in range(2))
    assert (baselines.answered(train, truth, test)["picture statistics"] == truth).all()
    alike = Seen(
        [train.facts[0]] * 40, seen(rng, truth, np.full(40, SIDE_PX)).crops
    )  # red skin and not, in equal files
    found = baselines.answered(alike, truth, alike)
    assert len(set(found["picture statistics"])) == 1
    assert (found["random forest on colour and texture"] == truth).all()


def test_colour_of_a_plain_patch_is_its_lab_and_hsv_and_its_texture_is_flat() -> None:
    found = baselines.colour_and_texture(np.full((64, 64, 3), (255, 0, 0), np.uint8))
    lightness, a, b, saturation, value, cosine, sine = found[:7]
    assert (lightness, a, b) == pytest.approx((53.2, 80.1, 67.2), abs=0.2)
    assert (saturation, value, cosine, sine) == pytest.approx((1, 1, 1, 0), abs=1e-3)
    np.testing.assert_allclose(found[7:21], 0, atol=1e-3)
    histograms = np.split(found[21:], [10, 28])
    assert [histogram.sum() for histogram in histograms] == pytest.approx([1, 1, 1])
    assert all(histogram.max() > 0.7 for histogram in histograms)


def test_colour_and_texture_know_no_place() -> None:
    rng = np.random.default_rng(2)
    crop = drawn(rng, 2)
    crop[:20, :20] = (220, 90, 90)
    mirrored, shifted = crop[:, ::-1].copy(), np.roll(crop, 30, axis=1)
    found = baselines.colour_and_texture(crop)
    np.testing.assert_allclose(baselines.colour_and_texture(mirrored), found, atol=0.01)
    np.testing.assert_allclose(baselines.colour_and_texture(shifted)[:21], found[:21], atol=1e-3)


def test_grain_is_seen_in_the_texture_and_redness_in_the_colour() -> None:
    rng = np.random.default_rng(3)
    smooth, red, grainy = (
        np.mean([baselines.colour_and_texture(drawn(rng, kind)) for _ in range(4)], axis=0) for kind in range(3)
    )
    assert red[1] > smooth[1] + 10  # a*
    assert abs(grainy[1] - smooth[1]) < 4
    assert grainy[7] > 2 * smooth[7]  # deviation of L*
