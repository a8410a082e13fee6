"""The learned part of the analysis: loads an artefact, answers with it, and swaps it for a newer one while answers go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

# The first np.median imports it, and that parses Python, as does reading an artefact's arrays in a thread of this module.
# Of two threads that parse at once one may fail in CPython before 3.11.8 and 3.12.2 (gh-106905): here nothing else runs yet.
import numpy.ma  # noqa: F401

from analyzer import opening, preprocessing
from analyzer.errors import CrashingModel, ModelUnavailable
from analyzer.model_sources import HINT, NOTHING, Candidate, ModelSources
from analyzer.roi import Roi
from analyzer.values import Demographics, ModelState, Prediction

log = logging.getLogger("analyzer.ensemble")

OPENING_S = 30.0  # that an answer waits beyond `start_wait_s` for the very first load
STOP_S = 10.0  # that a stop waits for the threads, which may be opening an artefact
NOBODY = Demographics()
ALONE = "the report rests on the classical measurements alone."


class Artefact(Protocol):
    """What is opened: `analyzer.artefact.Artefact`, or a stand-in of a test."""

    def predict(self, picture: Any, demographics: Demographics) -> Prediction:
        """Answer to the inner square of a face (`analyzer.preprocessing`)."""

    def describe(self) -> Mapping[str, Any]:
        """Fields of `model_info` and of the model status."""


Opener = Callable[[Candidate], Artefact]


@dataclass(frozen=True, eq=False)
class Loaded:
    """An artefact that passed its self-test, what it says of itself, and where it came from."""

    artefact: Artefact
    candidate: Candidate
    description: Mapping[str, Any]


class Ensemble:
    """A place in the pipeline that a verified artefact fills.

    One attribute, `_loaded`, is what answers; a swap sets it. A request that began with the old artefact ends with it, and
    the old one's memory goes with the last of them.
    """

    def __init__(self, sources: ModelSources | None = None, opener: Opener | None = None) -> None:
        """Prepare an ensemble without an artefact.

        Args:
            sources: of artefacts; None = there never is one.
            opener: of a test; what it opens is no native code and is not tried before.
        """
        self._sources = sources
        self._open = opener
        self._loaded: Loaded | None = None
        self._fallback_reason: str | None = None
        self.failed_looks = 0  # since the start: how often what should be served could not be had
        self.keeps_out_crashing = False  # a version that should be served, because it crashes
        self._threads: list[threading.Thread] = []
        self._turn = threading.RLock()  # one opening at a time: two would hold twice the memory
        self._trial = threading.Lock()  # one trial at a time, beside answers and openings
        self._asked = threading.Event()  # the first look at what is wanted ended, well or not
        self._decided = threading.Event()  # the first load ended, well or not
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def start(self, *, watch: bool = True) -> None:
        """Begin the first load, and the watch for newer versions, once; returns at once. Never before a fork."""
        if self._threads or self._sources is None:  # asked without the lock, which an opening holds
            return
        with self._turn:
            if self._threads:
                return
            self._threads = [threading.Thread(target=self._run, args=(watch,), name="ensemble", daemon=True)]
            if self._sources.bucket:
                self._threads.append(
                    threading.Thread(target=self._begin_without_s3, name="ensemble-start", daemon=True)
                )
            for thread in self._threads:
                thread.start()

    def request_refresh(self) -> None:
        """Have the watch look for a newer version now; may be called by a signal handler."""
        self._wake.set()

    def stop(self) -> None:
        """End the watch and give up a download."""
        self._stopped.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(STOP_S)
        if self._sources is not None:
            self._sources.records.abandon()

    def state(self) -> ModelState:
        """What is loaded; never loads anything."""
        loaded, reason = self._loaded, self._fallback_reason
        if loaded is None:
            return ModelState(False, f"{self._absence()}; {ALONE}", fallback_reason=reason)
        candidate = loaded.candidate
        origin = {
            "source": candidate.source,
            "path": str(candidate.path),
            "s3_location": candidate.s3_location,
            "s3_version_id": candidate.s3_version_id,
        }
        return ModelState(True, None, {**loaded.description, **origin}, reason)

    def predict(self, roi: Roi, demographics: Demographics = NOBODY) -> Prediction:
        """The artefact's answer to a face; during the very first load it waits for its end.

        Raises:
            ModelUnavailable: no verified artefact is loaded, or it failed on this face.
        """
        self.start(watch=False)
        if self._sources is not None:
            self._decided.wait(self._sources.settings.start_wait_s + OPENING_S)
        loaded = self._loaded
        if loaded is None:
            raise ModelUnavailable(self.state().reason or "", HINT)
        try:
            return loaded.artefact.predict(preprocessing.inner_square(roi), demographics)
        except ModelUnavailable:
            raise
        except Exception as error:
            log.exception("prediction_failed")
            raise ModelUnavailable(f"The ensemble failed on this face; {ALONE}", HINT) from error

    def refresh(self) -> None:
        """Look for what should be served, and serve it if it passes its trial and its self-test; else what is served stays."""
        assert self._sources is not None
        loaded = self._loaded
        try:
            candidate = self._sources.wanted(loaded.candidate if loaded else None, self._stopped)
            self._asked.set()
            self._prove(candidate)
            with self._turn:
                self._serve(candidate)
                self.keeps_out_crashing = False
                self._tell([candidate.note] if candidate.note else [])
        except ModelUnavailable as error:
            self._asked.set()
            self.failed_looks += 1
            failures = [error, *self._load_fallback()]
            with self._turn:
                self.keeps_out_crashing = any(isinstance(failure, CrashingModel) for failure in failures)
                self._tell([failure.message for failure in failures])

    def _run(self, watch: bool) -> None:
        """The first load; then, on a watch, a look every `poll_s` and whenever one is asked for."""
        assert self._sources is not None
        pause_s = (self._sources.bucket and self._sources.settings.poll_s) or None
        while not self._stopped.is_set():
            try:
                self.refresh()
            except Exception:
                log.exception("refresh_failed")
            self._asked.set()
            self._decided.set()
            if not watch:
                return
            if self._wake.wait(pause_s) and not self._stopped.is_set():
                self._wake.clear()
                self._sources.forgive()
                log.info("model_looked_for")

    def _begin_without_s3(self) -> None:
        """Open what is there while S3 is asked, and answer with it if S3 does not deliver soon; what comes is taken up then."""
        assert self._sources is not None
        wait_s = self._sources.settings.start_wait_s
        end = time.monotonic() + wait_s
        failures = self._load_fallback()
        if self._decided.wait(max(0.0, end - time.monotonic())):
            return
        if self._loaded is not None or not self._asked.is_set():
            self._decided.set()
        with self._turn:
            if not self._asked.is_set():
                self._tell(
                    [
                        f"S3 had not delivered within {wait_s:g} s of the start; that goes on.",
                        *(each.message for each in failures),
                    ]
                )

    def _load_fallback(self) -> list[ModelUnavailable]:
        """Load the best of what is there, unless something is loaded; why what was better could not be."""
        assert self._sources is not None
        failures = []
        for make in self._sources.fallbacks() if self._loaded is None else ():
            try:
                candidate = make()
                self._prove(candidate)
                with self._turn:
                    if self._loaded is None:
                        self._serve(candidate)
                break
            except ModelUnavailable as error:
                failures.append(error)
        return failures

    def _prove(self, candidate: Candidate) -> None:
        """Have a candidate tried outside this process, unless it is loaded or passed on this machine before."""
        assert self._sources is not None
        loaded = self._loaded
        if self._open is None and (loaded is None or loaded.candidate.version != candidate.version):
            with self._trial:
                self._sources.prove(candidate, self._stopped)

    def _serve(self, candidate: Candidate) -> None:
        """Open a candidate beside what is loaded, then swap; held by `_turn`.

        Raises:
            ModelUnavailable: it cannot be opened, or failed its self-test; it is not tried again.
        """
        assert self._sources is not None
        loaded = self._loaded
        if loaded is not None and loaded.candidate.version == candidate.version:
            self._loaded = replace(loaded, candidate=candidate)
            if loaded.candidate.source != candidate.source:
                log.info(
                    "ensemble_source", extra={"fields": {"source": candidate.source, "content": candidate.version}}
                )
            return
        artefact = self._opened(candidate)
        said = {**artefact.describe(), "loaded_at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._loaded = Loaded(artefact, candidate, said)
        self._sources.approve(candidate)
        fields = {"source": candidate.source, "version": said.get("version"), "content": candidate.version}
        log.info("ensemble_loaded", extra={"fields": fields})

    def _opened(self, candidate: Candidate) -> Artefact:
        assert self._sources is not None
        try:
            with self._sources.opening(candidate):
                return self._open(candidate) if self._open else opening.open_artefact(self._sources.source(candidate))
        except Exception as error:
            if not isinstance(error, ModelUnavailable):
                log.exception("opening_failed")
            raise self._sources.refuse(candidate, error) from error

    def _tell(self, reasons: Sequence[str]) -> None:
        """Keep the reasons for the status, and log them once; held by `_turn`."""
        reason = " ".join(dict.fromkeys(reasons)) or None
        if reason and reason != self._fallback_reason:
            folder = str(self._sources.settings.folder) if self._sources else None
            log.warning("ensemble_fallback", extra={"fields": {"reason": reason, "folder": folder}})
        if self._fallback_reason and not reason:
            log.info("ensemble_fallback_over")
        self._fallback_reason = reason

    def _absence(self) -> str:
        if self._sources is None or self._fallback_reason == NOTHING:
            return NOTHING.rstrip(".")
        return "No ensemble artefact can be used" if self._decided.is_set() else "The ensemble is not loaded yet"
