"""An epoch on kept features against an epoch of `model.fit` with frozen backbones: same pictures, head, batch, machine, run.

Run:     .venv-training/bin/python -m benchmarks.training [--pictures 128] [--rounds 3] [--views 2]
Cost:    about three minutes on two quiet cores.
Expects: an epoch of the head on kept features at least 15 times as fast as an epoch of fit through the frozen backbones.

Needs the training environment. Three ways to train the head of the Hare Run network take turns in rounds, in one process, so that
a busy spell of the machine meets all of them; each has warmed up with an epoch before. `fit` is Keras' own on the whole network,
backbones frozen (trainable = False, so that no gradient flows into them and batch normalisations are still), from pictures in
memory without augmentation; `fit, augmented` draws a view of every picture in every epoch, as training on pixels has to.
`kept features` is `heads.fit` as train_hare_run uses it, on one of 1 + views kept vectors of each picture: with
everything that belongs to an epoch there, validation, history and backup on the disk. What they cost once is told beside it, and
after how many epochs that is earned back. Weights are random: times are those of trained ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks import dataset

TARGET = 15.0  # times as fast as fit
CLASSES, BATCH, SIDE_PX = 6, 32, 224
FIT, AUGMENTED, KEPT = "fit, frozen backbones", "fit, frozen backbones, augmented", "kept features"
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=128, help="in an epoch (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measured epochs of fit (default %(default)s)")
    parser.add_argument("--views", type=int, default=2, help="kept, beside each picture itself (default %(default)s)")
    options = parser.parse_args()
    try:
        import keras
    except ImportError:
        print("needs the training environment: make train-env")
        return
    keras.utils.set_random_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        table = compared(Path(folder), options.pictures, options.rounds, options.views)
    print_table(table)
    print(f"written to {dataset.write('training', table)}")


def compared(folder: Path, count: int, rounds: int, views: int) -> dict[str, Any]:
    """Times of all three, in turns."""
    pictures, truth = drawn(count)
    once_s, features = kept(folder, pictures, views)
    ways = {
        FIT: fitting(pictures, truth, augmented=False),
        AUGMENTED: fitting(pictures, truth, augmented=True),
        KEPT: on_features(folder, features, truth),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for name, epoch in ways.items():
        print(f"{name}: the first epoch, not counted, took {epoch():.2f} s", flush=True)
    for _ in range(rounds):
        for name, epoch in ways.items():
            times[name].append(epoch())
    return tabled(times, once_s, count, views)


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 224, 224, 3) uint8 of drawn faces with grain of their own, and (N,) classes."""
    from training import golden

    rng = np.random.default_rng(SEED)
    faces = golden.golden_pictures().astype(np.int16)
    grain = rng.integers(-20, 21, (count, SIDE_PX, SIDE_PX, 3), np.int16)
    pictures = np.clip(faces[np.arange(count) % len(faces)] + grain, 0, 255).astype(np.uint8)
    return pictures, np.arange(count) % CLASSES


def network() -> Any:
    """The whole network with frozen backbones."""
    from training import networks

    whole = networks.hare_run(CLASSES)
    for layer in whole.layers:
        layer.trainable = layer.name.startswith(("head_", "logits"))
    return whole


def kept(folder: Path, pictures: np.ndarray, views: int) -> tuple[float, np.ndarray]:
    """Seconds that it takes to compute and keep the features of all views, and these."""
    from training import features
    from training.data.augmentation import STANDARD

    opened = features.opened(network(), folder)
    seen = SimpleNamespace(crops=pictures)
    start = time.perf_counter()
    found = features.features_of(opened, seen, range(len(pictures)), views, STANDARD, folder / "features")  # type: ignore[arg-type]
    return time.perf_counter() - start, found


def fitting(pictures: np.ndarray, truth: np.ndarray, *, augmented: bool) -> Callable[[], float]:
    """Seconds of one more epoch of `model.fit`."""
    import keras

    from training.data.augmentation import drawn as view_of

    whole = network()
    whole.compile("adam", "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    wanted = keras.utils.to_categorical(truth, CLASSES)
    rng = np.random.default_rng(SEED)
    still = pictures.astype(np.float32)

    def epoch() -> float:
        start = time.perf_counter()
        shown = np.stack([view_of(rng, one) for one in pictures]).astype(np.float32) if augmented else still
        whole.fit(shown, wanted, batch_size=BATCH, epochs=1, verbose=0)
        return time.perf_counter() - start

    return epoch


def on_features(folder: Path, features: np.ndarray, truth: np.ndarray) -> Callable[[], float]:
    """Seconds of one epoch of `heads.fit`: the mean of ten, since one alone is shorter than what a clock should be asked."""
    import keras

    from training import heads

    several = 10
    count = len(truth)
    state = {"call": 0}

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.starts: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.starts.append(time.perf_counter())

    def epoch() -> float:
        state["call"] += 1
        clock = Clock()
        recipe = heads.Recipe(batch=BATCH, epochs=several + 2, patience=several + 2, seed=SEED)
        held = max(1, count // 5)
        heads.fit(
            features,
            truth,
            features[:held, :1],
            truth[:held],
            recipe,
            [str(index) for index in range(CLASSES)],
            work=folder / f"head {state['call']}",
            callbacks=[clock],
        )
        return (clock.starts[-1] - clock.starts[1]) / (len(clock.starts) - 2)

    return epoch


def tabled(times: dict[str, list[float]], once_s: float, count: int, views: int) -> dict[str, Any]:
    """Medians and the ratios of each round."""
    medians = {name: float(np.median(held)) for name, held in times.items()}
    ratios = {
        name: [fit_s / kept_s for fit_s, kept_s in zip(times[name], times[KEPT], strict=True)]
        for name in (FIT, AUGMENTED)
    }
    return {
        "cores": os.cpu_count(),
        "pictures": count,
        "batch": BATCH,
        "views": views,
        "seconds_an_epoch": times,
        "median_s": medians,
        "times_as_fast": {name: [float(np.median(held)), min(held), max(held)] for name, held in ratios.items()},
        "kept_once_s": once_s,
        "earned_back_after_epochs": once_s / (medians[AUGMENTED] - medians[KEPT]),
    }


def print_table(table: dict[str, Any]) -> None:
    print(f"\n{table['pictures']} pictures an epoch, batch {table['batch']}, {table['cores']} cores\n")
    print(f"{'':36}{'s an epoch':>12}{'ms a picture':>14}{'times as fast':>24}")
    for name, seconds in table["median_s"].items():
        ratio = table["times_as_fast"].get(name)
        told = f"{ratio[0]:.0f} ({ratio[1]:.0f}–{ratio[2]:.0f})" if ratio else ""
        print(f"{name:36}{seconds:12.3f}{1000 * seconds / table['pictures']:14.2f}{told:>24}")
    reached = table["times_as_fast"][FIT][0]
    verdict = "met" if reached >= TARGET else "missed"
    print(
        f"\nan epoch on kept features is {reached:.0f} times as fast as one of fit: the target of {TARGET:.0f} is {verdict}"
    )
    print(
        f"computing and keeping {1 + table['views']} views of each picture took {table['kept_once_s']:.1f} s once, earned back after "
        f"{table['earned_back_after_epochs']:.1f} epochs of augmented fit"
    )


if __name__ == "__main__":
    main()
