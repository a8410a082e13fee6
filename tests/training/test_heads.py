"""A head learns, goes on after a sudden end as if nothing had happened, and is served as a chain of dense layers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

import keras

from training import heads, resuming
from training.heads import Recipe

CLASSES = ("acne", "eczema", "healthy")
WIDTH, VIEWS = 24, 3
SHORT = Recipe(units=(16, 8), dropout=(0.2, 0.1), epochs=6, patience=6, rate=5e-3, batch=32)
UNSTEADY = replace(SHORT, schedule="plateau", epochs=14, patience=14, rate=0.1)


def drawn(count: int, seed: int, views: int = VIEWS) -> tuple[np.ndarray, np.ndarray]:
    """(N, V, 24) float16 features around the mean of their class, some of them wild, and (N,) classes."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, count, p=[0.6, 0.3, 0.1])
    means = np.random.default_rng(0).normal(size=(3, WIDTH))
    features = 3 * means[truth][:, None] + rng.normal(size=(count, views, WIDTH))
    features[0] *= 300
    return (features * np.logspace(-2, 1, WIDTH) + 5).astype(np.float16), truth


def fit(work: Path, recipe: Recipe = SHORT, **more: object) -> heads.Fitted:
    train, validation = drawn(120, 1), drawn(60, 2, 1)
    return heads.fit(*train, *validation, recipe, CLASSES, work=work, **more)  # type: ignore[arg-type]


def test_a_head_learns_and_answers_logits_of_features_as_they_are(tmp_path: Path) -> None:
    fitted = fit(tmp_path)
    features, truth = drawn(90, 3, 1)
    logits = fitted.model.predict(features[:, 0].astype(np.float32), verbose=0)
    assert logits.shape == (90, 3)
    assert np.mean(logits.argmax(axis=1) == truth) > 0.8
    chain = heads.chain_of(fitted.model)
    assert [kernel.shape for kernel, _ in chain] == [(WIDTH, 16), (16, 8), (8, 3)]
    np.testing.assert_allclose(heads.logits_of(chain, features[:, 0]), logits, atol=1e-3)
    assert [row["epoch"] for row in fitted.history] == list(range(len(fitted.history)))
    assert json.loads((tmp_path / resuming.HISTORY).read_text()) == fitted.history
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= fitted.history[0].keys()


def test_the_best_epoch_is_kept_and_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = fit(tmp_path)
    epochs: list[int] = []
    again = fit(tmp_path, callbacks=[counting(epochs)])
    assert not epochs
    assert again.history == first.history
    features = drawn(60, 2, 1)[0][:, 0]
    answers = [heads.logits_of(heads.chain_of(one.model), features) for one in (first, again)]
    np.testing.assert_array_equal(*answers)
    fit(tmp_path, replace(SHORT, rate=1e-3, epochs=1), callbacks=[counting(epochs)])
    assert epochs == [0]


def test_training_ends_when_nothing_gets_better(tmp_path: Path) -> None:
    fitted = fit(tmp_path, replace(SHORT, rate=0.5, epochs=40, patience=2))
    losses = [row["val_loss"] for row in fitted.history]
    assert len(losses) < 40
    assert int(np.argmin(losses)) == len(losses) - 3


CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    import keras
    from tests.training.test_heads import UNSTEADY, fit
    from training import command
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, flush=True))
    command.run(lambda: fit(Path(sys.argv[1]), UNSTEADY, callbacks=[told]))
