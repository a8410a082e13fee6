"""What --weights says -> a network with trained backbones, and the pictures that those have seen before.

`imagenet` is fetched by Keras' own loader; a folder holds `efficientnet.weights.h5` and `resnet.weights.h5`, a `.keras` or
`.h5` file a whole Hare Run network. `seen.json` beside them lists the sha256 of the pictures that they were trained on.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import keras

from analyzer import keras_files
from training import networks
from training.command import BadInput
from training.pretext import SEEN

IMAGENET, NONE = "imagenet", "none"
TIMEOUT_S = 60.0  # of a download that stands still
SHA256 = re.compile(r"[0-9a-f]{64}")
NOTES = {
    NONE: "Backbones learned from scratch on windows of the training pictures, to tell kinds within one source from each other "
    "(training/pretext.py), for few epochs; no downloaded weights.",
    IMAGENET: "Backbones with Keras' ImageNet weights, frozen.",
}


def check(choice: str) -> None:
    """See that the choice can be used before anything costly is done.

    Raises:
        BadInput: it is neither a word that is known nor a folder or file of weights, or ImageNet's cannot be fetched.
    """
    if choice == IMAGENET:
        _imagenet()
    if choice in (IMAGENET, NONE):
        return
    path = Path(choice)
    if path.is_dir():
        for name in networks.BACKBONES:
            if not _file(path, name).is_file():
                raise BadInput(
                    f"--weights {choice}: expected {_file(path, name).name} in the folder; name a folder with the weights of both "
                    f"backbones, a .keras or .h5 file, {IMAGENET} or {NONE}."
                )
    elif not path.is_file() or path.suffix not in keras_files.SUFFIXES:
        raise BadInput(
            f"--weights {choice}: there is no such folder, .keras or .h5 file; name one, or {IMAGENET} or {NONE}."
        )


def seen(choice: str) -> set[str]:
    """sha256 of the pictures that the weights were trained on; empty where no `seen.json` lies beside them.

    Raises:
        BadInput: the file holds something else.
    """
    if choice in (IMAGENET, NONE):
        return set()
    path = Path(choice)
    listed = (path if path.is_dir() else path.parent) / SEEN
    if not listed.is_file():
        return set()
    try:
        known = json.loads(listed.read_text())
        if not isinstance(known, list) or not all(isinstance(one, str) and SHA256.fullmatch(one) for one in known):
            raise ValueError("no such list")
    except ValueError as error:
        raise BadInput(f"{listed}: expected a JSON list of sha256 in small hexadecimal digits ({error}).") from error
    return set(known)


def note(choice: str) -> str:
    """What a card says of the backbones."""
    if choice in NOTES:
        return NOTES[choice]
    told = (
        "pictures that they were trained on are in the training part"
        if seen(choice)
        else "what they were trained on is not known"
    )
    return f"Backbones with weights of an earlier training; {told}."


def network(choice: str, trained: Path | None = None) -> keras.Model:
    """A Hare Run network with these backbones; its head is fresh and for two classes.

    Args:
        choice: as `check` takes it.
        trained: for ``"none"``: the folder that `pretext.weights` gave.

    Raises:
        BadInput: the weights cannot be fetched, or do not fit.
    """
    if choice == IMAGENET:
        return _imagenet()
    answer = networks.hare_run(2)
    path = trained if trained is not None else Path(choice)
    try:
        if path.is_dir():
            networks.take_weights(answer, {name: _file(path, name) for name in networks.BACKBONES})
        else:
            keras_files.read(path.read_bytes(), path.suffix)  # refuses what is no plain network before Keras opens it
            networks.take_backbones(answer, keras.models.load_model(path, compile=False))
    except (ValueError, TypeError, OSError, KeyError) as error:  # TypeError: a file of Keras 2
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"--weights {path}: does not hold the backbones of a Hare Run network ({first:.200}); make it anew with "
            f"training.train_hare_run, or use {IMAGENET} or {NONE}."
        ) from error
    return answer


def _imagenet() -> keras.Model:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        return networks.hare_run(2, weights="imagenet")
    except Exception as error:  # Keras' loader raises a plain Exception when a download fails
        raise BadInput(
            f"the ImageNet weights could not be fetched ({error}); connect to the internet, put the two files into ~/.keras/models, "
            "or train without them: --weights none, or --weights with a folder of earlier weights."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.weights.h5"
