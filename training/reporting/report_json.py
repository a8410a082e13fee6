"""Findings of a run -> what metrics.json says: plain numbers for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from analyzer.artefact import EARNED
from analyzer.model_card import Metric
from training.evaluation.scores import ECE
from training.reporting.findings import MODEL, Findings, Run


def as_json(found: Findings, run: Run) -> dict[str, Any]:
    """Everything in `Findings` and the candidates, of plain numbers; what cannot be told is left out or null."""
    return {
        "classes": list(run.classes),
        "pictures": len(run.pictures),
        "overall": plain(found.overall[MODEL]),
        "per class": plain(found.classes),
        "confusion": found.confusion.tolist(),
        "calibration": {"temperature": run.temperature}
        | {f"{ECE} {when}": plain(one) for when, one in found.calibration.items()},
        "baselines": {
            name: {
                "overall": plain(figures),
                "per class": plain(found.classes_of_baselines[name]),
                "lead": plain(found.leads[name]),
            }
            for name, figures in found.overall.items()
            if name != MODEL
        },
        "candidates": plain(run.candidates),
        "groups": {
            attribute: {
                one.name: {"pictures": one.count, "healthy": one.healthy, "too few": one.too_few} | plain(one.figures)
                for one in held
            }
            for attribute, held in {**found.people, **found.pictures}.items()
        },
        "targets": [
            {"target": one.figure, "asked": one.asked, "measured": plain(one.measured), "verdict": one.verdict}
            for one in found.targets
        ],
        "healthy through the clinical crop": None
        if found.matched is None
        else {
            "before": plain(found.matched.before),
            "after": plain(found.matched.after),
            "changes": plain(found.matched.changes),
        },
        f"chance of {EARNED}": found.chance,
        "may speak": found.silence is None,
        "silence": found.silence,
    }


def plain(value: Any) -> Any:
    """Of JSON's own types; a number that is not finite becomes null."""
    if isinstance(value, Metric):
        return {name: plain(one) for name, one in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
