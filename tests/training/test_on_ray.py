"""Two nodes on one machine give what one process gives, also when a worker is killed in the middle."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is in the training environment only: make train-env RAY=1")

from ray.cluster_utils import Cluster

from tests import keras_networks
from tests.training import workers
from tests.training.test_batch_analyze import SIDE, jpeg
from training import cluster, features
from training.command import BadInput
from training.data.augmentation import STANDARD
from training.kfold import arms, cross_validation
from training.scoring import archive, photo_rows, scoring_on_ray
from training.scoring.archive import Archive, Photo
from training.scoring.scorer import Job, Scorer

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`use_:DeprecationWarning"),  # Ray Data's own defaults
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),  # Optuna's
]
STORE_BYTES = 100 << 20  # Ray's least is 75 MB
WAIT_S, ATTEMPTS = 120.0, 3


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head and a second node with one CPU each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster()
    joined(made, include_dashboard=False, no_monitor=True)
    joined(made)
    made.wait_for_nodes(timeout=WAIT_S)
    yield made
    made.shutdown()


def joined(nodes: Cluster, **more: bool) -> Any:
    """A new node; Ray gives one 30 s to begin, which a machine that is busy with other things may exceed."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return nodes.add_node(
                wait=False, num_cpus=1, object_store_memory=STORE_BYTES, include_log_monitor=False, **more
            )
        except Exception:
            if not left:
                raise
    return None


@pytest.fixture(scope="module")
def pool(nodes: Cluster) -> Iterator[cluster.OnRay]:
    with cluster.opened(Namespace(ray=False, ray_address=nodes.address, cpus=1)) as opened:
        assert isinstance(opened, cluster.OnRay)
        yield opened


def kill_one(notes: Path, killed: list[int], over: Event) -> None:
    """Kill the first worker that leaves a note that it is at work; the notes' names end in the number of the process."""
    while not killed and not over.wait(0.01):
        pids = sorted({int(path.name.split("-")[-1]) for path in notes.iterdir() if path.stat().st_size})
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def killed(notes: Path) -> Iterator[list[int]]:
    """Process ids of the workers that were killed while the test ran."""
    found, over = list[int](), Event()
    thread = Thread(target=kill_one, args=(notes, found, over))
    thread.start()
    yield found
    over.set()
    thread.join()


def test_tasks_of_a_killed_worker_are_done_again(pool: cluster.OnRay, notes: Path, killed: list[int]) -> None:
    numbers = list(range(10, 26))
    found = dict(pool.map(workers.slow_square, notes, numbers))
    assert [found[place] for place in range(len(numbers))] == [number**2 for number in numbers]
    begun = {int(path.name.split("-")[1]) for path in notes.iterdir()}
    assert killed
    assert begun > set(killed), "another process took its place"


