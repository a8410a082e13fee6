"""Memory that decoding takes, for each kind of file: peaks of a process, beside the figures that the service reserves.

Run:     python -m benchmarks.decode_memory [--size 3000x2000]
Cost:    half a minute, and 300 MB.
Expects: no peak above `analyzer.image.memory`. Linux only: reads /proc.

Each picture is decoded at full size, as for a small face, in a process whose freed memory goes back to the system at once.
"""

from __future__ import annotations

import argparse
import gc
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from analyzer import photo
from analyzer.image import memory
from benchmarks import damaged_pictures, dataset, figures

AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
TURNED = 7  # the Exif orientation that takes two steps
BEHIND_IHDR = 33  # bytes of a PNG
RESET_PEAK = "5"  # proc_pid_clear_refs(5)
Maker = Callable[[int, int], bytes]


def exchanged_primaries() -> bytes:
    """sRGB with its red and its green exchanged: a profile that moves every colour."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"swap").replace(b"gXYZ", b"rXYZ").replace(b"swap", b"gXYZ")


def scene(mode: str, width: int, height: int) -> Image.Image:
    """A picture of smooth slopes, which compresses well in every format."""
    y, x = np.mgrid[0:height, 0:width]
    bands = np.stack([(x // 8 + y // 8) % 256, x * 255 // width, y * 255 // height, x * 255 // width], axis=-1)
    image = Image.fromarray(bands.astype(np.uint8))
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = TURNED
    return exif.tobytes()


def saved(mode: str, kind: str, *, profile: bool = False, turn: bool = False, **options: Any) -> Maker:
    """A maker of files of a kind."""

    def make(width: int, height: int) -> bytes:
        extra = {"icc_profile": exchanged_primaries()} if profile else {}
        extra |= {"exif": turned()} if turn else {}
        image = scene(mode, width, height)
        if kind == "HEIC":
            return damaged_pictures.heic(image, **extra, **options)
        return damaged_pictures.saved(image, kind, **extra, **options)

    return make


def deep_png(channels: int, *chunk: bytes) -> Maker:
    """A maker of PNG with 16 bits for each channel, and a further chunk."""

    def make(width: int, height: int) -> bytes:
        ramp = np.arange(width * height * channels, dtype=np.uint32).astype(np.uint16)
        data = cv2.imencode(".png", ramp.reshape(height, width, channels))[1].tobytes()
        return damaged_pictures.with_valid_checksums(data[:BEHIND_IHDR] + b"".join(chunk) + data[BEHIND_IHDR:])

    return make


def deep(encode: Callable[[NDArray[np.uint8]], bytes]) -> Maker:
    """A maker of pictures with 10 bits for each channel, in PQ."""
    return lambda width, height: encode(np.asarray(scene("RGB", width, height)))


PQ_CHUNK = struct.pack(">I", len(damaged_pictures.PQ_CHUNK[1])), *damaged_pictures.PQ_CHUNK, bytes(4)
BOTH = {"profile": True, "turn": True}
FAST = {"compress_level": 1}
KINDS: Mapping[str, Maker] = {
    "JPEG": saved("RGB", "JPEG"),
    "JPEG, turned": saved("RGB", "JPEG", turn=True),
    "JPEG, profile, turned": saved("RGB", "JPEG", **BOTH),
    "JPEG, grey": saved("L", "JPEG"),
    "JPEG, progressive 4:4:4": saved("RGB", "JPEG", progressive=True, subsampling=0),
    "JPEG, progressive 4:4:4, profile, turned": saved("RGB", "JPEG", progressive=True, subsampling=0, **BOTH),
    "JPEG, CMYK, progressive": saved("CMYK", "JPEG", progressive=True),
    "JPEG, CMYK, progressive, profile, turned": saved("CMYK", "JPEG", progressive=True, **BOTH),
    "PNG, 1 bit": saved("1", "PNG", **FAST),
    "PNG, grey": saved("L", "PNG", **FAST),
    "PNG, palette": saved("P", "PNG", **FAST),
    "PNG, palette, transparent": saved("P", "PNG", transparency=3, **FAST),
    "PNG": saved("RGB", "PNG", **FAST),
    "PNG, alpha": saved("RGBA", "PNG", **FAST),
    "PNG, alpha, profile, turned": saved("RGBA", "PNG", **BOTH, **FAST),
    "PNG, 16 bit grey": deep_png(1),
    "PNG, 16 bit": deep_png(3),
    "PNG, 16 bit, alpha": deep_png(4),
    "PNG, 16 bit, PQ": deep_png(3, *PQ_CHUNK),
    "PNG, 16 bit, alpha, PQ": deep_png(4, *PQ_CHUNK),
    "WebP": saved("RGB", "WEBP", method=0),
    "WebP, alpha": saved("RGBA", "WEBP", method=0),
    "WebP, lossless, alpha": saved("RGBA", "WEBP", lossless=True, method=0),
    "WebP, lossless, alpha, profile, turned": saved("RGBA", "WEBP", lossless=True, method=0, **BOTH),
    "GIF": saved("P", "GIF"),
    "GIF, transparent": saved("P", "GIF", transparency=3),
    "HEIC": saved("RGB", "HEIC"),
    "HEIC, 4:4:4": saved("RGB", "HEIC", chroma=444),
    "HEIC, alpha, profile": saved("RGBA", "HEIC", profile=True),
    "HEIC, 10 bit, PQ": deep(damaged_pictures.deep_heic),
    "AVIF": saved("RGB", "AVIF", speed=10),
    "AVIF, 4:4:4, alpha": saved("RGBA", "AVIF", speed=10, subsampling="4:4:4"),
    "AVIF, 4:4:4, alpha, profile, turned": saved("RGBA", "AVIF", speed=10, subsampling="4:4:4", **BOTH),
    "AVIF, 10 bit, PQ": deep(damaged_pictures.deep_avif),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="3000x2000", help="width and height in pixels (default 3000x2000)")
    width, height = map(int, parser.parse_args().size.split("x"))
    rows = table(width, height, tuple(KINDS))
    figures.print_table(rows)
    print(f"written to {dataset.write('decode_memory', rows)}")
    return int(any(row["peak"] > row["reserved"] for row in rows))


def table(width: int, height: int, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Peak and reserved bytes per pixel of some kinds, at this size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(kinds):
            Path(folder, f"{number:03}").write_bytes(KINDS[kind](width, height))
        peaks = measured(Path(folder))
        for (name, peak), path in zip(zip(kinds, peaks, strict=True), sorted(Path(folder).iterdir()), strict=True):
            header = photo.read_header(path.read_bytes())
            reserved = memory.peak_bytes(header) / header.pixels
            rows.append({"kind": name, "peak": round(peak / header.pixels, 2), "reserved": reserved})
    return rows


def measured(folder: Path) -> list[float]:
    """Peak bytes of decoding each file of a folder, in a process of its own."""
    command = [
        sys.executable,
        "-c",
        "import sys; from benchmarks import decode_memory; decode_memory.decode_all(sys.argv[1])",
    ]
    environment = {**os.environ, **AT_ONCE}
    ended = subprocess.run(
        [*command, str(folder)], cwd=dataset.ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return [float(line) for line in ended.stdout.splitlines()]


def decode_all(folder: str) -> None:
    """Print the peak of each file, in bytes beyond what the process held before."""
    small = [make(64, 64) for make in KINDS.values()]
    for data in small:
        photo.decode(data)  # libraries and transforms are there
    for path in sorted(Path(folder).iterdir()):
        data = path.read_bytes()
        gc.collect()
        Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
        before = resident("VmRSS")
        photo.decode(data)
        print(resident("VmHWM") - before)


def resident(name: str) -> int:
    """Bytes of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


if __name__ == "__main__":
    sys.exit(main())
