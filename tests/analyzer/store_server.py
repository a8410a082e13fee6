"""What the store is tested with: S3 over real HTTP, a line to it that fails on wish, and small artefacts."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from analyzer import model_card
from analyzer.errors import BadModel
from analyzer.model_sources import NAME, Candidate
from analyzer.settings import StoreSettings
from analyzer.values import Demographics, Prediction
from tests.analyzer.test_model_card import card

BUCKET = "models-for-tests"
OWNER = "123456789012"
PREFIX = "hare_run_v6/hare_run_v6_facial/"
SIZE = 1_500_000  # bytes of network.bin
FILES = ("network.xml", "network.bin", "best_facial_model.keras")
HEAD_END = b"\r\n\r\n"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


def artefact(parent: Path, version: str, *, broken: bool = False, size: int = SIZE) -> Path:
    """A folder with a card and files as the ensemble's; a broken one has sound files and fails its self-test."""
    folder = parent / NAME
    folder.mkdir(parents=True)
    seed = int(hashlib.sha256(version.encode()).hexdigest()[:8], 16)
    (folder / "network.xml").write_bytes(b"broken" if broken else b"<net/>")
    (folder / "network.bin").write_bytes(np.random.default_rng(seed).bytes(size))
    (folder / "best_facial_model.keras").write_bytes(b"keras" * 1000)
    model_card.write(replace(card(), version=version), folder, FILES[:2], optional=FILES[2:])
    return folder


@dataclass(eq=False)
class StandIn:
    """An artefact that answers with its version; it can be made to wait or to fail."""

    version: str
    hold: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)
    fault: Exception | None = None

    def predict(self, picture: Any, demographics: Demographics) -> Prediction:
        self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(10)
        if self.fault is not None:
            raise self.fault
        return Prediction(
            version=self.version,
            probabilities={"acne": 0.25, "healthy": 0.75},
            wordings={"acne": None, "healthy": None},
            threshold=0.5,
            distance=None,
            distance_limit=None,
            speaks=False,
            silence_reason="a test",
            activation=lambda name: np.zeros((7, 7), np.float32),
        )

    def describe(self) -> dict[str, Any]:
        return {"version": self.version, "labels": ("acne", "healthy"), "classes": 2, "self_test": "passed"}


def open_stand_in(candidate: Candidate) -> StandIn:
    """Verifies as the real opener does; `broken` files fail their self-test."""
    if candidate.sha256 is not None:
        return StandIn(f"bare {candidate.path.name}")
    read = model_card.read(candidate.path)
    model_card.verify(read, candidate.path)
    if (candidate.path / "network.xml").read_bytes() == b"broken":
        raise BadModel("The self-test failed: 0.31 off.", "Export it again.")
    return StandIn(read.version)


@dataclass
class Fault:
    """What happens to a request whose first line holds `match`.

    Attributes:
        times: how often; afterwards requests pass.
        after: bytes of the answer's body that pass before it happens.
        kind: ``reset``, ``close`` (truncate), ``stall``, or ``status 403`` and the like instead of the answer, with S3's own word
            for it if one follows: ``status 403 RequestTimeTooSkewed``.
        rate: bytes per second of the body; None: as fast as it goes.
    """

    match: str
    times: int = 1_000
    after: int = 0
    kind: str = ""
    rate: int | None = None


class Line:
    """A TCP line to S3 with one request per connection: it counts what was asked for and sent, and fails on wish."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.faults: list[Fault] = []
        self.heads: list[str] = []
        self.body_bytes: dict[str, int] = {}
        self.owner: str | None = None  # as S3 does: another expected owner is 403
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def asked(self, part: str) -> list[str]:
        """Heads of the requests whose first line holds `part`."""
        return [head for head in list(self.heads) if part in head.split("\r\n")[0]]

    def close(self) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._stopped.is_set():
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head, body = _request(client)
            if not head:
                return
            first = head.split("\r\n")[0]
            self.heads.append(head)
            fault = next((fault for fault in self.faults if fault.match in first and fault.times > 0), Fault(""))
            fault.times -= 1
            status = self._status(head, fault)
            if status:
                client.sendall(_refusal(*status.split()))
                return
            with socket.create_connection(("127.0.0.1", self._upstream)) as server:
                server.sendall(head.replace("\r\n", "\r\nConnection: close\r\n", 1).encode() + HEAD_END + body)
                self._relay(server, client, fault, first.split()[1].split("?")[0])

    def _status(self, head: str, fault: Fault) -> str:
        stranger = self.owner and f"x-amz-expected-bucket-owner: {self.owner}" not in head.lower()
        return "403" if stranger else fault.kind.removeprefix("status ") if fault.kind.startswith("status") else ""

    def _relay(self, server: socket.socket, client: socket.socket, fault: Fault, path: str) -> None:
        answer = server.makefile("rb")
        head = b"".join(iter(answer.readline, b"\r\n"))
        client.sendall(head + b"\r\n")
        sent = 0
        while True:
            left = fault.after - sent if fault.kind else 1 << 30
            if left <= 0:
                return self._fail(client, fault)
            piece = answer.read1(min(left, 8192))
            if not piece:
                return None
            if fault.rate:
                time.sleep(len(piece) / fault.rate)
            client.sendall(piece)
            sent += len(piece)
            self.body_bytes[path] = self.body_bytes.get(path, 0) + len(piece)

    def _fail(self, client: socket.socket, fault: Fault) -> None:
        if fault.kind == "stall":
            self._stopped.wait(20)
        elif fault.kind == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _refusal(status: str, code: str = "") -> bytes:
    """An answer of S3 that is no; its error code stands in the body."""
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>" if code else ""
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}".encode()


def _request(client: socket.socket) -> tuple[str, bytes]:
    data = b""
    while HEAD_END not in data:
        piece = client.recv(65536)
        if not piece:
            return "", b""
        data += piece
    head, _, body = data.partition(HEAD_END)
    text = head.decode()
    if "expect: 100-continue" in text.lower():
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        text = "\r\n".join(line for line in text.split("\r\n") if not line.lower().startswith("expect:"))
    length = next(
        (int(line.split(":")[1]) for line in text.lower().split("\r\n") if line.startswith("content-length:")), 0
    )
    while len(body) < length:
        body += client.recv(65536)
    return text, body


@contextlib.contextmanager
def moto() -> Iterator[int]:
    """moto's S3 in a thread of this process, with a bucket that keeps versions; its port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def s3(port: int) -> Any:
    """A client of the tests' own, without the line."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="tests",
        aws_secret_access_key="tests",
    )


def settings(url: str, folder: Path, **changes: Any) -> StoreSettings:
    """S3 behind a line whose artefacts need no signature, an empty local folder and cache below `folder`, and short waits."""
    usual = StoreSettings(
        bucket=BUCKET,
        endpoint_url=url,
        allow_unsigned=True,
        folder=folder / "models",
        cache=folder / "cache",
        poll_s=0.0,
        start_wait_s=5.0,
        connect_timeout_s=1.0,
        read_timeout_s=0.5,
        download_timeout_s=20.0,
    )
    return replace(usual, **changes)


def upload(client: Any, folder: Path) -> None:
    """Put a folder into the bucket as it is, sound or not."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == model_card.CARD):
        client.put_object(Bucket=BUCKET, Key=PREFIX + path.name, Body=path.read_bytes())
