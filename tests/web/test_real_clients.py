"""Real clients send a portrait to the real server: each gets the answer that its raw bytes get."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from tests.web.records import DETECT
from tests.web.test_server import START_S, WAIT_S, Server, running

PROGRAMS = Path(__file__).with_name("programs")
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("clients")) as server:
        yield server


@pytest.fixture(scope="module")
def faces(server: Server, portrait_jpeg: bytes) -> Any:
    """The faces in the answer to the bytes themselves; crops of a damaged picture would differ."""
    answer = requests.post(server.url + DETECT, data=portrait_jpeg, headers=JPEG, timeout=WAIT_S).json()
    assert len(answer["faces"]) == 1
    return answer["faces"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait_jpeg: bytes) -> Path:
    """A folder with the portrait as a file, and as base64 and JSON beside it."""
    folder = tmp_path_factory.mktemp("photo")
    (folder / "photo.jpg").write_bytes(portrait_jpeg)
    (folder / "photo.b64").write_bytes(base64.encodebytes(portrait_jpeg))
    (folder / "photo.json").write_text(json.dumps({"image": base64.b64encode(portrait_jpeg).decode()}))
    return folder


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chunks(data: bytes) -> Iterator[bytes]:
    yield from (data[i : i + 20_000] for i in range(0, len(data), 20_000))


def urllib_post(url: str, data: bytes) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=WAIT_S) as answer:
        return json.load(answer)


def http_client_post(url: str, data: bytes) -> Any:
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=WAIT_S)) as connection:
        connection.request("POST", DETECT, chunks(data), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        return json.load(connection.getresponse())


PYTHON: dict[str, Callable[[str, bytes], Any]] = {
    "requests files=": lambda url, data: requests.post(url, files={"image": data}).json(),
    "requests files=, no file name": lambda url, data: requests.post(url, files={"image": (None, data)}).json(),
    "requests files=, no file name, type": lambda url, data: requests.post(
        url, files={"image": (None, data, "image/jpeg")}
    ).json(),
    "requests files=, text": lambda url, data: requests.post(url, files={"image": (None, text(data))}).json(),
    "requests data=bytes": lambda url, data: requests.post(url, data=data).json(),
    "requests data=generator": lambda url, data: requests.post(url, data=chunks(data)).json(),
    "requests data={}": lambda url, data: requests.post(url, data={"image": text(data)}).json(),
    "requests data={}, bytes": lambda url, data: requests.post(url, data={"image": data}).json(),
    "requests json=": lambda url, data: requests.post(url, json={"image": text(data)}).json(),
    "requests json=, numbers": lambda url, data: requests.post(url, json={"image": list(data)}).json(),
    "requests data=json.dumps": lambda url, data: requests.post(url, data=json.dumps({"image": text(data)})).json(),
    "httpx files=": lambda url, data: httpx.post(url, files={"image": data}, timeout=WAIT_S).json(),
    "httpx content=": lambda url, data: httpx.post(url, content=data, timeout=WAIT_S).json(),
    "httpx data={}": lambda url, data: httpx.post(url, data={"image": text(data)}, timeout=WAIT_S).json(),
    "httpx json=": lambda url, data: httpx.post(url, json={"image": text(data)}, timeout=WAIT_S).json(),
    "urllib": urllib_post,
    "http.client, chunked": http_client_post,
}
COMMANDS = {
    "curl -F": ("curl", "-F", "image=@photo.jpg"),
    "curl -F, text from a file": ("curl", "-F", "image=<photo.b64"),
    "curl -F, bytes from a file": ("curl", "-F", "image=<photo.jpg"),
    "curl -F, base64 encoder": ("curl", "-F", "image=@photo.jpg;encoder=base64"),
    "curl -F, quoted-printable encoder": ("curl", "-F", "image=@photo.jpg;encoder=quoted-printable"),
    "curl --data-binary": ("curl", "--data-binary", "@photo.jpg"),
    "curl --data-binary, chunked": ("curl", "-H", "Transfer-Encoding: chunked", "--data-binary", "@photo.jpg"),
    "curl -d, base64": ("curl", "-d", "@photo.b64"),
    "curl -d, JSON": ("curl", "-d", "@photo.json"),
    "curl --json": ("curl", "--json", "@photo.json"),
    "curl --data-urlencode, base64": ("curl", "--data-urlencode", "image@photo.b64"),
    "curl --data-urlencode, bytes": ("curl", "--data-urlencode", "image@photo.jpg"),
    "wget --post-file": ("wget", "-qO-", "--post-file=photo.jpg"),
    "wget --post-file, JSON": ("wget", "-qO-", "--post-file=photo.json"),
}  # fmt: skip


def output(*command: str, folder: Path) -> str:
    """What a command prints; skips where its program is absent."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=START_S, check=True, text=True).stdout


@pytest.mark.parametrize("name", PYTHON)
def test_clients_in_python(server: Server, faces: Any, portrait_jpeg: bytes, name: str) -> None:
    answer = PYTHON[name](server.url + DETECT, portrait_jpeg)
    assert answer["faces"] == faces, answer["message"]


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(server: Server, faces: Any, photo: Path, name: str) -> None:
    answer = json.loads(output(*COMMANDS[name], server.url + DETECT, folder=photo))
    assert answer["faces"] == faces, answer["message"]


def test_curl_d_of_a_photo_gets_a_hint(server: Server, photo: Path) -> None:
    answer = json.loads(output("curl", "-d", "@photo.jpg", server.url + DETECT, folder=photo))
    assert answer["error_code"] == "bad_image"
    assert "--data-binary" in answer["guidance"]["suggestions"][0]


def test_fetch(server: Server, faces: Any, photo: Path) -> None:
    printed = output("node", str(PROGRAMS / "fetch.mjs"), server.url + DETECT, "photo.jpg", folder=photo)
    answers = json.loads(printed)
    assert len(answers) == 15
    assert {way: answer["message"] for way, answer in answers.items() if answer["faces"] != faces} == {}


def test_java(server: Server, faces: Any, photo: Path) -> None:
    if not shutil.which("javac"):
        pytest.skip("a Java compiler is not installed")
    printed = output("java", str(PROGRAMS / "Upload.java"), server.url + DETECT, "photo.jpg", folder=photo)
    answers = {way: json.loads(answer) for way, _, answer in (line.partition("\t") for line in printed.splitlines())}
    assert len(answers) == 6
    assert {way: answer["message"] for way, answer in answers.items() if answer["faces"] != faces} == {}
