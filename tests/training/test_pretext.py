"""Backbones learn to tell kinds within a source; nothing is gained by recognising the source, and what they saw is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras
from keras import layers

from training import networks, pretext, weights
from training.command import BadInput
from training.data.pictures import Picture
from training.pretext import Course

KINDS = ["atlas/a", "atlas/b", "clinic/a"]


def windows(count: int = 40) -> pretext.Windows:
    crops = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3)).astype(np.uint8)
    return pretext.Windows(crops, [KINDS[index % 3] for index in range(count)], range(count), Course(64, 1, 8, 1e-3))


def prepared(kinds: list[tuple[str, str]], side_px: int = 224) -> SimpleNamespace:
    pictures = [
        Picture(Path(f"{place}.png"), source, None, f"{place}", kind) for place, (source, kind) in enumerate(kinds)
    ]
    crops = np.random.default_rng(1).integers(0, 256, (len(kinds), side_px, side_px, 3)).astype(np.uint8)
    facts = [SimpleNamespace(sha256=f"{place:064x}") for place in range(len(kinds))]
    return SimpleNamespace(pictures=pictures, facts=facts, crops=crops)


def test_a_class_of_another_source_is_no_rival() -> None:
    truth = np.array([[1, 0, 0, 1, 1, 0]], np.float32)
    for rival in (-9.0, 0.0, 20.0):
        logits = np.array([[2.0, 0.0, rival]], np.float32)
        assert float(pretext.within_source_loss(truth, logits)[0]) == pytest.approx(np.log1p(np.exp(-2.0)), abs=1e-3)
        assert float(pretext.within_source_accuracy(truth, logits)[0]) == 1.0


def test_a_source_with_one_class_teaches_nothing() -> None:
    truth = np.array([[0, 0, 1, 0, 0, 1]], np.float32)
    logits = np.array([[3.0, 3.0, -3.0]], np.float32)
    assert float(pretext.within_source_loss(truth, logits)[0]) == pytest.approx(0.0, abs=1e-3)
    with pytest.raises(BadInput, match="two kinds"):
        pretext.weights(prepared([("atlas", "a"), ("clinic", "b")]), ["train", "train"], Path("nowhere"))  # type: ignore[arg-type]


def test_windows_are_drawn_anew_every_epoch_and_alike_for_the_same_epoch() -> None:
    first, second = windows(), windows()
    assert len(first) == 5
    assert (first[2][0] == second[2][0]).all()
    first.epoch = 1
    assert (first[2][0] != second[2][0]).any()
    second.epoch = 1
    assert (first[2][0] == second[2][0]).all()


def test_truth_names_the_class_and_the_classes_of_its_source() -> None:
    pictures, truth = windows()[0]
    assert (pictures.shape, pictures.dtype) == ((8, 64, 64, 3), np.float32)
    assert (truth[:, :3].sum(axis=1) == 1).all()
    for row in truth:
        assert row[3:].tolist() == ([1, 1, 0] if row[:2].any() else [0, 0, 1])


@pytest.mark.parametrize("side_px", [32, 96, 160])
def test_a_window_is_a_square_of_the_wanted_size(side_px: int) -> None:
    crop = np.full((224, 224, 3), 90, np.uint8)
    drawn = pretext.window(np.random.default_rng(side_px), crop, side_px)
    assert (drawn.shape, drawn.dtype) == ((side_px, side_px, 3), np.uint8)


def light(maps: int, picture: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.Conv2D(4, 16, strides=16, name=f"first_of_{maps}")(layers.Rescaling(1 / 128, offset=-1.0)(picture))
    return layers.Conv2D(maps, 1, activation="relu")(layers.BatchNormalization(name=f"norm_of_{maps}")(x))


@pytest.fixture
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_efficientnet", lambda picture, given: light(1280, picture))
    monkeypatch.setattr(networks, "_resnet", lambda picture, given: light(2048, picture))


@pytest.mark.usefixtures("_light")
def test_learned_weights_are_kept_tell_what_they_saw_and_fit_the_network(tmp_path: Path) -> None:
    given = prepared([("atlas", "ab"[place % 2]) for place in range(20)])
    parts = ["train"] * 12 + ["validation"] * 4 + ["test"] * 4
    folder = pretext.weights(given, parts, tmp_path, epochs=1)  # type: ignore[arg-type]
    assert json.loads((folder / pretext.SEEN).read_text()) == [one.sha256 for one in given.facts[:12]]
    assert weights.seen(str(folder)) == {one.sha256 for one in given.facts[:12]}
    network = weights.network(str(folder))
    alone = networks.backbone("efficientnet")
    alone.load_weights(folder / "efficientnet.weights.h5")
    batch = given.crops[:2].astype(np.float32)
    answer = keras.Model(network.input, network.get_layer("features").output).predict(batch, verbose=0)
    np.testing.assert_allclose(answer[:, :1280], alone.predict(batch, verbose=0), atol=1e-4)
    times = [(folder / f"{name}.weights.h5").stat().st_mtime_ns for name in networks.BACKBONES]
    pretext.weights(given, parts, tmp_path, epochs=1)  # type: ignore[arg-type]
    assert [(folder / f"{name}.weights.h5").stat().st_mtime_ns for name in networks.BACKBONES] == times


@pytest.mark.usefixtures("_light")
def test_normalisations_settle_on_the_mean_of_full_crops() -> None:
    trained = networks.backbone("resnet", 64)
    crops = prepared([("atlas", "a")] * 64).crops
    settled = pretext.settled("resnet", trained, crops, seed=1)
    norm = settled.get_layer("norm_of_2048")
    before = keras.Model(settled.input, norm.input)
    maps = before.predict(crops.astype(np.float32), verbose=0)
    mean, spread = (np.asarray(one) for one in (norm.moving_mean, norm.moving_variance))
    assert np.abs(mean - maps.mean(axis=(0, 1, 2))).max() < 0.5 * maps.std()
    assert (spread > 0).all()
    assert np.abs(mean).max() > 1e-3


def test_weights_that_do_not_fit_or_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such folder"):
        weights.check(str(tmp_path / "none"))
    with pytest.raises(BadInput, match=r"efficientnet\.weights\.h5"):
        weights.check(str(tmp_path))
    (tmp_path / "weights.h5").write_bytes(b"nothing")
    weights.check(str(tmp_path / "weights.h5"))
    (tmp_path / pretext.SEEN).write_text('["abc"]')
    with pytest.raises(BadInput, match="sha256"):
        weights.seen(str(tmp_path / "weights.h5"))


def test_imagenet_that_cannot_be_fetched_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on https://storage.example: None -- [Errno -3] no name")

    monkeypatch.setattr(networks, "hare_run", away)
    with pytest.raises(BadInput, match=r"connect to the internet.*--weights none"):
        weights.check("imagenet")
