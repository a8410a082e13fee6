"""A trained network and pictures -> where each backbone sees the evidence for a class: Grad-CAM, drawn beside the picture.

Run:     python -m training.gradcam NETWORK.keras PICTURE [PICTURE …] --out DIR [--classes acne,healthy,…] [--label acne]
Cost:    half a second a picture on 2 cores, beside 10 s for loading.
Expects: a .keras or .h5 of the Hare Run network, or of one backbone with a dense head; just built networks by `explain`.

The gradient is TensorFlow's own through everything that stands behind the last maps, so that nothing is assumed of the head;
for the dense heads that are served it agrees with what the service computes without TensorFlow (analyzer/head.py).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer.errors import AnalyzerError
from analyzer.values import Rgb
from training import command
from training.command import BadInput

if TYPE_CHECKING:
    import keras

SUFFIXES = (".keras", ".h5")
ALL = "all backbones"
Map = NDArray[np.float32]  # (h, w) in 0..1


def main() -> None:
    options = parsed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    network = _opened(options.network)
    names = options.classes or [f"class {index}" for index in range(network.outputs[0].shape[-1])]
    if len(names) != network.outputs[0].shape[-1]:
        raise BadInput(f"--classes: {len(names)} names for a network of {network.outputs[0].shape[-1]} classes")
    if options.label and options.label not in names:
        raise BadInput(f"--label {options.label}: expected one of {', '.join(names)}")
    crops = [_crop(path, network.inputs[0].shape[1]) for path in options.pictures]
    labels = [names.index(options.label)] * len(crops) if options.label else answers(network, np.stack(crops))
    titles = [path.stem for path in options.pictures]
    for path in explain(network, np.stack(crops), labels, names, titles, options.out):
        print(path)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, metavar="NETWORK", help="a .keras or .h5 file")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="photos")
    parser.add_argument("--out", type=Path, required=True, help="folder of the PNGs")
    parser.add_argument("--classes", type=lambda text: text.split(","), help="names, by commas, in the network's order")
    parser.add_argument("--label", help="class to explain; the answered one where it is not given")
    return parser.parse_args()


def explain(
    network: keras.Model,
    crops: NDArray[np.uint8],
    labels: Sequence[int],
    classes: Sequence[str],
    titles: Sequence[str],
    folder: Path,
    demographics: NDArray[np.float32] | None = None,
) -> list[Path]:
    """Write one PNG a picture: the crop, then the evidence that each backbone and all of them together see.

    Args:
        network: a flat graph of layers; just built, or reloaded from a file.
        crops: (N, side, side, 3) uint8, of the network's size.
        labels: (N,) index of the class to explain.
        classes: names of all classes.
        titles: (N,) what each picture is called; names of the files.
        folder: made where it is missing.
        demographics: (N, width) float32 of a second input; nothing is said where None.

    Raises:
        ValueError: as `maps_of`.
    """
    from training.reporting import plots

    written = []
    for place, (crop, label, title) in enumerate(zip(crops, labels, titles, strict=True)):
        found = maps_of(network, crop, int(label), None if demographics is None else demographics[place])
        pictures = [crop, *(drawn(crop, one) for one in found.values())]
        panels = [name if one.any() else f"{name}\nnothing speaks for it" for name, one in found.items()]
        names = [f"{title}\nevidence for {classes[label]}", *panels]
        plain = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in title)
        written.append(plots.save(plots.sheet(pictures, names), folder / f"explanation_{place:02d}_{plain}.png"))
    return written


def drawn(crop: Rgb, activation: Map) -> Rgb:
    """A crop with the evidence in it, as the service shows it to people."""
    import cv2

    from analyzer import explanation

    shown_px = 448  # the lines around the evidence have their widths in pixels
    large = cv2.resize(crop, (shown_px, shown_px), interpolation=cv2.INTER_CUBIC)
    return explanation.draw(large, activation)


def maps_of(
    network: keras.Model,
    crop: Rgb,
    label: int,
    demographics: NDArray[np.float32] | None = None,
    usual: Sequence[NDArray[np.float32]] | None = None,
) -> dict[str, Map]:
    """Grad-CAM of each backbone, and of all together where their maps have one size.

    Each map is the sum of a backbone's last maps, weighed by the mean gradient of the class's logit by them, without what
    speaks against the class (Selvaraju et al., ICCV 2017); the largest value is 1, or all are 0.

    Args:
        network: a flat graph of layers that ends in a dense layer, with softmax in it or behind it.
        crop: (side, side, 3) uint8.
        label: index of the class.
        demographics: (width,) float32 of the second input; zeros, which say nothing, where None.
        usual: (D,) float32 features of each backbone, of `usual_features`: maps are what differs from them. Without it the head's
            bias holds what is usual, the maps by themselves speak against a class, and nothing is left to be seen.

    Raises:
        ValueError: the network holds another network, or no maps whose average becomes features.
    """
    import tensorflow as tf

    names = [layer.name for layer in pooled(network)]
    probe, kernel, bias = _probe(network)
    said = [np.zeros((1, port.shape[1]), np.float32) for port in network.inputs[1:]]
    if demographics is not None and said:
        said = [demographics[None]]
    given = [tf.constant(one, tf.float32) for one in (crop[None], *said)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        *maps, known = probe(given if len(given) > 1 else given[0], training=False)
        logit = tf.tensordot(known[0], kernel[:, label], 1) + bias[label]
    gradients = tape.gradient(logit, maps)
    common = [0.0] * len(maps) if usual is None else usual
    weighed = {
        name: ((one[0] - less) @ tf.reduce_mean(gradient, axis=(1, 2))[0][:, None]).numpy()[..., 0]
        for name, one, less, gradient in zip(names, maps, common, gradients, strict=True)
    }
    if len(weighed) > 1 and len({one.shape for one in weighed.values()}) == 1:
        weighed[ALL] = np.sum(list(weighed.values()), axis=0)
    return {name.removesuffix("_features"): _positive(one) for name, one in weighed.items()}


def usual_features(network: keras.Model, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """(D,) mean features of each backbone over some crops (N, side, side, 3), N at least 1.

    Raises:
        ValueError: as `maps_of`.
    """
    import keras

    probe = keras.Model(network.inputs[0], {layer.name: layer.output for layer in pooled(network)})
    found = probe.predict(crops.astype(np.float32), batch_size=16, verbose=0)
    return [found[layer.name].mean(axis=0) for layer in pooled(network)]


def pooled(network: keras.Model) -> list[keras.Layer]:
    """The layers whose global average of maps becomes features, in the order of the graph.

    Averages within a backbone, which weigh its channels (squeeze and excitation), go on to a `Reshape` or keep their axes.

    Raises:
        ValueError: as `maps_of`.
    """
    import keras

    if nested := [layer.name for layer in network.layers if isinstance(layer, keras.Model)]:
        raise ValueError(f"{network.name} holds the network {nested[0]} as one layer; build it as one flat graph.")
    inner = {id(layer.input) for layer in network.layers if isinstance(layer, keras.layers.Reshape)}
    averages = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    found = [layer for layer in averages if not layer.keepdims and id(layer.output) not in inner]
    if not found:
        raise ValueError(f"{network.name} averages no maps to features (GlobalAveragePooling2D).")
    return found


def answers(network: keras.Model, crops: NDArray[np.uint8]) -> list[int]:
    """(N,) most probable class of each crop, of people of whom nothing is said."""
    said = [np.zeros((1, port.shape[1]), np.float32) for port in network.inputs[1:]]
    found = []
    for crop in crops:
        given = [crop[None].astype(np.float32), *said]
        found.append(int(np.argmax(network(given if said else given[0], training=False))))
    return found


def _probe(network: keras.Model) -> tuple[keras.Model, NDArray[np.float32], NDArray[np.float32]]:
    """Inputs → all last maps and what the last dense layer is given; and that layer's kernel and bias."""
    import keras

    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise ValueError(f"{network.name} ends in no dense layer.")
    kernel, *rest = dense[-1].get_weights()
    bias = rest[0] if rest else np.zeros(kernel.shape[1], np.float32)
    outputs = [layer.input for layer in pooled(network)]
    return keras.Model(network.inputs, [*outputs, dense[-1].input]), kernel, bias


def _positive(weighed: NDArray[np.float32]) -> Map:
    kept = np.maximum(weighed, 0)
    return np.asarray(kept / kept.max() if kept.max() > 0 else kept, np.float32)


def _opened(path: Path) -> keras.Model:
    import keras

    if not path.is_file() or path.suffix not in SUFFIXES:
        raise BadInput(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}; name the network of a training")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path}: Keras cannot read it ({str(error).splitlines()[0]}); export the network anew"
        ) from error


def _crop(path: Path, side_px: int) -> Rgb:
    """What the service would cut out of a photo, in the size of the network.

    Raises:
        BadInput: it cannot be read; the message names it, as one of many may be the one.
    """
    import cv2

    from training.data import facts

    try:
        crop = facts.measured(path.read_bytes())[1]
    except AnalyzerError as error:
        raise BadInput(f"{path}: {error} {error.hint}") from error
    return np.asarray(cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    command.run(main)
