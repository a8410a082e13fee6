"""Compiled form, head, golden answers and card -> the folder of an artefact, opened once as the service does, then put in its place."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from analyzer import artefact, distribution, model_card, runtime
from analyzer.artefact import Golden
from analyzer.distribution import Distribution
from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard

KERAS_FILE = "best_facial_model.keras"
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
    keep_keras: bool = False,
) -> ModelCard:
    """Write what is served, open it once as the service does, and move it from `made` to `folder`; its card."""
    write_form(form, made)
    if known is not None:
        np.savez_compressed(made / artefact.DISTRIBUTION, **distribution.to_arrays(known))
    np.savez_compressed(made / artefact.GOLDEN, pictures=answers.pictures, logits=answers.logits)
    serving = [f"{artefact.NETWORK}.xml", f"{artefact.NETWORK}.bin", artefact.HEAD, artefact.GOLDEN]
    serving += [artefact.DISTRIBUTION] * (known is not None)
    written = model_card.write(card, made, serving, [KERAS_FILE] * keep_keras)
    print(f"{folder.name}: {artefact.open_folder(made, precision='f32').self_test}", flush=True)
    put_in_place(written, made, folder)
    return written


def put_in_place(card: ModelCard, made: Path, folder: Path) -> None:
    """Move an artefact's files over those of an earlier one, the card last; what the card does not name any more goes."""
    folder.mkdir(exist_ok=True)
    for name in (*card.files, model_card.CARD):
        (made / name).replace(folder / name)
    forms = [f"{form}{ending}" for form in (artefact.NETWORK, artefact.INT8) for ending in (".xml", ".bin")]
    for name in {*forms, artefact.HEAD, artefact.DISTRIBUTION, artefact.GOLDEN, KERAS_FILE} - card.files.keys():
        (folder / name).unlink(missing_ok=True)


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
