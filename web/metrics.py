"""Prometheus metrics of one process. The server runs one process, so that these numbers are the service's."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from analyzer.ensemble import Ensemble
from analyzer.pipeline import STAGES
from web.admission import Admission
from web.gates import QUEUE
from web.readiness import Readiness

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 6.5, 10.0, 15.0, 30.0)
METHODS = ("GET", "HEAD", "POST", "OPTIONS")


class Metrics:
    """Counters and timings; labels come from fixed sets, never from what a caller sends."""

    def __init__(self, admission: Admission, ensemble: Ensemble, readiness: Readiness, cache: Path) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self._requests = Counter("skin_requests", "Answered requests.", ("route", "method", "status"), registry=own)
        self._duration = Histogram(
            "skin_request_seconds",
            "Until the answer was made.",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self._stages = Histogram("skin_stage_seconds", "Stages.", ("stage",), buckets=SECONDS, registry=own)
        self._refusals = Counter("skin_refusals", "Requests without a report, by error code.", ("code",), registry=own)
        self._abandonments = Counter(
            "skin_requests_abandoned", "Requests given up because their client left.", ("stage",), registry=own
        )
        for stage in (QUEUE, *STAGES):
            self._abandonments.labels(stage)
        self._gates(admission)
        self._gauges(ensemble, readiness, cache)
        self._limit_failures = Counter(
            "skin_rate_limit_redis_failures", "Calls of the rate limit's Redis that failed.", registry=own
        )
        self._mended = Counter(
            "skin_answers_mended", "Answers that went out without a part, because it failed.", registry=own
        )
        ProcessCollector(registry=own)

    def _gates(self, admission: Admission) -> None:
        own = self._registry
        running = Gauge("skin_gate_running", "Places taken.", ("gate",), registry=own)
        waiting = Gauge("skin_gate_waiting", "Requests that wait for a place.", ("gate",), registry=own)
        for name, gate in (("bodies", admission.bodies), ("analyses", admission.analyses)):
            running.labels(name).set_function(partial(getattr, gate, "running"))
            waiting.labels(name).set_function(partial(getattr, gate, "waiting"))
        memory = Gauge("skin_decode_bytes", "Memory that pictures being analysed may take while decoded.", registry=own)
        memory.set_function(partial(getattr, admission.analyses, "held_memory"))

    def _gauges(self, ensemble: Ensemble, readiness: Readiness, cache: Path) -> None:
        own = self._registry
        ready = Gauge("skin_ready", "1 as soon as one picture went through the whole analysis.", registry=own)
        ready.set_function(lambda: float(readiness.ready))
        loaded = Gauge("skin_model_loaded", "1 while an artefact of the ensemble answers.", registry=own)
        loaded.set_function(lambda: float(ensemble.state().available))
        fallback = Gauge("skin_model_fallback", "1 while a preferred source of the model fails.", registry=own)
        fallback.set_function(lambda: float(ensemble.state().fallback_reason is not None))
        kept_out = Gauge("skin_model_kept_out", "1 while a version that crashes should be served.", registry=own)
        kept_out.set_function(lambda: float(ensemble.keeps_out_crashing))
        own.register(FailedLooks(ensemble))
        free = Gauge("skin_model_cache_free_bytes", "Room on the disk of the model cache.", registry=own)
        free.set_function(partial(free_bytes, cache))

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self._duration.labels(route).observe(seconds)

    def stages(self, timings_ms: Mapping[str, float]) -> None:
        for stage, milliseconds in timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000.0)

    def refusal(self, code: str) -> None:
        self._refusals.labels(code).inc()

    def abandonment(self, stage: str) -> None:
        self._abandonments.labels(stage).inc()

    def answer_mended(self) -> None:
        self._mended.inc()

    def rate_limit_failure(self) -> None:
        self._limit_failures.inc()

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True, eq=False)
class FailedLooks(Collector):
    """A counter that the ensemble keeps itself."""

    ensemble: Ensemble

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "skin_model_failed_looks", "Looks for the model that failed.", value=self.ensemble.failed_looks
        )


def free_bytes(folder: Path) -> float:
    """Room on the disk of a folder, or of what there is of its path; NaN where that cannot be asked."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return float(shutil.disk_usage(folder).free)
    except OSError:
        return float("nan")
