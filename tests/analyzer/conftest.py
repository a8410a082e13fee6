"""S3 over real HTTP for the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.analyzer import store_server
from tests.analyzer.store_server import BUCKET, CREDENTIALS, Line


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with store_server.moto() as port:
        yield port


@pytest.fixture
def s3(moto_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client, and an empty bucket that keeps versions."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    client = store_server.s3(moto_port)
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    _empty(client)  # all moto servers of one process share their buckets, those of other modules, too
    yield client
    _empty(client)
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def line(moto_port: int) -> Iterator[Line]:
    line = Line(moto_port)
    yield line
    line.close()


def _empty(client: Any) -> None:
    """Remove every version of every object of the bucket."""
    for kind in ("Versions", "DeleteMarkers"):
        for kept in client.list_object_versions(Bucket=BUCKET).get(kind, []):
            client.delete_object(Bucket=BUCKET, Key=kept["Key"], VersionId=kept["VersionId"])
