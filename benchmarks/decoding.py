"""Peak memory and time of decoding one picture at the pixel limit, in each kind of file that the service takes.

Run:     python -m benchmarks.decoding
Cost:    about 3 minutes, most of them for making the pictures.
Expects: at most 900 MB beyond the resting process; of pictures above 16 megapixels one is decoded at a time (MAX_LARGE).

Linux only: reads /proc. Each picture is decoded in a process of its own, as the service decodes it first (a JPEG comes reduced), and once
at full size; the peak is that of the process less what it held before, the bytes of the file included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from analyzer import photo
from analyzer.pipeline import DECODE_SHORT_SIDE
from benchmarks import dataset, figures

SIDE_PX = 7071  # squared just below photo.MAX_PIXELS
TARGET_MB = 900.0


def main(arguments: list[str]) -> None:
    if arguments:
        print(json.dumps(measure_decoding(Path(arguments[0]), full_size=arguments[1] == "full")))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in pictures():
            path = Path(folder, "picture")
            path.write_bytes(data)
            rows.append({"file": name, "file_mb": round(len(data) / 1e6, 1), **measure(path)})
    figures.print_table(rows)
    worst = max(row["full_size_mb"] for row in rows)
    print(f"\nmost: {worst:.0f} MB (target {TARGET_MB:.0f})\nwritten to {dataset.write('decoding', rows)}")
    sys.exit(worst > TARGET_MB)


def pictures() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of one picture of each kind, coloured smoothly, so that it stays below the limit of a body."""
    ramp = np.linspace(0, 255, SIDE_PX, dtype=np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(120)), axis=-1)
    image = Image.fromarray(np.ascontiguousarray(rgb))
    alpha = Image.new("L", image.size, 200)
    transparent = Image.merge("RGBA", (*image.split(), alpha))
    yield "JPEG", save(image, "JPEG", quality=90)
    yield "JPEG, progressive", save(image, "JPEG", quality=90, progressive=True)
    yield "JPEG, CMYK", save(image.convert("CMYK"), "JPEG", quality=90)
    yield "PNG, 8 bits", save(image, "PNG", compress_level=1)
    yield "PNG, 8 bits and transparency", save(transparent, "PNG", compress_level=1)
    yield "PNG, 16 bits and transparency", cv2.imencode(".png", widen(rgb))[1].tobytes()
    yield "PNG, 16 bits of grey", save(Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), "PNG", compress_level=1)
    yield "WebP, lossy", save(image, "WEBP", quality=80, method=0)
    yield "WebP, lossless", save(image, "WEBP", lossless=True, quality=0, method=0)
    yield "WebP, lossless and transparency", save(transparent, "WEBP", lossless=True, quality=0, method=0)
    yield "GIF", save(image.quantize(64), "GIF")
    yield "HEIC, 8 bits", heic(image)
    yield "HEIC, 10 bits and transparency", deep_heic(rgb)


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    image.save(file := BytesIO(), kind, **options)
    return file.getvalue()


def heic(image: Image.Image) -> bytes:
    pillow_heif.from_pillow(image).save(file := BytesIO(), quality=50)
    return file.getvalue()


def deep_heic(rgb: np.ndarray) -> bytes:
    picture = pillow_heif.from_bytes("RGBA;16", (SIDE_PX, SIDE_PX), widen(rgb).tobytes())
    picture.save(file := BytesIO(), quality=50)
    return file.getvalue()


def widen(rgb: np.ndarray) -> np.ndarray:
    """Widen to 16 bits a channel and add transparency; uint16 (height, width, 4)."""
    return np.dstack([rgb.astype(np.uint16) * 257, np.full(rgb.shape[:2], 50_000, np.uint16)])


def measure(path: Path) -> dict[str, Any]:
    """Decode a file in two processes, as the service does first and at full size."""
    row: dict[str, Any] = {}
    for how in ("first", "full"):
        command = [sys.executable, "-m", "benchmarks.decoding", str(path), how]
        answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        prefix = "" if how == "first" else "full_size_"
        row |= {f"{prefix}{name}": value for name, value in answer.items()}
    return row


def measure_decoding(path: Path, *, full_size: bool) -> dict[str, Any]:
    """Return the peak of this process beyond its rest, and the seconds, of decoding one file."""
    photo.decode(small())  # what is loaded when first needed
    before = kib("VmRSS")
    begun = time.perf_counter()
    photo.decode(path.read_bytes(), min_short_side=None if full_size else DECODE_SHORT_SIDE)
    seconds = time.perf_counter() - begun
    return {"mb": round((kib("VmHWM") - before) * 1024 / 1e6), "s": round(seconds, 2)}


def small() -> bytes:
    return save(Image.new("RGB", (64, 64), "tan"), "JPEG")


def kib(name: str) -> int:
    """Return one line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main(sys.argv[1:])
