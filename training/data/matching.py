"""Healthy faces -> the same faces as if a clinic had taken and stored them: cut, sized, sharpened and compressed like clinical pictures.

Healthy faces and clinical pictures come from different sources, so a classifier may tell classes by how a picture was made. For
each healthy face one clinical picture is drawn, and the face is made like it in everything but the skin: a window of the face as
wide as close-ups show, the size in pixels, the detail (`Facts.sharpness`) and the bytes per pixel. Light, colour and watermarks
are left as they are. What a network still tells apart on these pictures, it does not tell by the crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from analyzer import face, photo
from analyzer.errors import AnalyzerError
from analyzer.settings import CORES
from analyzer.values import Rgb
from training import command
from training.data import facts
from training.data.facts import Facts
from training.data.pictures import Problem
from training.data.prepared import Prepared

Box = tuple[float, float, float, float]  # x, y, width, height

CLOSE_UP = (
    0.4,
    1.0,
)  # face widths that a picture without a whole face shows: assumed, from a cheek to nearly all of it
LEAST_WINDOW_PX = 24  # of the original; less is enlarged to nothing but blur
QUALITY = (20, 98)  # of JPEG, least and most
BLUR_PX = (0.2, 8.0)  # standard deviation of a Gaussian, least and most
TEXTURE = (0.0, 24.0)  # standard deviation in grey levels, least and most
HALVINGS = 7  # of a range that is searched


def matched(rgb: Rgb, rng: np.random.Generator, clinical: Sequence[Facts], box: Box | None = None) -> Rgb:
    """(224, 224, 3) uint8 crop of a healthy face in the manner of one of the clinical pictures.

    Args:
        rgb: (H, W, 3) uint8, the whole original picture.
        rng: draws the clinical picture and the window.
        clinical: facts of clinical pictures.
        box: of the face in `rgb`; looked for where None, the whole picture where none is found.
    """
    return refaced(rgb, rng, clinical, box)[1]


def refaced(rgb: Rgb, rng: np.random.Generator, clinical: Sequence[Facts], box: Box | None = None) -> tuple[Facts, Rgb]:
    """As `matched`, with the facts that the new picture has as a file."""
    like = clinical[int(rng.integers(len(clinical)))]
    window = _window(rgb, rng, like, box or _box(rgb))
    return facts.measured(_as_file(window, rng, like), look_for_face=like.has_face)


def matched_rows(
    prepared: Prepared, rows: Sequence[int] | NDArray[np.intp], clinical: Sequence[Facts], *, seed: int
) -> Prepared:
    """Some rows anew in the manner of clinical pictures, each by itself drawn with the seed: facts and crops of the new pictures.

    Files that can no longer be read are among the problems, and their rows are missing.
    """
    chosen = prepared.subset(rows)

    def renewed(row: int) -> tuple[Facts, Rgb] | Problem:
        known = chosen.facts[row]
        rng = np.random.default_rng([seed, int(known.sha256[:8], 16)])
        path = chosen.pictures[row].path
        try:
            rgb = photo.decode(path.read_bytes()).rgb
        except (AnalyzerError, OSError) as error:
            return Problem(path, f"was there before and cannot be read now ({error}); left out")
        return refaced(rgb, rng, clinical, known.face_box)

    with ThreadPoolExecutor(CORES) as pool:
        count = len(chosen.pictures)
        answers = list(command.progress(pool.map(renewed, range(count)), count, "faces made like clinical pictures"))
    problems = [one for one in answers if isinstance(one, Problem)]
    found = [(row, one) for row, one in enumerate(answers) if not isinstance(one, Problem)]
    crops = np.stack([crop for _, (_, crop) in found]) if found else chosen.crops[:0]
    pictures = [chosen.pictures[row] for row, _ in found]
    return Prepared(pictures, [known for _, (known, _) in found], crops, [*prepared.problems, *problems])


def _box(rgb: Rgb) -> Box:
    found = face.detect(rgb)
    if not found:
        return 0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0])
    box = found[0].box
    return box.x, box.y, box.width, box.height


def _window(rgb: Rgb, rng: np.random.Generator, like: Facts, box: Box) -> Rgb:
    """The part of a face that the clinical picture would show of it, with its aspect."""
    height, width = rgb.shape[:2]
    widths = like.width / like.face_box[2] if like.face_box else float(rng.uniform(*CLOSE_UP))
    aspect = like.height / like.width
    across = min(widths * box[2], width, height / aspect)
    across = max(across, min(LEAST_WINDOW_PX, width, height / aspect))
    down = across * aspect
    left = _place(rng, box[0], box[2], across, width)
    top = _place(rng, box[1], box[3], down, height)
    return rgb[round(top) : round(top + down), round(left) : round(left + across)]


def _place(rng: np.random.Generator, start: float, length: float, window: float, limit: float) -> float:
    """Where a window begins: anywhere inside the face, around its middle where the window is larger; inside the picture."""
    free = length - window
    place = start + (float(rng.uniform(0, free)) if free > 0 else free / 2)
    return min(max(place, 0.0), max(limit - window, 0.0))


def _as_file(window: Rgb, rng: np.random.Generator, like: Facts) -> bytes:
    """JPEG of the window with the size of the clinical picture, nearly its sharpness and its bytes per pixel."""
    shrinks = window.shape[1] > like.width
    rgb = cv2.resize(window, (like.width, like.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    sharper = _sharpness(_sized(np.asarray(rgb, np.uint8), like.size_bytes)) > like.sharpness
    if sharper:
        change: Callable[[float], Rgb] = lambda sigma: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)  # noqa: E731
    else:
        grain = _texture(rng, rgb.shape[:2], window.shape[1] / like.width)
        change = lambda strength: np.clip(rgb + strength * grain[..., None], 0, 255).astype(np.uint8)  # noqa: E731
    strength = _last(
        lambda one: (_sharpness(_sized(change(one), like.size_bytes)) > like.sharpness) == sharper,
        *(BLUR_PX if sharper else TEXTURE),
    )
    return _sized(change(strength), like.size_bytes)


def _texture(rng: np.random.Generator, shape: Sequence[int], ratio: float) -> NDArray[np.float32]:
    """(H, W) detail finer than an enlarged picture has, standard deviation 1.

    Its amplitude falls with the frequency, as that of natural pictures does (Field 1987, J. Opt. Soc. Am. A 4, 2379-2394).

    Args:
        ratio: pixels of the original per pixel; the original has nothing above half of it in cycles per pixel.
    """
    height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    finer = frequency > 0.5 * min(ratio, 0.5)
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * finer / np.maximum(frequency, 1e-3)
    grain = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray(grain / max(float(grain.std()), 1e-6), np.float32)


def _sized(rgb: Rgb, size_bytes: int) -> bytes:
    """JPEG with about so many bytes."""
    quality = _last(lambda one: len(_jpeg(rgb, round(one))) < size_bytes, *map(float, QUALITY))
    return _jpeg(rgb, round(quality))


def _jpeg(rgb: Rgb, quality: int) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def _sharpness(data: bytes) -> float:
    return facts.sharpness(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number between low and high for which something still holds that holds for smaller ones."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
