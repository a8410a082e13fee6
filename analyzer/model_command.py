"""python -m analyzer.model_store {status,fetch,verify,publish,keygen}: the artefact of the ensemble, for operators."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analyzer import model_cache, model_card, model_publishing, opening, settings, signatures
from analyzer.errors import AnalyzerError, BadModel, BadSetting, ModelUnavailable
from analyzer.model_cache import Offer
from analyzer.model_card import CARD
from analyzer.model_download import Deadline, Reader, RemoteFile, sha256_of
from analyzer.model_sources import NAME, ModelSources
from analyzer.model_store import Bucket
from analyzer.opening import Source
from analyzer.settings import StoreSettings

DONE, FAILED, WRONG, OTHER_CONTENT = 0, 1, 2, 3
EXITS = """\
exit status:
  0  done; status: what S3 offers (S3 off: the local artefact) can be served
  1  it failed, and the reason is printed; status: only something else, or nothing, can be served
  2  the command or a setting is wrong
  3  publish: this version is in S3 with other content, or a damaged card is (--force replaces it)

Where things are is read from the environment (S3_BUCKET, MODEL_DIR ...); .env.example describes it.
"""
MIB = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        done: int = options.run(settings.read().store, options)
        return done
    except AnalyzerError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return WRONG if isinstance(error, BadSetting) else FAILED


def status(config: StoreSettings, options: argparse.Namespace) -> int:
    """What is where."""
    sources = ModelSources(config)
    told = {
        "s3": _remote(sources),
        "cache": [_cached(path) for path in sources.cache.versions()],
        "local": _local(config),
    }
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(_lines(told)))
    usable = told["s3"] if sources.bucket else told["local"]
    return FAILED if "problem" in usable else DONE


def fetch(config: StoreSettings, options: argparse.Namespace) -> int:
    """Download what S3 offers into the cache and try it, so that the service need not."""
    sources = ModelSources(config)
    bucket = _bucket(sources)
    offer = bucket.offer()
    folder = sources.cache.fetch(offer, _telling(bucket.read, offer), Deadline(config.download_timeout_s))
    print(f"{_title(offer)} is in {folder}, self-test {sources.prove(sources.cached(folder))}")
    return DONE


def verify(config: StoreSettings, options: argparse.Namespace) -> int:
    """Compare the files of a folder with its card, and open it on wish."""
    if not options.folder.is_dir():
        raise BadSetting(f"{options.folder}: there is no such folder.", "Name the folder of an artefact.")
    card = model_card.read(options.folder)
    model_card.verify(card, options.folder)
    for name in model_publishing.present(card, options.folder):
        print(f"{name}: {card.files[name].size_bytes} bytes, sha256 {card.files[name].sha256}")
    if options.open:
        result = opening.try_artefact(Source(options.folder, None, config.classes, config.precision))
        ModelSources(config).records.remember_pass(sha256_of(options.folder / CARD))
        print(f"self-test {result}")
    print(f"{card.name} {card.version} is sound")
    return DONE


def publish(config: StoreSettings, options: argparse.Namespace) -> int:
    """Upload a verified folder, signed on wish."""
    bucket = _bucket(ModelSources(config))
    card = model_card.read(options.folder)
    model_card.verify(card, options.folder)
    if not options.force and (problem := model_publishing.problem(bucket, card, options.folder)):
        print(f"{problem}; --force replaces it.", file=sys.stderr)
        return OTHER_CONTENT
    signed = signatures.sign((options.folder / CARD).read_bytes(), options.sign) if options.sign else None
    for line in model_publishing.publish(bucket, card, options.folder, signed, dry_run=options.dry_run):
        print(line, flush=True)
    return DONE


def keygen(config: StoreSettings, options: argparse.Namespace) -> int:
    """Make a pair of keys: the private one into a file, the public one for MODEL_PUBLIC_KEYS."""
    private, public = signatures.generate()
    signatures.write_private_key(options.file, private)
    print(f"the private key is in {options.file}: keep it away from the bucket and from the machines of the service")
    print(f"MODEL_PUBLIC_KEYS={public}")
    return DONE


def _bucket(sources: ModelSources) -> Bucket:
    if sources.bucket is None:
        raise BadSetting("S3 is off: S3_BUCKET is not set.", settings.HINT)
    return sources.bucket


def _telling(read: Reader, offer: Offer) -> Reader:
    """Read as before, and tell after each file's tenth how far it is."""
    print(f"{_title(offer)}: {sum(file.size_bytes for file in offer.files) / MIB:.1f} MiB", file=sys.stderr)

    def told(file: RemoteFile, offset: int) -> Iterator[bytes]:
        shown = 10 * offset // max(1, file.size_bytes)
        for chunk in read(file, offset):
            yield chunk
            offset += len(chunk)
            if 10 * offset // max(1, file.size_bytes) > shown:
                shown = 10 * offset // max(1, file.size_bytes)
                print(f"  {file.name} {10 * shown} %", file=sys.stderr, flush=True)

    return told


