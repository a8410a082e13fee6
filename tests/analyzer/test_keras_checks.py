"""Keras files as bytes: archives and HDF5 that could harm are refused before anything of them is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analyzer import keras_checks
from analyzer.errors import BadModel
from analyzer.keras_files import SUFFIXES
from tests.keras_networks import archive, members_of, saved, small


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return members_of(small(), tmp_path_factory.mktemp("keras") / "network.keras")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(small(), tmp_path_factory.mktemp("keras") / "network.h5")


def refused(data: bytes, suffix: str) -> str:
    with pytest.raises(BadModel) as caught:
        keras_checks.check(data, suffix)
    return caught.value.message


def test_what_was_saved_passes_the_checks(members: dict[str, bytes], weights: bytes) -> None:
    keras_checks.check(archive(members), ".keras")
    keras_checks.check(archive(members, packed=True), ".keras")
    keras_checks.check(weights, ".h5")


@pytest.mark.parametrize("name", ["../outside.py", "/etc/passwd", "assets/vocabulary.txt", "config.json/x"])
def test_archive_with_another_member(name: str, members: dict[str, bytes]) -> None:
    assert name in refused(archive({**members, name: b""}), ".keras")


def test_archive_with_a_member_missing(members: dict[str, bytes]) -> None:
    assert "one is missing" in refused(archive({"config.json": members["config.json"]}), ".keras")


def test_archive_with_a_member_twice(members: dict[str, bytes]) -> None:
    file = io.BytesIO(archive(members))
    with zipfile.ZipFile(file, "a") as out, pytest.warns(UserWarning, match="Duplicate"):
        out.writestr("config.json", b"{}")
    assert "once each" in refused(file.getvalue(), ".keras")


def test_archive_that_unpacks_to_far_more(members: dict[str, bytes]) -> None:
    data = archive({**members, "config.json": bytes(9 << 20)}, packed=True)
    assert len(data) < 2 << 20
    assert "announces 9437184 bytes" in refused(data, ".keras")


def test_archive_that_says_less_than_it_holds(members: dict[str, bytes]) -> None:
    data = archive({**members, "config.json": bytes(9 << 20)}, packed=True)
    assert "damaged" in refused(data.replace((9 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")), ".keras")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_cut_short_or_of_another_kind(suffix: str, members: dict[str, bytes], weights: bytes) -> None:
    whole = archive(members) if suffix == ".keras" else weights
    assert "damaged" in refused(whole[: len(whole) // 2], suffix)
    for other in (b"", b"GIF89a", weights if suffix == ".keras" else archive(members)):
        assert "not what its ending" in refused(other, suffix)


def external_storage(file: h5py.File, other: Path) -> None:
    file.create_dataset("added", (4,), np.uint8, external=[(str(other), 0, 4)])


def virtual(file: h5py.File, other: Path) -> None:
    layout = h5py.VirtualLayout((4,), np.uint8)
    layout[:] = h5py.VirtualSource(str(other), "secret", (4,))
    file.create_virtual_dataset("added", layout)


def lying_deep(file: h5py.File, other: Path) -> None:
    file.create_group("/".join(["deep"] * 60))


CHANGES: dict[str, tuple[Callable[[h5py.File, Path], Any], str]] = {
    "external link": (
        lambda file, other: file.update({"added": h5py.ExternalLink(str(other), "/")}),
        "link to another",
    ),
    "soft link": (lambda file, other: file.update({"added": h5py.SoftLink("/model_weights")}), "link to another"),
    "circle": (lambda file, other: file.update({"added": file["model_weights"]}), "two names"),
    "external storage": (external_storage, "another file"),
    "virtual": (virtual, "another file"),
    "texts": (lambda file, other: file.update({"added": ["a", "b"]}), "plain numbers"),
    "references": (
        lambda file, other: file["model_weights"].attrs.update({"added": file["model_weights"].ref}),
        "something else than texts",
    ),
    "too large": (
        lambda file, other: file.create_dataset("added", (1 << 40,), np.float32, chunks=(1 << 20,)),
        "more than the 1073741824 that are taken",
    ),
    "packed": (
        lambda file, other: file.create_dataset("added", (64,), np.float32, compression="lzf"),
        "further software",
    ),
    "deep": (lying_deep, "too deep"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_hdf5_that_reaches_out_or_announces_too_much(
    name: str, weights: bytes, members: dict[str, bytes], tmp_path: Path
) -> None:
    change, words = CHANGES[name]
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.arange(4, dtype=np.uint8)
    path = tmp_path / "changed.h5"
    path.write_bytes(weights)
    with h5py.File(path, "a") as file:
        change(file, other)
    assert words in refused(path.read_bytes(), ".h5")
    assert words in refused(archive({**members, "model.weights.h5": path.read_bytes()}), ".keras")
