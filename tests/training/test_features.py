"""Features are computed once: for the same picture, weights, augmentation and precision never again, whatever ended the run."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analyzer import artefact
from training import features
from training.command import BadInput
from training.data.augmentation import STANDARD, Augmentation, augmented
from training.features import WIDTH, Backbones

COUNT, VIEWS = 5, 2


def crops(count: int = COUNT) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8))


def backbones(digest: str = "weights", precision: str = "f32", seen: list[np.ndarray] | None = None) -> Backbones:
    """A stand-in whose features tell its picture: mean of each channel, repeated."""

    def network(picture: np.ndarray) -> dict[str, np.ndarray]:
        assert (picture.shape, picture.dtype) == ((1, 32, 32, 3), np.uint8)
        if seen is not None:
            seen.append(picture[0])
        return {artefact.FEATURES: np.resize(picture.mean(axis=(0, 1, 2)), (1, WIDTH)).astype(np.float32)}

    return Backbones(network, digest, precision)  # type: ignore[arg-type]


def test_features_are_those_of_the_picture_and_of_its_views(tmp_path: Path) -> None:
    prepared = SimpleNamespace(crops=np.stack(crops()))
    found = features.features_of(backbones(), prepared, [3, 0], VIEWS, STANDARD, tmp_path)  # type: ignore[arg-type]
    assert (found.shape, found.dtype) == ((2, 1 + VIEWS, WIDTH), np.float16)
    for place, row in enumerate([3, 0]):
        np.testing.assert_allclose(found[place, 0, :3], crops()[row].mean(axis=(0, 1)), rtol=1e-3)
    assert len({float(one) for one in found[0, :, 0]}) == 1 + VIEWS


def test_nothing_is_computed_twice(tmp_path: Path) -> None:
    first: list[np.ndarray] = []
    wanted = features.of_crops(backbones(seen=first), crops(), VIEWS, STANDARD, tmp_path)
    again: list[np.ndarray] = []
    found = features.of_crops(backbones(seen=again), crops(), VIEWS, STANDARD, tmp_path)
    assert (len(first), len(again)) == (COUNT * (1 + VIEWS), 0)
    np.testing.assert_array_equal(found, wanted)
    more: list[np.ndarray] = []
    features.of_crops(backbones(seen=more), [*crops(), crops(COUNT + 1)[-1]], VIEWS + 1, STANDARD, tmp_path)
    assert len(more) == COUNT + 2 + VIEWS


@pytest.mark.parametrize(
    ("other", "augmentation", "computed"),
    [
        (lambda seen: backbones("other weights", seen=seen), STANDARD, COUNT * (1 + VIEWS)),
        (lambda seen: backbones(precision="bf16", seen=seen), STANDARD, COUNT * (1 + VIEWS)),
        (lambda seen: backbones(seen=seen), Augmentation(rotation_deg=5.0), COUNT * VIEWS),
    ],
    ids=["weights", "precision", "augmentation"],
)
def test_what_changes_is_computed_anew(
    other: Callable[[list], Backbones], augmentation: Augmentation, computed: int, tmp_path: Path
) -> None:
    features.of_crops(backbones(), crops(), VIEWS, STANDARD, tmp_path)
    seen: list[np.ndarray] = []
    features.of_crops(other(seen), crops(), VIEWS, augmentation, tmp_path)
    assert len(seen) == computed


def test_values_beyond_half_precision_stay_finite(tmp_path: Path) -> None:
    def network(picture: np.ndarray) -> dict[str, np.ndarray]:
        return {artefact.FEATURES: np.full((1, WIDTH), 1e6, np.float32)}

    found = features.of_crops(Backbones(network, "large", "f32"), crops(1), 0, STANDARD, tmp_path)  # type: ignore[arg-type]
    assert np.isfinite(found).all()


def test_a_file_that_holds_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / features.STORE).write_bytes(b"no database" * 100)
    with pytest.raises(BadInput, match="remove it and run again"):
        features.of_crops(backbones(), crops(), 0, STANDARD, tmp_path)


SLOW = textwrap.dedent("""
    import signal, sys, time
    import numpy as np
    from pathlib import Path
    from analyzer import artefact
    from training import command, features
    from training.data.augmentation import STANDARD

    def network(picture):
        time.sleep(0.005)
        return {artefact.FEATURES: np.resize(picture.mean(axis=(0, 1, 2)), (1, 3328)).astype(np.float32)}

    crops = list(np.random.default_rng(1).integers(0, 256, (400, 32, 32, 3), np.uint8))
    slow = features.Backbones(network, "weights", "f32")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
    command.run(lambda: features.of_crops(slow, crops, 1, STANDARD, Path(sys.argv[1])))
""")


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_goes_on_where_it_was(kill: signal.Signals, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while stored(tmp_path) < 3 * features.SAVED_EVERY and time.monotonic() < end:
        time.sleep(0.02)
    child.send_signal(kill)
    said = child.communicate(timeout=60)[1]
    kept = stored(tmp_path)
    assert 3 * features.SAVED_EVERY <= kept < 800
    if kill == signal.SIGINT:
        assert child.returncode == 130
        assert said.strip().endswith("interrupted; run the same command again to go on")
    else:
        assert child.returncode == -signal.SIGKILL
    seen: list[np.ndarray] = []
    found = features.of_crops(backbones(seen=seen), crops(400), 1, STANDARD, tmp_path)
    assert len(seen) == 800 - kept
    own = augmented(crops(400)[0], STANDARD, features.hashlib.sha256(crops(400)[0].tobytes()).digest(), 1)
    np.testing.assert_allclose(found[0, 1, :3], own.mean(axis=(0, 1)), rtol=1e-3)


def stored(folder: Path) -> int:
    try:
        with sqlite3.connect(folder / features.STORE) as store:
            return int(store.execute("SELECT count(*) FROM features").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