def _title(offer: Offer) -> str:
    return model_card.parse(offer.card).version if offer.card else offer.files[0].name


def _remote(sources: ModelSources) -> dict[str, Any]:
    if sources.bucket is None:
        return {"problem": "S3 is off: S3_BUCKET is not set."}
    place = {"location": sources.bucket.location}
    return place | _or_problem(lambda: _offered(_compared(_bucket(sources))))


def _compared(bucket: Bucket) -> Offer:
    """The offer, when no checksum that S3 keeps of its objects contradicts the card."""
    offer = bucket.offer()
    for file in offer.files:
        if offer.card and bucket.checksum(file.key) not in (None, file.sha256):
            raise BadModel(f"{file.name} in S3 has another sha256 than its card says.", "Publish the artefact again.")
    return offer


def _offered(offer: Offer) -> dict[str, Any]:
    size_bytes = sum(file.size_bytes for file in offer.files)
    return {
        "version": _title(offer),
        "content": offer.version,
        "version_id": offer.version_id,
        "size_bytes": size_bytes,
    }


def _cached(path: Path) -> dict[str, Any]:
    return {"path": str(path)} | _or_problem(lambda: _described(path, model_cache.check))


def _local(config: StoreSettings) -> dict[str, Any]:
    path = config.folder / NAME
    return {"path": str(path)} | _or_problem(
        lambda: _described(path, lambda folder: model_card.verify(model_card.read(folder), folder))
    )


def _described(path: Path, check: Callable[[Path], None]) -> dict[str, Any]:
    check(path)
    if not (path / CARD).is_file():
        return {"version": model_cache.origin(path).bare}
    return {"version": model_card.read(path).version, "content": hashlib.sha256((path / CARD).read_bytes()).hexdigest()}


def _or_problem(describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return describe()
    except ModelUnavailable as error:
        return {"problem": error.message}


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    for place in ("s3", "cache", "local"):
        entries = told[place] if isinstance(told[place], list) else [told[place]]
        for entry in entries or [{"problem": "empty"}]:
            where = entry.get("location") or entry.get("path") or ""
            content = f" (content {entry['content'][:12]})" if "content" in entry else ""
            yield f"{place:<6} {entry.get('problem') or entry['version'] + content}  {where}".rstrip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analyzer.model_store",
        description="The artefact of the ensemble: what is where, fetch it, check it, publish it.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="{status,fetch,verify,publish,keygen}")
    told = commands.add_parser("status", help="what S3, the cache and the local folder hold")
    told.add_argument("--json", action="store_true", help="as JSON")
    told.set_defaults(run=status)
    commands.add_parser("fetch", help="download what S3 offers into the cache and try it").set_defaults(run=fetch)
    checked = commands.add_parser("verify", help="compare the files of a folder with its card")
    checked.add_argument("folder", type=Path, metavar="FOLDER")
    checked.add_argument(
        "--open", action="store_true", help="also open it, in a process of its own, and run its self-test"
    )
    checked.set_defaults(run=verify)
    put = commands.add_parser("publish", help="check a folder and upload it, with checksums, its card last")
    put.add_argument("folder", type=Path, metavar="FOLDER")
    put.add_argument("--dry-run", action="store_true", help="only say what would be uploaded")
    put.add_argument("--force", action="store_true", help="replace the same version with other content")
    put.add_argument("--sign", type=Path, action="append", metavar="KEY_FILE", help="sign its card; once for each key")
    put.set_defaults(run=publish)
    keys = commands.add_parser("keygen", help="make a pair of keys for signatures")
    keys.add_argument("file", type=Path, metavar="KEY_FILE", help="new file for the private key")
    keys.set_defaults(run=keygen)
    return parser
