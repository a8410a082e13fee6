"""One photo of an archive -> its row, by the service's own pipeline, settings and artefact. A process holds one scorer."""

from __future__ import annotations

import logging
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import cv2
from threadpoolctl import threadpool_limits

from analyzer import settings
from analyzer.ensemble import Ensemble
from analyzer.errors import BadPhoto
from analyzer.model_sources import ModelSources
from analyzer.pipeline import analyze_photo
from analyzer.settings import MIB
from analyzer.values import ModelState
from training.command import BadInput
from training.scoring import archive, photo_rows
from training.scoring.archive import Archive, Photo
from training.scoring.photo_rows import Row


@dataclass(frozen=True)
class Job:
    """What all workers of a run agree on. Attributes: `version` of the model that all rows come from; None = there is none."""

    archive: Archive
    version: str | None


class Scorer:
    """Photos of an archive -> rows.

    Attributes:
        model: what answers beside the measurements. It is loaded once and not exchanged during a run.
    """

    def __init__(self, where: Archive) -> None:
        logging.getLogger("analyzer").addHandler(logging.NullHandler())  # what it logs, the rows say too
        self._settings = settings.read()
        cv2.setNumThreads(self._settings.opencv_threads)
        threadpool_limits(1, user_api="blas")  # as soon as a network is loaded; sums must not depend on when
        self._ensemble = Ensemble(ModelSources(self._settings.store))
        self._ensemble.refresh()
        self.model: ModelState = self._ensemble.state()
        self._files, self._root = where.open()

    @property
    def version(self) -> str | None:
        return self.model.details.get("version")

    def __call__(self, photo: Photo) -> Row:
        """The row of one photo, whatever is wrong with it."""
        start, cpu = time.perf_counter(), time.process_time()
        row = self._row(photo)
        return row | {
            "total_ms": 1000 * (time.perf_counter() - start),
            "cpu_ms": 1000 * (time.process_time() - cpu),
        }

    def _row(self, photo: Photo) -> Row:
        most = self._settings.max_body_bytes
        if photo.size_bytes > most:
            return self._failed(photo, None, photo_rows.TOO_LARGE, f"The file is larger than {most // MIB} MiB.")
        start = time.perf_counter()
        try:
            data = archive.read(self._files, self._root, photo)
        except OSError as error:
            return self._failed(photo, None, photo_rows.UNREADABLE, archive.reason(error))
        read_ms = 1000 * (time.perf_counter() - start)
        return self._analysed(photo, data) | {"read_ms": read_ms}

    def _analysed(self, photo: Photo, data: bytes) -> Row:
        try:
            report = analyze_photo(data, self._ensemble, max_pixels=self._settings.max_pixels)
        except BadPhoto as error:
            return photo_rows.unfit(photo, data, error, self.model)
        except Exception as error:  # one photo never ends a run of a million; the service would answer 500
            traceback.print_exc()
            return self._failed(
                photo, data, photo_rows.FAILED, f"The analysis failed on this photo ({type(error).__name__})."
            )
        return photo_rows.analysed(photo, data, report, self.model)

    def _failed(self, photo: Photo, data: bytes | None, code: str, message: str) -> Row:
        return photo_rows.failed(photo, data, code, message, self.model)


def agreeing(job: Job, make: Callable[[Archive], Scorer] = Scorer) -> Scorer:
    """A scorer of a worker that has the model which the run began with.

    Raises:
        BadInput: its machine has another one.
    """
    scorer = make(job.archive)
    if scorer.version != job.version:
        raise BadInput(
            f"{platform.node()} has the model {scorer.version or 'of no version'} where the run has "
            f"{job.version or 'none'}: give all machines the same MODEL_DIR, or the same access to S3 "
            f"({scorer.model.reason or scorer.model.fallback_reason or 'nothing failed'})."
        )
    return scorer
