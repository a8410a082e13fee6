"""The first load, the swap and its undoing, with stand-ins for the network: quick, and S3 over real HTTP."""

from __future__ import annotations

import gc
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from analyzer import ensemble as ensemble_module
from analyzer.ensemble import Ensemble
from analyzer.errors import BadModel, ModelUnavailable
from analyzer.model_sources import NAME, Candidate, ModelSources
from analyzer.opening import Source, open_artefact
from analyzer.roi import Roi
from analyzer.settings import StoreSettings
from tests.analyzer import artefacts, store_server
from tests.analyzer.store_server import BUCKET, PREFIX, Fault, Line, StandIn, artefact, open_stand_in, upload

WEIGHTS = f"/{BUCKET}/{PREFIX}network.bin"
WAIT_S = 10.0
FACE = cast(Roi, object())


@pytest.fixture(autouse=True)
def no_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins look at no picture."""
    monkeypatch.setattr(ensemble_module.preprocessing, "inner_square", lambda roi: np.zeros((364, 364, 3), np.uint8))


@pytest.fixture
def sources(line: Line, tmp_path: Path, s3: Any) -> ModelSources:
    """Version 1 in the local folder, version 2 in S3 behind the line, an empty cache."""
    artefact(tmp_path / "models", "1")
    upload(s3, artefact(tmp_path / "second", "2"))
    return ModelSources(store_server.settings(line.url, tmp_path))


@pytest.fixture
def local(tmp_path: Path) -> ModelSources:
    """Version 1 in the local folder; S3 is off."""
    artefact(tmp_path / "models", "1")
    return ModelSources(replace(store_server.settings("http://127.0.0.1:9", tmp_path), bucket=None))


@pytest.fixture
def started() -> Iterator[Callable[[Ensemble], Ensemble]]:
    """Start an ensemble; it is stopped after the test."""
    running: list[Ensemble] = []

    def start(ensemble: Ensemble) -> Ensemble:
        running.append(ensemble)
        ensemble.start()
        return ensemble

    yield start
    for ensemble in running:
        ensemble.stop()


def version(ensemble: Ensemble) -> str:
    return str(ensemble.state().details.get("version"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_sources_there_is_no_ensemble() -> None:
    empty = Ensemble()
    assert not empty.state().available
    with pytest.raises(ModelUnavailable, match="No ensemble artefact is installed"):
        empty.predict(FACE)


def test_the_state_never_loads(local: ModelSources) -> None:
    opened: list[Candidate] = []
    ensemble = Ensemble(local, lambda candidate: opened.append(candidate) or open_stand_in(candidate))  # type: ignore[func-returns-value]
    assert (
        ensemble.state().reason
        == "The ensemble is not loaded yet; the report rests on the classical measurements alone."
    )
    assert opened == []
    assert threading.active_count() == len(threading.enumerate())


def test_the_first_answer_waits_for_the_first_load(local: ModelSources) -> None:
    go_on = threading.Event()

    def slowly(candidate: Candidate) -> StandIn:
        assert go_on.wait(WAIT_S)
        return open_stand_in(candidate)

    ensemble = Ensemble(local, slowly)
    threading.Timer(0.2, go_on.set).start()
    assert ensemble.predict(FACE).version == "1"
    state = ensemble.state()
    assert (state.details["source"], state.fallback_reason) == ("local", None)
    assert state.details["path"] == str(local.settings.folder / NAME)
    assert state.details["loaded_at"].endswith("+00:00")


def test_nothing_installed_is_told_and_answers_at_once(tmp_path: Path) -> None:
    config = replace(store_server.settings("http://127.0.0.1:9", tmp_path), bucket=None)
    ensemble = Ensemble(ModelSources(config), open_stand_in)
    with pytest.raises(ModelUnavailable, match="No ensemble artefact is installed"):
        ensemble.predict(FACE)


def test_s3_that_answers_in_time_gives_the_first_answer(sources: ModelSources, started: Any) -> None:
    ensemble = started(Ensemble(sources, open_stand_in))
    assert ensemble.predict(FACE).version == "2"
    details = ensemble.state().details
    assert details["source"] == "s3"
    assert details["s3_location"] == f"s3://{BUCKET}/{PREFIX}"
    assert details["s3_version_id"]


def test_s3_that_is_slow_is_taken_up_when_it_comes(sources: ModelSources, line: Line, started: Any) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", rate=1_000_000))
    soon = ModelSources(replace(sources.settings, start_wait_s=0.2))
    ensemble = started(Ensemble(soon, open_stand_in))
    assert ensemble.predict(FACE).version == "1"
    until(lambda: ensemble.state().fallback_reason == "S3 had not delivered within 0.2 s of the start; that goes on.")
    until(lambda: version(ensemble) == "2")
    until(lambda: ensemble.state().fallback_reason is None)


def test_without_s3_the_last_good_version_of_the_cache_comes_before_the_local_one(
    sources: ModelSources, line: Line
) -> None:
    Ensemble(sources, open_stand_in).refresh()
    line.faults.append(Fault("", kind="status 503"))
    ensemble = Ensemble(ModelSources(sources.settings), open_stand_in)
    ensemble.refresh()
    state = ensemble.state()
    assert (state.details["source"], state.details["version"]) == ("cache", "2")
    assert "503" in str(state.fallback_reason)
    line.faults.clear()
    before = len(line.asked(f"GET {WEIGHTS}"))
    ensemble.refresh()
    state = ensemble.state()
    assert (state.details["source"], state.details["version"], state.fallback_reason) == ("s3", "2", None)
    assert len(line.asked(f"GET {WEIGHTS}")) == before


def test_a_newer_version_is_swapped_in_and_the_one_before_is_kept(
    sources: ModelSources, s3: Any, tmp_path: Path
) -> None:
    ensemble = Ensemble(sources, open_stand_in)
    for number in ("2", "3", "4"):
        if number != "2":
            upload(s3, artefact(tmp_path / number, number))
        ensemble.refresh()
        assert version(ensemble) == number
    kept = [ModelSources(sources.settings).cached(path) for path in sources.cache.versions()]
    assert [open_stand_in(candidate).version for candidate in kept] == ["4", "3"]


def test_a_cache_that_was_removed_is_filled_again_for_the_next_start(sources: ModelSources, line: Line) -> None:
    opened: list[Candidate] = []

    def open_once(candidate: Candidate) -> StandIn:
        opened.append(candidate)
        return open_stand_in(candidate)

    ensemble = Ensemble(sources, open_once)
    ensemble.refresh()
    shutil.rmtree(sources.cache.folder)
    ensemble.refresh()
    assert (len(opened), ensemble.state().details["source"], ensemble.state().fallback_reason) == (1, "s3", None)
    line.faults.append(Fault("card.json", kind="status 503 SlowDown"))
    after = Ensemble(ModelSources(sources.settings), open_stand_in)
    after.refresh()
    assert (version(after), after.state().details["source"]) == ("2", "cache")


def test_a_version_that_fails_its_self_test_is_refused_and_remembered(
    sources: ModelSources, s3: Any, line: Line, tmp_path: Path
) -> None:
    opened: list[str] = []

    def open_and_tell(candidate: Candidate) -> StandIn:
        opened.append(candidate.version)
        return open_stand_in(candidate)

    ensemble = Ensemble(sources, open_and_tell)
    ensemble.refresh()
    upload(s3, artefact(tmp_path / "bad", "3", broken=True))
    for _ in range(3):
        ensemble.refresh()
        state = ensemble.state()
        assert (state.available, state.details["version"]) == (True, "2")
        assert state.fallback_reason == "What S3 holds was refused: The self-test failed: 0.31 off. Export it again."
    assert len(line.asked(f"GET {WEIGHTS}")) == 2
    assert len(opened) == 2
    sources.forgive()
    ensemble.refresh()
    assert len(opened) == 3
    restarted = Ensemble(ModelSources(sources.settings), open_stand_in)
    restarted.refresh()
    assert (version(restarted), len(line.asked(f"GET {WEIGHTS}"))) == ("2", 2)
    upload(s3, artefact(tmp_path / "good", "4"))
    ensemble.refresh()
    state = ensemble.state()
    assert (state.details["version"], state.fallback_reason) == ("4", None)


def test_an_opener_that_stumbles_is_a_refusal_too(sources: ModelSources) -> None:
    def stumble(candidate: Candidate) -> StandIn:
        if candidate.source == "s3":
            raise MemoryError
        return open_stand_in(candidate)

    ensemble = Ensemble(sources, stumble)
    ensemble.refresh()
    assert version(ensemble) == "1"
    assert "cannot be opened (MemoryError)" in str(ensemble.state().fallback_reason)


def test_an_answer_in_the_making_ends_with_the_old_artefact_whose_memory_then_goes(
    sources: ModelSources, s3: Any, tmp_path: Path
) -> None:
    hold = threading.Event()
    made: dict[str, weakref.ref[StandIn]] = {}

    def holding(candidate: Candidate) -> StandIn:
        opened = open_stand_in(candidate)
        opened.hold = hold if opened.version == "2" else None
        made[opened.version] = weakref.ref(opened)
        return opened

    ensemble = Ensemble(sources, holding)
    ensemble.start(watch=False)
    until(lambda: version(ensemble) == "2")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(ensemble.predict(FACE).version))
    asking.start()
    second = made["2"]()
    assert second is not None
    assert second.entered.wait(WAIT_S)
    del second
    upload(s3, artefact(tmp_path / "third", "3"))
    ensemble.refresh()
    assert ensemble.predict(FACE).version == "3"
    assert answers == []
    hold.set()
    asking.join(WAIT_S)
    assert answers == ["2"]
    gc.collect()
    assert made["2"]() is None


def test_answers_go_on_while_a_newer_artefact_is_opened(sources: ModelSources, s3: Any, tmp_path: Path) -> None:
    go_on, opening = threading.Event(), threading.Event()

    def slowly(candidate: Candidate) -> StandIn:
        opened = open_stand_in(candidate)
        if opened.version == "3":
            opening.set()
            assert go_on.wait(WAIT_S)
        return opened

    ensemble = Ensemble(sources, slowly)
    ensemble.refresh()
    assert ensemble.predict(FACE).version == "2"
    upload(s3, artefact(tmp_path / "third", "3"))
    refreshing = threading.Thread(target=ensemble.refresh)
    refreshing.start()
    assert opening.wait(WAIT_S)
    assert ensemble.predict(FACE).version == "2"
    assert refreshing.is_alive()
    go_on.set()
    refreshing.join(WAIT_S)
    assert ensemble.predict(FACE).version == "3"


def test_a_wish_for_a_look_is_met_without_a_poll(sources: ModelSources, s3: Any, tmp_path: Path, started: Any) -> None:
    ensemble = started(Ensemble(sources, open_stand_in))
    until(lambda: version(ensemble) == "2")
    upload(s3, artefact(tmp_path / "third", "3"))
    ensemble.request_refresh()
    until(lambda: version(ensemble) == "3")


def test_a_poll_picks_up_a_new_version_and_survives_an_outage(
    sources: ModelSources, s3: Any, line: Line, tmp_path: Path, started: Any
) -> None:
    polling = ModelSources(replace(sources.settings, poll_s=0.1))
    ensemble = started(Ensemble(polling, open_stand_in))
    until(lambda: version(ensemble) == "2")
    line.faults.append(Fault("", kind="status 503"))
    until(lambda: "503" in str(ensemble.state().fallback_reason))
    assert version(ensemble) == "2"
    upload(s3, artefact(tmp_path / "third", "3"))
    line.faults.clear()
    until(lambda: version(ensemble) == "3")


def test_without_s3_a_new_local_folder_is_taken_when_asked_for(
    local: ModelSources, tmp_path: Path, started: Any
) -> None:
    ensemble = started(Ensemble(local, open_stand_in))
    until(lambda: version(ensemble) == "1")
    folder = local.settings.folder / NAME
    folder.rename(tmp_path / "old")
    artefact(local.settings.folder, "2")
    ensemble.request_refresh()
    until(lambda: version(ensemble) == "2")


def test_a_fault_on_one_face_is_no_answer_and_no_crash(local: ModelSources) -> None:
    def faulty(candidate: Candidate) -> StandIn:
        opened = open_stand_in(candidate)
        opened.fault = RuntimeError("shape")
        return opened

    ensemble = Ensemble(local, faulty)
    with pytest.raises(ModelUnavailable, match="failed on this face"):
        ensemble.predict(FACE)
    assert ensemble.state().available


def test_a_stop_gives_up_a_download(sources: ModelSources, line: Line) -> None:
    line.faults.append(Fault(f"GET {WEIGHTS}", rate=100_000))
    ensemble = Ensemble(sources, open_stand_in)
    ensemble.start()
    until(lambda: bool(line.asked(f"GET {WEIGHTS}")))
    ensemble.stop()
    assert not any(thread.is_alive() for thread in ensemble._threads)


def test_a_bare_file_that_changed_since_it_was_verified_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "fixed_model_best.h5"
    file.write_bytes(b"other")
    with pytest.raises(BadModel, match="changed after it was verified"):
        open_artefact(Source(file, "0" * 64, (), "auto"))


# --- what S3 may hold, opened as the service opens it ---------------------------------------------------------------


def with_lambda(path: Path) -> None:
    import keras

    image = keras.Input((32, 32, 3))
    keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image)).save(path)


def reaching_out(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"
        file["model_weights"] = h5py.ExternalLink("/etc/passwd", "/")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(20_000))


BARE = {
    "Lambda layer": (with_lambda, "Lambda"),
    "external link": (reaching_out, "link"),
    "corrupt": (noise, "not what its ending"),
}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", BARE)
def test_a_keras_file_in_s3_that_may_not_be_opened_leaves_the_local_artefact(
    name: str, line: Line, s3: Any, tmp_path: Path
) -> None:
    write, said = BARE[name]
    file = tmp_path / "published.h5"
    write(file)
    settings = store_server.settings(line.url, tmp_path, trust_bare=True, read_timeout_s=5.0)
    s3.put_object(Bucket=BUCKET, Key=settings.key, Body=file.read_bytes())
    assert_local_with(settings, said)


@pytest.mark.parametrize(
    ("classes", "said"), [(("acne", "healthy"), "classes"), (("acne", "eczema", "healthy", "rosacea"), "classes")]
)
def test_a_wrong_count_of_classes_in_s3_leaves_the_local_artefact(
    classes: tuple[str, ...], said: str, line: Line, s3: Any, tmp_path: Path
) -> None:
    artefacts.make(tmp_path / "second", classes=classes, version="2.0.0")
    upload(s3, tmp_path / "second")
    assert_local_with(store_server.settings(line.url, tmp_path), said)


def assert_local_with(settings: StoreSettings, said: str) -> None:
    """Everything as in the service; the local artefact serves, and the status tells why."""
    artefacts.make(settings.folder / NAME)
    served = Ensemble(ModelSources(settings))
    served.refresh()
    state = served.state()
    assert (state.available, state.details["source"], state.details["version"]) == (True, "local", "1.0.0")
    assert said in str(state.fallback_reason)
