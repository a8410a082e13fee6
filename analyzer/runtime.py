"""Compiled networks: load, precision, threads. The only place that imports the inference runtime (decision 0006).

Load in the process that serves, never before a fork: a forked copy has none of the runtime's threads and waits for ever.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analyzer.errors import BadModel

TELEMETRY = "openvino_telemetry"  # sends to Google Analytics on import, through a forked process, unless it is absent
TOOLS = "openvino.tools.ovc"  # converters: not needed to serve, and most of what the import costs
PRECISIONS = ("f32", "bf16")
REQUESTS = 2  # callers inside one network at a time; further ones wait. Each costs one set of inputs and outputs
KEPT_KERNELS = 64  # prepared layers kept for input shapes met before; its own limit, 5000, is no bound on memory
HINT = "Fetch the artefact again, or make it anew with its training script."


@cache
def openvino() -> ModuleType:
    """OpenVINO, imported on first use: silent, and without its converters.

    Whoever needs the converters imports `openvino.tools.ovc` afterwards; telemetry stays blocked in this process.
    """
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]  # None makes its import fail, which is handled
    tools_are_new = TOOLS not in sys.modules
    if tools_are_new:
        sys.modules[TOOLS] = None  # type: ignore[assignment]
    try:
        import openvino  # type: ignore[import-untyped]
    finally:
        if tools_are_new:
            sys.modules.pop(TOOLS, None)
    return openvino


class Network:
    """A compiled network, for any number of threads.

    Attributes:
        inputs: name → (shape, dtype) of what it takes; None where any size fits.
        outputs: names of what it gives.
        precision: of the arithmetic as the runtime reports it, ``"f32"`` or ``"bf16"``.
    """

    def __init__(self, compiled: Any, requests: int) -> None:
        self.inputs = {
            port.any_name: (_shape(port), np.dtype(port.element_type.to_dtype())) for port in compiled.inputs
        }
        self.outputs = tuple(port.any_name for port in compiled.outputs)
        if not self.inputs or not self.outputs:
            raise RuntimeError("it has no inputs or no outputs")
        self.precision: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(requests):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, array: NDArray[Any] | None = None, /, **arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name; the arrays are the caller's own.

        Args:
            array: the first input; enough where the network has one.
            arrays: (further) inputs by name. Nothing is converted: shape and dtype must be those of `inputs`.

        Raises:
            ValueError: inputs are missing or too many, or of a shape or dtype that the network does not take.
        """
        fed = self._checked(arrays if array is None else {next(iter(self.inputs)): array, **arrays})
        with self._request() as request:
            request.infer(fed, share_inputs=True)  # always: a tensor once shared refuses larger copies afterwards
            return {name: np.array(request.get_tensor(name).data) for name in self.outputs}

    def _checked(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if arrays.keys() != self.inputs.keys():
            raise ValueError(
                f"The network takes {', '.join(self.inputs)}; it was given {', '.join(arrays) or 'others'}."
            )
        for name, (shape, dtype) in self.inputs.items():
            given = arrays[name]
            fits = len(given.shape) == len(shape) and all(
                wanted in (None, size) for wanted, size in zip(shape, given.shape, strict=True)
            )
            if not fits or given.dtype != dtype:
                raise ValueError(f"{name} must be {dtype} {shape}, not {given.dtype} {given.shape}.")
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._idle.get()
        try:
            yield request
        finally:
            self._idle.put(request)


def load(xml: bytes, weights: bytes, *, threads: int, precision: str = "f32", requests: int = REQUESTS) -> Network:
    """A network from OpenVINO's two files, already verified (`model_card.verified_bytes`).

    Args:
        xml: the graph.
        weights: its numbers, f32 or compressed to f16.
        threads: of one call; calls at the same time take turns on them.
        precision: of the arithmetic. Asked for by name, because the runtime takes bf16 by itself where the host has AMX;
            where the host lacks it, `Network.precision` says what is used instead.
        requests: callers that may be inside at the same time.

    Raises:
        BadModel: the bytes are no network that this runtime can read and run.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision}.")
    if threads < 1 or requests < 1:
        raise ValueError("threads and requests must be at least 1.")
    try:
        compiled = _core().compile_model(
            _core().read_model(model=xml, weights=weights), "CPU", _options(threads, precision)
        )
        return Network(compiled, requests)
    except RuntimeError as error:
        raise BadModel(f"The network cannot be read: {_reason(error)}", HINT) from error


def _options(threads: int, precision: str) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # pinned, every process sits on the same cores
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_KERNELS,
    }


@cache
def _core() -> Any:
    """The runtime, from now on without rivals: NumPy's matrix products get one thread.

    They are small here, and the threads of OpenBLAS go on spinning for a while after each: a network that is asked next waits for
    the cores (an answer of the ensemble took 119 ms instead of 69).
    """
    threadpool_limits(1, user_api="blas")
    return openvino().Core()


def _shape(port: Any) -> tuple[int | None, ...]:
    return tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)


def _reason(error: RuntimeError) -> str:
    """What the runtime complains of, without the places in its source."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return re.sub(r" failed at \S+$", " failed", lines[0].strip()) if lines else "no reason was given"
