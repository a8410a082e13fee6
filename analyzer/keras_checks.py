"""Bytes of a Keras file -> nothing, or the reason why it must not be opened. Keras is not asked: it would already build.

Taken are plain numbers in HDF5 and a configuration of Keras' own layers. What can run code, reach another file, or announce more
than it brings is refused.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any, NoReturn

import h5py

from analyzer.errors import BadModel
from analyzer.keras_files import HINT, MOST_BYTES, reason

# Classes, separated by spaces: layers, what the configuration of a layer may name beside them, whole networks
LAYERS = """Activation Add BatchNormalization Concatenate Conv2D Dense DepthwiseConv2D Dropout GlobalAveragePooling2D
    InputLayer MaxPooling2D Multiply Normalization ReLU Rescaling Reshape Softmax ZeroPadding2D"""
PARTS = """__keras_tensor__ __tuple__ DTypePolicy Policy TensorShape Constant GlorotNormal GlorotUniform HeNormal HeUniform
    LecunNormal LecunUniform Ones Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros L1 L2 L1L2"""
NETWORKS = "Functional Model"
MODULES = ("keras", "builtins")  # packages whose names are taken
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")  # all of them hold float32 weights
MEMBERS = {"config.json": 8 << 20, "metadata.json": 64 << 10, "model.weights.h5": MOST_BYTES}  # name → most bytes
SIGNATURES = {".keras": b"PK\x03\x04", ".h5": b"\x89HDF\r\n\x1a\n"}
MOST_TEXT = 16 << 20  # bytes of one attribute
MOST_LINKS = 50_000  # the ensemble has 2,500
DEPTH = 24  # of groups and of the configuration
FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))


def check(data: bytes, suffix: str) -> None:
    """Look at a whole Keras file without opening it in Keras.

    Args:
        data: the file; its hash was compared before.
        suffix: ``".keras"`` or ``".h5"``.

    Raises:
        BadModel: it is no such file, or holds something that is not taken; the message says what.
    """
    if suffix not in SIGNATURES or not data.startswith(SIGNATURES[suffix]):
        refuse(f"The file is not what its ending {suffix} says.")
    try:
        check_archive(data) if suffix == ".keras" else check_hdf5(data, with_config=True)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, zipfile.BadZipFile, NotImplementedError) as error:
        refuse(f"The file is damaged: {reason(error)}")


def check_archive(data: bytes) -> None:
    """A `.keras` archive: three known members, no larger than they may be, then each of them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        names = sorted(entry.filename for entry in entries)
        if names != sorted(MEMBERS):
            odd = next((name for name in names if name not in MEMBERS or names.count(name) > 1), None)
            refuse(
                f"The archive must hold {', '.join(MEMBERS)}, once each; {f'it has {odd!r:.80}' if odd else 'one is missing'}."
            )
        for entry in entries:
            if entry.file_size > MEMBERS[entry.filename]:
                refuse(f"{entry.filename} announces {entry.file_size} bytes, more than any ensemble has.")
        contents = {entry.filename: archive.read(entry) for entry in entries}  # never more than announced
    check_config(contents["config.json"])
    check_hdf5(contents["model.weights.h5"], with_config=False)


def check_hdf5(data: bytes, *, with_config: bool) -> None:
    """An HDF5 file: hard links and plain numbers only, nothing outside it, no more than `MOST_BYTES`."""
    with h5py.File(io.BytesIO(data), "r") as file:
        total = _check_group(file, "", set())
        if total > MOST_BYTES:
            refuse(f"The weights announce {total} bytes, more than any ensemble has.")
        if with_config:
            if "model_config" not in file.attrs:
                refuse("The file holds weights without a network; the whole network must be saved.")
            text = file.attrs["model_config"]
            check_config(text.encode() if isinstance(text, str) else bytes(text))


def check_config(text: bytes) -> None:
    """The configuration of a network: every class and every precision in it is one that is taken."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        refuse("The configuration of the network is not JSON.")
    if not isinstance(config, dict) or config.get("class_name") not in NETWORKS.split():
        refuse("The file must hold one functional network.")
    _check_names(config, NETWORKS)
    _check_value(config.get("config"), 0)


def refuse(message: str) -> NoReturn:
    """Raise `BadModel` with the one hint that helps."""
    raise BadModel(message, HINT)


def _check_group(group: h5py.Group, path: str, seen: set[Any]) -> int:
    """Bytes that all numbers below announce; `seen` holds the addresses of what was looked at."""
    if path.count("/") > DEPTH:
        refuse("The groups of the weights lie too deep.")
    _check_attributes(group)
    total = 0
    for name in group:
        place = f"{path}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            refuse(f"{place!r:.100} is a link to another place or file.")
        value = group[name]
        if (address := h5py.h5o.get_info(value.id).addr) in seen:
            refuse(f"{place!r:.100} is in the file under two names.")
        seen.add(address)
        if len(seen) > MOST_LINKS:
            refuse("The weights have too many parts.")
        total += _check_group(value, place, seen) if isinstance(value, h5py.Group) else _check_numbers(value, place)
    return total


def _check_numbers(numbers: Any, place: str) -> int:
    if not isinstance(numbers, h5py.Dataset) or numbers.dtype.kind not in "fiu":
        refuse(f"{place!r:.100} does not hold plain numbers.")
    if numbers.is_virtual or numbers.external:
        refuse(f"{place!r:.100} takes its numbers from another file.")
    plan = numbers.id.get_create_plist()
    if not {plan.get_filter(index)[0] for index in range(plan.get_nfilters())} <= FILTERS:
        refuse(f"{place!r:.100} is packed in a way that needs further software.")
    _check_attributes(numbers)
    return int(numbers.size or 0) * numbers.dtype.itemsize


def _check_attributes(owner: h5py.Group | h5py.Dataset) -> None:
    """Texts, and lists of texts or numbers. A list may repeat one long text: the reading process' memory is bounded."""
    for name in owner.attrs:
        attribute = owner.attrs.get_id(name)
        text = attribute.dtype.kind == "O" and h5py.check_string_dtype(attribute.dtype) is not None
        if (
            not (text or attribute.dtype.kind in "Sfiu")
            or attribute.dtype.itemsize * math.prod(attribute.shape) > MOST_TEXT
        ):
            refuse(f"The attribute {name!r:.100} holds something else than texts or numbers.")


def _check_value(value: Any, depth: int) -> None:
    if depth > 4 * DEPTH:
        refuse("The configuration of the network lies too deep.")
    if isinstance(value, dict):
        if "class_name" in value:
            _check_names(value, f"{LAYERS} {PARTS}")
        inner = list(value.values())
    else:
        inner = value if isinstance(value, list) else []
    for item in inner:
        _check_value(item, depth + 1)


def _check_names(value: dict[str, Any], allowed: str) -> None:
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if name in ("Lambda", "__lambda__"):
        refuse("The network has a Lambda layer, which runs code out of the file.")
    if not isinstance(name, str) or name not in allowed.split():
        refuse(f"The network uses {name!r:.80}, which is none of the layers of an ensemble.")
    if module is not None and str(module).split(".")[0] not in MODULES:
        refuse(f"The network takes {name} from {module!r:.80}, not from Keras.")
    if registered not in (None, name):
        refuse(f"The network names {name} as {registered!r:.80}, which is not Keras' own.")
    inner = value.get("config")
    precision = inner.get("name") if name in ("DTypePolicy", "Policy") and isinstance(inner, dict) else "float32"
    if precision not in PRECISIONS:
        refuse(f"The network computes in {precision!r:.40}; its weights must be float32.")
