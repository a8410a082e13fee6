"""Not written yet."""

from __future__ import annotations

from analyzer import calibration
from analyzer.roi import Roi
from analyzer.values import Finding


def measure(roi: Roi) -> Finding:
    return calibration.not_measured("pigmentation", "not_written", "This measurement is not written yet.")
