"""Time of one analysis, stage by stage, in one process.

Run:     python -m benchmarks.latency [--rounds 20] [--photos 6]
Cost:    about half a minute.
Expects: medians of at most 55 ms for 640 × 480 and 150 ms for 12 megapixels on two cores, without the ensemble.

The 640 × 480 pictures are faces of SKIN_DATA (front views of skin_defects), fitted and encoded as JPEG; the 12 MP
pictures are phone_originals as they left the phone. Where the folder is absent, scikit-image's astronaut stands in.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from skimage import data as samples

from analyzer.ensemble import Ensemble
from analyzer.model_sources import ModelSources
from analyzer.pipeline import analyze_photo
from analyzer.settings import StoreSettings
from benchmarks import dataset

SIZES = {"640x480": (640, 480), "3 MP": (2048, 1536), "12 MP": (4000, 3000)}  # width, height
TARGETS_MS = {"640x480": 55.0, "12 MP": 150.0}
JPEG_QUALITY = 92
WARM_UP_ROUNDS = 2
STAND_IN = (slice(0, 240), slice(64, 384))  # head and shoulders of the astronaut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="analyses of each picture (default 20)")
    parser.add_argument("--photos", type=int, default=6, help="pictures of each size (default 6)")
    options = parser.parse_args()
    table = {name: measure(photos(name, options.photos), options.rounds) for name in TARGETS_MS}
    for name, row in table.items():
        print_row(name, row)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "opencv": cv2.__version__}
    print(f"written to {dataset.write('latency', {'machine': machine, 'sizes': table})}")


def photos(size: str, count: int) -> list[bytes]:
    """Encoded pictures of one size; real ones where there are some."""
    if size == "12 MP":
        originals = [path.read_bytes() for path in dataset.pictures("phone_originals/*")[:count]]
    else:
        originals = [
            encoded(fitted(dataset.load(path).rgb, SIZES[size]))
            for path in dataset.pictures("skin_defects/*/*/front.jpg")[:count]
        ]
    return originals or [encoded(fitted(samples.astronaut()[STAND_IN], SIZES[size]))]


def fitted(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled into width × height, centred on its own mean colour."""
    width, height = size
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    inner = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    canvas = np.full((height, width, 3), inner.mean(axis=(0, 1)), np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return canvas


def encoded(rgb: np.ndarray) -> bytes:
    """JPEG bytes."""
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def measure(pictures: Sequence[bytes], rounds: int) -> dict[str, object]:
    """Median and 95th percentile of the whole, median of each stage, in ms; refused pictures are counted."""
    ensemble = Ensemble(ModelSources(StoreSettings()))  # the bundled artefact
    totals: list[float] = []
    stages: dict[str, list[float]] = {}
    refused: dict[str, int] = {}
    for number in range(-WARM_UP_ROUNDS, rounds):
        for picture in pictures:
            start = time.perf_counter()
            report = analyze_photo(picture, ensemble)
            elapsed = 1000 * (time.perf_counter() - start)
            if number < 0:
                continue
            if report.error_code is not None:
                refused[report.error_code] = refused.get(report.error_code, 0) + 1
                continue
            totals.append(elapsed)
            for stage, milliseconds in report.timings_ms.items():
                stages.setdefault(stage, []).append(milliseconds)
    return {
        "pictures": len(pictures),
        "analyses": len(totals),
        "median_ms": statistics.median(totals) if totals else None,
        "p95_ms": float(np.percentile(totals, 95)) if totals else None,
        "stages_median_ms": {stage: statistics.median(times) for stage, times in stages.items()},
        "refused": refused,
    }


def print_row(name: str, row: Mapping[str, object]) -> None:
    print(f"\n{name}: {row['pictures']} pictures, {row['analyses']} analyses, refused: {row['refused'] or 'none'}")
    if row["median_ms"] is None:
        return
    for stage, milliseconds in row["stages_median_ms"].items():  # type: ignore[attr-defined]
        print(f"  {stage:<12} {milliseconds:7.1f} ms")
    print(
        f"  {'whole':<12} {row['median_ms']:7.1f} ms median, {row['p95_ms']:.1f} ms p95 (target {TARGETS_MS[name]:.0f})"
    )


if __name__ == "__main__":
    main()
