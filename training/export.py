"""Trained Hare Run network + what is known of it -> models/<name>/: Keras file, compiled form, head, distribution, golden pictures, card.

Run:     python -m training.export KERAS_FILE CARD --out models/NAME   (CARD: a card.json to take everything but the files from)
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, distribution, keras_files, model_card, runtime
from analyzer.distribution import Distribution
from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard
from analyzer.preprocessing import SIDE_PX
from training.data.degradations import degrade

KERAS_FILE = "best_facial_model.keras"
GOLDEN_SEED, GOLDEN_PICTURES = 3, 6
TONES = ((235, 200, 180), (205, 160, 130), (170, 120, 90), (120, 80, 60), (80, 52, 40), (215, 150, 140))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="a .keras or .h5 file of the Hare Run network")
    parser.add_argument("card", type=Path, help="folder whose card.json is taken over")
    parser.add_argument("--out", type=Path, required=True, help="folder of the artefact")
    options = parser.parse_args()
    network = keras.models.load_model(options.network, compile=False)
    card = export(network, options.out, model_card.read(options.card))
    print(
        f"{options.out}: {sum(file.size_bytes for file in card.files.values() if file.serving) / 1e6:.1f} MB to serve"
    )


def export(
    network: keras.Model, folder: Path, card: ModelCard, known: Distribution | None = None, *, keep_keras: bool = True
) -> ModelCard:
    """Write an artefact and open it once as the service does; its card.

    Args:
        network: of `networks.hare_run`.
        folder: of the artefact; made where it is missing.
        card: all but its files.
        known: of the training features; None keeps the one that lies in the folder, where there is one.
        keep_keras: write the Keras file too (117 MB).

    Raises:
        BadModel: what was written would not be served.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.save(folder / KERAS_FILE)
    form = keras_files.read((folder / KERAS_FILE).read_bytes(), Path(KERAS_FILE).suffix)
    write_form(form, folder)
    if known is not None:
        np.savez_compressed(folder / artefact.DISTRIBUTION, **distribution.to_arrays(known))
    pictures = golden_pictures(network.inputs[0].shape[1])
    np.savez_compressed(folder / artefact.GOLDEN, pictures=pictures, logits=logits_of(network, pictures))
    if not keep_keras:
        (folder / KERAS_FILE).unlink()
    serving = [f"{artefact.NETWORK}.xml", f"{artefact.NETWORK}.bin", artefact.HEAD, artefact.GOLDEN]
    serving += [artefact.DISTRIBUTION] * (folder / artefact.DISTRIBUTION).is_file()
    written = model_card.write(card, folder, serving, [KERAS_FILE] * keep_keras)
    print(f"{folder.name}: {artefact.open_folder(folder, precision='f32').self_test}", flush=True)
    return written


def write_form(form: KerasForm, folder: Path) -> None:
    """Write network.xml, network.bin and head.npz: all weights as float16."""
    openvino = runtime.openvino()
    graph = openvino.Core().read_model(model=form.xml, weights=form.weights)
    openvino.save_model(graph, folder / f"{artefact.NETWORK}.xml", compress_to_fp16=True)
    halves = {
        f"{kind}_{place}": array.astype(np.float16)
        for place, layer in enumerate(form.head)
        for kind, array in zip(("kernel", "bias"), layer, strict=True)
    }
    np.savez(folder / artefact.HEAD, **halves)


def logits_of(network: keras.Model, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, classes) float32 of (N, side, side, 3) uint8 pictures about whose person nothing was said."""
    to_logits = keras.Model(network.inputs, network.get_layer("logits").output)
    given = [pictures.astype(np.float32)]
    given += [np.zeros((len(pictures), port.shape[1]), np.float32) for port in network.inputs[1:]]
    return np.asarray(to_logits.predict(given if len(given) > 1 else given[0], verbose=0, batch_size=2), np.float32)


def golden_pictures(side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """(6, side, side, 3) uint8: drawn faces of six tones with spots, shade and grain; the same at every call."""
    rng = np.random.default_rng(GOLDEN_SEED)
    cv2.setRNGSeed(GOLDEN_SEED)
    return np.stack([_drawn_face(rng, tone, side_px) for tone in TONES[:GOLDEN_PICTURES]])


def _drawn_face(rng: np.random.Generator, tone: tuple[int, int, int], side_px: int) -> NDArray[np.uint8]:
    rgb = np.full((SIDE_PX, SIDE_PX, 3), rng.integers(20, 230, 3), np.uint8)
    cv2.ellipse(rgb, (112, 110), (96, 125), 0, 0, 360, tone, -1, cv2.LINE_AA)
    dark = tuple(int(0.45 * part) for part in tone)
    for x in (70, 154):
        cv2.ellipse(rgb, (x, 68), (17, 8), 0, 0, 360, (235, 235, 235), -1, cv2.LINE_AA)
        cv2.circle(rgb, (x, 68), 7, (45, 35, 30), -1, cv2.LINE_AA)
        cv2.ellipse(rgb, (x, 48), (22, 5), 0, 180, 360, dark, 5, cv2.LINE_AA)
    cv2.ellipse(rgb, (112, 116), (15, 8), 0, 0, 180, dark, 3, cv2.LINE_AA)
    cv2.ellipse(rgb, (112, 160), (32, 9), 0, 0, 360, (170, 80, 85), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 30))):
        x, y = (int(place) for place in rng.normal((112, 115), (40, 45)))
        shade = tuple(int(part * factor) for part, factor in zip(tone, rng.uniform(0.5, 1.0, 3), strict=True))
        cv2.circle(rgb, (x, y), int(rng.integers(1, 5)), shade, -1, cv2.LINE_AA)
    grain = rng.normal(0, 5, rgb.shape)
    drawn = degrade(rng, np.clip(rgb + grain, 0, 255).astype(np.uint8))
    return np.asarray(cv2.resize(drawn, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def commit() -> str:
    """Of the sources that train."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
