"""Skin tone: what the individual typology angle (ITA) of the service says of UTKFace adults, by the race code of the file name.

    python -m benchmarks.tables.tone            # held-out half, about half a minute

A race code is no skin tone and the light of the pictures is unknown, so this shows only how far the estimate can be trusted:
how much groups overlap, and how often the angle ranks a picture coded White above one coded Black.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from analyzer import skin_tone
from benchmarks import dataset

PER_GROUP = 120  # pictures
ADULT = 18  # years
QUANTILES = (10, 50, 90)  # percent
Row = dict[str, Any]


def rows(tuning: bool = False) -> list[Row]:
    """Quantiles per race code and the two rank figures; `tuning` takes the other half of the pictures."""
    split = "tuning" if tuning else "held-out"
    angles = {race: _angles(_chosen(code, tuning), race) for code, race in enumerate(dataset.RACES)}
    table = [
        {
            "figure": f"ITA, {quantile} % quantile, degrees, {race}",
            "value": float(np.percentile(values, quantile)),
            "n": len(values),
        }
        for race, values in angles.items()
        for quantile in QUANTILES
    ]
    table += [_auc_row(angles, other) for other in ("Black", "Indian")]
    return [{"table": "tone", "split": split, **row} for row in table]


def _chosen(code: int, tuning: bool) -> list[Path]:
    named = [(path, path.name.split("_")) for path in dataset.pictures("utkface/*") if dataset.held_out(path) != tuning]
    adults = [path for path, parts in named if len(parts) == 4 and int(parts[0]) >= ADULT and parts[2] == str(code)]
    picks = np.random.default_rng(dataset.SEED).permutation(len(adults))[:PER_GROUP]
    return [adults[i] for i in sorted(picks)]


def _angles(paths: list[Path], label: str) -> list[float]:
    rois = (dataset.service_roi(path) for path in dataset.progress(paths, f"tone, {label}"))
    tones = [skin_tone.estimate(roi) for roi in rois if roi is not None]
    return [tone.ita_deg for tone in tones if tone is not None]


def _auc_row(angles: dict[str, list[float]], other: str) -> Row:
    values = [*angles["White"], *angles[other]]
    white = [True] * len(angles["White"]) + [False] * len(angles[other])
    return {
        "figure": f"AUC of ITA, White above {other}",
        "value": dataset.auc(values, white),
        "interval": dataset.interval(dataset.auc, values, white),
        "n": len(values),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the half on which numbers may be chosen")
    for row in rows(tuning=parser.parse_args().tuning):
        print(f"{row['figure']}: {row['value']:.2f} {row.get('interval', '')} n {row['n']}")
