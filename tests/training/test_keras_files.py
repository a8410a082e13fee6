"""Keras files as people bring them, saved by Keras 3 and by tf_keras (Keras 2): what is taken answers as Keras itself does."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

from analyzer.errors import BadModel
from tests.keras_answers import answers_of, converted
from tests.keras_kinds import QUICK, WHOLE
from tests.keras_parts import base, ended, of_picture, pictures, pooled, stir

MODULES = ("keras", "tf_keras")
UNSAVED = {  # Keras itself cannot save them
    ("keras", "augmentation: every layer", ".h5"),
    *(("tf_keras", name, ".keras") for name in ("preprocessing: caffe", "preprocessing: slice", "ResNet50")),
    ("tf_keras", "EfficientNetB0 and ResNet50, flat", ".keras"),
}
ROUNDED = {"mixed bfloat16": 2e-2}  # Keras computes with 8 bits; the weights, and what is served, have 24
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


def built(module: str, name: str) -> tuple[Any, NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Return a network, pictures and second inputs, and Keras' own answers to them."""
    k = importlib.import_module(module)
    k.utils.set_random_seed(1)
    network = stir({**QUICK, **WHOLE}[name](k), gain=(0.2, 0.5) if name in WHOLE else (0.8, 1.2))
    shown = pictures(2, network.inputs[0].shape[1] or 224)
    demographics = np.random.default_rng(2).normal(size=(2, 12 * (len(network.inputs) - 1))).astype(np.float32)
    inputs = [shown.astype(np.float32), demographics] if demographics.size else shown.astype(np.float32)
    if name in WHOLE:
        calm(k, network, inputs)
    return network, shown, demographics, np.asarray(network.predict(inputs, verbose=0), np.float32)


def calm(k: Any, network: Any, inputs: Any) -> None:
    """Shrink the last layer so that no probability is 0 or 1: random backbones give large features."""
    kernel, bias = network.layers[-1].get_weights()
    logits = k.Model(network.inputs, network.layers[-1].input).predict(inputs, verbose=0) @ kernel
    network.layers[-1].set_weights([kernel / logits.std(), bias])


@pytest.mark.parametrize("name", [*QUICK, *WHOLE])
@pytest.mark.parametrize("module", MODULES)
def test_what_is_taken_answers_as_keras_does(module: str, name: str, tmp_path: Path) -> None:
    pytest.importorskip(module, reason="Keras 2 is in the training environment only: make train-env")
    network, shown, demographics, wanted = built(module, name)
    spread = float(np.ptp(wanted))
    assert spread > (1e-4 if wanted.shape[1] == 1 else 0.03)
    for suffix in (".h5", ".keras"):
        if (module, name, suffix) not in UNSAVED:
            network.save(tmp_path / f"network{suffix}")
            answers = answers_of(converted((tmp_path / f"network{suffix}").read_bytes(), suffix), shown, demographics)
            np.testing.assert_allclose(answers, wanted, atol=ROUNDED.get(name, 1e-3), err_msg=suffix)


def test_what_keras_2_does_in_training_mode_at_inference_is_refused(tmp_path: Path) -> None:
    k = pytest.importorskip("tf_keras", reason="Keras 2 is in the training environment only: make train-env")
    of_picture(lambda k, image: ended(k, pooled(k, base(k)(image, training=True))))(k).save(tmp_path / "network.h5")
    with pytest.raises(BadModel, match=r"'base' \(Functional\) is called with training=True"):
        converted((tmp_path / "network.h5").read_bytes(), ".h5")


def test_keras_3_ignores_training_mode_at_inference(tmp_path: Path) -> None:
    import keras

    network = stir(of_picture(lambda k, image: ended(k, pooled(k, base(k)(image / 255.0, training=True))))(keras))
    network.save(tmp_path / "network.keras")
    wanted = network.predict(pictures().astype(np.float32), verbose=0)
    form = converted((tmp_path / "network.keras").read_bytes(), ".keras")
    np.testing.assert_allclose(answers_of(form, pictures()), wanted, atol=1e-3)
