"""Pictures and a line or two about each -> one picture that shows them all, in rows, and its PNG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from analyzer.values import Rgb
from training.command import whole

COLUMNS, MOST = 6, 30
SIDE_PX, GAP_PX, LINE_PX, FONT_PX = 150, 8, 13, 11
LINES = 2  # of text above a picture
CHARACTERS = 25  # of a line


def draw(crops: Sequence[NDArray[np.uint8]], titles: Sequence[str], columns: int = COLUMNS) -> Rgb:
    """(H, W, 3) uint8: at most `MOST` square pictures on white, from left to right, each below its title.

    Args:
        crops: (side, side, 3) uint8 each; of a title, `LINES` lines are shown.
    """
    crops, titles = crops[:MOST], titles[:MOST]
    across, down = SIDE_PX + GAP_PX, SIDE_PX + GAP_PX + LINES * LINE_PX
    rows = -(-len(crops) // columns)
    sheet = Image.new("RGB", (columns * across + GAP_PX, rows * down + GAP_PX), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_PX)
    for place, (crop, title) in enumerate(zip(crops, titles, strict=True)):
        x, y = GAP_PX + place % columns * across, GAP_PX + place // columns * down
        for line, text in enumerate(title.splitlines()[:LINES]):
            pen.text((x, y + line * LINE_PX), _short(text), "black", font)
        small = cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        sheet.paste(Image.fromarray(np.asarray(small, np.uint8)), (x, y + LINES * LINE_PX))
    return np.asarray(sheet)


def save(sheet: Rgb, path: Path) -> Path:
    """Write a sheet as PNG, whole or not at all."""
    with whole(path) as unfinished:
        Image.fromarray(sheet).save(unfinished, "PNG", optimize=True)
    return path


def _short(text: str) -> str:
    """The text, its middle left out where it is too long; letters that the font lacks become question marks."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    half = CHARACTERS // 2 - 1
    return plain if len(plain) <= CHARACTERS else f"{plain[:half]}…{plain[-half:]}".replace("…", "..")
