"""What the service computes of a Keras file, for comparison with Keras' own answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, head, keras_checks, keras_reader, runtime
from analyzer.keras_graph import Converted


def converted(data: bytes, suffix: str) -> Converted:
    """Return graph and head of a file as the reading process does, in this process."""
    keras_checks.check(data, suffix)
    return keras_reader.convert(data, suffix)


def answers_of(
    form: Converted, pictures: NDArray[np.uint8], demographics: NDArray[np.float32] | None = None
) -> NDArray[np.float64]:
    """Return what Keras' predict returns: (N, outputs) probabilities, or logits where the network ends in them."""
    network = runtime.Network(
        runtime.openvino().Core().compile_model(form.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), 1
    )
    dense = head.of_layers([layer[:2] for layer in form.head], [layer.activation for layer in form.head[:-1]])
    features = np.concatenate([network(picture[None])["features"] for picture in pictures])
    rows = features if demographics is None else np.concatenate([features, demographics], axis=1)
    logits = np.stack([dense.logits(row) for row in rows]).astype(float)
    if form.single:
        logits = logits[:, 1:] - logits[:, :1]
    if form.ending == "softmax":
        return artefact.probabilities(logits, 1.0)
    return 1 / (1 + np.exp(-logits)) if form.ending == "sigmoid" else logits
