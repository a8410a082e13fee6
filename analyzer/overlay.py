"""Report -> picture that shows what was looked at: face, eyes, skin mask, regions, lesions, and a legend below.

Colours are from the palette of Okabe and Ito (2008, "Color Universal Design"), which people with any common colour
blindness can tell apart; every line has a dark rim, so that it shows on light and on dark skin, and kinds of lesions
differ in shape too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from analyzer.values import Box, Finding, Mask, Report, Rgb

Colour = tuple[int, int, int]
Transform = NDArray[np.float64]  # (2, 3) affine
Name = tuple[str, tuple[float, float]]  # text, and its middle on the canvas

LONG_SIDE_PX = (640, 1024)  # smaller pictures are enlarged, so that text can be read; larger ones are reduced
FACE: Colour = (240, 228, 66)  # yellow
EYES: Colour = (86, 180, 233)  # sky blue
SKIN: Colour = (0, 158, 115)  # bluish green
REGION: Colour = (255, 255, 255)
RIM: Colour = (0, 0, 0)
PAPER: Colour = (24, 24, 24)
INK: Colour = (245, 245, 245)
SKIN_TINT = 0.18  # share of the tint's colour in the mask, 0..1
LINE_HEIGHT = 1.3  # of a name, times its text size
MAX_LESIONS = 80  # per condition, strongest first; more only hides the skin


class Style(NamedTuple):
    """How the lesions of one condition are drawn."""

    label: str
    colour: Colour
    is_round: bool


LESION_STYLES: Mapping[str, Style] = {
    "acne": Style("acne spot", (213, 94, 0), False),  # vermillion squares
    "dark_spots": Style("dark spot", (0, 114, 178), True),  # blue ellipses
}
OTHER_LESION = Style("spot", (204, 121, 167), True)  # reddish purple, labelled with the name of the condition


def draw(report: Report) -> Rgb:
    """Draw what a report rests on.

    Args:
        report: of `pipeline.analyze_photo`; for a refusal, what is known is drawn and the reason stands below.

    Returns:
        (H, W, 3) uint8 sRGB: the photo with its long side within `LONG_SIDE_PX`, and a legend strip below it.
    """
    canvas = _resized(report.photo.rgb)
    scale = canvas.shape[1] / report.photo.original_size[0]
    line = max(1, round(max(canvas.shape[:2]) / 512))
    names: list[Name] = []
    if report.roi is not None:
        to_canvas = np.asarray(report.roi.to_original, np.float64) * scale
        _draw_skin(canvas, report.roi.skin, to_canvas, line)
        names = _draw_regions(canvas, report.roi.regions, to_canvas, line)
    _draw_face(canvas, report, canvas.shape[1] / report.photo.rgb.shape[1], line)
    for finding in sorted(report.findings, key=lambda finding: finding.name in LESION_STYLES):  # those on top
        _draw_lesions(canvas, finding, scale, line)
    text_px = _text_px(canvas)
    _write(canvas, [(text, where, REGION) for text, where in _apart(names, text_px)], text_px, "mm")
    return np.vstack([canvas, _legend(canvas, report)])


def _resized(rgb: Rgb) -> Rgb:
    long_side = max(rgb.shape[:2])
    factor = float(np.clip(long_side, *LONG_SIDE_PX)) / long_side
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
    return np.ascontiguousarray(cv2.resize(rgb, size, interpolation=method)).astype(np.uint8)


def _draw_skin(canvas: Rgb, skin: Mask, to_canvas: Transform, line: int) -> None:
    size = (canvas.shape[1], canvas.shape[0])
    inside = cv2.warpAffine(skin.astype(np.uint8) * 255, to_canvas, size, flags=cv2.INTER_LINEAR) > 127
    canvas[inside] = np.round(canvas[inside] * (1 - SKIN_TINT) + np.array(SKIN) * SKIN_TINT).astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, SKIN, line, cv2.LINE_AA)


def _draw_regions(canvas: Rgb, regions: Mapping[str, Mask], to_canvas: Transform, line: int) -> list[Name]:
    """Outline each region; return names with the points where they belong."""
    names: list[Name] = []
    for name, mask in regions.items():
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        if not contours:
            continue
        largest = max(contours, key=cv2.contourArea)
        outlines = [np.rint(_moved(contour, to_canvas)).astype(np.int32) for contour in contours]
        cv2.polylines(canvas, outlines, True, REGION, line, cv2.LINE_AA)
        x, y = _moved(largest, to_canvas).mean(axis=0)
        names.append((name.replace("_", " "), (float(x), float(y))))
    return names


def _apart(names: Iterable[Name], text_px: int) -> list[Name]:
    """The names from above to below, each moved down as far as it would lie over another one."""
    font, height = _font(text_px), LINE_HEIGHT * text_px
    placed: list[Name] = []
    for text, (x, y) in sorted(names, key=lambda name: name[1][1]):
        for other, (other_x, other_y) in sorted(placed, key=lambda name: name[1][1]):
            reach = (font.getlength(text) + font.getlength(other)) / 2
            if abs(x - other_x) < reach and abs(y - other_y) < height:
                y = other_y + height
        placed.append((text, (x, y)))
    return placed


def _moved(contour: NDArray[Any], transform: Transform) -> NDArray[np.float64]:
    """(N, 1, 2) contour → (N, 2) points after the transform."""
    return contour.reshape(-1, 2) @ transform[:, :2].T + transform[:, 2]


def _draw_face(canvas: Rgb, report: Report, scale: float, line: int) -> None:
    if report.face is None:
        return
    _draw_box(canvas, report.face.box.scaled(scale), FACE, line + 1)
    for x, y in () if report.face.eyes is None else report.face.eyes * scale:
        _draw_twice(cv2.circle, canvas, (round(float(x)), round(float(y))), 4 * line + 2, colour=EYES, line=line)


def _draw_lesions(canvas: Rgb, finding: Finding, scale: float, line: int) -> None:
    style = _style(finding)
    for lesion in finding.lesions[:MAX_LESIONS]:
        box = lesion.box.scaled(scale)
        if style.is_round:
            centre = round(box.centre[0]), round(box.centre[1])
            axes = max(round(box.width / 2), 3 * line), max(round(box.height / 2), 3 * line)
            _draw_twice(cv2.ellipse, canvas, centre, axes, 0, 0, 360, colour=style.colour, line=line)
        else:
            _draw_box(canvas, box, style.colour, line)


def _style(finding: Finding) -> Style:
    return LESION_STYLES.get(finding.name) or OTHER_LESION._replace(label=finding.name.replace("_", " "))


def _draw_box(canvas: Rgb, box: Box, colour: Colour, line: int) -> None:
    corners = (round(box.x), round(box.y)), (round(box.x + box.width), round(box.y + box.height))
    _draw_twice(cv2.rectangle, canvas, *corners, colour=colour, line=line)


def _draw_twice(shape, canvas: Rgb, *where, colour: Colour, line: int) -> None:  # type: ignore[no-untyped-def]
    """Draw with an OpenCV shape: a wider dark rim first, the colour over it."""
    shape(canvas, *where, RIM, line + 2, cv2.LINE_AA)
    shape(canvas, *where, colour, line, cv2.LINE_AA)


def _legend(canvas: Rgb, report: Report) -> Rgb:
    """Strip as wide as the canvas with one coloured word per thing drawn, and the reason of a refusal."""
    text_px = _text_px(canvas) + 2
    rows = _legend_rows(_legend_entries(report, canvas.shape[1] // text_px), text_px, canvas.shape[1])
    strip = np.full((round(text_px * (1.0 + 1.5 * len(rows))), canvas.shape[1], 3), PAPER, np.uint8)
    texts = []
    for index, row in enumerate(rows):
        middle = text_px * (1.25 + 1.5 * index)
        for label, left, colour in row:
            _draw_swatch(strip, left, middle, text_px, colour)
            texts.append((label, (left + 0.9 * text_px, middle), INK))
    _write(strip, texts, text_px, "lm")
    return strip


def _legend_rows(
    entries: Iterable[tuple[str, Colour]], text_px: int, width_px: int
) -> list[list[tuple[str, float, Colour]]]:
    """Break the entries into rows that fit; each entry becomes (label, left edge in pixels, colour)."""
    font = _font(text_px)
    rows: list[list[tuple[str, float, Colour]]] = [[]]
    left = float(text_px)
    for label, colour in entries:
        advance = font.getlength(label) + 2.4 * text_px
        if rows[-1] and left + advance > width_px + text_px:
            rows.append([])
            left = float(text_px)
        rows[-1].append((label, left, colour))
        left += advance
    return rows


def _draw_swatch(strip: Rgb, left: float, middle: float, text_px: int, colour: Colour) -> None:
    half = text_px * 0.3
    corners = (round(left), round(middle - half)), (round(left + 2 * half), round(middle + half))
    cv2.rectangle(strip, *corners, colour, cv2.FILLED)


def _legend_entries(report: Report, width_em: int) -> Iterable[tuple[str, Colour]]:
    if report.face is not None:
        yield f"face (confidence {report.face.confidence:.2f})", FACE
        if report.face.eyes is not None:
            yield "eyes", EYES
    if report.roi is not None:
        yield "measured skin", SKIN
        yield "region", REGION
    for finding in report.findings:
        if finding.lesions:
            style, drawn, counted = _style(finding), len(finding.lesions[:MAX_LESIONS]), finding.spot_count or 0
            yield f"{style.label} ({f'{drawn} of {counted}' if drawn < counted else counted})", style.colour
    if report.error_code is not None:
        reason = f"{report.error_code.replace('_', ' ')}: {report.guidance.message}"
        for text in textwrap.wrap(reason, max(12, int(1.7 * width_em))):  # letters are about half as wide as high
            yield text, PAPER


def _text_px(canvas: Rgb) -> int:
    return max(12, round(max(canvas.shape[:2]) / 64))


def _font(text_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=text_px)


def _write(canvas: Rgb, texts: Iterable[tuple[str, tuple[float, float], Colour]], text_px: int, anchor: str) -> None:
    """Write texts with a dark rim; `anchor` as Pillow names it ("mm" centred, "lm" left)."""
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for text, where, colour in texts:
        pen.text(where, text, fill=colour, font=_font(text_px), anchor=anchor, stroke_width=2, stroke_fill=RIM)
    canvas[:] = np.asarray(picture)
