"""Keras files as bytes: what is refused before anything of them is read.

Taken are plain numbers in HDF5 and a configuration in JSON. Links, other files, filters that need further software, and sizes beyond
those of an ensemble are refused. Nothing of a file is ever executed: Keras does not take part (decision 0017).
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any, NoReturn

import h5py

from analyzer.errors import BadModel
from analyzer.keras_files import MOST_BYTES, reason

MEMBERS = {"config.json": 8 << 20, "metadata.json": 64 << 10, "model.weights.h5": MOST_BYTES}  # name → most bytes
SIGNATURES = {".keras": b"PK\x03\x04", ".h5": b"\x89HDF\r\n\x1a\n"}
MOST_TEXT = 16 << 20  # bytes of one attribute
MOST_LINKS = 50_000  # the ensemble has 2,500
MOST_QUOTED = 300  # characters of a value in a sentence
DEPTH = 40  # of groups; a network in a network adds two
FILTERS = frozenset((h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32))
SAVE_ANEW = "Save the network anew with network.save(...) of Keras, as .keras or .h5."
COPY_ANEW = "Copy the file anew from where it was saved, and compare its sha256."
FULL_PRECISION = "Load the network, set the policy float32, mixed_float16 or mixed_bfloat16, and save it anew."
SAVE_WHOLE = "Save the whole network with network.save(...), not with save_weights(...)."


def check(data: bytes, suffix: str) -> None:
    """Check that a file may be read.

    Args:
        data: the file; its hash was compared before.
        suffix: ``".keras"`` or ``".h5"``.

    Raises:
        BadModel: it is no such file, or holds something that is not taken; the message names the cause.
    """
    if suffix not in SIGNATURES or not data.startswith(SIGNATURES[suffix]):
        refuse(f"The file is not what its ending {suffix} says.", f"{_other_format(data)} {SAVE_ANEW}".strip())
    try:
        check_archive(data) if suffix == ".keras" else check_hdf5(data)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, zipfile.BadZipFile, NotImplementedError) as error:
        refuse(f"The file is damaged: {reason(error)}", COPY_ANEW)


def check_archive(data: bytes) -> None:
    """Check a `.keras` archive: three known members, each no larger than it may be."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        names = sorted(entry.filename for entry in entries)
        if names != sorted(MEMBERS):
            odd = next((name for name in names if name not in MEMBERS or names.count(name) > 1), None)
            fault = f"it has {quoted(odd)}" if odd else "one is missing"
            refuse(f"The archive must hold {', '.join(MEMBERS)}, once each; {fault}.", SAVE_ANEW)
        for entry in entries:
            if entry.file_size > MEMBERS[entry.filename]:
                announced = f"{entry.filename} announces {entry.file_size} bytes"
                refuse(f"{announced}, more than the {MEMBERS[entry.filename]} that are taken.", SAVE_ANEW)
        weights = [archive.read(name) for name in MEMBERS][-1]  # reads all, so that checksums are compared
    check_hdf5(weights)


def check_hdf5(data: bytes) -> None:
    """Check an HDF5 file: hard links and plain numbers only, nothing outside it, no more than `MOST_BYTES`."""
    with h5py.File(io.BytesIO(data), "r") as file:
        total = _check_group(file, "", set())
    if total > MOST_BYTES:
        refuse(f"The weights announce {total} bytes, more than the {MOST_BYTES} that are taken.", SAVE_ANEW)


def configuration(text: str | bytes) -> dict[str, Any]:
    """Return the configuration of a network out of its JSON."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        refuse("The configuration of the network is not JSON.", SAVE_ANEW)
    return config


def quoted(value: object) -> str:
    """Return a value of a file as it stands in Python, for a sentence; what is longer than `MOST_QUOTED` ends in dots."""
    text = repr(value)
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…{text[-1]}"


def refuse(message: str, remedy: str) -> NoReturn:
    """Raise `BadModel`: what is wrong, and one sentence that tells what to do about it."""
    raise BadModel(message, remedy)


def _other_format(data: bytes) -> str:
    """Return a sentence about files whose format is known by their first bytes, or nothing."""
    formats = {**SIGNATURES, "a Git LFS pointer instead of the file": b"version https://git-lfs"}
    kind = next((name for name, start in formats.items() if data.startswith(start)), None)
    return f"It looks like {kind}." if kind else ""


def _check_group(group: h5py.Group, path: str, seen: set[Any]) -> int:
    """Return the bytes that all numbers below announce; `seen` holds the addresses of what was looked at."""
    if path.count("/") > DEPTH:
        refuse("The groups of the weights lie too deep.", SAVE_ANEW)
    _check_attributes(group)
    total = 0
    for name in group:
        place = f"{path}/{name}"
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            refuse(f"{quoted(place)} is a link to another place or file.", SAVE_ANEW)
        value = group[name]
        if (address := h5py.h5o.get_info(value.id).addr) in seen:
            refuse(f"{quoted(place)} is in the file under two names.", SAVE_ANEW)
        seen.add(address)
        if len(seen) > MOST_LINKS:
            refuse("The weights have too many parts.", SAVE_ANEW)
        total += _check_group(value, place, seen) if isinstance(value, h5py.Group) else _check_numbers(value, place)
    return total


def _check_numbers(numbers: Any, place: str) -> int:
    if isinstance(numbers, h5py.Dataset) and numbers.dtype.kind == "V":
        refuse(
            f"{quoted(place)} holds numbers of {numbers.dtype.itemsize} bytes of no plain type, such as bfloat16.",
            FULL_PRECISION,
        )
    if not isinstance(numbers, h5py.Dataset) or numbers.dtype.kind not in "fiu":
        refuse(f"{quoted(place)} does not hold plain numbers.", SAVE_ANEW)
    if numbers.is_virtual or numbers.external:
        refuse(f"{quoted(place)} takes its numbers from another file.", SAVE_ANEW)
    plan = numbers.id.get_create_plist()
    if not {plan.get_filter(index)[0] for index in range(plan.get_nfilters())} <= FILTERS:
        refuse(f"{quoted(place)} is packed in a way that needs further software.", SAVE_ANEW)
    _check_attributes(numbers)
    return int(numbers.size or 0) * numbers.dtype.itemsize


def _check_attributes(owner: h5py.Group | h5py.Dataset) -> None:
    """Check for texts and lists of texts or numbers. A list may repeat one long text: the reading process' memory is bounded."""
    for name in owner.attrs:
        attribute = owner.attrs.get_id(name)
        text = attribute.dtype.kind == "O" and h5py.check_string_dtype(attribute.dtype) is not None
        if (
            not (text or attribute.dtype.kind in "Sfiu")
            or attribute.dtype.itemsize * math.prod(attribute.shape) > MOST_TEXT
        ):
            refuse(f"The attribute {quoted(name)} holds something else than texts or numbers.", SAVE_ANEW)
