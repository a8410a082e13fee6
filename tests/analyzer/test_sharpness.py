"""The blur that is read from edges is the blur that was put in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from analyzer import sharpness
from tests.analyzer import generated_skin as skin


def striped(step: float, blur_px: float) -> skin.Lab:
    """Steps of lightness up and down, one every 32 px."""
    lab = skin.plain()
    lab[:, np.arange(512) // 32 % 2 == 1, 0] -= step
    lab[..., 0] = cv2.GaussianBlur(lab[..., 0], (0, 0), blur_px)
    return lab


@pytest.mark.parametrize("blur_px", [1.0, 2.0, 4.0])
def test_blur_of_steps(blur_px: float) -> None:
    assert skin.close_up_of(striped(30.0, blur_px)).edge_blur_px == pytest.approx(blur_px, rel=0.1, abs=0.3)


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_blurs_add_in_quadrature_on_faces(tone: str) -> None:
    own = skin.roi_of(skin.face(tone)).edge_blur_px
    blurred = np.dstack([cv2.GaussianBlur(channel, (0, 0), 3.0) for channel in cv2.split(skin.face(tone))])
    assert skin.roi_of(blurred).edge_blur_px == pytest.approx(np.hypot(own, 3.0), rel=0.15)


def test_contrast_does_not_matter() -> None:
    blurs = [skin.close_up_of(striped(step, 2.0)).edge_blur_px for step in (8.0, 40.0)]
    assert blurs[0] == pytest.approx(blurs[1], rel=0.15)


def test_enlarged_original_counts_as_blurred() -> None:
    lab = skin.face()
    assert skin.roi_of(lab, scale=4.0).edge_blur_px > skin.roi_of(lab).edge_blur_px + 0.5


def test_nothing_to_see_is_the_largest_blur() -> None:
    assert skin.close_up_of(skin.plain()).edge_blur_px == sharpness.MAX_BLUR_PX
