"""Fine-tuning starts from the network as it is, changes its top only, goes on after an end, and keeps its best epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras
from keras import layers

from training import fine_tuning, networks

SIDE_PX = 32


def light(maps: int, picture: keras.KerasTensor, top: str) -> keras.KerasTensor:
    x = layers.Conv2D(4, 8, strides=8, name=f"first_of_{maps}")(layers.Rescaling(1 / 128, offset=-1.0)(picture))
    x = layers.BatchNormalization(name=f"norm_of_{maps}")(x)
    return layers.Conv2D(maps, 1, activation="relu", name=top)(x)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    monkeypatch.setattr(networks, "_efficientnet", lambda picture, given: light(1280, picture, "top_conv"))
    monkeypatch.setattr(networks, "_resnet", lambda picture, given: light(2048, picture, "conv5_block3_out"))
    keras.utils.set_random_seed(2)
    return networks.hare_run(2, side_px=SIDE_PX, units=(8,))


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bright and dark pictures."""
    truth = np.arange(count) % 2
    noise = np.random.default_rng(0).integers(0, 60, (count, SIDE_PX, SIDE_PX, 3))
    return (noise + 150 * truth[:, None, None, None]).astype(np.uint8), truth


def tuned(network: keras.Model, work: Path, epochs: int = 2, **more: object) -> tuple[keras.Model, list]:
    crops, truth = drawn(40)
    train, validation = (list(range(28)), truth[:28]), (list(range(28, 40)), truth[28:])
    return fine_tuning.tuned(
        network, crops, train, validation, epochs=epochs, seed=1, label_smoothing=0.0, work=work, **more
    )


def test_the_top_learns_all_below_stays_and_the_network_itself_is_left_alone(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "RATE", 3e-3)
    before = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    answer, history = tuned(network, tmp_path)
    assert [row["epoch"] for row in history] == [0, 1]
    for name, values in before.items():
        for own, given, other in zip(
            values, network.get_layer(name).get_weights(), answer.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(own, given)
            learns = name.startswith(("top_", "conv5_block3", "head_", "logits"))
            assert (np.abs(own - other).max() > 0) == learns, name
    crops, truth = drawn(40)
    shares = answer.predict(crops.astype(np.float32), verbose=0)
    loss = -np.log(shares[np.arange(28, 40), truth[28:]]).mean()
    assert loss == pytest.approx(min(row["val_loss"] for row in history), rel=0.05)
    again, same = tuned(network, tmp_path)
    assert same == history
    np.testing.assert_array_equal(again.predict(crops.astype(np.float32), verbose=0), shares)


def test_an_interrupted_one_goes_on(network: keras.Model, tmp_path: Path) -> None:
    whole, history = tuned(network, tmp_path / "whole", 3)

    class Ends(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(network, tmp_path / "cut", 3, callbacks=[Ends()])
    resumed, rows = tuned(network, tmp_path / "cut", 3)
    for one, other in zip(history, rows, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
