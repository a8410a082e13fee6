"""The network of the runtime benchmark is what its table says, and every runtime that is there answers alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import runtime


def test_network_has_100_million_multiply_adds() -> None:
    side, operations = runtime.SIZE_PX, 0
    for (_, stride), weight in zip(runtime.LAYERS, runtime.random_weights(), strict=True):
        side //= stride
        operations += side * side * weight.size
    assert 0.98e8 < operations < 1.02e8


def test_rows_are_measured_and_agree(tmp_path: Path) -> None:
    weights = runtime.random_weights()
    runtime.save_openvino(weights, tmp_path)
    with_onnx = runtime.save_onnx(weights, tmp_path)
    rows = [row for row in runtime.ROWS if row[1] == "f32" and row[2] == 1 and runtime.usable(row[0], with_onnx)]
    measured = [runtime.measure(*row, tmp_path, calls=2) for row in rows]
    assert measured[0]["runtime"] == "openvino"
    for row in measured:
        assert row["cold_s"] > 0 < row["median_ms"] <= row["p95_ms"]
        assert row["installed_mb"] > 10
        np.testing.assert_allclose(row["output"], measured[0]["output"], atol=1e-4 * np.abs(row["output"]).max())
        assert np.std(row["output"]) > 0
