"""The artefact in S3: what is offered, its bytes, and publishing it. The only place that imports boto3, once S3 is asked.

For operators: python -m analyzer.model_store --help
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from analyzer import model_card, signatures
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_cache import Offer
from analyzer.model_download import FETCH_HINT, Interrupted, RemoteFile
from analyzer.settings import StoreSettings

MIB = 1024 * 1024
MOST_BYTES = 512 * MIB  # of all files of one artefact
CHUNK_BYTES = 256 * 1024
ATTEMPTS = 2  # of one call, by boto3 itself
HINT = "Look at S3_BUCKET and at what the service may read there; see docs/deploy.md."
LINE_HINT = "Look at the line to S3 and at AWS_ENDPOINT_URL."
BARE_HINT = "Put its sha256 into MODEL_SHA256, or set MODEL_TRUST_BARE=yes; better, publish it with a card."
NO_ACCESS = "S3 refuses access (403): a permission is missing, or the bucket belongs to another account than expected."
WRONG_CREDENTIALS = "S3 does not know these credentials (403): the key is wrong, or was withdrawn."
CHANGED = "The object in S3 changed while it was fetched (412)."
REFUSALS = {  # S3's error code -> what is wrong; others are told by their code
    "NoSuchBucket": "The bucket does not exist (404).",
    "NoSuchKey": "The artefact is not in the bucket (404).",
    "404": "The artefact is not in the bucket (404).",
    "403": NO_ACCESS,
    "AccessDenied": NO_ACCESS,
    "RequestTimeTooSkewed": "S3 refuses because the clock of this machine is wrong (RequestTimeTooSkewed); set it, for instance by NTP.",
    "InvalidAccessKeyId": WRONG_CREDENTIALS,
    "SignatureDoesNotMatch": WRONG_CREDENTIALS,
    "ExpiredToken": "The credentials for S3 are expired (ExpiredToken).",
    "412": CHANGED,
    "PreconditionFailed": CHANGED,
}
ABSENT = ("NoSuchKey", "404", "403", "AccessDenied")  # 403 is what S3 says of absent objects to those who may not list
PASSING = ("RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "500", "502", "503", "504")


class Refused(ModelUnavailable):
    """S3 answered, and its answer is no.

    Attributes:
        reply: S3's error code.
    """

    def __init__(self, message: str, hint: str, reply: str) -> None:
        super().__init__(message, hint)
        self.reply = reply


class Bucket:
    """The objects of one artefact in S3. Whatever goes wrong is a ModelUnavailable."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self.prefix = settings.prefix
        self.location = f"s3://{settings.bucket}/{settings.prefix}"
        owner = settings.expected_owner
        self._place = {"Bucket": settings.bucket, **({"ExpectedBucketOwner": owner} if owner else {})}

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        session = boto3.session.Session()
        config = Config(
            connect_timeout=self._settings.connect_timeout_s,
            read_timeout=self._settings.read_timeout_s,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path"} if self._settings.endpoint_url else {},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",  # every file is compared with its sha256 anyway
        )
        region = session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=self._settings.endpoint_url, config=config)

    def offer(self, current: str | None = None, believed: str | None = None) -> Offer:
        """What S3 holds now: the artefact with a card under the prefix, else the bare Keras file.

        Args:
            current: version that the caller has; its files are not looked at and are left out of the answer.
            believed: version whose card was looked at before and needs no signature or pin any more.

        Raises:
            BadModel: the card may not be believed or is not sound, or its files are not there as it says.
            ModelUnavailable: S3 cannot be asked, or holds nothing that may be opened.
        """
        try:
            data, version_id = self.card()
        except Refused as error:
            if error.reply not in ABSENT:
                raise
            return self._bare(error)
        version = hashlib.sha256(data).hexdigest()
        signed = None if version == believed else self._believed(data)
        card = self._parsed(data)
        wanted = {name: file for name, file in card.files.items() if file.serving and version != current}
        files = tuple(self._file(name, file.size_bytes, file.sha256) for name, file in wanted.items())
        return Offer(version, self.location, version_id, data, _bounded(files), signed)

    def _believed(self, card: bytes) -> bytes | None:
        """Signatures of a card that may be believed; None where they were not asked for."""
        content = self._signatures(card) if signatures.are_needed(self._settings) else None
        signatures.check(card, content, self._settings)
        return content

    def _signatures(self, card: bytes) -> bytes | None:
        """Content of the object that holds the signatures of a card; None where there is none."""
        try:
            return self._content(signatures.object_name(card), signatures.MOST_BYTES)[0]
        except Refused as error:
            if error.reply not in ABSENT:
                raise
            return None

    def _parsed(self, data: bytes) -> model_card.ModelCard:
        try:
            return model_card.parse(data)
        except BadModel as error:
            hint = "Publish the artefact again; --force replaces a damaged card."
            raise BadModel(f"In S3, below {self._settings.prefix}: {error.message}", hint) from None

    def card(self) -> tuple[bytes, str | None]:
        """Bytes of `card.json` and its VersionId."""
        return self._content(model_card.CARD, model_card.MOST_CARD_BYTES)

    def _content(self, name: str, most_bytes: int) -> tuple[bytes, str | None]:
        """An object under the prefix, at most one byte more than it may have, and its VersionId."""
        with _translated():
            answer = self._client.get_object(**self._place, Key=self._settings.prefix + name)
            with answer["Body"] as body:
                return body.read(most_bytes + 1), _version_id(answer)

    def head(self, key: str) -> Mapping[str, Any]:
        """What S3 says of one object, its checksum included."""
        with _translated():
            return self._client.head_object(**self._place, Key=key, ChecksumMode="ENABLED")

    def checksum(self, key: str) -> str | None:
        """The sha256 that S3 keeps of an object, if it is there and has one."""
        try:
            kept = self.head(key).get("ChecksumSHA256")
        except Refused:
            return None
        return None if kept is None else base64.b64decode(kept.split("-")[0]).hex()

    def read(self, file: RemoteFile, offset: int) -> Iterator[bytes]:
        """The bytes of an object from an offset on, as they come; never those of another version of it."""
        with _translated():
            which = {"Key": file.key, "IfMatch": file.etag, "Range": f"bytes={offset}-"}
            answer = self._client.get_object(**self._place, **which)
            if offset and not str(answer.get("ContentRange", "")).startswith(f"bytes {offset}-"):
                raise BadModel(f"S3 answers with other bytes of {file.name} than were asked for.", FETCH_HINT)
            with answer["Body"] as body:
                while chunk := body.read1(CHUNK_BYTES):  # what has come so far: a trickle must not hold us
                    yield chunk

    def upload(self, path: Path, content_type: str, sha256: str) -> str | None:
        """Put a file under the prefix; S3 compares its checksum. Its VersionId."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with _translated(), path.open("rb") as body:
            sum_of = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
            what = {"Body": body, "ContentType": content_type, **sum_of}
            return _version_id(self._client.put_object(**self._place, Key=self._settings.prefix + path.name, **what))

    def _file(self, name: str, size_bytes: int, sha256: str) -> RemoteFile:
        key = self._settings.prefix + name
        try:
            head = self.head(key)
        except Refused as error:
            raise Refused(f"{name}, named by the card in S3: {error.message}", error.hint, error.reply) from error
        if head["ContentLength"] != size_bytes:
            raise BadModel(f"{name} in S3 must have {size_bytes} bytes and has {head['ContentLength']}.", FETCH_HINT)
        return RemoteFile(name, key, size_bytes, head["ETag"], _version_id(head), sha256)

    def _bare(self, cardless: Refused) -> Offer:
        """The bare Keras file, where one of its sha256 is known or it is trusted without."""
        key, sums = self._settings.key, self._settings.sha256
        try:
            head = self.head(key)
        except Refused:
            raise cardless from None
        name, version_id = PurePosixPath(key).name, _version_id(head)
        if not sums and not self._settings.trust_bare:
            raise BadModel(f"{name} in S3 has no card.", BARE_HINT)
        wanted = sums[0] if len(sums) == 1 else None
        file = RemoteFile(name, key, head["ContentLength"], head["ETag"], version_id, wanted)
        content = hashlib.sha256(f"{key}|{file.etag}|{version_id}|{file.size_bytes}".encode()).hexdigest()
        return Offer(content, f"s3://{self._settings.bucket}/{key}", version_id, None, _bounded((file,)))


def _bounded(files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    size_bytes = sum(file.size_bytes for file in files)
    if size_bytes > MOST_BYTES:
        raise BadModel(f"The artefact in S3 has {size_bytes} bytes; more than {MOST_BYTES} are not taken.", FETCH_HINT)
    return files


def _version_id(answer: Mapping[str, Any]) -> str | None:
    """S3's VersionId; None where the bucket keeps no versions."""
    found = answer.get("VersionId")
    return None if found in (None, "null") else str(found)


@contextmanager
def _translated() -> Iterator[None]:
    """Every failure of boto3 and of the connection as ModelUnavailable with a plain sentence."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )
    from botocore.exceptions import ConnectionError as NoConnectionError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        _refuse(error)
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise ModelUnavailable("There are no credentials for S3.", HINT) from error
    except (HTTPClientError, NoConnectionError, HTTPError, ConnectionError, TimeoutError) as error:
        raise Interrupted(f"The connection to S3 failed ({type(error).__name__}).", LINE_HINT) from error
    except (BotoCoreError, ValueError) as error:
        raise ModelUnavailable(f"S3 cannot be asked ({type(error).__name__}).", HINT) from error


def _refuse(error: Any) -> NoReturn:
    reply = str(error.response.get("Error", {}).get("Code", ""))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    if reply in PASSING or status in PASSING:
        raise Interrupted(f"S3 is not able to answer ({reply or status}).", LINE_HINT) from error
    message = REFUSALS.get(reply) or REFUSALS.get(status) or f"S3 refuses ({reply or status})."
    raise Refused(message, HINT, reply or status) from error


if __name__ == "__main__":
    from analyzer.model_command import main

    sys.exit(main())
