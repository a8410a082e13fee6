"""A photo and what the service found -> one row of a table: flat columns, so that any tool that reads Parquet can ask about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from analyzer.combination import judge
from analyzer.conditions import CONDITIONS
from analyzer.errors import BadPhoto
from analyzer.model_sources import NAME
from analyzer.values import Finding, ModelState, Report
from training.scoring.archive import Photo

STAGES = ("decode", "face", "roi", "conditions", "ensemble")  # of the pipeline, as it times them
DURATIONS = (
    "read_ms",
    *(f"{name}_ms" for name in STAGES),
    "total_ms",
    "cpu_ms",
)  # the last: processor time of the process
UNREADABLE = "unreadable"  # its bytes could not be had: not kept, so that the next run tries again
TOO_LARGE, FAILED, LOST = "too_large", "internal_error", "worker_lost"
Row = dict[str, Any]


def _columns() -> list[tuple[str, pa.DataType]]:
    text, number = pa.string(), pa.float64()
    kinds = {"score": number, "low": number, "high": number, "severity": text, "reason": text}
    return [
        ("path", text),  # below the archive's root
        ("sha256", text),  # null where the file was not read: larger than the service takes
        ("size_bytes", pa.int64()),
        ("width", pa.int32()),  # pixels of the upright original
        ("height", pa.int32()),
        ("error_code", text),  # the service's code; null where the photo was analysed
        ("message", text),  # its sentence
        ("primary_condition", text),
        ("confidence", number),  # of the primary condition, 0..1
        ("health_score", number),  # 0..100
        *((f"{name}_{kind}", its) for name in CONDITIONS for kind, its in kinds.items()),
        ("ensemble_outcome", text),  # docs/ensemble.md
        ("ensemble_probability", number),
        ("ensemble_takes_part", pa.bool_()),
        ("model", text),  # null where no artefact was there
        ("model_version", text),
        ("degraded_reason", text),
        *((name, number) for name in DURATIONS),
    ]


SCHEMA = pa.schema(_columns())
EMPTY: Row = dict.fromkeys(SCHEMA.names)


def analysed(photo: Photo, data: bytes, report: Report, model: ModelState) -> Row:
    """The row of a photo that could be decoded; a refusal has a code and no findings."""
    width, height = report.photo.original_size
    refused = report.error_code is not None
    row = {
        **failed(photo, data, report.error_code, report.guidance.message if refused else None, model),
        "width": width,
        "height": height,
        "degraded_reason": report.model.reason,
        **{f"{name}_ms": report.timings_ms.get(name) for name in STAGES},
    }
    if refused:
        return row
    row |= {name: getattr(report, name) for name in ("primary_condition", "confidence", "health_score")}
    for finding in report.findings:
        row |= _found(finding)
    return row | _opinion(report)


def unfit(photo: Photo, data: bytes, error: BadPhoto, model: ModelState) -> Row:
    """The row of bytes that are no picture that the service takes."""
    return failed(photo, data, error.code, error.message, model)


def failed(photo: Photo, data: bytes | None, code: str | None, message: str | None, model: ModelState) -> Row:
    """The row of a photo of which nothing but a code is known."""
    version = model.details.get("version")
    return EMPTY | {
        "path": photo.path,
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "size_bytes": photo.size_bytes if data is None else len(data),
        "error_code": code,
        "message": message,
        "model": None if version is None else NAME,
        "model_version": version,
        "degraded_reason": model.reason,
    }


def _found(finding: Finding) -> Mapping[str, Any]:
    low, high = finding.interval or (None, None)
    measured = finding.score is not None
    values = {
        "score": finding.score,
        "low": low,
        "high": high,
        "severity": finding.severity.value if measured else None,
        "reason": finding.reason,
    }
    return {f"{finding.name}_{kind}": value for kind, value in values.items()}


def _opinion(report: Report) -> Mapping[str, Any]:
    if report.prediction is None:
        return {}
    opinion = judge(report.prediction, report.findings)
    return {
        "ensemble_outcome": opinion.outcome,
        "ensemble_probability": opinion.outcomes[opinion.outcome],
        "ensemble_takes_part": opinion.takes_part,
    }
