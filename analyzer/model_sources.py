"""Settings -> the artefact that is to be served, as verified files: what S3 offers, what it offered earlier, the local folder."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from analyzer import model_cache, model_card, opening, signatures
from analyzer.errors import BadModel, CrashingModel, ModelUnavailable
from analyzer.model_cache import ModelCache, Offer
from analyzer.model_download import Deadline
from analyzer.model_store import BARE_HINT, Bucket
from analyzer.opening import Source
from analyzer.settings import BUNDLED_MODELS, StoreSettings
from analyzer.trial_records import TrialRecords
from analyzer.vocabulary import ModelSource

log = logging.getLogger("analyzer.model_sources")

NAME = "hare_run_v6_facial"  # folder of the artefact
BARE_FILES = (f"{NAME}/best_facial_model.keras", f"{NAME}/best_facial_model.h5", "fixed_model_best.h5")
SHIPPED = BUNDLED_MODELS / NAME / "shipped.sha256"
NOTHING = "No ensemble artefact is installed."
HINT = "Publish a model artefact; see docs/deploy.md."
AGAIN_HINT = "Publish a better version, or send SIGHUP to have it tried again."
# A refusal kept as its kind and sentence: an exception would keep the artefact that its traceback passed in memory.
Refusal = tuple[type[BadModel], str]
PLACES: Mapping[ModelSource, str] = {
    ModelSource.S3: "S3",
    ModelSource.CACHE: "the cache",
    ModelSource.LOCAL: "the local folder",
}


@dataclass(frozen=True)
class Candidate:
    """Something that may be opened.

    Attributes:
        source: S3 where S3 says that it is the present version; CACHE where it was fetched earlier and S3 did not say so now;
            LOCAL where it lies in MODEL_DIR.
        path: folder with a card, or a bare Keras file.
        version: the same for the same content: sha256 of the card; of a bare file, its own or that of its description in S3.
        sha256: of a bare file.
        s3_location, s3_version_id: of the same content in S3, where that is known.
        note: why a source that was preferred is not this one, for operators.
    """

    source: ModelSource
    path: Path
    version: str
    sha256: str | None = None
    s3_location: str | None = None
    s3_version_id: str | None = None
    note: str | None = None


class ModelSources:
    """Where the artefact comes from. Nothing is given out that was not verified or is known to be bad."""

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self.bucket = Bucket(settings) if settings.bucket else None
        place = f"{settings.endpoint_url}|{settings.bucket}|{settings.prefix}|{settings.key}"
        self.cache = ModelCache(settings.cache / hashlib.sha256(place.encode()).hexdigest()[:16])
        self.records = TrialRecords(settings.cache / "trials", settings.precision)
        self._refused: dict[str, Refusal] = {}

    def wanted(self, current: Candidate | None = None, stopped: threading.Event | None = None) -> Candidate:
        """What should be served: what S3 offers, fetched and verified; where S3 is off, the local artefact.

        Args:
            current: what is served now; when nothing is newer it is the answer, and its files are not read again. If they
                are gone from the cache they are fetched anew, for the next start.
            stopped: set when the process stops, to give up a download.

        Raises:
            ModelUnavailable: (or BadModel) it cannot be had, or is known to be bad.
        """
        if self.bucket is None:
            return self._first_local(current)
        kept = current if current and current.path.exists() else None
        believed = kept.version if kept and kept.s3_location else None
        offer = self.bucket.offer(kept.version if kept else None, believed)
        if kept and offer.version == kept.version:
            return _confirmed(kept, offer)
        self._check_refused(offer.version, offer.identity)
        local, note = self._same_local(offer)
        if local:
            return _confirmed(local, offer)
        return replace(self._fetched(offer, stopped), note=note)

    def fallbacks(self) -> Iterator[Callable[[], Candidate]]:
        """What else may be served, best first. Each call gives one candidate, or raises ModelUnavailable with the reason.

        Of the cache only what passed a trial: what was fetched last may be the very version that nobody can serve.
        """
        if self.bucket:
            passed = (path for path in self.cache.versions() if self.records.has_ever_passed(path.name))
            yield from (partial(self.cached, version) for version in passed)
        yield from self._locals()

    def cached(self, folder: Path) -> Candidate:
        """A version of the cache, if it may be opened.

        Raises:
            BadModel: it was refused, may not be believed any more, or has no sound record.
        """
        origin = model_cache.origin(folder)
        self._check_refused(folder.name)
        path = folder
        if origin.bare:
            self._check_bare(origin.bare, origin.sha256 or "")
            path = folder / origin.bare
        else:
            signatures.check(*model_cache.signed_card(folder), self.settings)
        return Candidate(ModelSource.CACHE, path, folder.name, origin.sha256, origin.location, origin.version_id)

    def prove(self, candidate: Candidate, stopped: threading.Event | None = None) -> str:
        """Have a version that is new on this machine tried in a process of its own; what that showed.

        Args:
            stopped: set when this process stops, to give the trial up.

        Raises:
            CrashingModel: it ended that process; it is not given out again until `forgive`.
            BadModel: it failed its self-test; the same.
            ModelUnavailable: it could not be tried now.
        """
        if self._is_proven(candidate.version):
            return "passed before"
        try:
            result = opening.try_artefact(self.source(candidate), stopped)
        except BadModel as error:
            raise self.refuse(candidate, error) from error
        self.records.remember_pass(candidate.version)
        log.info("trial_passed", extra={"fields": {"content": candidate.version}})
        return result

    def source(self, candidate: Candidate) -> Source:
        """How a candidate is opened."""
        return Source(candidate.path, candidate.sha256, self.settings.classes, self.settings.precision)

    def opening(self, candidate: Candidate) -> AbstractContextManager[None]:
        """Leave a mark on the disk while this process opens a candidate: should it die of it, the next one knows."""
        return self.records.opening(candidate.version)

    def approve(self, candidate: Candidate) -> None:
        """Its self-test passed: keep it, and the one before it."""
        self.records.forget_deaths(candidate.version)
        if candidate.source != ModelSource.LOCAL:
            self.records.remember_pass(candidate.version)
            self.cache.approve(self.cache.folder / candidate.version)

    def refuse(self, candidate: Candidate, cause: Exception) -> BadModel:
        """It cannot be served: it is not given out again until `forgive`. The refusal, for operators."""
        why = f"it cannot be opened ({type(cause).__name__})."
        if isinstance(cause, ModelUnavailable):
            why = f"{cause.message} {cause.hint}"
        kind = CrashingModel if isinstance(cause, CrashingModel) else BadModel
        refusal = kind(f"What {PLACES[candidate.source]} holds was refused: {why}", AGAIN_HINT)
        self._refused[candidate.version] = (kind, refusal.message)
        if candidate.source != ModelSource.LOCAL:
            self.cache.refuse(self.cache.folder / candidate.version)
        return refusal

    def forgive(self) -> None:
        """Forget what was refused, so that it is tried once more."""
        self._refused.clear()
        self.records.forget_deaths()

    def _is_proven(self, version: str) -> bool:
        """Whether a version need not be tried: it passed here, or is the one that came with the code and was tested with it."""
        known = version in _shipped() or self.records.has_passed(version)
        return known and not self.records.has_deaths(version)

    def _fetched(self, offer: Offer, stopped: threading.Event | None) -> Candidate:
        assert self.bucket is not None
        try:
            self.cache.fetch(offer, self.bucket.read, Deadline(self.settings.download_timeout_s, stopped))
            return replace(self.cached(self.cache.folder / offer.version), source=ModelSource.S3)
        except BadModel as error:
            self._refused[offer.identity] = (type(error), error.message)
            raise

    def _same_local(self, offer: Offer) -> tuple[Candidate | None, str | None]:
        """The local artefact when it is what S3 offers and sound; else why it is not, if it should be."""
        try:
            local = self._local_folder()
            if local.version != offer.version:
                return None, None
            model_card.verify(model_card.read(local.path), local.path)
            return local, None
        except BadModel as error:
            return None, f"The local artefact is not used: {error.message}"
        except ModelUnavailable:
            return None, None

    def _first_local(self, current: Candidate | None) -> Candidate:
        make = next(self._locals(), None)
        if make is None:
            raise ModelUnavailable(NOTHING, HINT)
        found = make()
        return current if current and current.version == found.version else found

    def _locals(self) -> Iterator[Callable[[], Candidate]]:
        if (self.settings.folder / NAME / model_card.CARD).is_file():
            yield self._local_folder
        for name in BARE_FILES:
            if (self.settings.folder / name).is_file():
                yield partial(self._local_bare, self.settings.folder / name)

    def _local_folder(self) -> Candidate:
        folder = self.settings.folder / NAME
        model_card.read(folder)
        version = _sha256(folder / model_card.CARD)
        self._check_refused(version)
        return Candidate(ModelSource.LOCAL, folder, version)

    def _local_bare(self, path: Path) -> Candidate:
        sha256 = _sha256(path)
        self._check_refused(sha256)
        self._check_bare(path.name, sha256)
        return Candidate(ModelSource.LOCAL, path, sha256, sha256)

    def _check_bare(self, name: str, sha256: str) -> None:
        """A bare file needs a sha256 that the operator named, or the operator's word that none is needed."""
        named = self.settings.sha256
        if named and sha256 not in named:
            raise BadModel(f"{name} has sha256 {sha256}, which MODEL_SHA256 does not list.", BARE_HINT)
        if not named and not self.settings.trust_bare:
            raise BadModel(f"{name} has no card.", BARE_HINT)

    def _check_refused(self, version: str, identity: str | None = None) -> None:
        """What was refused is not given out again, nor what processes died of."""
        if refusal := self._refused.get(identity or version) or self._refused.get(version):
            raise refusal[0](refusal[1], AGAIN_HINT)
        if problem := self.records.problem(version):
            raise CrashingModel(f"Version {version[:12]} is kept out: {problem}", AGAIN_HINT)


def _confirmed(candidate: Candidate, offer: Offer) -> Candidate:
    """The candidate, now that S3 says that its content is the present one."""
    source = ModelSource.LOCAL if candidate.source == ModelSource.LOCAL else ModelSource.S3
    return replace(candidate, source=source, s3_location=offer.location, s3_version_id=offer.version_id, note=None)


@cache
def _shipped() -> frozenset[str]:
    """Versions that are tested with the code: lines of sha256sum over their cards."""
    lines = SHIPPED.read_text(encoding="ascii").splitlines() if SHIPPED.is_file() else []
    return frozenset(line.split()[0] for line in lines if line)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadModel(f"{path.name} cannot be read: {error.strerror}.", HINT) from error
