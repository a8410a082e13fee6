"""bytes -> upright sRGB picture: a `Photo` that holds pixels and nothing else (no Exif, no place, no thumbnail).

JPEG is decoded by OpenCV, which reduces by 2, 4 or 8 while decoding; everything else, and JPEG in CMYK, by Pillow.
Nothing is written to disk, and nothing global is changed: safe to call from several threads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from analyzer.containers import (
    MAX_PIXELS,
    Header,
    bad_photo,
    jpeg_segments,
    open_heic,
    png_chunks,
    read_header,
    truncated_photo,
)
from analyzer.values import Photo, Rgb

__all__ = ["MAX_PIXELS", "Header", "decode", "read_header"]

REDUCTIONS = (8, 4, 2)  # divisors of the side that a JPEG decoder applies while decoding, coarsest first
PROFILE_TOLERANCE = 2  # of 255; a profile that moves no colour further than this is sRGB for our purposes
GAP_GREY = 128  # what a JPEG decoder paints where coded data is missing

# OpenCV's flags for a reduced picture, less the bit that asks for BGR.
_IMREAD = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
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
_DECODER_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


def decode(data: bytes, *, min_short_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode the bytes of a picture file: first frame, upright, sRGB, transparency laid on white.

    Args:
        data: JPEG, PNG, WebP, GIF or HEIC; the signature decides.
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
    if header.media_type == "image/jpeg" and header.components != 4:
        rgb = _decode_jpeg(data, header, reduction)
    else:
        rgb = _decode_with_pillow(data, header, reduction)
    rgb = np.ascontiguousarray(_UPRIGHT[header.orientation](rgb))
    rgb.flags.writeable = False
    return Photo(rgb, (header.width, header.height), 1 / reduction, header.media_type)


def choose_reduction(header: Header, min_short_side: int | None) -> int:
    """The coarsest divisor of the side (8, 4, 2 or 1) that leaves `min_short_side` pixels."""
    if min_short_side is None:
        return 1
    short_side = min(header.width, header.height)
    return next((n for n in REDUCTIONS if short_side >= n * min_short_side), 1)


def _decode_jpeg(data: bytes, header: Header, reduction: int) -> Rgb:
    flags = _IMREAD[reduction] | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8, count=header.end), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error  # not the photo's fault
        raise bad_photo() from error
    if rgb is None:
        raise bad_photo()
    if np.all(rgb[-1, -1] == GAP_GREY) and _scan_ends_early(data, header.end):
        raise truncated_photo()
    return _to_srgb(np.asarray(rgb, np.uint8), header.icc_profile)


def _scan_ends_early(data: bytes, end: int) -> bool:
    """True when coded data is missing before the closing EOI, as in a cut file that some program closed again.

    The decoder paints such a gap grey, which a grey background would also be. What tells them apart: further coded data
    in front of EOI would be drawn into a gap, but is ignored behind a complete scan.
    """
    filler = bytes(range(1, 255))
    spliced = [data[: end - 2], filler, *(bytes((0xFF, 0xD0 + n)) + filler for n in range(8)), b"\xff\xd9"]
    return _tiny_grey(data[:end]) != _tiny_grey(b"".join(spliced))


def _tiny_grey(data: bytes) -> bytes:
    """Lightness at an eighth of the size, by Pillow, whose decoder does not write warnings to stderr."""
    try:
        image = Image.open(BytesIO(_lean_jpeg(data)), formats=["JPEG"])
        image.draft("L", (1, 1))
        return image.tobytes()
    except _DECODER_FAULTS as error:
        raise _as_bad_photo(error) from error


def _decode_with_pillow(data: bytes, header: Header, reduction: int) -> Rgb:
    try:
        image = _flatten(_open(data, header), reduction)
    except _DECODER_FAULTS as error:
        raise _as_bad_photo(error) from error
    if image.mode == "CMYK":
        transform = _srgb_transform(header.icc_profile or b"", "CMYK")
        return np.asarray(transform.apply(image) if transform else image.convert("RGB"))
    return _to_srgb(np.asarray(image), header.icc_profile)


def _as_bad_photo(error: Exception) -> Exception:
    return truncated_photo() if "truncated" in str(error) or "end of file" in str(error).lower() else bad_photo()


def _open(data: bytes, header: Header) -> Image.Image:
    """The first frame. Of PNG and JPEG Pillow sees only what holds pixels: no text, Exif or animation can trip it."""
    if header.media_type == "image/heic":
        image: Image.Image = open_heic(data).to_pillow()
        return image
    if header.media_type == "image/png":
        return Image.open(BytesIO(_lean_png(data)), formats=["PNG"])
    if header.media_type == "image/jpeg":
        return Image.open(BytesIO(_lean_jpeg(data[: header.end])), formats=["JPEG"])
    return Image.open(BytesIO(data), formats=["GIF", "WEBP"])


def _lean_png(data: bytes) -> bytes:
    kept = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return data[:8] + b"".join(data[start - 8 : end + 4] for kind, start, end in png_chunks(data) if kind in kept)


def _lean_jpeg(data: bytes) -> bytes:
    """Without application parts other than Adobe's (APP14, which names the colour model) and without comments."""
    parts, kept_to = [data[:2]], 2
    for code, start, end in jpeg_segments(data):
        if 0xE0 <= code <= 0xED or code in (0xEF, 0xFE):
            parts.append(data[kept_to : start - 4])
            kept_to = end
    return b"".join([*parts, data[kept_to:]])


def _flatten(image: Image.Image, reduction: int) -> Image.Image:
    """RGB (or CMYK) in 8 bits, reduced, transparency laid on white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    has_alpha = image.has_transparency_data
    if image.mode != "CMYK":
        image = image.convert("RGBA" if has_alpha else "RGB")
    image = image.reduce(reduction) if reduction > 1 else image
    image.load()
    if not has_alpha:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _to_srgb(rgb: Rgb, profile: bytes | None) -> Rgb:
    """The same colours in sRGB; unchanged when the profile is broken, made for another colour model, or sRGB itself."""
    transform = _srgb_transform(profile, "RGB") if profile else None
    return rgb if transform is None else np.asarray(transform.apply(Image.fromarray(rgb)))


@lru_cache(maxsize=4)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Transform from `profile` to sRGB, or None when there is nothing to do. A few kinds of phones send most photos."""
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(grid)))
    return bool(cv2.absdiff(grid, moved).max() <= PROFILE_TOLERANCE)
