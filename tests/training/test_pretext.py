"""Backbones learn to tell classes within a source; nothing is gained by recognising the source."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

from training import pretext
from training.data.skin_pictures import Example
from training.pretext import Course

PRETEXTS = ["atlas/a", "atlas/b", "clinic/a"]


def example(pretext_name: str, index: int, part: str = "train") -> Example:
    source = pretext_name.partition("/")[0]
    return Example(f"{pretext_name}{index}.jpg", source, None, pretext_name, f"{index}", part)


def windows(count: int = 40) -> pretext.Windows:
    examples = [example(PRETEXTS[index % 3], index) for index in range(count)]
    crops = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3)).astype(np.uint8)
    return pretext.Windows(examples, crops, "train", PRETEXTS, Course(64, 1, 8, 1e-3))


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


def test_windows_are_drawn_anew_every_epoch_and_alike_for_the_same_epoch() -> None:
    first, second = windows(), windows()
    assert len(first) == 5
    assert (first[2][1] == second[2][1]).all()
    before = first[2][1]
    first.on_epoch_end()
    assert not np.array_equal(first[2][1], before) or not np.array_equal(first[3][1], second[3][1])


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
