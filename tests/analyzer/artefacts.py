"""Tiny artefacts of the served shape for tests: a graph of two averaged convolutions, a random head, drawn golden pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, distribution, head, model_card, runtime
from analyzer.model_card import Measured, Metric, ModelCard

CLASSES = ("acne", "eczema", "healthy")
GRADED = ("acne", "aging", "fine_lines_wrinkles", "hyperpigmentation", "pore_size", "redness", "textured_skin")
SIDE_PX, CHANNELS = 32, (5, 7)  # channels of the two maps
FEATURES = sum(CHANNELS)


def make_graded(folder: Path, *, logits_of_each: int = 3, **changes: object) -> ModelCard:
    """`make` of an artefact that answers presence and severity of `GRADED`; the card names a threshold of acne alone."""
    usual = {"output_kind": model_card.SEVERITIES, "thresholds": {"presence_acne": 0.3, "distance": 3.0}}
    outputs = len(GRADED) * (1 + logits_of_each)
    return make(folder, classes=GRADED, outputs=outputs, **{**usual, **changes})  # type: ignore[arg-type]


def make(
    folder: Path,
    *,
    seed: int = 0,
    demographics: int = 0,
    classes: Sequence[str] = CLASSES,
    outputs: int = len(CLASSES),
    side_px: int = SIDE_PX,
    ballast: int = 0,
    **changes: object,
) -> ModelCard:
    """Write an artefact; its card, with `changes` to its fields.

    Args:
        ballast: numbers that make `network.bin` larger by 4 bytes each and change no answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    _write_graph(folder, rng, side_px, ballast)
    widths = (FEATURES + demographics, 9, outputs)
    layers = [
        (rng.normal(size=(before, after)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in pairwise(widths)
    ]
    np.savez(
        folder / artefact.HEAD,
        **{f"kernel_{place}": pair[0] for place, pair in enumerate(layers)},
        **{f"bias_{place}": pair[1] for place, pair in enumerate(layers)},
    )
    pictures = rng.integers(0, 256, (3, side_px, side_px, 3)).astype(np.uint8)
    features = features_of(folder, pictures)
    rows = np.repeat(features, 20, axis=0) + rng.normal(0, 0.1, (60, FEATURES))
    known = distribution.fit(rows.astype(np.float32), np.arange(60) % 3, rank=4)
    np.savez(folder / artefact.DISTRIBUTION, **distribution.to_arrays(known))
    dense = head.of_layers(layers)
    unsaid = np.zeros(demographics, np.float32)
    logits = np.stack([dense.logits(np.concatenate([one, unsaid])) for one in features])
    np.savez(folder / artefact.GOLDEN, pictures=pictures, logits=logits)
    inputs = [model_card.ModelInput("image", (1, side_px, side_px, 3), "NHWC", "uint8", "aligned-face-224")]
    if demographics:
        inputs.append(model_card.ModelInput("demographics", (1, demographics), "NC", "float32", "demographics-12"))
    card = replace(
        artefact.bare_card("0" * 64, 1, ".h5", classes),
        name="tiny",
        version="1.0.0",
        inputs=tuple(inputs),
        thresholds={"probability": 0.4, "distance": 3.0, "parity_probability": 0.02},
        files={},
    )
    names = ["network.xml", "network.bin", artefact.HEAD, artefact.DISTRIBUTION, artefact.GOLDEN]
    return model_card.write(replace(card, **changes), folder, names)  # type: ignore[arg-type]


def measured(earned: tuple[float, float], baseline: tuple[float, float]) -> dict[str, object]:
    """Fields of a card with these intervals of the figure that decides whether a model speaks."""

    def figure(interval: tuple[float, float]) -> dict[str, Metric]:
        return {artefact.EARNED: Metric(sum(interval) / 2, interval, 200)}

    return {"metrics": Measured(figure(earned), {}, {}), "baselines": {artefact.BASELINE: figure(baseline)}}


def features_of(folder: Path, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = runtime.load(
        (folder / "network.xml").read_bytes(), (folder / "network.bin").read_bytes(), threads=1, precision="f32"
    )
    return np.stack([network(picture[None])["features"][0] for picture in pictures])


def _write_graph(folder: Path, rng: np.random.Generator, side_px: int, ballast: int) -> None:
    """Picture → two convolutions of stride 4 with ReLU → maps and their means side by side."""
    ov = runtime.openvino()
    ops = ov.opset13
    picture = ops.parameter([1, side_px, side_px, 3], np.uint8, name="image")
    picture.output(0).set_names({"image"})
    scaled = ops.multiply(ops.convert(picture, "f32"), np.float32(1 / 255))
    planes = ops.transpose(scaled, np.array([0, 3, 1, 2]))
    maps = []
    for count in CHANNELS:
        kernel = rng.normal(0, 0.3, (count, 3, 4, 4)).astype(np.float32)
        flat = ops.relu(ops.convolution(planes, ops.constant(kernel), [4, 4], [0, 0], [0, 0], [1, 1]))
        maps.append(ops.transpose(flat, np.array([0, 2, 3, 1])))
    features = ops.concat([ops.reduce_mean(one, np.array([1, 2])) for one in maps], 1)
    if ballast:
        heavy = ops.reduce_sum(ops.constant(rng.random(ballast, np.float32)), np.array([0]))
        features = ops.add(features, ops.multiply(heavy, np.float32(0)))
    for node, name in zip((features, *maps), ("features", *artefact.MAPS[:2]), strict=True):
        node.output(0).set_names({name})
    model = ov.Model([ops.result(node) for node in (features, *maps)], [picture], "tiny")
    ov.serialize(model, folder / "network.xml", folder / "network.bin")
