"""Crops -> what the frozen backbones make of them and of their augmented views: computed once, kept, resumed.

The backbones run as the service runs them (OpenVINO's graph of the Keras file), which is faster than Keras and gives the
very features that the head will see. Every vector is kept in one SQLite file as soon as its batch is done, under the
picture, the weights, the augmentation and the precision: whatever changes, nothing else is computed again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, keras_files, runtime
from analyzer.runtime import Network
from analyzer.settings import CORES
from training import command
from training.cluster import HERE, Pool
from training.command import BadInput
from training.data.augmentation import Augmentation, augmented

if TYPE_CHECKING:
    import keras

    from training.data.prepared import Prepared

WIDTH = 3328  # features of both backbones, EfficientNetB0's 1280 first
STORE = "features.sqlite"
SAVED_EVERY = 32  # pictures
LARGEST = float(np.finfo(np.float16).max)
Halves = NDArray[np.float16]
Crop = NDArray[np.uint8]
Asked = tuple[Crop, bytes, int]  # a crop, its sha256, the number of the view; 0 = the crop itself


@dataclass(frozen=True)
class Graph:
    """The frozen part of a network as OpenVINO's two files. Attributes: `digest`, of its weights; `precision` that is asked for."""

    digest: str
    precision: str
    xml: bytes = field(compare=False, repr=False)
    weights: bytes = field(compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Backbones:
    """The frozen part of a network, compiled.

    Attributes:
        digest: of its weights.
        precision: of the arithmetic that is used.
        width: number of its features.
        graph: from which another process compiles it.
    """

    network: Network
    digest: str
    precision: str
    width: int = WIDTH
    graph: Graph | None = None

    def __reduce__(self) -> tuple[Callable[..., Backbones], tuple[object, ...]]:
        return elsewhere, (self.graph, self.width, self.precision)

    def __call__(self, picture: NDArray[np.uint8]) -> Halves:
        """(width,) float16 of one (S, S, 3) uint8 picture."""
        features = self.network(picture[None])[artefact.FEATURES][0]
        return np.asarray(np.clip(features, -LARGEST, LARGEST), np.float16)


def opened(network: keras.Model | Path, work: Path, precision: str = "f32") -> Backbones:
    """The backbones of a Keras network or of its file.

    Args:
        network: of `networks.hare_run`, or a `.keras` or `.h5` file of it.
        work: folder where the network's file is put for a moment.
        precision: of the arithmetic, ``"f32"`` or ``"bf16"`` (the latter is used only where the processor has it).
    """
    if isinstance(network, Path):
        form = keras_files.read(network.read_bytes(), network.suffix)
    else:
        work.mkdir(parents=True, exist_ok=True)
        path = work / "backbones.keras"
        network.save(path)
        form = keras_files.read(path.read_bytes(), path.suffix)
        path.unlink()
    graph = Graph(hashlib.sha256(form.weights).hexdigest(), precision, form.xml, form.weights)
    network = compiled(graph)
    return Backbones(network, graph.digest, network.precision, len(form.head[0][0]) - form.demographics, graph)


@lru_cache(maxsize=1)
def compiled(graph: Graph) -> Network:
    """Compiled once in a process, however many tasks it gets."""
    return runtime.load(graph.xml, graph.weights, threads=CORES, precision=graph.precision)


def elsewhere(graph: Graph, width: int, precision: str) -> Backbones:
    """The same backbones in another process.

    Raises:
        BadInput: its machine computes in another precision.
    """
    network = compiled(graph)
    if network.precision != precision:
        raise BadInput(f"--precision {graph.precision}: not all machines of the cluster have it; give --precision f32.")
    return Backbones(network, graph.digest, precision, width, graph)


def features_of(
    network: keras.Model | Path | Backbones,
    prepared: Prepared,
    rows: Sequence[int] | NDArray[np.intp],
    views: int,
    augmentation: Augmentation,
    cache: Path,
    precision: str = "f32",
    pool: Pool = HERE,
) -> Halves:
    """(N, 1 + views, width) float16: of each picture itself, then of its augmented views; the width of a pair is 3328.

    Args:
        network: a Hare Run network, its file, or its `opened` backbones.
        prepared: what `rows` count in; its `crops` are (M, S, S, 3) uint8.
        views: augmented ones of each picture; view k of a picture is the same in every run.
        cache: folder of the kept features; may be shared by several trainings.
        pool: where those that are not kept are computed.
    """
    backbones = network if isinstance(network, Backbones) else opened(network, cache, precision)
    return of_crops(backbones, [prepared.crops[row] for row in rows], views, augmentation, cache, pool)


def of_crops(
    backbones: Backbones,
    crops: Sequence[Crop],
    views: int,
    augmentation: Augmentation,
    cache: Path,
    pool: Pool = HERE,
) -> Halves:
    """As `features_of`, of crops alone."""
    answer = np.empty((len(crops), 1 + views, backbones.width), np.float16)
    cache.mkdir(parents=True, exist_ok=True)
    with closing(_store(cache / STORE)) as store:
        missing = []
        for place, crop in enumerate(crops):
            picture = hashlib.sha256(crop.tobytes()).digest()
            for view in range(1 + views):
                key = _key(backbones, picture, view, augmentation)
                found = store.execute("SELECT features FROM features WHERE key = ?", (key,)).fetchone()
                if found:
                    answer[place, view] = np.frombuffer(found[0], np.float16)
                else:
                    missing.append((place, view, picture, key))
        asked = [(crops[place], picture, view) for place, view, picture, _ in missing]
        found = _computed(backbones, augmentation, asked, pool)
        for count, (index, features) in enumerate(command.progress(found, len(missing), "features"), 1):
            place, view, _, key = missing[index]
            answer[place, view] = features
            store.execute("INSERT OR REPLACE INTO features VALUES (?, ?)", (key, features.tobytes()))
            if count % SAVED_EVERY == 0:
                store.commit()
        store.commit()
    return answer


def _computed(
    backbones: Backbones, augmentation: Augmentation, asked: Sequence[Asked], pool: Pool
) -> Iterator[tuple[int, Halves]]:
    """(place in `asked`, features) of each, as they are ready; a worker gets several at a time."""
    size = 1 if pool.places == 1 else SAVED_EVERY
    chunks = [asked[start : start + size] for start in range(0, len(asked), size)]
    for chunk, found in pool.map(_of_chunk, (backbones, augmentation), chunks):
        yield from enumerate(found, chunk * size)


def _of_chunk(shared: tuple[Backbones, Augmentation], asked: Sequence[Asked]) -> list[Halves]:
    backbones, augmentation = shared
    return [backbones(augmented(crop, augmentation, picture, view) if view else crop) for crop, picture, view in asked]


def _store(path: Path) -> sqlite3.Connection:
    try:
        store = sqlite3.connect(path, timeout=60)
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, features BLOB) WITHOUT ROWID")
    except sqlite3.DatabaseError as error:
        if command.is_full_disk(error):
            raise
        raise command.BadInput(f"{path}: is no file of kept features ({error}); remove it and run again") from error
    return store


def _key(backbones: Backbones, picture: bytes, view: int, augmentation: Augmentation) -> bytes:
    """What a vector depends on: the picture itself does not depend on the augmentation."""
    drawn = f"{augmentation.id}/{view}" if view else "itself"
    text = f"{backbones.digest}/{backbones.precision}/{drawn}/".encode()
    return hashlib.sha256(text + picture).digest()[:20]
