"""JPEG files cut short: how many are noticed, what becomes of whole ones, and what noticing costs.

Run:     python -m benchmarks.cut_jpegs [--files 1000] [--rounds 25]
Cost:    about two minutes; needs the real pictures of SKIN_DATA.
Expects: every cut noticed, every whole file decoded to the pixels of OpenCV.

Files are cut at random within their coded data, at full and at reduced scale, as they are and written anew: progressive, with
restart markers, in grey, in CMYK. Half of the cut files are closed again by an end marker, as some programs do.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from analyzer import photo
from analyzer.errors import BadPhoto
from analyzer.image import jpeg
from benchmarks import dataset, figures

FILES = 1000
ROUNDS = 25
SEED = 5
EOI = b"\xff\xd9"
HOLE_BYTES = 20
SAME = "the same pixels"
SIDES = (None, 150)  # px; least short side, by which the decoder may reduce
QUALITIES = (60, 80, 92)
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
WAYS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "progressive": ("RGB", {"progressive": True}),
    "progressive, grey": ("L", {"progressive": True}),
    "restart markers": ("RGB", {"restart_marker_rows": 1}),
    "optimised": ("RGB", {"optimize": True}),
    "CMYK": ("CMYK", {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help="files that are cut")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="decodings per time")
    options = parser.parse_args()
    paths = [path for path in dataset.pictures("**/*") if path.read_bytes().startswith(b"\xff\xd8\xff")]
    whole = Counter(compare(path.read_bytes()) for path in dataset.progress(paths, "whole files"))
    random.Random(SEED).shuffle(paths)
    rows = cuts(paths[: options.files])
    figures.print_table(rows)
    holes = [outcome(without_middle(path.read_bytes(), random.Random(SEED))) for path in paths[: options.files]]
    share_noticed = figures.share(sum(code != "decoded" for code in holes), len(holes))
    print(
        f"\nfiles that lost {HOLE_BYTES} bytes in the middle of their coded data: noticed {share_noticed} (no target)\n"
    )
    speeds = times(dataset.pictures("phone_originals/*"), options.rounds)
    figures.print_table(speeds)
    missed = sum(int(row["missed"]) for row in rows)
    print(
        f"\n{len(paths)} whole files: {dict(whole)} (target: all as OpenCV has them); {missed} cuts missed (target 0)"
    )
    table = {
        "rows": rows,
        "holes_noticed": share_noticed,
        "times": speeds,
        "whole": whole,
    }
    print(f"written to {dataset.write('cut_jpegs', table)}")
    sys.exit(1 if missed or set(whole) != {SAME} else 0)


def compare(data: bytes) -> str:
    """Return whether a whole file is decoded to the pixels of OpenCV, before any conversion of colours, or how it is refused."""
    try:
        pixels = jpeg.decode(data, photo.read_header(data), 1)
    except BadPhoto as refusal:
        return refusal.code
    opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return SAME if np.array_equal(pixels, opencv) else "other pixels"


def cuts(paths: Sequence[Path]) -> list[dict[str, object]]:
    """Return, by the way of coding and whether the file was closed again, how many cuts were noticed."""
    rng = random.Random(SEED)
    counts: dict[tuple[str, str], list[bool]] = {}
    for path in dataset.progress(paths, "cut files"):
        for way, data in variants(path.read_bytes(), rng):
            for how in ("closed", "open"):
                noticed = outcome(cut(data, how, rng), rng.choice(SIDES)) == "truncated_image"
                counts.setdefault((way, how), []).append(noticed)
    return [
        {"way": way, "end": how, "cut": len(marks), "noticed": sum(marks), "missed": len(marks) - sum(marks)}
        for (way, how), marks in counts.items()
    ]


def variants(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield the file as it is and written anew in each way."""
    yield "as it is", data
    image = Image.open(BytesIO(data))
    for way, (mode, options) in WAYS.items():
        file = BytesIO()
        image.convert("RGB").convert(mode).save(file, "JPEG", quality=rng.choice(QUALITIES), **options)
        yield way, file.getvalue()


def cut(data: bytes, how: str, rng: random.Random) -> bytes:
    """Cut a file within its coded data."""
    first = data.index(b"\xff\xda") + 16
    kept = data[: rng.randrange(first, len(data) - 2)]
    return kept.rstrip(b"\xff") + EOI if how == "closed" else kept


def without_middle(data: bytes, rng: random.Random) -> bytes:
    """Leave out a few bytes of the coded data."""
    at = rng.randrange(data.index(b"\xff\xda") + 16, len(data) - 2 - HOLE_BYTES)
    return data[:at] + data[at + HOLE_BYTES :]


def outcome(data: bytes, min_short_side: int | None = None) -> str:
    try:
        photo.decode(data, min_short_side=min_short_side)
    except BadPhoto as refusal:
        return refusal.code
    return "decoded"


def times(paths: Sequence[Path], rounds: int) -> list[dict[str, object]]:
    """Return milliseconds (least of `rounds`) of reading the header and of decoding, beside those of OpenCV's decoder."""
    rows: list[dict[str, object]] = []
    for path in paths:
        data = path.read_bytes()
        header = photo.read_header(data)
        for reduction, flags in REDUCED.items():
            works: dict[str, Callable[[], object]] = {
                "header_ms": partial(photo.read_header, data),
                "decode_ms": partial(jpeg.decode, data, header, reduction),
                "opencv_ms": partial(cv2.imdecode, np.frombuffer(data, np.uint8), flags),
            }
            rows.append({"file": path.name, "scale": f"1/{reduction}", **least_ms(works, rounds)})
    return rows


def least_ms(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least time of each work; they take turns, so that a busy machine slows all alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return {name: round(1000 * min(seconds), 1) for name, seconds in taken.items()}


if __name__ == "__main__":
    main()
