"""Grad-CAM shows where the evidence lies, alike for built and reloaded networks, and as the service computes it."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is in the training environment only: make train-env")

from analyzer import head, keras_files, runtime
from tests.keras_networks import keras, small, stir
from training import command, gradcam, networks
from training.reporting import plots

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
SIDE_PX = 64
CLASSES = ("acne", "healthy", "rosacea")


def picture(side_px: int = SIDE_PX) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (side_px, side_px, 3), np.uint8)


def redness(side_px: int = 32) -> keras.Model:
    """One map that is bright where red exceeds green; class 0 rests on it, class 1 is against it."""
    image = keras.Input((side_px, side_px, 3))
    red = keras.layers.Conv2D(1, 4, strides=4, activation="relu", name="red")
    pooled = keras.layers.GlobalAveragePooling2D()(red(image))
    dense = keras.layers.Dense(2, activation="softmax")
    network = keras.Model(image, dense(pooled))
    red.set_weights([np.tile(np.array([1.0, -1.0, 0.0]) / 16, (4, 4, 1)).reshape(4, 4, 3, 1), np.zeros(1)])
    dense.set_weights([np.array([[0.02, -0.02]]), np.zeros(2)])
    return network


def test_the_evidence_lies_where_it_is() -> None:
    crop = np.full((32, 32, 3), (150, 150, 130), np.uint8)
    crop[4:12, 20:28] = (220, 60, 60)
    found = gradcam.maps_of(redness(), crop, 0)
    assert len(found) == 1  # one backbone: nothing to add up
    (map_,) = found.values()
    wanted = np.zeros((8, 8))
    wanted[1:3, 5:7] = 1
    np.testing.assert_allclose(map_, wanted, atol=1e-5)
    (against,) = gradcam.maps_of(redness(), crop, 1).values()
    assert not against.any()


def test_maps_can_be_what_differs_from_the_usual_picture() -> None:
    crop = np.full((32, 32, 3), (150, 150, 130), np.uint8)
    crop[4:12, 20:28] = (220, 60, 60)
    red = np.full((2, 32, 32, 3), (200, 90, 90), np.uint8)
    usual = gradcam.usual_features(redness(), red)
    (against,) = gradcam.maps_of(redness(), crop, 1, usual=usual).values()
    wanted = np.ones((8, 8))
    wanted[1:3, 5:7] = 0  # redder than usual: the only place that does not speak against redness
    np.testing.assert_array_equal(against > 0, wanted > 0)


def test_both_backbones_as_the_service_computes_it(tmp_path: Path) -> None:
    ensemble = stir(networks.hare_run(3, side_px=SIDE_PX, demographics=2, units=(16, 8)))
    ensemble.save(tmp_path / "ensemble.keras")
    form = keras_files.read((tmp_path / "ensemble.keras").read_bytes(), ".keras")
    answer = runtime.load(form.xml, form.weights, threads=2)(picture()[None])
    maps = [answer[f"{name}_maps"][0] for name in networks.BACKBONES]
    said = np.array([0.4, 1.0], np.float32)
    gradient = head.of_layers(form.head).gradient(np.concatenate([answer["features"][0], said]), 2)
    found = gradcam.maps_of(ensemble, picture(), 2, said)
    assert list(found) == ["efficientnet", "resnet", gradcam.ALL]
    np.testing.assert_allclose(found[gradcam.ALL], head.activation_map(maps, gradient), atol=2e-3)
    parts = {"efficientnet": (maps[:1], gradient[:1280]), "resnet": (maps[1:], gradient[1280:3328])}
    for name, (own, of_own) in parts.items():
        np.testing.assert_allclose(found[name], head.activation_map(own, of_own), atol=2e-3)
    assert found["efficientnet"].shape == (2, 2)
    assert np.ptp(found[gradcam.ALL]) > 0.1


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_reloaded_network_shows_the_same(suffix: str, tmp_path: Path) -> None:
    network = small(demographics=2)
    network.save(tmp_path / f"network{suffix}")
    reloaded = keras.saving.load_model(tmp_path / f"network{suffix}", compile=False)
    built, again = (gradcam.maps_of(one, picture(32), 0) for one in (network, reloaded))
    assert list(built) == list(again)
    for name, map_ in built.items():
        np.testing.assert_allclose(again[name], map_, atol=1e-5)


def test_averages_that_weigh_channels_are_no_features() -> None:
    network = small(softmax_layer=False)
    assert [layer.output.shape[1] for layer in gradcam.pooled(network)] == [1280, 2048]
    found = gradcam.maps_of(network, picture(32), 1)
    assert [one.shape for one in found.values()] == [(16, 16), (8, 8)]  # of two sizes: not added up


def test_other_networks_are_refused_in_a_sentence() -> None:
    image = keras.Input((32, 32, 3))
    inside = keras.Model(image, keras.layers.Conv2D(4, 3)(image), name="inside")
    nested = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inside(image))))
    with pytest.raises(ValueError, match="holds the network inside as one layer"):
        gradcam.maps_of(nested, picture(32), 0)
    flat = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
    with pytest.raises(ValueError, match="averages no maps to features"):
        gradcam.maps_of(flat, picture(32), 0)


def test_each_picture_becomes_one_png_beside_its_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles, sheet = [], plots.sheet
    monkeypatch.setattr(plots, "sheet", lambda crops, names: (titles.append(names[1:]), sheet(crops, names))[1])
    crops = np.full((2, 32, 32, 3), (150, 150, 130), np.uint8)
    crops[:, 4:12, 20:28] = (220, 60, 60)
    written = gradcam.explain(redness(), crops, [0, 1], ("red", "not red"), ["../a $ b", "second"], tmp_path)
    assert [path.name for path in written] == ["explanation_00____a___b.png", "explanation_01_second.png"]
    shown, nothing = (cv2.imread(str(path)) for path in written)
    assert shown.shape[1] > 300
    blue = [int(np.sum((one[..., 0].astype(int) - one[..., 2]) > 40)) for one in (shown, nothing)]
    assert blue[0] > 1000  # the tint, where the red patch was
    assert blue[1] == 0  # nothing speaks for the other class
    assert [names[0].partition("\n")[2] for names in titles] == ["", "nothing speaks for it"]


def test_the_command_explains_photos_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redness().save(tmp_path / "network.keras")
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((80, 80, 3), (60, 60, 220), np.uint8))
    given = [str(tmp_path / "network.keras"), str(tmp_path / "photo.png"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["gradcam", *given, "--classes", "red,other"])
    gradcam.main()
    assert (tmp_path / "out" / "explanation_00_photo.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.keras", "photo.png"], "nowhere.keras: expected a file that ends in .keras or .h5"),
        (["network.keras", "photo.png", "--classes", "a,b,c"], "--classes: 3 names for a network of 2 classes"),
        (["network.keras", "photo.png", "--classes", "a,b", "--label", "c"], "--label c: expected one of a, b"),
        (["network.keras", "nowhere.png"], "nowhere.png: no such file"),
        (["network.keras", "broken.keras"], "broken.keras: This file is not a picture of a known type. Send"),
        (["broken.keras", "photo.png"], "broken.keras: Keras cannot read it"),
    ],
)
def test_bad_input_ends_in_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redness().save(tmp_path / "network.keras")
    (tmp_path / "broken.keras").write_bytes(b"no archive")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gradcam", *arguments, "--out", "out"])
    with pytest.raises(SystemExit, match=sentence.replace(".", r"\.")):
        command.run(gradcam.main)
