"""The top of a backbone and its head are trained on together; all below stays, and the backbone that was given too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras
from keras import layers

from training import heads, networks
from training.multilabel import backbones, severity_head, top_tuning
from training.multilabel.objective import Labels
from training.multilabel.severity_head import Recipe
from training.multilabel.top_tuning import Shown, Tuned

SIDE_PX, RECIPE = 32, Recipe(units=(8,), dropout=0.0)


def light(picture: keras.KerasTensor, _: object) -> keras.KerasTensor:
    x = layers.Conv2D(4, 8, strides=8, name="first")(layers.Rescaling(1 / 128, offset=-1.0)(picture))
    return layers.Conv2D(12, 1, activation="relu", name="top_conv")(x)


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    monkeypatch.setattr(networks, "_efficientnet", light)
    keras.utils.set_random_seed(2)
    return networks.backbone("efficientnet", SIDE_PX)


def chain_on(backbone: keras.Model) -> heads.Chain:
    given = keras.Input((backbone.output.shape[1],))
    return severity_head.chain_of(keras.Model(given, severity_head.layers_on(given, 2, RECIPE)))


def tuned(backbone: keras.Model, chain: heads.Chain, work: Path) -> Tuned:
    """On bright pictures, which have the first condition, and dark ones, which have the second."""
    bright = np.arange(32) % 2
    noise = np.random.default_rng(0).integers(0, 60, (32, SIDE_PX, SIDE_PX, 3))
    crops = (noise + 150 * bright[:, None, None, None]).astype(np.uint8)
    severity = np.stack([2 * bright, 3 * (1 - bright)], axis=1)
    labels = Labels(severity > 0, severity)
    parts = [Shown(rows, labels.of(rows)) for rows in (np.arange(22), np.arange(22, 32))]
    return top_tuning.tuned(backbone, chain, crops, *parts, RECIPE, 2, work)


def test_the_top_learns_and_all_else_stays(
    backbone: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_tuning, "RATE", 1e-2)
    before, chain = [one.copy() for one in backbone.get_weights()], chain_on(backbone)
    found = tuned(backbone, chain, tmp_path)
    assert len(found.history) == 2
    for own, given in zip(backbone.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, given)
    for name, learns in (("first", False), ("top_conv", True)):
        pairs = zip(backbone.get_layer(name).get_weights(), found.backbone.get_layer(name).get_weights(), strict=True)
        assert any(np.abs(own - other).max() > 0 for own, other in pairs) is learns
    assert np.abs(found.chain[0][0] - chain[0][0]).max() > 0
    again = tuned(backbone, chain, tmp_path)
    assert again.history == found.history


def test_the_compiled_form_answers_as_the_network_does(backbone: keras.Model) -> None:
    compiled = backbones.compiled(backbone)
    shown = np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    features = compiled.opened()(shown)
    assert compiled.width == 12
    np.testing.assert_allclose(features, backbone(shown[None].astype(np.float32))[0], rtol=2e-3, atol=1e-3)
    assert "efficientnet_maps" in compiled.opened().network.outputs


def test_centred_features_are_the_means_of_centred_maps(backbone: keras.Model) -> None:
    plain = backbones.compiled(backbone)
    shown = np.random.default_rng(1).integers(0, 256, (1, SIDE_PX, SIDE_PX, 3), np.uint8)
    before = plain.opened().network(shown)
    usual = np.arange(12, dtype=np.float32) / 10
    after = plain.centred(usual).opened().network(shown)
    np.testing.assert_allclose(after["features"], before["features"] - usual, atol=1e-5)
    np.testing.assert_allclose(after["efficientnet_maps"].mean(axis=(1, 2)), after["features"], atol=1e-4)
