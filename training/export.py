"""The artefact of a trained network, models/<name>/: Keras file, compiled form, head, distribution, golden pictures, card.

Run:     python -m training.export KERAS_FILE --out models/NAME [--card FOLDER] [--classes acne,eczema,healthy]
Cost:    about half a minute.
Expects: a .keras or .h5 file of Keras 2 or 3, from this project or from elsewhere; docs/keras-files.md lists the networks that are
         taken. It is read as the service reads it, and must answer as the Keras does that wrote it.

Without --card nothing is known of how good the network is: its card says so, and the service marks all that it says as
experimental. A card that is taken over keeps its figures only where it names this very file; other weights were not measured.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analyzer import artefact, distribution, keras_files, model_card, preprocessing, runtime, settings
from analyzer.artefact import Golden
from analyzer.distribution import Distribution
from analyzer.keras_files import KerasForm
from analyzer.model_card import ModelCard, ModelInput
from analyzer.preprocessing import SIDE_PX
from training import artefact_files, command, golden
from training.artefact_files import KERAS_FILE
from training.command import BadInput

if TYPE_CHECKING:
    import keras

OTHER_WEIGHTS = "The figures of the card that was taken over are of other weights and were left out."
Parent = tuple[ModelCard, Path]  # a card that is taken over, and its folder


def main() -> None:
    options = parsed()
    if options.network.suffix not in keras_files.SUFFIXES:
        raise BadInput(f"{options.network}: expected a file that ends in {' or '.join(keras_files.SUFFIXES)}.")
    data, classes = options.network.read_bytes(), named(options.classes)
    parent = (model_card.read(options.card), options.card) if options.card else None
    form = keras_files.read(data, options.network.suffix)  # refuses what must not be opened, before Keras opens it here
    check_demographics(form, options.network)
    card = card_of(data, options.network.name, options.out.name, form, parent, classes)
    written = export_file(options.network, form, options.out, card, inherited(data, parent, form))
    size_mb = sum(file.size_bytes for file in written.files.values() if file.serving) / 1e6
    print(f"{options.out}: {len(written.classes)} classes, {size_mb:.1f} MB to serve")
    if reason := artefact.silence_reason(written):
        print(f"It will be served as experimental: {reason}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, metavar="KERAS_FILE", help="a .keras or .h5 file of a whole network")
    parser.add_argument("--out", type=Path, required=True, help="folder of the artefact, such as models/NAME")
    parser.add_argument("--card", type=Path, metavar="FOLDER", help="artefact whose card is taken over")
    parser.add_argument(
        "--classes", metavar="A,B,C", help="names in the order of the outputs, where there is no --card"
    )
    return parser.parse_args()


def named(classes: str | None) -> tuple[str, ...]:
    """Class names of a list with commas.

    Raises:
        BadInput: one of them is no name, or stands there twice.
    """
    names = tuple(name.strip() for name in classes.split(",")) if classes else ()
    for name in names:
        if not settings.CLASS.fullmatch(name) or names.count(name) > 1:
            raise BadInput(f"--classes: {name!r} must be one name of small letters, digits and _, given once.")
    return names


def side_of(form: KerasForm) -> int:
    """Return the side of the pictures that a network takes, in px."""
    return int(runtime.openvino().Core().read_model(model=form.xml, weights=form.weights).input(0).shape[1])


def check_demographics(form: KerasForm, path: Path) -> None:
    """Check that the second input, if there is one, takes what the service gives.

    Raises:
        BadInput: it takes something else.
    """
    if form.demographics not in (0, preprocessing.DEMOGRAPHICS_WIDTH):
        raise BadInput(
            f"{path}: its second input takes {form.demographics} numbers; the service gives "
            f"{preprocessing.DEMOGRAPHICS_WIDTH} of the demographics (analyzer/preprocessing.py)."
        )


def card_of(
    data: bytes, file: str, name: str, form: KerasForm, parent: Parent | None, classes: Sequence[str]
) -> ModelCard:
    """An honest card: figures are kept only where they are of this very file.

    Raises:
        BadInput: the number of classes is another one, or they have no names.
    """
    count, sha256 = len(form.head[-1][1]), hashlib.sha256(data).hexdigest()
    if not parent and not classes:
        raise BadInput(f"{file}: answers {count} classes and nothing says their names; add --classes A,B,C or --card.")
    names = [entry.name for entry in parent[0].classes] if parent else list(classes)
    if len(names) != count or (parent and classes and list(classes) != names):
        raise BadInput(f"{file}: answers {count} classes; named were {len(names)}: {', '.join(classes or names)}.")
    if parent and is_of(parent[0], sha256):
        return parent[0]
    kind = model_card.MULTILABEL if form.is_multilabel else model_card.ONE_CLASS
    bare = artefact.bare_card(sha256, len(data), Path(file).suffix, names, kind)
    taken = replace(
        parent[0] if parent else bare,
        name=parent[0].name if parent else name,
        version=bare.version,
        output_kind=kind,
        inputs=inputs(form.demographics, side_of(form)),
        thresholds={
            key: value for key, value in (parent[0] if parent else bare).thresholds.items() if key != "distance"
        },
        metrics=bare.metrics,
        baselines={},
        calibration=None,
        notes=(f"Made of {file}, sha256 {sha256}.", OTHER_WEIGHTS if parent else bare.notes[0]),
        commit=commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files={},
    )
    return replace(taken, training_data=(), split=bare.split) if parent else taken


def is_of(card: ModelCard, sha256: str) -> bool:
    """Whether a card names a file."""
    return any(file.sha256 == sha256 for file in card.files.values())


def inherited(data: bytes, parent: Parent | None, form: KerasForm) -> Distribution | None:
    """Where the training features lie, as the card's folder says, if the card is of this very file."""
    if parent is None or not is_of(parent[0], hashlib.sha256(data).hexdigest()):
        return None
    card, folder = parent
    if artefact.DISTRIBUTION not in card.files:
        return None
    features = form.head[0][0].shape[0] - form.demographics
    return distribution.read(model_card.verified_bytes(card, folder, artefact.DISTRIBUTION), features)


