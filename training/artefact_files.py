"""The folder of an artefact: written whole, opened once as the service does, then put in its place."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, distribution, keras_files, model_card, runtime
from analyzer.artefact import Golden
from analyzer.distribution import Distribution
from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard

KERAS_FILE = "best_facial_model.keras"
KERAS_FILES = tuple(f"best_facial_model{suffix}" for suffix in keras_files.SUFFIXES)
LARGEST_HALF = float(np.finfo(np.float16).max)
RANDOM_LETTERS = 8  # that tempfile puts behind a prefix


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A folder beside that of an artefact, to write it in; gone afterwards. What a killed run left of its own goes too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-{'?' * RANDOM_LETTERS}"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        yield Path(place)


def finish(
    made: Path,
    folder: Path,
    card: ModelCard,
    form: KerasForm,
    answers: Golden,
    known: Distribution | None,
    keras_file: str | None = None,
) -> ModelCard:
    """Write what is served, open it once as the service does, and move it from `made` to `folder`; return its card."""
    write_form(form, made)
    if known is not None:
        np.savez_compressed(made / artefact.DISTRIBUTION, **distribution.to_arrays(known))
    np.savez_compressed(made / artefact.GOLDEN, pictures=answers.pictures, logits=answers.logits)
    serving = [f"{artefact.NETWORK}.xml", f"{artefact.NETWORK}.bin", artefact.HEAD, artefact.GOLDEN]
    serving += [artefact.DISTRIBUTION] * (known is not None)
    written = model_card.write(card, made, serving, [keras_file] if keras_file else [])
    print(f"{folder.name}: {artefact.open_folder(made, precision='f32').self_test}", flush=True)
    put_in_place(written, made, folder)
    return written


def put_in_place(card: ModelCard, made: Path, folder: Path) -> None:
    """Move an artefact's files over those of an earlier one, the card last; what the card does not name any more goes."""
    folder.mkdir(exist_ok=True)
    for name in (*card.files, model_card.CARD):
        (made / name).replace(folder / name)
    forms = [f"{form}{ending}" for form in (artefact.NETWORK, artefact.INT8) for ending in (".xml", ".bin")]
    for name in {*forms, artefact.HEAD, artefact.DISTRIBUTION, artefact.GOLDEN, *KERAS_FILES} - card.files.keys():
        (folder / name).unlink(missing_ok=True)


def write_form(form: KerasForm, folder: Path) -> None:
    """Write network.xml, network.bin and head.npz: all weights as float16, where they are not too large for it."""
    openvino = runtime.openvino()
    graph = openvino.Core().read_model(model=form.xml, weights=form.weights)
    openvino.save_model(graph, folder / f"{artefact.NETWORK}.xml", compress_to_fp16=True)
    arrays: dict[str, NDArray[Any]] = {
        f"{kind}_{place}": array if np.abs(array).max() > LARGEST_HALF else array.astype(np.float16)
        for place, layer in enumerate(form.head)
        for kind, array in zip(("kernel", "bias"), layer, strict=True)
    }
    if any((names != "relu").any() for names in form.activations):
        arrays |= {f"activation_{place}": names for place, names in enumerate(form.activations)}
    np.savez(folder / artefact.HEAD, **arrays)
