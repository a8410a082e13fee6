"""Decoding of a picture file to an upright sRGB `Photo` that holds pixels and nothing else (no Exif, place or thumbnail).

JPEG is decoded by libjpeg-turbo, which reduces by 2, 4 or 8 while decoding; everything else by Pillow and libheif.
Nothing is written to disk, and nothing global is changed: safe to call from several threads.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analyzer.containers import MAX_PIXELS, Header, read_header
from analyzer.image import colour, heif, icc, jpeg, png
from analyzer.image.refusals import bad_photo, refusing
from analyzer.values import Photo, Rgb

__all__ = ["MAX_PIXELS", "Header", "decode", "read_header"]

REDUCTIONS = (8, 4, 2)  # divisors of the side that a JPEG decoder applies while decoding, coarsest first

_UPRIGHT: dict[int, Callable[[Rgb], Any]] = {
    1: lambda rgb: rgb,
    2: lambda rgb: cv2.flip(rgb, 1),
    3: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_180),
    4: lambda rgb: cv2.flip(rgb, 0),
    5: lambda rgb: cv2.transpose(rgb),
    6: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_90_CLOCKWISE),
    7: lambda rgb: cv2.transpose(cv2.rotate(rgb, cv2.ROTATE_180)),
    8: lambda rgb: cv2.rotate(rgb, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def decode(data: bytes, *, min_short_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode the bytes of a picture file: first frame, upright, sRGB, transparency laid on white.

    Args:
        data: JPEG, PNG, WebP, GIF, HEIC or AVIF; the signature decides.
        min_short_side: the picture may come reduced by 2, 4 or 8 as long as its short side keeps this many pixels;
            None decodes at full size.
        max_pixels: pixel count above which the header is refused before decoding.

    Raises:
        UnsupportedType: another type of file.
        TooManyPixels: the header announces more than `max_pixels`.
        BadPhoto: damaged, or ``truncated_image``.
    """
    header = read_header(data, max_pixels=max_pixels)
    reduction = choose_reduction(header, min_short_side)
    with refusing(data):
        rgb = _decode(data[: header.end], header, reduction)
    rgb = np.ascontiguousarray(_UPRIGHT[header.orientation](rgb))
    rgb.flags.writeable = False
    return Photo(rgb, header.size, 1 / reduction, header.media_type)


def choose_reduction(header: Header, min_short_side: int | None) -> int:
    """Return the coarsest divisor of the side (8, 4, 2 or 1) that leaves `min_short_side` pixels."""
    if min_short_side is None:
        return 1
    short_side = min(header.size)
    return next((n for n in REDUCTIONS if short_side >= n * min_short_side), 1)


def _decode(data: bytes, header: Header, reduction: int) -> Rgb:
    """Return sRGB pixels, reduced but not yet turned."""
    if header.media_type == "image/jpeg":
        pixels = jpeg.decode(data, header, reduction)
        return icc.cmyk_to_srgb(pixels, header.icc_profile) if header.components == 4 else _to_srgb(pixels, header)
    if header.is_deep:
        return _decode_deep(data, header, reduction)
    image = _OPENERS[header.media_type](data)
    if image.size != header.stored_size:
        raise bad_photo()
    return _to_srgb(np.asarray(_flatten(image, reduction)), header)


_OPENERS: dict[str, Callable[[bytes], Image.Image]] = {
    "image/png": png.open_image,
    "image/heic": heif.open_heic,
    "image/avif": heif.open_avif,
    "image/gif": lambda data: Image.open(BytesIO(data), formats=["GIF"]),
    "image/webp": lambda data: Image.open(BytesIO(data), formats=["WEBP"]),
}


def _flatten(image: Image.Image, reduction: int) -> Image.Image:
    """Return RGB in 8 bits, reduced, transparency laid on white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    has_alpha = image.has_transparency_data
    mode = "RGBA" if has_alpha else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    image = image.reduce(reduction) if reduction > 1 else image
    if not has_alpha:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _to_srgb(rgb: Rgb, header: Header) -> Rgb:
    """Convert by the profile or, where there is none that can be used, from the colour space."""
    converted = icc.to_srgb(rgb, header.icc_profile) if header.icc_profile else None
    if converted is None and header.colour_space:
        converted = colour.to_srgb(rgb, 255, header.colour_space)
    return rgb if converted is None else converted


def _decode_deep(data: bytes, header: Header, reduction: int) -> Rgb:
    """Decode more than 8 bits a channel and convert them before they are rounded to 8."""
    is_png = header.media_type == "image/png"
    values, top = png.decode_deep(data) if is_png else heif.decode_deep(data, header)
    if values.shape[1::-1] != header.stored_size or header.colour_space is None:
        raise bad_photo()
    values = _reduce(values, reduction)
    rgb = colour.to_srgb(values[..., :3], top, header.colour_space)
    if values.shape[-1] == 4:
        _lay_on_white(rgb, values[..., 3:], top)
    return rgb


def _lay_on_white(rgb: Rgb, alpha: NDArray[np.uint16], top: int) -> None:
    """Mix a picture with white where it is transparent, in place; `alpha` (H, W, 1) is `top` where it is opaque."""
    for rows in colour.bands(len(rgb)):
        opacity = alpha[rows].astype(np.float32) / top
        rgb[rows] = np.round(rgb[rows] * opacity + 255 * (1 - opacity)).astype(np.uint8)


def _reduce(values: NDArray[np.uint16], reduction: int) -> NDArray[np.uint16]:
    """Average blocks of pixels, those at the right and lower edge filled up with their last pixels."""
    if reduction == 1:
        return values
    height, width = (-(-side // reduction) * reduction for side in values.shape[:2])
    bottom, right = height - values.shape[0], width - values.shape[1]
    filled = cv2.copyMakeBorder(values, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(filled, (width // reduction, height // reduction), interpolation=cv2.INTER_AREA)
