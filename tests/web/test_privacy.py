"""The privacy statement (docs/privacy.md), watched at a real server under load: nothing of a picture stays on disk or in a log."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
import requests
from PIL import Image

from tests.web import records
from tests.web.records import ANALYZE, DETECT
from tests.web.test_server import WAIT_S, Server, running, worker_files
from tests.web.test_swap import worker

SAID = {"age": 47, "ethnicity": "Quechua", "gender": "nonbinary", "fitzpatrick": "IV"}
MAKER, NAME, ADDRESS = "Secretcam-4711", "grandmother-in-Lima.jpg", "198.51.100.77"
WORDS = (
    "Quechua",
    "nonbinary",
    MAKER,
    "grandmother",
    ADDRESS,
    "acne",
    "wrinkles",
    "severity",
    "probabilities",
    "skin_tone",
)
CALLS = (
    "openat,open,creat,memfd_create,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,mknodat"
)
MAKES = re.compile(r"\b(creat|memfd_create|rename\w*|link\w*|symlink\w*|mkdir\w*|mknod\w*)\(")
WRITES = re.compile(r"O_(WRONLY|RDWR|CREAT|TMPFILE)")
LOGGED_BYTES = 400_000  # that the process may give to the disk in these tests: the log alone


@pytest.fixture(scope="module")
def photos(portrait_jpeg: bytes) -> dict[str, bytes]:
    """One photo in each way that it may be sent, with a maker in its Exif."""
    image = Image.open(io.BytesIO(portrait_jpeg))
    exif = Image.Exif()
    exif[0x010F] = MAKER
    kept = {}
    for kind in ("JPEG", "PNG"):
        image.save(file := io.BytesIO(), kind, exif=exif)
        kept[kind] = file.getvalue()
    pillow_heif.from_pillow(image).save(file := io.BytesIO(), exif=exif.tobytes())
    return {**kept, "HEIC": file.getvalue(), "cut": kept["JPEG"][:20_000]}


def send(server: Server, photos: dict[str, bytes]) -> set[int]:
    """Every photo as JSON, as a file and raw, to both routes, some with what a person says of themselves; the statuses."""
    headers = {"X-Forwarded-For": ADDRESS}
    seen = set()
    for number, data in enumerate(photos.values()):
        body = {"image": records.encoded(data), "demographics": SAID, "include": ["overlays", "explanation"]}
        path = (ANALYZE, DETECT)[number % 2]
        ways: tuple[dict[str, Any], ...] = ({"json": body}, {"files": {"image": (NAME, data)}}, {"data": data})
        for way in ways:
            seen.add(
                requests.post(f"{server.url}{path}?who=Quechua", headers=headers, timeout=WAIT_S, **way).status_code
            )
    return seen


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Server]:
    """A server with a home of its own, watched by strace where that is possible; `calls` in its folder holds what it did."""
    folder = tmp_path_factory.mktemp("watched")
    strace = (
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-s",
        "4096",
        "-o",
        str(folder / "calls"),
        "-e",
        f"trace={CALLS}",
    )
    with running(folder, before=strace if can_trace() else (), LOG_LEVEL="debug", HOME=str(home)) as server:
        yield server


def can_trace() -> bool:
    return (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"]).returncode == 0
    )


def kept(calls: str) -> list[str]:
    """Calls that may leave something in a file system; those that failed are left out, those whose end came later are not."""
    begun = [line for line in calls.splitlines() if " resumed>" not in line and " = -1 " not in line]
    return [line for line in begun if (MAKES.search(line) or WRITES.search(line)) and '"/dev/null"' not in line]


def test_no_file_is_opened_for_writing_while_pictures_come(
    server: Server, photos: dict[str, bytes], home: Path
) -> None:
    watched = server._log.parent / "calls"
    if not watched.exists():
        pytest.skip("strace is absent or may not trace: apt-get install strace")
    send(server, photos)  # what is loaded when first needed
    begun = watched.stat().st_size
    with ThreadPoolExecutor(2) as pool:
        assert set().union(*pool.map(lambda _: send(server, photos), range(2))) <= {200, 400, 503}
    seen = watched.read_text()
    assert kept(seen[:begun]), "the start writes a file that shows life, and that is seen"
    assert kept(seen[begun:]) == []


def test_nothing_is_left_in_folders_open_files_or_on_the_disk(
    server: Server, photos: dict[str, bytes], home: Path
) -> None:
    send(server, photos)
    before, given = worker_files(server), written_bytes(server)
    send(server, photos)
    assert written_bytes(server) - given < LOGGED_BYTES
    assert {name for name in worker_files(server) if not name.startswith("socket:")} <= set(before)
    assert [path for folder in (home, server._log.parent / "tmp") for path in folder.rglob("*") if path.is_file()] == []
    assert re.search(r"Max core file size +0 ", Path(f"/proc/{worker(server)}/limits").read_text())


def written_bytes(server: Server) -> int:
    """Bytes that the worker gave to a disk."""
    lines = Path(f"/proc/{worker(server)}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def test_no_log_line_holds_a_picture_a_name_a_person_or_a_result(server: Server, photos: dict[str, bytes]) -> None:
    send(server, photos)
    log = server.log
    lines = [json.loads(line) for line in log.splitlines() if '"event":"request"' in line]
    assert len([line for line in lines if line["route"] in ("analyze", "detect_faces")]) >= 3 * len(photos)
    assert [word for word in WORDS if word in log] == []
    text = records.encoded(photos["JPEG"])
    assert [text[i : i + 24] for i in range(0, len(text) - 24, 24) if text[i : i + 24] in log] == []
    assert {key for line in lines for key in line} == {
        "time", "level", "logger", "event", "request_id", "method", "route", "path", "status", "error_code", "ms", "bytes_in",
        "timings_ms", "mended", "abandoned_before",
    }  # fmt: skip
