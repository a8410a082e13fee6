"""Test pictures and a network -> for each condition, pictures that have it and where the network sees the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, head
from training import gradcam
from training.multilabel.figures import Answers
from training.multilabel.outcome import Served
from training.reporting import plots

SHOWN = 2  # pictures of a condition, those of which the network is surest


def write(served: Served, crops: NDArray[np.uint8], answers: Answers, folder: Path) -> dict[str, Path]:
    """Condition → PNG with pictures and their maps; conditions that no test picture has are left out.

    The maps are Grad-CAM as the service draws it: the features are means of the last maps, so that the gradient of a condition's
    logit by a feature weighs that map (Selvaraju et al., ICCV 2017); maps are what differs from the usual picture.

    Args:
        crops: (N, S, S, 3) uint8 of the pictures that were answered to.
    """
    assert answers.shares is not None
    dense, network, found = head.of_layers(served.chain), served.compiled.opened().network, {}
    for place, name in enumerate(answers.conditions):
        rows = _surest(answers.truth.present[:, place], answers.shares[:, place])
        if not len(rows):
            continue
        shown: list[NDArray[np.uint8]] = []
        titles: list[str] = []
        for row in rows:
            given = network(crops[row][None])
            maps = [given[port][0] for port in given if port != artefact.FEATURES]
            seen = head.activation_map(maps, dense.gradient(given[artefact.FEATURES][0], place))
            shown += [crops[row], gradcam.drawn(crops[row], seen)]
            titles += [f"{name}, severity {_said(answers, row, place)}", f"evidence, {answers.shares[row, place]:.2f}"]
        found[name] = plots.save(plots.sheet(shown, titles), folder / f"explanation_{name}.png")
    return found


def _surest(there: NDArray[np.bool_], shares: NDArray[np.float64]) -> Sequence[int]:
    rows = np.flatnonzero(there)
    return rows[np.argsort(-shares[rows], kind="stable")][:SHOWN].tolist()


def _said(answers: Answers, row: int, place: int) -> str:
    severity = int(answers.truth.severity[row, place])
    return f"{severity}, answered {answers.severity[row, place]}" if severity >= 0 else "not labelled"
