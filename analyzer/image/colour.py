"""Colours that a file describes by primaries and a transfer function, converted to sRGB.

Sources: ITU-T H.273 (2024), Table 2 (primaries); SMPTE RP 177 (RGB to XYZ); Bradford adaptation as in ICC.1:2022,
annex E; ITU-R BT.2100-3, Table 5 (OOTF of HLG); ITU-R BT.2390-12, section 5.4.1 (roll-off of highlights).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer.image.transfer import (
    REFERENCE_WHITE_NITS,
    SRGB,
    Transfer,
    Values,
    by_code_point,
    light_to_srgb,
    nits_to_pq,
    power,
    pq_to_nits,
)
from analyzer.values import Rgb

Chromaticities = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]

BAND_ROWS = 32  # rows converted at a time, which bounds the memory
HLG_PEAK_NITS = 1000.0  # of the display that BT.2408 grades for
HLG_GAMMA = 1.2  # of the system, for that display
ROLL_OFF_LEVELS = 1 << 14  # of light for which the compression is computed
PEAK_QUANTILE = 0.999  # of the brightest channel: fewer pixels than this share may clip
ENCODED_LEVELS = 1 << 16  # of linear light; the step is at most a twentieth of one level of sRGB

_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
BT709: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
ADOBE_RGB_PRIMARIES: Chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
_SMPTE_C: Chromaticities = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_H273: dict[int, Chromaticities] = {
    1: BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE_C,
    7: _SMPTE_C,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: (*_P3, (0.314, 0.351)),
    12: (*_P3, _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_BT601_PRIMARIES, _BT601_TRANSFER = (5, 6), 6
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """Meaning of RGB values.

    Attributes:
        primaries: CIE 1931 xy of red, green, blue and white.
        transfer: code values → light.
        is_narrow: whether black and white are coded as 16 and 235 of 8 bits, as in video.
    """

    primaries: Chromaticities = BT709
    transfer: Transfer = SRGB
    is_narrow: bool = False


ADOBE_RGB = ColourSpace(ADOBE_RGB_PRIMARIES, power(563 / 256))  # Adobe RGB (1998) Color Image Encoding, 2005-05


def by_code_points(primaries: int, transfer: int, *, is_narrow: bool = False) -> ColourSpace | None:
    """Return the colour space of H.273 code points, None for sRGB.

    Code points that are reserved or leave the matter open mean sRGB. So does BT.601 in both places: Android names its
    JPEG colours so (`HAL_DATASPACE_V0_JFIF`), and libheif 1.17 wrote it by default, both for pixels that are sRGB.
    """
    if primaries in _BT601_PRIMARIES and transfer == _BT601_TRANSFER:
        primaries, transfer = 1, 13
    space = ColourSpace(_H273.get(primaries, BT709), by_code_point(transfer), is_narrow)
    return None if space == ColourSpace() else space


def to_srgb(values: NDArray[np.uint8] | NDArray[np.uint16], top: int, space: ColourSpace) -> Rgb:
    """Convert a picture to sRGB, relative to the white of each; colours outside sRGB are clipped.

    Light above the reference white of an HDR picture is compressed by BT.2390's roll-off, from the picture's own peak: a
    picture that does not exceed reference white keeps its values, so that skin looks as in the same picture in SDR.

    Args:
        values: (H, W, 3) code values.
        top: code value of full scale, e.g. 255.
        space: meaning of the values.
    """
    table = _light_table(values.dtype, top, space)
    gains = _roll_off_gains(_peak(values, table, space)) if space.transfer.is_hdr else None
    encoded = _encoding_table()
    srgb = np.empty(values.shape, np.uint8)
    for rows in bands(len(values)):
        light = _to_bt709_light(values[rows], table, space)
        if gains is not None:
            light *= gains.at(_brightest(light))
        srgb[rows] = encoded[(light * (ENCODED_LEVELS - 1)).clip(0, ENCODED_LEVELS - 1).astype(np.uint16)]
    return srgb


def bands(height: int) -> Iterator[slice]:
    """Return the rows of a picture in slices of `BAND_ROWS`, from the top."""
    return (slice(top, top + BAND_ROWS) for top in range(0, height, BAND_ROWS))


def _light_table(dtype: np.dtype[np.unsignedinteger], top: int, space: ColourSpace) -> Values:
    """Return the light of every code value; values beyond `top` count as `top`."""
    bits = 8 * dtype.itemsize
    values = np.arange(1 << bits, dtype=np.float32) / top
    if space.is_narrow:
        values = (values * top / (1 << bits - 8) - 16) / 219
    return space.transfer.to_light(values.clip(0, 1)).astype(np.float32)


def _encoding_table() -> Rgb:
    light = np.linspace(0, 1, ENCODED_LEVELS, dtype=np.float32)
    return np.round(255 * light_to_srgb(light)).astype(np.uint8)


def _to_bt709_light(values: NDArray[np.uint8] | NDArray[np.uint16], table: Values, space: ColourSpace) -> Values:
    """Return (H, W, 3) light in multiples of white; colours outside BT.709 have negative parts."""
    light = table.take(values)
    if space.transfer.is_scene:
        luminance = cv2.transform(light, rgb_to_xyz(space.primaries)[1:2].astype(np.float32))
        light *= (luminance ** np.float32(HLG_GAMMA - 1) * np.float32(HLG_PEAK_NITS / REFERENCE_WHITE_NITS))[..., None]
    return cv2.transform(light, rgb_to_rgb(space.primaries, BT709).astype(np.float32))


def _brightest(light: Values) -> Values:
    """Return (H, W, 1) light of the brightest channel."""
    return np.maximum(np.maximum(light[..., 0:1], light[..., 1:2]), light[..., 2:3])


def _peak(values: NDArray[np.uint8] | NDArray[np.uint16], table: Values, space: ColourSpace) -> float:
    """Return the light of the brightest parts, from every 64th pixel."""
    return float(np.quantile(_brightest(_to_bt709_light(values[::8, ::8], table, space)), PEAK_QUANTILE))


@dataclass(frozen=True, slots=True)
class _Gains:
    """Factors for even steps of light 0..peak."""

    factors: Values
    peak: float

    def at(self, light: Values) -> Values:
        last = len(self.factors) - 1
        return self.factors[(light * (last / self.peak)).clip(0, last).astype(np.uint16)]


def _roll_off_gains(peak: float) -> _Gains | None:
    """Return what compresses the light of the brightest channel to 0..1, so that the ratios of the channels stay."""
    if peak <= 1.0:
        return None
    light = np.linspace(0, peak, ROLL_OFF_LEVELS, dtype=np.float32)
    light[0] = light[1] / 2
    return _Gains(_eetf(light) / light, peak)


def _eetf(light: Values) -> Values:
    """Return BT.2390's compression to white of rising light levels, of which the last is the peak."""
    source = nits_to_pq(light * np.float32(REFERENCE_WHITE_NITS))
    level = source / source[-1]
    white = nits_to_pq(np.array(REFERENCE_WHITE_NITS, np.float32)) / source[-1]
    knee = 1.5 * white - 0.5
    t = ((level - knee) / (1 - knee)).clip(0, 1)
    rolled = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return np.where(level < knee, light, pq_to_nits(rolled * source[-1]) / np.float32(REFERENCE_WHITE_NITS))


def rgb_to_rgb(source: Chromaticities, target: Chromaticities) -> NDArray[np.float64]:
    """Return the (3, 3) matrix from linear RGB of `source` to that of `target`, white to white."""
    return np.linalg.inv(rgb_to_xyz(target)) @ _adaptation(source[3], target[3]) @ rgb_to_xyz(source)


def rgb_to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """Return the (3, 3) matrix from linear RGB to XYZ, with Y = 1 for white."""
    columns = np.array([_xyz(xy) for xy in primaries[:3]]).T
    return columns * np.linalg.solve(columns, _xyz(primaries[3]))


def _xyz(xy: tuple[float, float]) -> NDArray[np.float64]:
    """Return the colour of a chromaticity with Y = 1; with y = 0, which only the primaries of XYZ have, that with X + Y + Z = 1."""
    x, y = xy
    return np.array([x, y, 1 - x - y]) / (y or 1)


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> NDArray[np.float64]:
    gains = (_BRADFORD @ _xyz(target)) / (_BRADFORD @ _xyz(source))
    return np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