def inputs(demographics: int, side_px: int = SIDE_PX) -> tuple[ModelInput, ...]:
    """Return what a card says of a network's inputs."""
    resized = preprocessing.FACE.replace(str(SIDE_PX), str(side_px))
    picture = ModelInput("image", (1, side_px, side_px, 3), "NHWC", "uint8", resized)
    said = ModelInput("demographics", (1, demographics), "NC", "float32", preprocessing.DEMOGRAPHICS)
    return (picture, said) if demographics else (picture,)


def export(
    network: keras.Model,
    folder: Path,
    card: ModelCard,
    known: Distribution | None = None,
    *,
    keep_keras: bool = True,
) -> ModelCard:
    """Write an artefact, open it once as the service does, and put it in its place; return its card.

    Args:
        network: of `networks.hare_run`, or of its structure.
        folder: of the artefact; made where it is missing. What an earlier artefact left there stays until this one has passed.
        card: all but its files.
        known: of the training features; None where it is not known: the artefact then cannot tell what is unfamiliar.
        keep_keras: write the Keras file too (117 MB).

    Raises:
        BadModel: what was written would not be served; the folder stays as it was.
    """
    with artefact_files.unfinished(folder) as made:
        network.save(made / KERAS_FILE)
        form = keras_files.read((made / KERAS_FILE).read_bytes(), Path(KERAS_FILE).suffix)
        answers = answers_of(network, form)
        return artefact_files.finish(made, folder, card, form, answers, known, KERAS_FILE if keep_keras else None)


def export_file(
    path: Path, form: KerasForm, folder: Path, card: ModelCard, known: Distribution | None = None
) -> ModelCard:
    """Write the artefact of a Keras file, which is kept as it is, as `export`; return its card.

    Args:
        path: of the file.
        form: what `keras_files.read` made of it.
        folder, card, known: as of `export`.

    Raises:
        BadInput: Keras cannot open it here.
        BadModel: as `export`.
    """
    kept = artefact_files.KERAS_FILES[keras_files.SUFFIXES.index(path.suffix)]
    answers = answers_of(opened(path, form), form)
    with artefact_files.unfinished(folder) as made:
        shutil.copyfile(path, made / kept)
        return artefact_files.finish(made, folder, card, form, answers, known, kept)


def opened(path: Path, form: KerasForm) -> keras.Model:
    """Return the network of a file that was read before, opened by the Keras that wrote it.

    Raises:
        BadInput: that Keras is not installed, or cannot open it.
    """
    try:
        module = importlib.import_module("tf_keras" if form.keras == 2 else "keras")
        return module.models.load_model(path, compile=False)
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{path}: was written by Keras 2, and {error.name} is not installed; run make train-env."
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError) as error:
        raise BadInput(
            f"{path}: the Keras of this environment cannot open it ({keras_files.reason(error)}); open it where it was saved, "
            "and save it anew with a newer Keras 3."
        ) from error


def answers_of(network: keras.Model, form: KerasForm) -> Golden:
    """Return drawn pictures with a network's own answers, which what is served must give, too."""
    pictures = golden.golden_pictures(side_of(form))
    return Golden(pictures, golden.logits_of(network, pictures, form.ending, single=form.single))


def export_severities(
    form: KerasForm,
    answer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    folder: Path,
    card: ModelCard,
    known: Distribution | None = None,
) -> ModelCard:
    """Write an artefact of the output kind ``"multilabel_severity"`` (its format: `analyzer.severity`), as `export`; its card.

    Args:
        form: the backbone as `KerasForm` describes it, of whatever width (`demographics` 0), and the head: the C (1 + S) logits.
        answer: the trained network: (N, side, side, 3) uint8 pictures -> (N, C (1 + S)) logits, for the golden pictures.
        folder: as of `export`.
        card: all but its files, with output_kind `model_card.SEVERITIES` and a threshold `severity.presence_threshold` of each class.
        known: as of `export`.

    Raises:
        BadModel: as `export`.
    """
    pictures = golden.golden_pictures(side_of(form))
    with artefact_files.unfinished(folder) as made:
        return artefact_files.finish(made, folder, card, form, Golden(pictures, answer(pictures)), known)


def commit() -> str:
    """Of the sources that train; "unknown" outside a checkout."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    except FileNotFoundError:  # there is no git
        return "unknown"
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    command.run(main)