""")


def test_a_training_that_is_killed_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", UNSTEADY)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "cut")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.strip() == "3":
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    epochs: list[int] = []
    resumed = fit(tmp_path / "cut", UNSTEADY, callbacks=[counting(epochs)])
    assert epochs[0] in (3, 4, 5)
    assert len({row["learning_rate"] for row in whole.history}) > 1
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    features = drawn(60, 2, 1)[0][:, 0]
    answers = [heads.logits_of(heads.chain_of(one.model), features) for one in (whole, resumed)]
    np.testing.assert_allclose(*answers, rtol=1e-3, atol=1e-3)


def counting(epochs: list[int]) -> keras.callbacks.Callback:
    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))


@pytest.mark.parametrize("damage", ["metadata", "weights"])
def test_a_backup_cut_off_while_it_was_written_gives_way_to_the_one_before(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / resuming.BACKUP

    class Ends(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            if epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callbacks=[Ends()])
    path = folder / ("training_metadata.json" if damage == "metadata" else "latest.weights.h5")
    path.write_bytes(path.read_bytes()[:7])
    epochs: list[int] = []
    fitted = fit(tmp_path, callbacks=[counting(epochs)])
    assert epochs[0] in (3, 4)
    assert [row["epoch"] for row in fitted.history] == list(range(SHORT.epochs))


def test_demographics_are_a_second_input_and_may_be_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    features, truth = drawn(120, 1)
    said = np.zeros((120, 12), np.float32)
    said[np.arange(120), truth] = 1
    noise = rng.normal(size=features.shape).astype(np.float16)
    fitted = heads.fit(
        noise,
        truth,
        noise[:40, 0],
        truth[:40],
        replace(SHORT, demographics_dropout=0.1, demographics_silence=0.1, epochs=25, patience=25),
        CLASSES,
        demographics=said,
        validation_demographics=said[:40],
        work=tmp_path,
    )
    chain = heads.chain_of(fitted.model)
    fresh = rng.normal(size=(120, WIDTH)).astype(np.float32)
    told = heads.logits_of(chain, fresh, said)
    np.testing.assert_allclose(told, fitted.model.predict([fresh, said], verbose=0), atol=1e-3)
    assert np.mean(told.argmax(axis=1) == truth) > np.mean(
        heads.logits_of(chain, fresh, said * 0).argmax(axis=1) == truth
    )


def test_every_epoch_sees_each_picture_once_in_one_of_its_views() -> None:
    features = np.arange(30, dtype=np.float16).reshape(10, 3, 1)
    scaling = np.zeros(1, np.float32), np.full(1, 10.0, np.float32)
    batches = heads.Batches(features, None, np.arange(10) % 3, np.ones(10), scaling, 3, replace(SHORT, batch=4))
    epochs = []
    for epoch in range(6):
        batches.epoch = epoch
        given = np.concatenate([batches[index][0] for index in range(len(batches))])[:, 0] * 10
        assert sorted(np.rint(given).astype(int) // 3) == list(range(10))
        epochs.append(np.rint(given).astype(int).tolist())
    assert len({tuple(one) for one in epochs}) == 6
    assert len({value for one in epochs for value in one}) > 20
    batches.epoch = 2
    assert np.rint(batches[0][0][:, 0] * 10).astype(int).tolist() == epochs[2][:4]


def test_rare_classes_weigh_more_and_all_classes_alike() -> None:
    truth = np.array([0] * 6 + [2] * 2)
    weights = heads.balanced_weights(truth, 3)
    assert weights[truth == 0].sum() == pytest.approx(weights[truth == 2].sum())
    assert weights.mean() == pytest.approx(1.0)


def test_the_plateau_counts_as_keras_does() -> None:
    losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.91, 0.90005, 0.5, *[0.6] * 12, 0.4]
    plateau = keras.callbacks.ReduceLROnPlateau(patience=heads.PLATEAU_PATIENCE, factor=heads.PLATEAU_FACTOR)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    plateau.set_model(model)
    plateau.on_train_begin()
    for epoch, loss in enumerate(losses):
        plateau.on_epoch_end(epoch, {"val_loss": loss})
        assert heads.plateau_rate(0.01, losses[: epoch + 1]) == pytest.approx(float(model.optimizer.learning_rate))
    assert float(model.optimizer.learning_rate) < 0.005


def test_wild_values_are_brought_back_to_the_usual_range() -> None:
    features = drawn(120, 1)[0].reshape(-1, WIDTH)
    middle, spread = heads.usual_range(features)
    assert np.abs(heads.scaled(features, middle, spread)).max() <= heads.MOST_DEVIATIONS + 1e-3
    assert np.isfinite(heads.clipped(np.full((1, WIDTH), np.inf), middle, spread)).all()


def test_features_that_are_nothing_on_most_pictures_are_not_blown_up() -> None:
    sparse = np.zeros((200, 1), np.float32)
    sparse[::10] = 4.0
    middle, spread = heads.usual_range(sparse)
    assert middle == 0
    assert spread == pytest.approx(sparse.std() / 2, rel=0.01)
    steady = np.random.default_rng(1).normal(3, 2, (4000, 1)).astype(np.float32)
    assert heads.usual_range(steady)[1] == pytest.approx(2, rel=0.1)
