"""Ed25519 signatures of cards: made when an artefact is published, checked before anything of it is opened.

A card holds the sha256 of each file of its artefact, so that its signature covers all of them. The bytes that are signed are those of
`card.json` (RFC 8032, without a prefix or a hash before). The only module that imports PyNaCl.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from analyzer.errors import BadModel, BadSetting
from analyzer.settings import StoreSettings

MOST_BYTES = 16 * 1024  # of a file of signatures
MOST_SIGNATURES = 16
HINT = 'Sign it: python -m analyzer.model_store publish FOLDER --sign KEY_FILE; docs/deploy.md, "Signatures".'
PIN_HINT = 'Publish the pinned version again, or pin this one; docs/deploy.md, "Signatures".'
KEY_HINT = "Make a pair of keys with python -m analyzer.model_store keygen KEY_FILE."


def object_name(card: bytes) -> str:
    """Return the name of the object that holds a card's signatures: a new card never meets the signatures of another one."""
    return f"card-{hashlib.sha256(card).hexdigest()}.sig"


def generate() -> tuple[str, str]:
    """Return a new private key and its public key, both base64 of 32 bytes."""
    from nacl.signing import SigningKey

    key = SigningKey.generate()
    return _text(bytes(key)), _text(bytes(key.verify_key))


def write_private_key(path: Path, key: str) -> None:
    """Write a private key to a new file that its owner alone can read.

    Raises:
        BadSetting: the file is there already or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key}\n")
    except OSError as error:
        raise BadSetting(f"{path} cannot be written: {error.strerror}.", "Name a new file.") from error


def sign(card: bytes, key_files: Sequence[Path]) -> bytes:
    """Sign a card with each private key.

    Returns:
        Content of the object `object_name`: JSON, each public key with its signature.

    Raises:
        BadSetting: a file cannot be read, or holds no private key.
    """
    from nacl.signing import SigningKey

    keys = [SigningKey(_private_key(path)) for path in key_files]
    signatures = {_text(bytes(key.verify_key)): _text(key.sign(card).signature) for key in keys}
    return json.dumps({"ed25519": signatures}, indent=1).encode() + b"\n"


def are_needed(settings: StoreSettings) -> bool:
    """Whether signatures decide what is believed."""
    return bool(settings.public_keys) and not settings.card_sha256


def check(card: bytes, signatures: bytes | None, settings: StoreSettings) -> None:
    """Check that a card may be believed: it is pinned, or signed by a publisher, or nothing is asked of it.

    Args:
        card: bytes of `card.json`; nothing in it is looked at.
        signatures: content of the object `object_name`; None where there is none.
        settings: pins, public keys, and whether unsigned cards are allowed.

    Raises:
        BadModel: it may not be believed; the message says why.
    """
    sha256 = hashlib.sha256(card).hexdigest()
    if settings.card_sha256:
        if sha256 not in settings.card_sha256:
            raise BadModel(f"The card has sha256 {sha256}, which MODEL_CARD_SHA256 does not list.", PIN_HINT)
        return
    if signatures is None or not settings.public_keys:
        if not settings.allow_unsigned:
            raise BadModel(_why_unsigned(settings), HINT)
    elif not any(_is_by(key, card, signatures) for key in settings.public_keys):
        raise BadModel("The card is signed by none of MODEL_PUBLIC_KEYS.", HINT)


def _why_unsigned(settings: StoreSettings) -> str:
    if settings.public_keys:
        return "The card is not signed, and MODEL_ALLOW_UNSIGNED is not yes."
    return "Nothing says whose artefacts are believed: set MODEL_PUBLIC_KEYS, MODEL_CARD_SHA256 or MODEL_ALLOW_UNSIGNED=yes."


def _is_by(public_key: str, card: bytes, content: bytes) -> bool:
    """Whether the signatures of a card hold a true one by this key."""
    from nacl.exceptions import CryptoError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(_bytes(public_key)).verify(card, _bytes(_listed(content)[public_key]))
    except (CryptoError, LookupError, ValueError, RecursionError):
        return False
    return True


def _listed(content: bytes) -> dict[str, str]:
    """Public key → signature, as `sign` writes them."""
    document = json.loads(content) if len(content) <= MOST_BYTES else None
    listed = document.get("ed25519") if isinstance(document, dict) else None
    if not isinstance(listed, dict) or len(listed) > MOST_SIGNATURES:
        raise ValueError("no signatures")
    return {key: value for key, value in listed.items() if isinstance(value, str)}


def _private_key(path: Path) -> bytes:
    try:
        key = _bytes(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}.", KEY_HINT) from error
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadSetting(f"{path} holds no private key, which is 32 bytes as base64.", KEY_HINT)
    return key


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
