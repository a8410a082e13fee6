"""Compiled networks: they compute what they should, for many threads at once, in the precision that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import correlate2d
from threadpoolctl import threadpool_info

from analyzer import runtime
from analyzer.errors import BadModel, ModelUnavailable

ROOT = Path(__file__).resolve().parents[2]
Files = tuple[bytes, bytes]


def saved(inputs: list[object], outputs: dict[str, object], folder: Path) -> Files:
    """Graph and weights of a network as bytes, its outputs under the names given."""
    ov = runtime.openvino()
    for name, node in outputs.items():
        node.output(0).set_names({name})  # type: ignore[attr-defined]
    model = ov.Model([ov.opset13.result(node) for node in outputs.values()], inputs, "tiny")
    ov.serialize(model, folder / "tiny.xml", folder / "tiny.bin")
    return (folder / "tiny.xml").read_bytes(), (folder / "tiny.bin").read_bytes()


def parameter(name: str, shape: list[int], dtype: type) -> object:
    node = runtime.openvino().opset13.parameter(shape, dtype, name=name)
    node.output(0).set_names({name})
    return node


@pytest.fixture(scope="module")
def kernel() -> NDArray[np.float32]:
    """(3, 3, 3, 1): rows, columns, input channels, one output channel."""
    return np.random.default_rng(5).normal(size=(3, 3, 3, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def convolution(kernel: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """(1, H, W, 3) uint8 → map (1, H, W, 1), the correlation with `kernel`, and its mean."""
    ops = runtime.openvino().opset13
    image = parameter("image", [1, -1, -1, 3], np.uint8)
    planes = ops.transpose(ops.convert(image, "f32"), np.array([0, 3, 1, 2]))
    weights = ops.constant(kernel.transpose(3, 2, 0, 1).copy())
    flat = ops.convolution(planes, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    outputs = {"map": ops.transpose(flat, np.array([0, 2, 3, 1])), "mean": ops.reduce_mean(flat, np.array([1, 2, 3]))}
    return saved([image], outputs, tmp_path_factory.mktemp("convolution"))


@pytest.fixture(scope="module")
def difference(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Two inputs of (4,) f32 → left minus right."""
    left, right = parameter("left", [4], np.float32), parameter("right", [4], np.float32)
    outputs = {"difference": runtime.openvino().opset13.subtract(left, right)}
    return saved([left, right], outputs, tmp_path_factory.mktemp("difference"))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, NDArray[np.float32]]:
    """(8, 512) f32 → its product with a matrix; large enough for the AMX units of hosts that have them."""
    matrix = np.random.default_rng(6).normal(size=(512, 512)).astype(np.float32)
    rows = parameter("rows", [8, 512], np.float32)
    outputs = {"product": runtime.openvino().opset13.matmul(rows, matrix, False, False)}
    return saved([rows], outputs, tmp_path_factory.mktemp("product")), matrix


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def expected(image: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    planes = image[0].astype(np.float64)
    return sum(correlate2d(planes[..., c], kernel[..., c, 0].astype(np.float64), "same") for c in range(3))


def test_convolution_gives_what_the_formula_gives(convolution: Files, kernel: NDArray[np.float32]) -> None:
    network = runtime.load(*convolution, threads=1)
    image = picture(0, 32, 32)
    answer = network(image)
    assert set(answer) == {"map", "mean"} == set(network.outputs)
    assert answer["map"].shape == (1, 32, 32, 1)
    np.testing.assert_allclose(answer["map"][0, ..., 0], expected(image, kernel), rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(answer["mean"], expected(image, kernel).mean(), rtol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_any_size_fits_where_the_shape_is_open(convolution: Files, kernel: NDArray[np.float32], threads: int) -> None:
    network = runtime.load(*convolution, threads=threads, requests=1)
    assert network.inputs == {"image": ((1, None, None, 3), np.dtype(np.uint8))}
    for seed, (height, width) in enumerate([(32, 64), (256, 192), (32, 32), (320, 320), (64, 32)]):
        image = picture(seed, height, width)
        np.testing.assert_allclose(network(image)["map"][0, ..., 0], expected(image, kernel), rtol=1e-5, atol=1e-2)


def test_views_and_read_only_pictures_are_read_as_they_are(convolution: Files, kernel: NDArray[np.float32]) -> None:
    network = runtime.load(*convolution, threads=1)
    whole = picture(1, 96, 96)
    whole.flags.writeable = False
    for view in (whole, whole[:, ::-1, 32:64]):
        np.testing.assert_allclose(network(view)["map"][0, ..., 0], expected(view, kernel), rtol=1e-5, atol=1e-2)


def test_answer_stays_after_the_next_call(convolution: Files) -> None:
    network = runtime.load(*convolution, threads=1, requests=1)
    first = network(picture(2, 32, 32))
    kept = first["map"].copy()
    network(picture(3, 32, 32))
    np.testing.assert_array_equal(first["map"], kept)
    assert first["map"].flags.owndata


def test_several_inputs_go_by_name(difference: Files) -> None:
    network = runtime.load(*difference, threads=1)
    left, right = np.arange(4, dtype=np.float32), np.full(4, 5, np.float32)
    np.testing.assert_array_equal(network(right=right, left=left)["difference"], left - right)
    np.testing.assert_array_equal(network(left, right=right)["difference"], left - right)


@pytest.mark.parametrize("count", [1, 2])
def test_sixteen_threads_get_each_its_own_answer(convolution: Files, kernel: NDArray[np.float32], count: int) -> None:
    network = runtime.load(*convolution, threads=2, requests=count)
    images = [picture(seed, 32 * (1 + seed % 3), 64) for seed in range(16)]
    wanted = [expected(image, kernel) for image in images]
    start = threading.Barrier(len(images))

    def ask(index: int) -> float:
        start.wait(timeout=30)
        return max(float(np.abs(network(images[index])["map"][0, ..., 0] - wanted[index]).max()) for _ in range(20))

    with ThreadPoolExecutor(len(images)) as pool:
        assert max(pool.map(ask, range(len(images)))) < 1e-2


def test_requests_are_given_back_after_a_failure(convolution: Files) -> None:
    network = runtime.load(*convolution, threads=1, requests=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="image must be uint8"):
            network(picture(0, 32, 32)[0])
    assert network(picture(0, 32, 32))["map"].shape == (1, 32, 32, 1)


def test_f32_is_f32_also_where_the_host_would_rather_take_less(
    product: tuple[Files, NDArray[np.float32]],
) -> None:
    files, matrix = product
    rows = np.random.default_rng(7).normal(size=(8, 512)).astype(np.float32)
    network = runtime.load(*files, threads=1)
    error = np.abs(network(rows)["product"] - rows.astype(np.float64) @ matrix).max()
    assert network.precision == "f32"
    assert error < 1e-3  # of values about 23 in size; bf16 is wrong by about 0.1


def test_precision_that_was_taken_is_told(product: tuple[Files, NDArray[np.float32]]) -> None:
    files, matrix = product
    rows = np.random.default_rng(7).normal(size=(8, 512)).astype(np.float32)
    network = runtime.load(*files, threads=1, precision="bf16")
    error = np.abs(network(rows)["product"] - rows.astype(np.float64) @ matrix).max()
    assert network.precision == ("bf16" if error > 1e-3 else "f32")  # f32 where the host has no bf16


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 32, 32, 4), np.uint8),
        np.zeros((2, 32, 32, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
    ],
    ids=["dtype", "channels", "batch", "axes"],
)
def test_array_that_does_not_fit_is_refused_not_converted(convolution: Files, wrong: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(1, None, None, 3\)"):
        runtime.load(*convolution, threads=1)(wrong)


def test_inputs_must_be_exactly_those_of_the_network(difference: Files) -> None:
    network = runtime.load(*difference, threads=1)
    four = np.zeros(4, np.float32)
    for arrays in ({}, {"left": four}, {"left": four, "right": four, "middle": four}):
        with pytest.raises(ValueError, match="The network takes left, right"):
            network(**arrays)


def test_what_is_no_network_is_a_bad_model(convolution: Files) -> None:
    xml, weights = convolution
    unknown = xml.replace(b'type="Convolution"', b'type="Convolusion"')
    empty = b'<?xml version="1.0"?><net name="n" version="11"></net>'
    assert unknown != xml
    for graph, numbers in (
        (b"", b""),
        (b"no graph", weights),
        (xml[: len(xml) // 2], weights),
        (xml, weights[:-8]),
        (xml, b""),
        (unknown, weights),
        (empty, weights),
        (weights, xml),
    ):
        with pytest.raises(BadModel, match="The network cannot be read: ") as caught:
            runtime.load(graph, numbers, threads=1)
        assert isinstance(caught.value, ModelUnavailable)  # whoever can do without a model can do without this one
        assert "src/" not in caught.value.message


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"requests": 0}, {"precision": "f8"}])
def test_senseless_numbers_are_refused(convolution: Files, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        runtime.load(*convolution, **({"threads": 1} | wrong))  # type: ignore[arg-type]


WATCHED = """
import sys
events = []
sys.addaudithook(lambda event, _: events.append(event))
{statement}
for event in events:
    if event.startswith(("socket.", "os.fork", "subprocess.", "os.posix_spawn", "urllib.")):
        print(event)
print("openvino" in sys.modules, "openvino.tools.ovc" in sys.modules)
"""


def watched(statement: str, home: Path) -> list[str]:
    """What a new process does beyond importing: connections and processes, then which modules it holds."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    command = [sys.executable, "-c", WATCHED.format(statement=statement)]
    done = subprocess.run(
        command, env=environment | {"HOME": str(home)}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_runtime_is_not_imported_before_it_is_needed(tmp_path: Path) -> None:
    assert watched("import analyzer.runtime", tmp_path) == ["False False"]


def test_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    assert watched("from analyzer import runtime; runtime.openvino().Core()", tmp_path) == ["True False"]
    assert list(tmp_path.iterdir()) == []


def test_converters_can_still_be_imported_and_stay_silent(tmp_path: Path) -> None:
    statement = "from analyzer import runtime; runtime.openvino(); from openvino.tools.ovc import convert_model"
    assert watched(statement, tmp_path) == ["True True"]
    assert list(tmp_path.iterdir()) == []


def test_matrix_products_have_one_thread_beside_networks(convolution: Files) -> None:
    """Idle threads of OpenBLAS spin, and take the cores from the network that is asked next."""
    runtime.load(*convolution, threads=1)
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert blas
    assert {pool["num_threads"] for pool in blas} == {1}
