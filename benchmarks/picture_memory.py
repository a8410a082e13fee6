"""Memory and time of decoding the largest picture that is taken, by type.

Run:     python -m benchmarks.picture_memory
Cost:    about five minutes, most of it for encoding, and 3 GB of memory.
Expects: at most 1,100 MiB for a picture of 50 megapixels.

Each picture is decoded at full scale in a process of its own, which has decoded a small one of the type before. The picture is
smooth; noise makes larger files, but no larger pixels. Linux only: reads /proc.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

from analyzer import photo
from benchmarks import damaged_pictures, dataset, figures

LARGE_PX, SMALL_PX = 7071, 256  # sides; 50 megapixels
TARGET_MIB = 1100.0
SAVED = {
    "JPEG": ("JPEG", {}),
    "JPEG progressive": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {"compress_level": 1}),
    "WebP": ("WEBP", {"method": 0}),
    "WebP lossless": ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
    "GIF": ("GIF", {}),
    "AVIF": ("AVIF", {"speed": 10}),
}
ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "PNG 16 bits": lambda rgb: damaged_pictures.deep_png(
        rgb.astype(np.uint16) * 257, damaged_pictures.PQ_CHUNK, level=1
    ),
    "HEIC": lambda rgb: damaged_pictures.heic(Image.fromarray(rgb)),
    "HEIC 10 bits": damaged_pictures.deep_heic,
    "AVIF 10 bits": damaged_pictures.deep_avif,
}


def main() -> None:
    rows = [row(kind) for kind in (*SAVED, *ENCODERS)]
    figures.print_table(rows)
    most = max(float(str(row["peak_mib"])) for row in rows)
    print(f"\nmost: {most:.0f} MiB (target {TARGET_MIB:.0f})")
    print(f"written to {dataset.write('picture_memory', {'rows': rows})}")
    sys.exit(1 if most > TARGET_MIB else 0)


def row(kind: str) -> dict[str, object]:
    """Return size, peak memory and time of one type."""
    small, large = (encode(kind, side) for side in (SMALL_PX, LARGE_PX))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=measure, args=(small, large, theirs))
    child.start()
    peak_mib, seconds = ours.recv()
    child.join()
    return {"kind": kind, "file_mib": round(len(large) / 2**20, 1), "peak_mib": peak_mib, "seconds": seconds}


def encode(kind: str, side: int) -> bytes:
    rgb = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_CUBIC)
    if kind in ENCODERS:
        return ENCODERS[kind](rgb)
    pillow_kind, options = SAVED[kind]
    return damaged_pictures.saved(Image.fromarray(rgb), pillow_kind, **options)


def measure(small: bytes, large: bytes, connection: Connection) -> None:
    """Send by how many MiB decoding raised the peak of this process, and its seconds."""
    photo.decode(small)
    before, started = peak_mib(), time.perf_counter()
    photo.decode(large)
    connection.send((round(peak_mib() - before), round(time.perf_counter() - started, 1)))


def peak_mib() -> float:
    """Return the most memory that this process held; `getrusage` would count that of the parent before the start, too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
