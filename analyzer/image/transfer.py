"""Transfer functions: code values 0..1 to light, where 1 is the white of the picture (HDR: reference white).

Sources: ITU-T H.273 (2024), Table 3, whose code points number the functions; IEC 61966-2-1 (sRGB); SMPTE ST 2084 and
ITU-R BT.2100-3 (PQ, HLG); ITU-R BT.2408-8, section 2.1: reference white is 203 cd/m², in HLG a signal of 75 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

REFERENCE_WHITE_NITS = 203.0  # cd/m²
PQ_PEAK_NITS = 10_000.0  # cd/m²
_PQ_M1, _PQ_M2, _PQ_C1, _PQ_C2, _PQ_C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer function.

    Attributes:
        to_light: code values in 0..1 → light in multiples of white.
        is_hdr: whether light goes beyond white, so that it has to be compressed for sRGB.
        is_scene: whether the light is that before the camera (0..1), which a display renders by the OOTF of BT.2100.
    """

    to_light: Callable[[Values], Values]
    is_hdr: bool = False
    is_scene: bool = False


def srgb_to_light(values: Values) -> Values:
    """Decode the curve of IEC 61966-2-1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def light_to_srgb(light: Values) -> Values:
    """Encode light 0..1 by the curve of IEC 61966-2-1."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def pq_to_nits(values: Values) -> Values:
    """Decode SMPTE ST 2084: code values 0..1 → cd/m²."""
    power = values ** (1 / _PQ_M2)
    return PQ_PEAK_NITS * (np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)) ** (1 / _PQ_M1)


def nits_to_pq(nits: Values) -> Values:
    """Encode cd/m² by SMPTE ST 2084."""
    power = (np.maximum(nits, 0) / np.float32(PQ_PEAK_NITS)) ** np.float32(_PQ_M1)
    return ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** np.float32(_PQ_M2)


def _pq_to_light(values: Values) -> Values:
    return pq_to_nits(values) / REFERENCE_WHITE_NITS


def _hlg_to_scene(values: Values) -> Values:
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def _camera_to_light(values: Values, *, alpha: float, beta: float, slope: float) -> Values:
    """Invert a camera curve of slope · L below beta and alpha · L^0.45 - (alpha - 1) above."""
    return np.where(values < slope * beta, values / slope, ((values + alpha - 1) / alpha) ** (1 / 0.45))


def _logarithmic(values: Values, *, decades: float) -> Values:
    return np.where(values > 0, 10 ** ((values - 1) * decades), 0)


def power(exponent: float) -> Transfer:
    """Return the function light = value ^ exponent."""
    return Transfer(partial(_power, exponent=exponent))


def _power(values: Values, *, exponent: float) -> Values:
    return values**exponent


SRGB = Transfer(srgb_to_light)
_BT709 = Transfer(partial(_camera_to_light, alpha=1.09929682680944, beta=0.018053968510807, slope=4.5))
_H273 = {
    1: _BT709,
    4: power(2.2),
    5: power(2.8),
    6: _BT709,
    7: Transfer(partial(_camera_to_light, alpha=1.1115, beta=0.0228, slope=4.0)),
    8: power(1.0),
    9: Transfer(partial(_logarithmic, decades=2.0)),
    10: Transfer(partial(_logarithmic, decades=2.5)),
    11: _BT709,
    12: _BT709,
    14: _BT709,
    15: _BT709,
    16: Transfer(_pq_to_light, is_hdr=True),
    17: Transfer(lambda values: values**2.6 * np.float32(52.37 / 48)),
    18: Transfer(_hlg_to_scene, is_hdr=True, is_scene=True),
}


def by_code_point(code: int) -> Transfer:
    """Return the function of an H.273 code point; sRGB for 13 and for codes that leave it open or are reserved."""
    return _H273.get(code, SRGB)