def test_what_a_task_raises_is_raised_here(pool: cluster.OnRay) -> None:
    with pytest.raises(BadInput, match=r"^7 is no good\.$"):
        list(pool.map(workers.failing, None, [7]))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ray://head:10001", "expected auto or HOST:PORT"),
        ("localhost:1", "nothing answers there .*is ray start --head"),
    ],
)
def test_an_address_without_a_cluster_is_told_at_once(address: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        cluster.answering(address)


def measured(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Path → row without how long it took."""
    assert len({row["path"] for row in rows}) == len(rows)
    kept = [name for name in photo_rows.SCHEMA.names if name not in photo_rows.DURATIONS]
    return {row["path"]: {name: row[name] for name in kept} for row in rows}


@pytest.fixture
def portraits(tmp_path: Path) -> Archive:
    folder = tmp_path / "photos"
    folder.mkdir()
    for place in range(8):
        (folder / f"{place}.jpg").write_bytes(jpeg(SIDE + 8 * place))
    (folder / "cut.jpg").write_bytes(jpeg()[:5000])
    return Archive(str(folder))


def test_rows_are_those_of_one_process_also_when_a_worker_is_killed(
    pool: cluster.OnRay, portraits: Archive, notes: Path, killed: list[int]
) -> None:
    here = Scorer(portraits)
    photos = archive.photos(portraits)
    wanted = measured([here(photo) for photo in photos])
    assert sum(row["error_code"] is None for row in wanted.values()) == 8
    job = Job(portraits, here.version)
    found = measured(list(scoring_on_ray.rows(job, photos, pool, partial(workers.watched, notes))))
    assert killed
    assert found == wanted
    begun = [line for path in notes.iterdir() for line in path.read_text().splitlines()]
    assert set(begun) == set(wanted)
    assert len(begun) > len(wanted), "the photo that its worker was killed on was begun again"


def test_a_photo_that_kills_every_worker_gets_a_row(pool: cluster.OnRay) -> None:
    photos = [Photo(name, 1) for name in (*(f"{place}.jpg" for place in range(9)), workers.POISON)]
    rows = measured(list(scoring_on_ray.rows(Job(Archive("nowhere"), None), photos, pool, workers.quick)))
    assert set(rows) == {photo.path for photo in photos}
    assert rows.pop(workers.POISON)["message"] == "The process that analysed this photo ended 2 times."
    assert {row["error_code"] for row in rows.values()} == {"no_face"}


def test_a_machine_that_is_lost_costs_no_photo(pool: cluster.OnRay, nodes: Cluster, notes: Path) -> None:
    """What is noted of photos that were begun must not be lost with it."""
    third = joined(nodes)
    nodes.wait_for_nodes(timeout=WAIT_S)
    larger = cluster.OnRay(cpus=1)
    assert larger.places == pool.places + 1
    photos = [Photo(f"{place}.jpg", 1) for place in range(200)]
    rows = scoring_on_ray.rows(
        Job(Archive("nowhere"), None), photos, larger, partial(workers.patient, notes, third.node_id)
    )
    found = [next(rows)]
    nodes.remove_node(third, allow_graceful=False)
    found += rows
    assert set(measured(found)) == {photo.path for photo in photos}


def test_a_worker_with_another_model_ends_the_run(pool: cluster.OnRay, portraits: Archive) -> None:
    with pytest.raises(BadInput, match=r"has the model .* where the run has another: give all machines the same"):
        list(scoring_on_ray.rows(Job(portraits, "another"), archive.photos(portraits), pool))


def test_features_are_those_of_one_process(pool: cluster.OnRay, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")
    opened = features.opened(keras_networks.small(), tmp_path)
    crops = list(keras_networks.pictures(5))
    here = features.of_crops(opened, crops, 2, STANDARD, tmp_path / "here")
    there = features.of_crops(opened, crops, 2, STANDARD, tmp_path / "there", pool)
    np.testing.assert_array_equal(here, there)
    assert len(np.unique(here[..., 0])) > 5


def test_folds_are_those_of_one_process(pool: cluster.OnRay, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")
    from tests.training.test_train_face_kfold import drawn, plan

    table = drawn()
    folds = np.arange(len(table.truth)) % 3
    wanted = cross_validation.answers(table, folds, plan(), tmp_path / "here", [arms.ALIKE])
    found = cross_validation.answers(table, folds, plan(), tmp_path / "there", [arms.ALIKE], pool)
    assert found.keys() == wanted.keys()
    for way, logits in found.items():
        np.testing.assert_array_equal(logits, wanted[way])
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == [cross_validation.FOLDS]


def test_trials_are_those_of_one_process(pool: cluster.OnRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is in the training environment only: make train-env")
    from tests.training.test_tune import searched

    found = {}
    for place, opened in (("here", cluster.HERE), ("there", pool)):
        monkeypatch.setattr(cluster, "opened", lambda options, opened=opened: nullcontext(opened))
        rounds = ("--at-once", 2, "--trials", 4, "--epochs", 4, "--pruner", "hyperband", "--study", "one")
        searched(monkeypatch, tmp_path / place, *rounds)
        found[place] = optuna.load_study(study_name="one", storage=f"sqlite:///{tmp_path / place / 'study.db'}").trials
    here, there = (
        [(one.params, one.state, one.value, one.intermediate_values) for one in held] for held in found.values()
    )
    assert len(here) == 4
    assert there == here
