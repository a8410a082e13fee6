"""Uploads of an artefact to S3: files first, then the signatures, the card last, so that nobody reads of what is not there yet."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from analyzer import model_card, signatures
from analyzer.errors import BadModel
from analyzer.model_card import CARD, ModelCard
from analyzer.model_store import Bucket, Refused

CONTENT_TYPES = {".json": "application/json", ".sig": "application/json", ".xml": "application/xml"}
UNSIGNED = "not signed: services open it only with MODEL_CARD_SHA256={sha256} or MODEL_ALLOW_UNSIGNED=yes"


def problem(bucket: Bucket, card: ModelCard, folder: Path) -> str | None:
    """Return why what S3 holds is not replaced unasked; None when it is the same or another version."""
    theirs = _published(bucket)
    if theirs in (None, (folder / CARD).read_bytes()):
        return None
    try:
        same = model_card.parse(theirs or b"").version == card.version
    except BadModel as error:
        return f"What S3 holds is damaged ({error.message.rstrip('.')})"
    return f"Version {card.version} is in S3 with other content" if same else None


def publish(bucket: Bucket, card: ModelCard, folder: Path, signed: bytes | None, *, dry_run: bool) -> Iterator[str]:
    """Upload a verified folder; a line for each file that says what was done.

    Args:
        signed: signatures of the card, if it has any.
        dry_run: only say what would be done.
    """
    data = (folder / CARD).read_bytes()
    names = present(card, folder)
    for name in names:
        yield _put(bucket, folder / name, card.files[name].sha256, dry_run)
    sha256 = hashlib.sha256(data).hexdigest()
    if signed is None:
        yield f"{CARD}: {UNSIGNED.format(sha256=sha256)}"
    else:
        yield _put_bytes(bucket, signatures.object_name(data), signed, dry_run)
    yield _put(bucket, folder / CARD, sha256, dry_run)
    for name in sorted(set(card.files) - set(names)):
        yield f"{name}: not in the folder and not needed to serve, left out"


def present(card: ModelCard, folder: Path) -> list[str]:
    """Return the files of a card that lie in its folder."""
    return [name for name in card.files if (folder / name).is_file()]


def _put_bytes(bucket: Bucket, name: str, data: bytes, dry_run: bool) -> str:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / name
        path.write_bytes(data)
        return _put(bucket, path, hashlib.sha256(data).hexdigest(), dry_run)


def _put(bucket: Bucket, path: Path, sha256: str, dry_run: bool) -> str:
    """Upload one file unless S3 has it; a line that says what was done."""
    size = f"{path.name}: {path.stat().st_size} bytes"
    if bucket.checksum(bucket.prefix + path.name) == sha256:
        return f"{size}, there already"
    if dry_run:
        return f"{size}, would be uploaded"
    version_id = bucket.upload(path, CONTENT_TYPES.get(path.suffix, "application/octet-stream"), sha256)
    return f"{size}, uploaded" + (f" as version {version_id}" if version_id else "")


def _published(bucket: Bucket) -> bytes | None:
    """The card that S3 holds, if any."""
    try:
        return bucket.card()[0]
    except Refused as error:
        if error.reply not in ("NoSuchKey", "404"):
            raise
        return None
