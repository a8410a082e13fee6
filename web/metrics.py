"""Prometheus metrics of one process. The server runs one process, so that these numbers are the service's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from web.admission import Admission

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = ("GET", "HEAD", "POST", "OPTIONS")


class Metrics:
    """Counters and timings; labels come from fixed sets, never from what a caller sends."""

    def __init__(self, admission: Admission) -> None:
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
        running = Gauge("skin_gate_running", "Places taken.", ("gate",), registry=own)
        waiting = Gauge("skin_gate_waiting", "Requests that wait for a place.", ("gate",), registry=own)
        for name, gate in (("bodies", admission.bodies), ("analyses", admission.analyses), ("large", admission.large)):
            running.labels(name).set_function(partial(getattr, gate, "running"))
            waiting.labels(name).set_function(partial(getattr, gate, "waiting"))
        ProcessCollector(registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method if method in METHODS else "other", str(status)).inc()
        self._duration.labels(route).observe(seconds)

    def stages(self, timings_ms: Mapping[str, float]) -> None:
        for stage, milliseconds in timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000.0)

    def refusal(self, code: str) -> None:
        self._refusals.labels(code).inc()

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self._registry)
