"""The picture of where a model's evidence lies: in its place, and to be read on light and on dark skin."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import explanation

SKINS = {"very light": (246, 226, 205), "tan": (198, 145, 104), "brown": (120, 78, 54), "dark": (52, 34, 26)}


def skin(colour: tuple[int, int, int], side: int = 364) -> NDArray[np.uint8]:
    return np.full((side, side, 3), colour, np.uint8)


def spot(row: int, column: int, strength: float = 1.0) -> NDArray[np.float32]:
    heat = np.zeros((7, 7), np.float32)
    heat[row, column] = strength
    return heat


def lightness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """L* 0..100."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


@pytest.mark.parametrize("colour", SKINS.values(), ids=SKINS)
def test_evidence_shows_where_it_lies_on_every_skin(colour: tuple[int, int, int]) -> None:
    face = skin(colour)
    drawn = explanation.draw(face, spot(1, 5))
    assert (drawn.shape, drawn.dtype) == (face.shape, np.uint8)
    change = np.linalg.norm(lightness(drawn) - lightness(face), axis=2)  # CIE 1976 colour difference
    centre = slice(52 + 20, 104 - 20), slice(260 + 20, 312 - 20)  # of the cell in row 1 and column 5, 52 px each
    assert change[centre].min() > 25
    assert change[200:, :160].max() == 0


@pytest.mark.parametrize("colour", SKINS.values(), ids=SKINS)
def test_lines_are_light_and_dark_at_once(colour: tuple[int, int, int]) -> None:
    drawn = explanation.draw(skin(colour), spot(3, 3))
    assert (drawn == explanation.LINE).all(axis=2).sum() > 200
    assert (drawn == explanation.RIM).all(axis=2).sum() > 200


def test_without_evidence_the_face_stays_as_it_is() -> None:
    rng = np.random.default_rng(1)
    face = rng.integers(0, 256, (364, 364, 3), np.uint8)
    face.flags.writeable = False
    np.testing.assert_array_equal(explanation.draw(face, np.zeros((7, 7), np.float32)), face)


def test_a_mirrored_map_is_drawn_mirrored() -> None:
    heat = np.random.default_rng(2).random((7, 7)).astype(np.float32)
    face = skin(SKINS["tan"], 350)
    one, other = explanation.draw(face, heat), explanation.draw(face, np.ascontiguousarray(heat[:, ::-1]))
    difference = np.abs(one.astype(int) - other[:, ::-1]).max(axis=2)
    assert (difference > 60).mean() < 0.01, "apart from the edges of lines"


def test_stronger_evidence_is_bluer() -> None:
    face = skin(SKINS["tan"])
    faint, strong = (explanation.draw(face, np.full((7, 7), share, np.float32)) for share in (0.2, 0.45))
    middle = 182, 182
    assert face[middle][2] < faint[middle][2] < strong[middle][2]
