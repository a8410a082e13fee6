"""A thousand damaged pictures over HTTP: every answer is JSON and 200 or 4xx, the service stays well, and memory stays bounded."""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import requests
from PIL import Image

from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import WAIT_S, Server, running
from tests.web.test_swap import worker

SEED = 20260101
COUNT = 1000
GROUPS = 20
SIDE_PX = 64
HEADER_BYTES = 200  # where most of the damage is done
EXTREMES = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x80\x00\x00\x00",
    b"\xff\xd9",
)
MOST_GROWTH_MIB = 250.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("fuzz"), MAX_QUEUE="64", QUEUE_TIMEOUT_S="60") as server:
        yield server


@pytest.fixture(scope="module")
def sound() -> list[bytes]:
    """Pictures of each type that is taken, and of some that are not; with Exif, animated, progressive and transparent ones."""
    rgb = np.random.default_rng(SEED).integers(0, 255, (SIDE_PX, SIDE_PX, 3), np.uint8)
    image = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    how = [
        ("JPEG", {"exif": exif}), ("JPEG", {"progressive": True}), ("PNG", {"exif": exif}), ("WEBP", {"exif": exif}),
        ("WEBP", {"lossless": True}), ("GIF", {"save_all": True, "append_images": [image.rotate(90)]}),
        ("TIFF", {}), ("BMP", {}),
    ]  # fmt: skip
    pictures = [_saved(image, kind, **options) for kind, options in how]
    pictures += [
        _saved(image.convert("RGBA"), "PNG"),
        _saved(image.convert("CMYK"), "JPEG"),
        _saved(image.convert("P"), "PNG"),
    ]
    heic = io.BytesIO()
    pillow_heif.from_pillow(image).save(heic, quality=50)
    return [*pictures, heic.getvalue()]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def damaged(picture: bytes, rng: random.Random) -> bytes:
    """A copy with two to twelve changes: bits, extreme numbers, cuts, doubled or foreign parts."""
    data = bytearray(picture)
    for _ in range(rng.randint(2, 12)):
        at = rng.randrange(min(len(data), HEADER_BYTES if rng.random() < 0.8 else len(data)) or 1)
        change = rng.randrange(6)
        if change == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            extreme = rng.choice(EXTREMES)
            data[at : at + len(extreme)] = extreme
        elif change == 2:
            del data[at : at + rng.randint(1, 16)]
        elif change == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 32))
        elif change == 4 and rng.random() < 0.3:
            del data[rng.randrange(1, len(data) + 1) :]
        else:
            data[at:at] = data[max(0, at - 20) : at]
    return bytes(data)


def test_damaged_pictures_are_answered_as_json_and_leave_the_service_well(server: Server, sound: list[bytes]) -> None:
    before, pid = resident_mib(server), worker(server)

    def ask(group: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        rng = random.Random(SEED + group)
        with requests.Session() as session:
            for number in range(COUNT // GROUPS):
                data = damaged(rng.choice(sound), rng)
                path = ANALYZE if number % 2 else DETECT
                answer = session.post(server.url + path, data=data, headers={"Content-Type": "image/*"}, timeout=WAIT_S)
                assert answer.status_code in (200, 400, 413, 415), (
                    f"picture {number} of group {group}: {answer.text[:300]}"
                )
                told = answer.json()
                assert (told["success"], bool(told["error_code"])) == (False, True)
                if number % 10 < 2:  # one of each route in ten pictures: a schema takes longer than an answer
                    records.check_schema("analysis_refusal" if number % 2 else "face_refusal", told)
                seen[answer.status_code] += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = sum(pool.map(ask, range(GROUPS)), Counter())
    assert seen.total() == COUNT
    assert min(seen[200], seen[400], seen[415]) > 20, f"damage of every kind: {seen}"
    assert (worker(server), requests.get(f"{server.url}/health", timeout=WAIT_S).text) == (pid, "OK")
    assert '"level":"error"' not in server.log
    assert resident_mib(server) - before < MOST_GROWTH_MIB


def resident_mib(server: Server) -> float:
    """Memory of the worker."""
    pages = int(Path(f"/proc/{worker(server)}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
