"""A new artefact is tried in a process of its own, once on a machine; what fails there is never opened here."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from analyzer import bounded_process, opening
from analyzer.bounded_process import ProcessFailed
from analyzer.ensemble import Ensemble
from analyzer.errors import BadModel, CrashingModel, ModelUnavailable
from analyzer.model_sources import NAME, ModelSources
from analyzer.opening import Source
from analyzer.settings import BUNDLED_MODELS, StoreSettings
from tests.analyzer import artefacts, poisoned, store_server
from tests.analyzer.store_server import open_stand_in


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    """A real artefact of version 1 in the local folder; S3 is off."""
    artefacts.make(tmp_path / "models" / NAME, version="1")
    return replace(store_server.settings("http://127.0.0.1:9", tmp_path), bucket=None)


def source(folder: Path) -> Source:
    return Source(folder, None, (), "auto")


def test_a_sound_artefact_passes_and_is_tried_once(settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        ensemble = Ensemble(ModelSources(settings))
        ensemble.refresh()
        assert ensemble.state().details["version"] == "1"
        assert (ensemble.state().fallback_reason, ensemble.keeps_out_crashing) == (None, False)
        monkeypatch.setattr(opening, "try_artefact", None)  # to call it would be a fault


def test_a_kill_while_opening_costs_a_trial(settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ModelSources(settings)
    sources.prove(sources.wanted())
    (
        settings.cache / "trials" / f"{sources.wanted().version}.0.opening"
    ).touch()  # as a process leaves it that is killed
    asked: list[Source] = []
    monkeypatch.setattr(opening, "try_artefact", lambda source, stopped: asked.append(source))
    sources.prove(sources.wanted())
    assert len(asked) == 1


def test_what_is_shipped_was_tested_with_the_code_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "try_artefact", None)  # to call it would be a fault
    sources = ModelSources(StoreSettings(cache=tmp_path))
    shipped = sources.wanted()
    assert shipped.path == BUNDLED_MODELS / NAME
    assert sources.prove(shipped) == "passed before", "run, in the folder: sha256sum card.json > shipped.sha256"
    sources.approve(shipped)
    assert list(tmp_path.rglob("*")) == []


def test_what_fails_its_self_test_is_refused_and_crashes_nothing(tmp_path: Path) -> None:
    artefacts.make(tmp_path, classes=("acne", "healthy"))
    with pytest.raises(BadModel, match="answers 3 classes and 2 are named") as raised:
        opening.try_artefact(source(tmp_path))
    assert not isinstance(raised.value, CrashingModel)


def test_pictures_that_no_golden_one_resembles_are_tried_too(tmp_path: Path) -> None:
    """The graph divides by zero where a picture is white."""
    poisoned.make(tmp_path, "division at white")
    with pytest.raises(CrashingModel, match="crashes \\(SIGFPE\\)"):
        opening.try_artefact(source(tmp_path))


@pytest.mark.parametrize(
    ("failure", "kind", "sentence"),
    [
        (ProcessFailed("SIGKILL", False, ""), ModelUnavailable, "was killed; perhaps memory ran out"),
        (ProcessFailed(None, True, ""), ModelUnavailable, "did not end in time"),
        (OSError(12, "Cannot allocate memory"), ModelUnavailable, "cannot be tried now"),
        (ProcessFailed("SIGSEGV", False, ""), CrashingModel, "crashes"),
        (ProcessFailed(None, False, "ImportError: x"), BadModel, "cannot be tried \\(ImportError: x\\)"),
    ],
)
def test_what_a_machine_is_short_of_is_not_held_against_an_artefact(
    settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, failure: Exception, kind: type, sentence: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise failure

    sources = ModelSources(settings)
    monkeypatch.setattr(bounded_process, "run", fail)
    with pytest.raises(kind, match=sentence) as raised:
        sources.prove(sources.wanted())
    assert type(raised.value) is kind
    monkeypatch.undo()
    if kind is ModelUnavailable:
        sources.prove(sources.wanted())
        return
    with pytest.raises(kind, match=sentence):
        sources.wanted()
    sources.forgive()
    sources.prove(sources.wanted())


def test_without_a_place_for_files_the_artefact_waits(
    settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    ensemble = Ensemble(ModelSources(settings))
    ensemble.refresh()
    assert "cannot be tried now (FileNotFoundError)" in str(ensemble.state().fallback_reason)
    monkeypatch.undo()
    ensemble.refresh()
    assert ensemble.state().details["version"] == "1"


def test_what_was_fetched_and_never_passed_is_no_fallback(settings: StoreSettings) -> None:
    """Not even where it is the newest one of the cache."""
    sources = ModelSources(replace(settings, bucket=store_server.BUCKET))
    version = sources.cache.folder / ("f" * 64)
    poisoned.make(version, "division while compiling")
    (version / ".origin.json").write_text('{"location": "s3://x/y", "version_id": null}')
    assert sources.cache.versions() == (version,)
    assert [make().version == version.name for make in sources.fallbacks()] == [False]
    sources.records.remember_pass(version.name)
    assert [make().version == version.name for make in sources.fallbacks()] == [True, False]


def test_a_stand_in_of_a_test_is_not_tried(settings: StoreSettings) -> None:
    ensemble = Ensemble(ModelSources(settings), open_stand_in)
    ensemble.refresh()
    assert ensemble.state().details["version"] == "1"
